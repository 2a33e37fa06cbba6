//! Planning rounds on disk: written while the service works, and planned again later.
//!
//! ```text
//!   run --record DIRECTORY      Scheduler ─► queue of a few rounds ─► a thread ─► rounds-….ndjson, the oldest go first
//!                                               └ full: left out, and counted
//!   replay DIRECTORY            each line ─► RecordedRound::replay ─► all as recorded, or the first difference
//! ```
//! A plan depends on nothing but its input and the time. So the records prove what a release changes of decisions that
//! were made in earnest, and a strange decision can be looked at again at any time.
//!
//! Never does: keeping the service waiting for a disk; writing a secret; writing where others can read.

mod replay;
mod writer;

pub use replay::replay;
use writer::Recorder;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dispatch_actors::messages::scheduler::TellRound;
use slog::Logger;

/// What the records may take, if nothing is said.
const USUAL_LIMIT: u64 = 1 << 30;

/// Where rounds are written down, and how much room they may take.
#[derive(Debug, Clone)]
pub struct Recording {
    directory: PathBuf,
    /// Bytes.
    limit: u64,
}

impl Recording {
    /// Into that directory; `limit`: bytes.
    pub fn new(directory: &Path, limit: Option<u64>) -> Self {
        Self { directory: directory.to_owned(), limit: limit.unwrap_or(USUAL_LIMIT) }
    }

    /// Makes the directory, if it is not there.
    ///
    /// # Errors
    /// If it cannot be made, or is none.
    pub fn check(&self) -> Result<()> {
        writer::check(&self.directory).with_context(|| self.cannot())
    }

    /// Begins, and returns who is told of rounds.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn begin(&self, log: &Logger) -> Result<TellRound> {
        Recorder::begin(&self.directory, self.limit, log).with_context(|| self.cannot())
    }

    fn cannot(&self) -> String {
        format!("cannot record planning rounds in {}", self.directory.display())
    }
}

/// How the files are called, with the second of the start and a number between these.
const PREFIX: &str = "rounds-";
const SUFFIX: &str = ".ndjson";

/// Whether a file is one of them.
fn is_record(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}
