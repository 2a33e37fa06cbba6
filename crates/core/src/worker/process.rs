//! A crunch-run process on a worker, as far as we know.

use super::event::KillReason;
use crate::time::Timestamp;

/// How a process came to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its start command is in flight: no list ends it.
    Starting,
    /// Its start command failed or got no answer: a list that began after this moment tells.
    Doubtful {
        /// Lists begun earlier do not count: the command may still have been under way.
        until: Timestamp,
    },
    /// A list or the start command showed it.
    Alive,
}

/// A kill under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Why.
    pub reason: KillReason,
    /// When the first signal was, or is to be, sent.
    pub since: Timestamp,
    /// When the next signal is due; `None` = one is in flight, or given up.
    pub next_signal: Option<Timestamp>,
    /// It did not end within `TimeoutTERM`.
    pub given_up: bool,
    /// Whether the operator has been told.
    pub told: bool,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// How it came to be counted.
    pub phase: Phase,
    /// When we started or found it.
    pub since: Timestamp,
    /// A kill under way.
    pub kill: Option<Kill>,
}

impl Process {
    /// Whether its kill was given up.
    pub fn is_given_up(&self) -> bool {
        self.kill.as_ref().is_some_and(|kill| kill.given_up)
    }
}
