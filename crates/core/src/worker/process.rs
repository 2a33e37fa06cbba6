//! A crunch-run process on a worker, as far as we know.

use super::command::StartOrder;
use super::fruitless::FruitlessStarts;
use super::reason::KillReason;
use crate::id::ContainerUuid;
use crate::time::{Timestamp, after};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const JUST_AFTER: Duration = Duration::from_millis(1);

/// Why an instance is kept on which nothing runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeptFor {
    /// A container has a place there that cannot be started yet.
    Container,
    /// It is a spare one: the site wants so many (`IdleReserve`).
    Reserve,
}

/// How a process came to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessPhase {
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
    /// The reason.
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
    pub phase: ProcessPhase,
    /// When we started or found it.
    pub since: Timestamp,
    /// A kill under way.
    pub kill: Option<Kill>,
    /// How its start command failed, if it did.
    pub start_failure: Option<String>,
    /// Our own side's fault has kept its start command from an answer.
    pub own_fault: bool,
}

impl Process {
    /// One that came to be counted in this way at that moment.
    pub(super) fn new(phase: ProcessPhase, since: Timestamp) -> Self {
        Self { phase, since, kill: None, start_failure: None, own_fault: false }
    }

    /// When the next signal may be sent. None while its start command is, or may still be, under way.
    pub(super) fn signal_due(&self) -> Option<Timestamp> {
        let wanted = self.kill.as_ref()?.next_signal?;
        match self.phase {
            ProcessPhase::Starting(_) => None,
            ProcessPhase::Doubtful { until } | ProcessPhase::Unsent { since: until } => {
                Some(wanted.max(after(until, JUST_AFTER)))
            }
            ProcessPhase::Alive => Some(wanted),
        }
    }

    /// Whether it is no attempt of its container's if it does not live: its start command was not sent, or our own side
    /// has failed.
    pub(super) fn was_not_sent(&self) -> bool {
        match self.phase {
            ProcessPhase::Unsent { .. } => true,
            ProcessPhase::Doubtful { .. } => self.own_fault,
            ProcessPhase::Starting(_) | ProcessPhase::Alive => false,
        }
    }

    /// Whether its kill was given up.
    pub fn is_given_up(&self) -> bool {
        self.kill.as_ref().is_some_and(|kill| kill.given_up)
    }
}

/// The processes on a worker, and what its starts came to.
#[derive(Debug, Clone)]
pub(super) struct Processes {
    pub(super) by_container: BTreeMap<ContainerUuid, Process>,
    /// Containers whose dead process's lock is held here, since when.
    pub(super) stale: BTreeMap<ContainerUuid, Timestamp>,
    /// The last container that was started or found here.
    pub(super) last_container: Option<ContainerUuid>,
    /// When it last had a process, or came into service.
    pub(super) last_busy: Timestamp,
    /// Why it is kept although nothing runs there: then it is not idle.
    pub(super) kept: Option<KeptFor>,
    /// The last change that makes older lists worthless.
    pub(super) last_change: Option<Timestamp>,
    /// A list has told of all that runs here: an earlier dispatcher may have sent a start just before its end, which is
    /// not listed for a while.
    pub(super) known: bool,
    /// Starts in a row that came to nothing.
    pub(super) fruitless_starts: FruitlessStarts,
    /// How often a process of each container has ended while it was being killed; a start sets it back.
    pub(super) kills: BTreeMap<ContainerUuid, u32>,
    /// A line of a list that makes no sense was told.
    pub(super) strange_told: bool,
    /// Starts that are no failure if they came to nothing: they were counted already, or told to end.
    pub(super) excused_starts: BTreeSet<ContainerUuid>,
    /// Processes that have ended unasked and are not judged yet, and since when there were: if one has left its
    /// container Locked, nobody has said why.
    pub(super) ended_quietly: BTreeMap<ContainerUuid, Timestamp>,
}

impl Processes {
    /// Of an instance that has just appeared: on one that this process created nothing can run yet.
    pub(super) fn none_yet(ours: bool, now: Timestamp) -> Self {
        Self {
            by_container: BTreeMap::new(),
            stale: BTreeMap::new(),
            last_container: None,
            last_busy: now,
            kept: None,
            last_change: None,
            known: ours,
            fruitless_starts: FruitlessStarts::default(),
            kills: BTreeMap::new(),
            strange_told: false,
            excused_starts: BTreeSet::new(),
            ended_quietly: BTreeMap::new(),
        }
    }
}
