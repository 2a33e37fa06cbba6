//! Writes rounds into files of a bounded size, one line of JSON each.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use dispatch_actors::catalogue::Repeats;
use dispatch_actors::messages::scheduler::{PlanView, TellRound};
use dispatch_actors::{catalogue, clock, event};
use slog::Logger;

use super::{PREFIX, SUFFIX, is_record};

/// Rounds that wait to be written. Each keeps a picture of queue and pool in memory.
const WAITING: usize = 8;
/// Into so many files the room is divided: one of them is lost when it is full.
const FILES: u64 = 16;

/// Writes rounds, on a thread of its own, until the last sender is gone.
pub(super) struct Recorder {
    directory: PathBuf,
    /// Bytes of all files.
    limit: u64,
    /// Of this start.
    began: i64,
    /// Of the file that is being written.
    number: u64,
    file: Option<(BufWriter<File>, u64)>,
    repeats: Repeats,
    log: Logger,
}

impl Recorder {
    /// Begins to record into a directory, which is made if it is not there, and returns who is told of rounds.
    ///
    /// # Errors
    /// If it cannot be written there.
    pub(super) fn begin(directory: &Path, limit: u64, log: &Logger) -> io::Result<TellRound> {
        check(directory)?;
        let (sender, receiver) = sync_channel(WAITING);
        let mut recorder = Self {
            directory: directory.to_owned(),
            limit,
            began: clock::wall_time().as_second(),
            number: 0,
            file: None,
            repeats: Repeats::default(),
            log: log.clone(),
        };
        recorder.open()?;
        event!(log, catalogue::RECORDING, "Path" => %directory.display(), "Limit" => limit);
        std::thread::Builder::new().name("recorder".into()).spawn(move || recorder.write_all(&receiver))?;
        Ok(teller(sender, log.clone()))
    }

    /// Ends when nobody can send any more.
    fn write_all(mut self, rounds: &Receiver<PlanView>) {
        for round in rounds {
            let Some(record) = round.record() else { continue };
            // Its own types are JSON.
            let Ok(mut line) = serde_json::to_vec(&record) else { continue };
            line.push(b'\n');
            if let Err(error) = self.write(&line) {
                self.file = None;
                self.complain(&error);
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if length > self.limit / 2 {
            return Err(io::Error::other(format!("a round of {length} bytes is too large for the limit")));
        }
        if self.file.as_ref().is_none_or(|(_, written)| written + length > self.limit / FILES) {
            self.open()?;
            self.make_room(length)?;
        }
        let Some((file, written)) = &mut self.file else { return Ok(()) };
        file.write_all(line)?;
        // A killed service leaves whole lines.
        file.flush()?;
        *written += length;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        self.file = None;
        self.number += 1;
        let name = format!("{PREFIX}{}-{:06}{SUFFIX}", self.began, self.number);
        let mut options = OpenOptions::new();
        let file = options.create_new(true).append(true).mode(0o600).open(self.directory.join(name))?;
        self.file = Some((BufWriter::new(file), 0));
        Ok(())
    }

    /// Removes the oldest files, those of earlier starts too, until there is room for one more of full size.
    fn make_room(&self, length: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(is_record) {
                files.push((entry.file_name(), entry.metadata()?.len()));
            }
        }
        files.sort();
        // The newest is being written.
        files.pop();
        let mut left = files.iter().map(|(_, length)| length).sum::<u64>() + length.max(self.limit / FILES);
        for (name, length) in files {
            if left <= self.limit {
                break;
            }
            std::fs::remove_file(self.directory.join(name))?;
            left -= length;
        }
        Ok(())
    }

    fn complain(&mut self, error: &io::Error) {
        if let Some(n) = self.repeats.note(&catalogue::NOT_RECORDED, "", clock::now()) {
            event!(self.log, catalogue::NOT_RECORDED, "Path" => %self.directory.display(), "error" => %error,
                "Repeated" => n);
        }
    }
}

/// Makes the directory, for us alone, if it is not there. Whether it can be written in is found out by doing it.
pub(super) fn check(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    tempfile::tempfile_in(directory).map(drop)
}

/// Who is told of rounds: never waits.
fn teller(sender: SyncSender<PlanView>, log: Logger) -> TellRound {
    let mut repeats = Repeats::default();
    Box::new(move |round| match sender.try_send(round.clone()) {
        Ok(()) => {}
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
            if let Some(n) = repeats.note(&catalogue::ROUNDS_LEFT_OUT, "", clock::now()) {
                event!(log, catalogue::ROUNDS_LEFT_OUT, "Repeated" => n);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn recorder(directory: &Path, limit: u64) -> Recorder {
        let log = Logger::root(slog::Discard, slog::o!());
        let repeats = Repeats::default();
        Recorder { directory: directory.to_owned(), limit, began: 7, number: 0, file: None, repeats, log }
    }

    fn names(directory: &Path) -> Vec<String> {
        let files = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = files
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .filter(|it| is_record(it))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_files_go_first_and_others_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("notes.txt"), "mine").unwrap();
        std::fs::write(directory.path().join("rounds-3-000001.ndjson"), [b'x'; 900]).unwrap();
        let mut recorder = recorder(directory.path(), 1600);
        for _ in 0..40 {
            recorder.write(&[b'y'; 60]).unwrap();
        }
        let names = names(directory.path());
        assert!(!names.contains(&"rounds-3-000001.ndjson".to_owned()), "{names:?}");
        let size = |name: &String| std::fs::metadata(directory.path().join(name)).unwrap().len();
        let total: u64 = names.iter().map(size).sum();
        assert!(total <= 1600 && total > 1000, "{total}");
        assert_eq!(names.last().unwrap(), "rounds-7-000040.ndjson");
        assert!(directory.path().join("notes.txt").exists());
        let mode = std::fs::metadata(directory.path().join(&names[0])).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_not_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut recorder = recorder(directory.path(), 1600);
        assert!(recorder.write(&[b'y'; 900]).unwrap_err().to_string().contains("too large"));
        assert!(recorder.write(&[b'y'; 60]).is_ok());
    }
}
