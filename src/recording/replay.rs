//! `replay`: plans recorded rounds again.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dispatch_core::plan::RecordedRound;
use serde_json::json;

use super::is_record;
use crate::cli::{self, EXIT_USAGE, Replay};

/// What the records came to.
#[derive(Debug, Default, PartialEq)]
struct Replayed {
    files: usize,
    rounds: usize,
    /// Last lines that end in their midst: the service was killed while it wrote them.
    incomplete: usize,
    /// The first round that comes out otherwise, and where.
    difference: Option<String>,
}

/// Exit 0 if all come out as recorded, 1 if one does not, 2 if there are none or they cannot be read.
pub fn replay(wanted: &Replay) -> ExitCode {
    match all(&wanted.place) {
        Err(error) => {
            cli::complain(error);
            ExitCode::from(EXIT_USAGE)
        }
        Ok(replayed) if replayed.rounds == 0 => {
            cli::complain(format!("no rounds are recorded in {}", wanted.place.display()));
            ExitCode::from(EXIT_USAGE)
        }
        Ok(replayed) => {
            cli::print(&if wanted.json { replayed.json() } else { replayed.text() });
            if replayed.difference.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

impl Replayed {
    fn json(&self) -> String {
        json!({ "files": self.files, "rounds": self.rounds, "incomplete": self.incomplete, "difference": self.difference })
            .to_string()
    }

    fn text(&self) -> String {
        let incomplete = match self.incomplete {
            0 => String::new(),
            n => format!(" ({n} more were not written to their end)"),
        };
        match &self.difference {
            None => {
                format!("{} rounds of {} files come out as recorded{incomplete}", self.rounds, self.files)
            }
            Some(difference) => {
                format!("{} rounds come out as recorded, the next does not: {difference}", self.rounds - 1)
            }
        }
    }
}

fn all(place: &Path) -> Result<Replayed, String> {
    let mut replayed = Replayed::default();
    for path in files(place).map_err(|error| format!("cannot read {}: {error}", place.display()))? {
        replayed.files += 1;
        if file(&path, &mut replayed)? {
            break;
        }
    }
    Ok(replayed)
}

/// In the order in which they were written.
fn files(place: &Path) -> io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(place)?.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_record) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Whether it has the first difference.
fn file(path: &Path, replayed: &mut Replayed) -> Result<bool, String> {
    let cannot = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let mut reader = BufReader::new(File::open(path).map_err(cannot)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(cannot)? == 0 {
            break;
        }
        let round = match serde_json::from_slice::<RecordedRound>(&line) {
            Ok(round) => round,
            Err(_) if line.trim_ascii().is_empty() => continue,
            // It is the last: no other lacks its end.
            Err(error) if error.is_eof() && !line.ends_with(b"\n") => {
                replayed.incomplete += 1;
                continue;
            }
            Err(error) => {
                return Err(format!("{}, line {number}: not a recorded round: {error}", path.display()));
            }
        };
        replayed.rounds += 1;
        if let Err(difference) = round.replay() {
            let place = format!("{}, line {number}, planned at {}", path.display(), round.now);
            replayed.difference = Some(format!("{place}: {difference}"));
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("../../crates/core/src/plan/tests/recorded/first_creates.json");

    fn line() -> String {
        serde_json::from_str::<serde_json::Value>(RECORDED).unwrap().to_string()
    }

    fn replayed(files: &[(&str, String)]) -> Result<Replayed, String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        all(directory.path())
    }

    #[test]
    fn all_rounds_of_all_files_are_planned_again() {
        let (one, two) = (format!("{}\n", line()), format!("{}\n\n{}\n", line(), line()));
        let files = [("rounds-1-000001.ndjson", one), ("rounds-1-000002.ndjson", two), ("other", "x".into())];
        let replayed = replayed(&files).unwrap();
        assert_eq!(replayed, Replayed { files: 2, rounds: 3, incomplete: 0, difference: None });
        assert_eq!(replayed.text(), "3 rounds of 2 files come out as recorded");
    }

    #[test]
    fn the_first_that_comes_out_otherwise_is_named() {
        let other = line().replacen("\"over_quota\":0", "\"over_quota\":5", 1);
        let text = format!("{}\n{other}\n{}\n", line(), line());
        let replayed = replayed(&[("rounds-1-000001.ndjson", text)]).unwrap();
        let difference = replayed.difference.clone().unwrap();
        assert!(difference.contains("rounds-1-000001.ndjson, line 2, planned at 1970-"), "{difference}");
        assert!(difference.contains("/facts/over_quota: recorded 5, planned 0"), "{difference}");
        assert!(replayed.text().starts_with("1 rounds come out as recorded, the next does not"));
    }

    #[test]
    fn a_line_that_was_not_written_to_its_end_is_told_and_another_fault_is_an_error() {
        let cut = format!("{}\n{}", line(), &line()[..200]);
        assert_eq!(replayed(&[("rounds-1-000001.ndjson", cut)]).unwrap().incomplete, 1);
        let error = replayed(&[("rounds-1-000001.ndjson", format!("{}\n{{}}\n", line()))]).unwrap_err();
        assert!(error.contains("line 2: not a recorded round: missing field"), "{error}");
    }
}
