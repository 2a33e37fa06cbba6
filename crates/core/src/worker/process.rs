//! A crunch-run process on a worker, as far as we know.

use super::command::StartOrder;
use super::reason::KillReason;
use crate::time::{Timestamp, after};
use std::time::Duration;

const JUST_AFTER: Duration = Duration::from_millis(1);

/// How a process came to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its start command is in flight: no list ends it.
    Starting(StartOrder),
    /// Its start command failed or got no answer: a list that began after this moment tells.
    Doubtful {
        /// Lists begun earlier do not count: the command may still have been under way.
        until: Timestamp,
    },
    /// Its start command was not sent, for want of a connection: nothing can have started, and a list that began
    /// after this moment says so.
    Unsent {
        /// When that was known.
        since: Timestamp,
    },
    /// A list or the start command showed it.
    Alive,
}

/// A kill under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Why.
    pub reason: KillReason,
    /// When the first signal was sent; before, when it was asked for.
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
    /// When the next signal may be sent. None while its start command is, or may still be, under way.
    pub(super) fn signal_due(&self) -> Option<Timestamp> {
        let wanted = self.kill.as_ref()?.next_signal?;
        match self.phase {
            Phase::Starting(_) => None,
            Phase::Doubtful { until } | Phase::Unsent { since: until } => {
                Some(wanted.max(after(until, JUST_AFTER)))
            }
            Phase::Alive => Some(wanted),
        }
    }

    /// Whether its kill was given up.
    pub fn is_given_up(&self) -> bool {
        self.kill.as_ref().is_some_and(|kill| kill.given_up)
    }
}
