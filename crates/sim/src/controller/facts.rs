//! What happened, with times, and how often: for invariants, stories and reports.

use std::collections::BTreeMap;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, TokenUuid};
use dispatch_core::time::Timestamp;

use super::faults::{CallKind, Fault};

/// On whose behalf something was done. The token does not tell: crunch-run uses the dispatcher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The dispatcher, by its port.
    Dispatcher,
    /// A crunch-run process on a fake VM.
    Process,
    /// Somebody over HTTP.
    Http,
    /// A user or operator of the simulated world.
    User,
    /// The server itself.
    Server,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A container was made.
    Submitted {
        /// Which.
        uuid: ContainerUuid,
        /// Whose attempt it is.
        request: String,
        /// The number of the attempt, from 1.
        attempt: u32,
    },
    /// A container's state changed.
    Changed {
        /// Which.
        uuid: ContainerUuid,
        /// From where.
        from: ContainerState,
        /// Where to.
        to: ContainerState,
        /// By which kind of call.
        call: CallKind,
        /// With which token.
        by: TokenUuid,
        /// On whose behalf.
        origin: Origin,
    },
    /// A container's priority changed.
    Prioritised {
        /// Which.
        uuid: ContainerUuid,
        /// Its priority before.
        from: i64,
        /// Its priority now.
        to: i64,
    },
    /// A container's record was deleted.
    Deleted {
        /// Which.
        uuid: ContainerUuid,
    },
    /// A call to change a container was refused.
    Refused {
        /// Which.
        uuid: ContainerUuid,
        /// What kind of call.
        call: CallKind,
        /// With which HTTP status.
        status: u16,
        /// On whose behalf.
        origin: Origin,
    },
    /// A fault struck a call.
    Struck {
        /// What kind of call.
        call: CallKind,
        /// What struck it.
        fault: Fault,
    },
}

/// What a server's operator would frown at. Whether it was wrong is for the invariants to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suspicion {
    /// A Running container was cancelled by somebody other than its own process.
    RunningCancelled,
    /// A finished job's result was thrown away.
    CompleteCancelled,
    /// A container was cancelled because it had been unlocked too often.
    AttemptsUsedUp,
}

impl Fact {
    /// Whether this is one of the changes that deserve a second look.
    pub fn suspicion(&self) -> Option<Suspicion> {
        let Self::Changed { from, to: ContainerState::Cancelled, call, origin, .. } = self else {
            return None;
        };
        match (from, call) {
            (ContainerState::Complete, _) => Some(Suspicion::CompleteCancelled),
            (ContainerState::Running, _) if *origin != Origin::Process => Some(Suspicion::RunningCancelled),
            (ContainerState::Locked, CallKind::Unlock) => Some(Suspicion::AttemptsUsedUp),
            _ => None,
        }
    }
}

/// A fact and when it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub fact: Fact,
}

/// What befell one container, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Queued → Locked.
    pub locks: u32,
    /// Locked → Queued, or Cancelled by an unlock.
    pub unlocks: u32,
    /// Cancels, by whomever.
    pub cancels: u32,
    /// Calls that were refused.
    pub refusals: u32,
}

/// The history of one controller.
#[derive(Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
    calls: BTreeMap<(CallKind, u16), u64>,
    faults: BTreeMap<Fault, u64>,
    tallies: BTreeMap<ContainerUuid, Tally>,
}

impl History {
    /// Everything, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What happened after the first `seen` entries: for those who look again and again.
    pub fn since(&self, seen: usize) -> &[Entry] {
        self.entries.get(seen..).unwrap_or_default()
    }

    /// Calls by kind and HTTP status; 0 = no answer.
    pub fn calls(&self) -> &BTreeMap<(CallKind, u16), u64> {
        &self.calls
    }

    /// Calls of that kind, whatever their answer.
    pub fn calls_of(&self, kind: CallKind) -> u64 {
        self.calls.iter().filter(|((of, _), _)| *of == kind).map(|(_, count)| count).sum()
    }

    /// Faults that struck.
    pub fn faults(&self) -> &BTreeMap<Fault, u64> {
        &self.faults
    }

    /// What befell that container.
    pub fn tally(&self, uuid: ContainerUuid) -> Tally {
        self.tallies.get(&uuid).copied().unwrap_or_default()
    }

    /// The facts that deserve a second look.
    pub fn suspicions(&self) -> impl Iterator<Item = (&Entry, Suspicion)> {
        self.entries.iter().filter_map(|entry| entry.fact.suspicion().map(|suspicion| (entry, suspicion)))
    }

    pub(super) fn record(&mut self, at: Timestamp, fact: Fact) {
        match &fact {
            Fact::Changed { uuid, from, to, call, .. } => self.tally_change(*uuid, *from, *to, *call),
            Fact::Refused { uuid, .. } => self.tallies.entry(*uuid).or_default().refusals += 1,
            Fact::Struck { fault, .. } => *self.faults.entry(*fault).or_default() += 1,
            Fact::Submitted { .. } | Fact::Prioritised { .. } | Fact::Deleted { .. } => {}
        }
        self.entries.push(Entry { at, fact });
    }

    pub(super) fn count_call(&mut self, kind: CallKind, status: u16) {
        *self.calls.entry((kind, status)).or_default() += 1;
    }

    fn tally_change(
        &mut self,
        uuid: ContainerUuid,
        from: ContainerState,
        to: ContainerState,
        call: CallKind,
    ) {
        let tally = self.tallies.entry(uuid).or_default();
        match (from, to) {
            (_, ContainerState::Locked) => tally.locks += 1,
            (_, ContainerState::Queued) => tally.unlocks += 1,
            (_, ContainerState::Cancelled) if call == CallKind::Unlock => tally.unlocks += 1,
            (_, ContainerState::Cancelled) => tally.cancels += 1,
            (_, ContainerState::Running | ContainerState::Complete) => {}
        }
    }
}
