//! What operators have forbidden to be created, kept in a file for the next start.
//!
//! ```text
//!   $STATE_DIRECTORY/cordons.json   (systemd: StateDirectory=; a container: a volume, and that variable)
//! ```
//! Without that directory nothing is kept, and whoever pauses creates is told so. A tag of a VM is no place for it:
//! there may be none. The file is this machine's: a standby elsewhere does not have it, and one that it has is as old as
//! its last work there.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use dispatch_actors::messages::cordon::Kept;
use dispatch_actors::pool::KeepCordons;
use dispatch_actors::{catalogue, clock, event};
use dispatch_core::pool::Cordons;
use slog::Logger;

const FILE: &str = "cordons.json";

/// The file, if there is a directory for it.
#[derive(Debug)]
pub struct CordonsFile {
    path: Option<PathBuf>,
    log: Logger,
}

impl CordonsFile {
    /// In that directory.
    pub fn new(directory: Option<&Path>, log: Logger) -> Self {
        Self { path: directory.map(|directory| directory.join(FILE)), log }
    }

    fn complain(&self, path: &Path, error: &io::Error) {
        event!(self.log, catalogue::CORDONS_NOT_KEPT, "Path" => %path.display(), "error" => %error);
    }
}

impl KeepCordons for CordonsFile {
    fn load(&self) -> Cordons {
        let Some(path) = &self.path else { return Cordons::default() };
        match read(path) {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Cordons::default(),
            Err(error) => {
                self.complain(path, &error);
                Cordons::default()
            }
        }
    }

    fn keep(&self, cordons: &Cordons) -> Kept {
        let Some(path) = &self.path else {
            return Kept::No("STATE_DIRECTORY is not set, so there is no directory to keep it in".to_owned());
        };
        match write(path, &in_wall_time(cordons)) {
            Ok(()) => Kept::Yes,
            Err(error) => {
                self.complain(path, &error);
                Kept::No(format!("{}: {error}", path.display()))
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Cordons> {
    serde_json::from_slice(&std::fs::read(path)?).map_err(io::Error::other)
}

/// As the wall clock dates it: ours does not follow corrections, and ends with the process.
fn in_wall_time(cordons: &Cordons) -> Cordons {
    let mut shown = cordons.clone();
    for pause in &mut shown.pauses {
        (pause.until, pause.note.at) = (clock::shown(pause.until), clock::shown(pause.note.at));
    }
    shown.drained.values_mut().for_each(|note| note.at = clock::shown(note.at));
    shown
}

/// Whole or not at all: a crash leaves the old file. Nothing waits for the disk, because everything is planned on this
/// thread: after a power cut the file may be the old one.
fn write(path: &Path, cordons: &Cordons) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(&serde_json::to_vec_pretty(cordons)?)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dispatch_core::note::Note;
    use dispatch_core::pool::{CordonScope, Pause};
    use dispatch_core::time::{Timestamp, after};

    use super::*;

    fn file(directory: Option<&Path>) -> CordonsFile {
        CordonsFile::new(directory, Logger::root(slog::Discard, slog::o!()))
    }

    fn some() -> Cordons {
        let note = Note::new(Timestamp::UNIX_EPOCH, "alice", "the image is renewed");
        let mut cordons = Cordons::default();
        cordons.drained.insert("big".parse().unwrap(), note.clone());
        for scope in [CordonScope::All, CordonScope::Type("small".parse().unwrap())] {
            cordons.pause(Pause {
                scope,
                until: after(clock::now(), Duration::from_secs(3600)),
                note: note.clone(),
            });
        }
        cordons
    }

    #[test]
    fn what_is_kept_is_there_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let kept = file(Some(directory.path()));
        assert_eq!(kept.load(), Cordons::default());
        let some = some();
        assert_eq!(kept.keep(&some), Kept::Yes);
        assert_eq!(file(Some(directory.path())).load(), some);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn what_cannot_be_kept_is_said_and_what_cannot_be_read_keeps_nobody_from_starting() {
        assert!(matches!(file(None).keep(&some()), Kept::No(why) if why.contains("STATE_DIRECTORY")));
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("nowhere");
        assert!(matches!(file(Some(&nowhere)).keep(&some()), Kept::No(why) if why.contains("nowhere")));
        std::fs::write(directory.path().join(FILE), "{").unwrap();
        assert_eq!(file(Some(directory.path())).load(), Cordons::default());
    }
}
