//! The history of what happened at the controller, with times and counts, for invariants, stories and
//! reports.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, TokenUuid};
use dispatch_core::time::Timestamp;
use tokio::sync::Notify;

use super::faults::{CallKind, Fault};

/// On whose behalf something was done. The token does not tell, because crunch-run uses the dispatcher's
/// token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The dispatcher, through its port.
    Dispatcher,
    /// A crunch-run process on a fake VM.
    Process,
    /// A client over HTTP.
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
        /// The container.
        uuid: ContainerUuid,
        /// The container request that it is an attempt of.
        request: String,
        /// The number of the attempt, from 1.
        attempt: u32,
    },
    /// A container's state changed.
    Changed {
        /// The container.
        uuid: ContainerUuid,
        /// The state before.
        from: ContainerState,
        /// The new state.
        to: ContainerState,
        /// The kind of call that changed it.
        call: CallKind,
        /// The token of that call.
        by: TokenUuid,
        /// On whose behalf the call was made.
        origin: Origin,
    },
    /// A container's priority changed.
    Prioritised {
        /// The container.
        uuid: ContainerUuid,
        /// Its priority before.
        from: i64,
        /// Its priority now.
        to: i64,
    },
    /// A container's record was deleted.
    Deleted {
        /// The container.
        uuid: ContainerUuid,
    },
    /// A call to change a container was refused.
    Refused {
        /// The container.
        uuid: ContainerUuid,
        /// The kind of call.
        call: CallKind,
        /// The HTTP status.
        status: u16,
        /// On whose behalf the call was made.
        origin: Origin,
    },
    /// A fault struck a call.
    Struck {
        /// The kind of call.
        call: CallKind,
        /// The fault that struck it.
        fault: Fault,
    },
}

/// A change that a server's operator would look at twice. Whether it was wrong is for the invariants to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suspicion {
    /// A Running container was cancelled by another origin than its own process.
    RunningCancelled,
    /// A Complete container was cancelled, so that its result is lost.
    CompleteCancelled,
    /// A container was cancelled because it had been unlocked too often.
    AttemptsUsedUp,
}

impl Fact {
    /// Why this change deserves a second look, if it does.
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
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
}

/// How often things happened to one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How often it went from Queued to Locked.
    pub locks: u32,
    /// How often it went from Locked to Queued, or was cancelled by an unlock.
    pub unlocks: u32,
    /// How often it was cancelled, by any caller.
    pub cancels: u32,
    /// How many calls to change it were refused.
    pub refusals: u32,
    /// How many calls to lock it the dispatcher sent, whatever became of them.
    pub lock_calls: u32,
    /// How many calls to unlock it the dispatcher sent.
    pub unlock_calls: u32,
    /// How many calls to cancel it the dispatcher sent.
    pub cancel_calls: u32,
    /// How often the dispatcher read its record by itself.
    pub reads: u32,
}

/// The history of one controller.
#[derive(Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
    calls: BTreeMap<(CallKind, u16), u64>,
    faults: BTreeMap<Fault, u64>,
    tallies: BTreeMap<ContainerUuid, Tally>,
    changed: Arc<Notify>,
}

impl History {
    /// Is notified whenever something happens.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// All facts, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The facts after the first `seen` ones, for callers that look again and again.
    pub fn since(&self, seen: usize) -> &[Entry] {
        self.entries.get(seen..).unwrap_or_default()
    }

    /// The number of calls by kind and HTTP status; 0 = no answer.
    pub fn calls(&self) -> &BTreeMap<(CallKind, u16), u64> {
        &self.calls
    }

    /// The number of calls of that kind, whatever the answer.
    pub fn calls_of(&self, kind: CallKind) -> u64 {
        self.calls.iter().filter(|((of, _), _)| *of == kind).map(|(_, count)| count).sum()
    }

    /// How often each fault struck.
    pub fn faults(&self) -> &BTreeMap<Fault, u64> {
        &self.faults
    }

    /// How often things happened to that container.
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
        self.changed.notify_waiters();
    }

    pub(super) fn count_call(&mut self, kind: CallKind, status: u16) {
        *self.calls.entry((kind, status)).or_default() += 1;
    }

    pub(super) fn count_call_about(&mut self, uuid: ContainerUuid, kind: CallKind) {
        let tally = self.tallies.entry(uuid).or_default();
        match kind {
            CallKind::Lock => tally.lock_calls += 1,
            CallKind::Unlock => tally.unlock_calls += 1,
            CallKind::Update => tally.cancel_calls += 1,
            CallKind::Show => tally.reads += 1,
            CallKind::Current | CallKind::List | CallKind::Requests | CallKind::Other => {}
        }
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
