//! SIGHUP: the site's configuration is read anew.
//!
//! ```text
//!   file ─ checked as at start ─┬─ it cannot be used ─► an error for each fault; everything is as before
//!                               └─ what has changed ─► each is told ─┬─ holds at once
//!                                                                    └─ needs a restart: as before until then
//! ```

use dispatch_actors::{catalogue, event};
use slog::Logger;

use crate::cli::Options;
use crate::settings::{Change, Loaded, Source};
use crate::telemetry::LogLevel;

/// Whether no type is left, where there were some: a file that was cut rather than a wish.
fn would_cancel_everything(present: &Loaded, new: &Loaded) -> bool {
    new.settings.policy.catalog.is_empty() && !present.settings.policy.catalog.is_empty()
}

/// More faults than anybody reads at once.
const FAULTS_TOLD: usize = 20;

/// Reads the configuration anew.
#[derive(Debug)]
pub struct Reloader<'a> {
    options: &'a Options,
    level: LogLevel,
    log: Logger,
}

impl<'a> Reloader<'a> {
    /// For the file that these options name.
    pub fn new(options: &'a Options, level: LogLevel, log: Logger) -> Self {
        Self { options, level, log }
    }

    /// The configuration that holds from now on; `None` = the present one stays, because the file cannot be used.
    pub fn reload(&self, present: &Loaded) -> Option<Loaded> {
        if self.options.source() == Source::Stdin {
            event!(self.log, catalogue::RELOAD_REFUSED, "error" => "it came from standard input, which cannot be read again");
            return None;
        }
        match self.options.load() {
            Ok(new) if would_cancel_everything(present, &new) => {
                event!(self.log, catalogue::RELOAD_REFUSED, "error" =>
                    "InstanceTypes: none are left, so that every container would be cancelled: restart, if that is meant");
                None
            }
            Ok(new) => Some(self.take_up(present, new)),
            Err(error) => {
                for fault in error.to_string().lines().take(FAULTS_TOLD) {
                    event!(self.log, catalogue::RELOAD_REFUSED, "error" => fault);
                }
                None
            }
        }
    }

    fn take_up(&self, present: &Loaded, new: Loaded) -> Loaded {
        let changes = present.settings.changes_to(&new.settings);
        let (at_once, later): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.at_once);
        for Change { path, before, now, .. } in &at_once {
            event!(self.log, catalogue::SETTING_CHANGED, "Path" => path, "Before" => before, "Now" => now);
        }
        for Change { path, before, now, .. } in &later {
            event!(self.log, catalogue::SETTING_NEEDS_RESTART, "Path" => path, "Before" => before, "Now" => now);
        }
        event!(self.log, catalogue::RELOADED, "Changed" => changes.len(), "NeedRestart" => later.len());
        let settings = present.settings.reloaded(&new.settings);
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
