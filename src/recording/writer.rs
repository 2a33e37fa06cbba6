//! Writes rounds into files of a bounded size, one line of JSON each.

use std::fs::{DirBuilder, DirEntry, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use dispatch_actors::catalogue::Repeats;
use dispatch_actors::messages::scheduler::{PlanView, TellRound};
use dispatch_actors::{catalogue, clock, event};
use slog::Logger;
use tokio::time::Instant;

use super::{PREFIX, SUFFIX, is_record};

/// Rounds that wait to be written. Each keeps a picture of queue and pool in memory.
const WAITING: usize = 8;
/// After a failure nothing is tried for that long: a full disk stays full for a while.
const REST: Duration = Duration::from_secs(60);
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
    file: Option<Open>,
    /// Nothing is tried before then, because it has failed.
    rests_until: Option<Instant>,
    repeats: Repeats,
    log: Logger,
}

impl Recorder {
    /// Begins to record into a directory, which is made if it is not there, and returns who is told of rounds.
    ///
    /// A directory in which nothing can be written is told, and tried again: it keeps no service from its work.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(super) fn begin(directory: &Path, limit: u64, log: &Logger) -> io::Result<TellRound> {
        let (sender, receiver) = sync_channel(WAITING);
        let recorder = Self {
            directory: directory.to_owned(),
            limit,
            began: clock::wall_time().as_second(),
            number: 0,
            file: None,
            rests_until: None,
            repeats: Repeats::default(),
            log: log.clone(),
        };
        event!(log, catalogue::RECORDING, "Path" => %directory.display(), "Limit" => limit);
        std::thread::Builder::new().name("recorder".into()).spawn(move || recorder.write_all(&receiver))?;
        Ok(teller(sender, log.clone()))
    }

    /// Ends when nobody can send any more.
    fn write_all(mut self, rounds: &Receiver<PlanView>) {
        for round in rounds {
            if self.rests_until.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            let Some(record) = round.record() else { continue };
            // Its own types are JSON.
            let Ok(mut line) = serde_json::to_vec(&record) else { continue };
            line.push(b'\n');
            if let Err(error) = self.write(&line) {
                self.give_up_the_file();
                self.rests_until = Some(Instant::now() + REST);
                self.complain(&error);
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if length > self.limit / 2 {
            return Err(io::Error::other(format!("a round of {length} bytes is too large for the limit")));
        }
        if self.file.as_ref().is_none_or(|open| open.written + length > self.limit / FILES) {
            self.make_room(length)?;
            self.open()?;
        }
        let Some(open) = &mut self.file else { return Ok(()) };
        open.file.write_all(line)?;
        // A killed service leaves whole lines.
        open.file.flush()?;
        open.written += length;
        Ok(())
    }

    /// One in which nothing stands is removed: a disk that is full for a day would have thousands.
    fn give_up_the_file(&mut self) {
        if let Some(open) = self.file.take().filter(|open| open.written == 0) {
            // What cannot be removed now is removed as the oldest, once.
            let _ = std::fs::remove_file(open.path);
        }
    }

    fn open(&mut self) -> io::Result<()> {
        self.file = None;
        self.number += 1;
        check(&self.directory)?;
        let name = format!("{PREFIX}{}-{:06}{SUFFIX}", self.began, self.number);
        let path = self.directory.join(name);
        let mut options = OpenOptions::new();
        let file = options.create_new(true).append(true).mode(0o600).open(&path)?;
        self.file = Some(Open { path, file: BufWriter::new(file), written: 0 });
        Ok(())
    }

    /// Removes the oldest files, those of earlier starts too, until there is room for one more of full size. By the time
    /// at which they were written last: names are of a clock that may have been wrong.
    fn make_room(&self, length: u64) -> io::Result<()> {
        let mut files = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries.filter_map(|entry| Written::of(&entry.ok()?)).collect::<Vec<_>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        files.sort();
        let mut left = files.iter().map(|file| file.length).sum::<u64>() + length.max(self.limit / FILES);
        for file in files {
            if left <= self.limit {
                break;
            }
            match std::fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => left -= file.length,
            }
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

/// The file that is being written.
struct Open {
    path: PathBuf,
    file: BufWriter<File>,
    written: u64,
}

/// A file of records, the oldest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Written {
    modified: SystemTime,
    path: PathBuf,
    length: u64,
}

impl Written {
    fn of(entry: &DirEntry) -> Option<Self> {
        let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
        let is_ours = entry.file_name().to_str().is_some_and(is_record);
        let modified = metadata.modified().ok()?;
        is_ours.then(|| Self { modified, path: entry.path(), length: metadata.len() })
    }
}

/// Makes the directory, for us alone, if it is not there.
pub(super) fn check(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
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
        let directory = directory.to_owned();
        Recorder { directory, limit, began: 7, number: 0, file: None, rests_until: None, repeats, log }
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
    fn a_file_in_which_nothing_could_be_written_is_not_left() {
        let directory = tempfile::tempdir().unwrap();
        let mut recorder = recorder(&directory.path().join("new"), 1600);
        recorder.write(&[b'y'; 60]).unwrap();
        recorder.open().unwrap();
        recorder.give_up_the_file();
        assert_eq!(names(&directory.path().join("new")), ["rounds-7-000001.ndjson"]);
        std::fs::remove_dir_all(directory.path().join("new")).unwrap();
        recorder.write(&[b'y'; 60]).unwrap();
        assert_eq!(names(&directory.path().join("new")), ["rounds-7-000003.ndjson"], "it is made again");
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
