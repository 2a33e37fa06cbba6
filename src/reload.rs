//! SIGHUP: the site's configuration is read anew.
//!
//! ```text
//!   file ─ a thread reads it, until it is the same twice ─ checked as at start
//!     ├─ it cannot be used ─► an error for each fault; everything is as before
//!     └─ what has changed ─► each is told ─┬─ holds at once
//!                                          └─ needs a restart: as before until then
//! ```
//! The thread keeps nobody waiting: a file on a disk that hangs is read when that answers, and we may be stopped meanwhile.

use std::time::Duration;

use dispatch_actors::{catalogue, event};
use slog::{Level, Logger};
use tokio::sync::oneshot;

use crate::cli::Options;
use crate::descriptors;
use crate::settings::{Change, Loaded, Source};
use crate::telemetry::LogLevel;

/// More faults than anybody reads at once.
const FAULTS_TOLD: usize = 20;
/// A file that is the same after this long is not being written, as far as we can tell.
const STILL: Duration = Duration::from_millis(500);
/// How often the file is read again until it is the same, at most.
const LOOKS: u32 = 20;

/// What came of reading the file: the configuration, or what is wrong, a line for each fault.
pub type Read = Result<Loaded, String>;

/// Reads the configuration anew.
#[derive(Debug)]
pub struct Reloader {
    options: Options,
    level: LogLevel,
    log: Logger,
}

impl Reloader {
    /// For the file that these options name.
    pub fn new(options: Options, level: LogLevel, log: Logger) -> Self {
        Self { options, level, log }
    }

    /// Begins to read; what comes of it comes later. The channel closes without a word if there is no thread to read.
    pub fn begin(&self) -> oneshot::Receiver<Read> {
        let (told, read) = oneshot::channel();
        let options = self.options.clone();
        // Whoever waited for it may have been stopped. Without a thread nothing is told, and that is told.
        let reading = move || drop(told.send(read_until_still(&options)));
        let _ = std::thread::Builder::new().name("reload".to_owned()).spawn(reading);
        read
    }

    /// The configuration that holds from now on; `None` = the present one stays, because the file cannot be used.
    pub fn take_up(&self, present: &Loaded, read: Read) -> Option<Loaded> {
        match read {
            Ok(new) if would_cancel_everything(present, &new) => {
                self.refuse("InstanceTypes: none are left, so that every container would be cancelled: restart, if that is meant");
                None
            }
            Ok(new) => Some(self.tell(present, new)),
            Err(faults) => {
                self.refuse(&faults);
                None
            }
        }
    }

    fn refuse(&self, faults: &str) {
        for fault in faults.lines().take(FAULTS_TOLD) {
            event!(self.log, catalogue::RELOAD_REFUSED, "error" => fault);
        }
    }

    fn tell(&self, present: &Loaded, new: Loaded) -> Loaded {
        let settings = present.settings.reloaded(&new.settings);
        // Told to whoever reads little now, or did before.
        self.level.set(more_talkative(present.settings.logs.level, settings.logs.level));
        let changes = present.settings.changes_to(&new.settings);
        let (at_once, later): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.at_once);
        for Change { path, before, now, .. } in &at_once {
            event!(self.log, catalogue::SETTING_CHANGED, "Path" => path, "Before" => before, "Now" => now);
        }
        for Change { path, before, now, .. } in &later {
            event!(self.log, catalogue::SETTING_NEEDS_RESTART, "Path" => path, "Before" => before, "Now" => now);
        }
        descriptors::tell_doubt(&settings, &self.log);
        event!(self.log, catalogue::RELOADED, "Changed" => changes.len(), "NeedRestart" => later.len());
        self.level.set(settings.logs.level);
        let is_whole = later.is_empty();
        Loaded {
            settings,
            warnings: new.warnings,
            // Of a file that holds only in part nobody may say that it is in force.
            sha256: if is_whole { new.sha256 } else { present.sha256.clone() },
            modified: if is_whole { new.modified } else { present.modified },
        }
    }
}

/// Whether no type is left, where there were some: a file that was cut rather than a wish.
fn would_cancel_everything(present: &Loaded, new: &Loaded) -> bool {
    new.settings.policy.catalog.is_empty() && !present.settings.policy.catalog.is_empty()
}

fn more_talkative(one: Level, other: Level) -> Level {
    if one.as_usize() > other.as_usize() { one } else { other }
}

/// Reads the file until it is the same twice: an editor may be writing it.
fn read_until_still(options: &Options) -> Read {
    check_kind(&options.source())?;
    let mut last = options.load();
    for _ in 0..LOOKS {
        wait(STILL);
        let again = options.load();
        let is_same = match (&last, &again) {
            (Ok(last), Ok(again)) => last.sha256 == again.sha256,
            (Err(last), Err(again)) => last.to_string() == again.to_string(),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        if is_same {
            return again.map_err(|error| error.to_string());
        }
        last = again;
    }
    Err("it is being written all the time".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, on which nobody waits")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Reading from anything else may take for ever, or take what is to be read away.
fn check_kind(source: &Source) -> Result<(), String> {
    match source {
        Source::Stdin => Err("it came from standard input, which cannot be read again".to_owned()),
        Source::File(path) => match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(()),
            Ok(_) => Err(format!("{}: no regular file", path.display())),
            Err(error) => Err(format!("{}: cannot read it: {error}", path.display())),
        },
    }
}
