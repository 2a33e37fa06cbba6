//! The queue: the controller's containers of interest, and what we are changing about them.
//!
//! ```text
//!   exchange    what is called when, and whom its answer concerns
//!      poll ──► Poll (four questions) ──► ContainerQueue::merge ─┐        the local-change rule lives in merge
//!      lock, unlock, cancel, look ──► ContainerQueue::begin ─────┼──► entries ──► snapshot
//!      answers ──► ContainerQueue::answered ─────────────────────┘
//!
//!   horizon  how far polls look, by what could still be placed (openings)      fallen  what is remembered of the rest
//!   setback  what has failed for one container            shared_failures  what has failed for many
//!   hints    what the event feed makes us ask               hinted  what the answer means
//!   market  what the spot market has taken from whom
//!   suspects  known containers about which a list fails      absence  records that are not shown any more
//! ```
//! **The local-change rule.** Every operation stamps its container when its first call is sent and again
//! when its last answer is in. A poll notes the stamp at which each of its pages was asked for. A page never overwrites
//! nor drops a container with an operation in flight, or one stamped after that: its picture is older.
//!
//! **The date of a picture** is when the question was asked that it answers. Each container has its own, and an older
//! picture never replaces a newer one.
//!
//! Never does: I/O, deciding what should be locked or cancelled (that is `plan`).

mod absence;
mod chain;
mod entry;
pub mod exchange;
mod fallen;
mod hinted;
mod hints;
mod horizon;
mod limiter;
mod market;
mod merge;
mod openings;
mod operation;
mod orphans;
mod poll;
mod setback;
mod shared_failures;
mod sized_anew;
mod snapshot;
mod suspects;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

pub use absence::RecordAbsence;

use entry::TypeLists;
pub use entry::{Entry, Fit};
use fallen::Fallen;
pub use hints::rarest_poll_interval;
use horizon::Horizon;
use market::MarketLosses;
pub use merge::Merging;
pub use openings::Openings;
pub use operation::{
    Answer, Call, CancelReason, Finished, LookOutcome, Operation, OperationKind, Outcome, QueueRefusal, Step,
    UnlockReason,
};
use orphans::Orphans;
use poll::following;
pub use poll::{Poll, PollError};
pub use setback::{Setback, SetbackCause};
use shared_failures::SharedFailures;
pub use sized_anew::SPARED_FOR;
pub(crate) use snapshot::Copying;
pub use snapshot::QueueSnapshot;
use suspects::Suspects;

use crate::id::{ContainerUuid, TokenUuid};
use crate::policy::PollWindow;
use crate::ports::{ApiError, ApiErrorKind};
use crate::time::Timestamp;

/// What happened to a container, for logs and metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum QueueFact {
    /// Seen for the first time, and sized.
    Added(Arc<Entry>),
    /// Seen in another state than before.
    StateChanged {
        /// The container.
        uuid: ContainerUuid,
        /// Its state now.
        state: crate::container::ContainerState,
    },
    /// No longer of interest: why is in the reason.
    Dropped {
        /// The container.
        uuid: ContainerUuid,
        /// Its last known state.
        state: crate::container::ContainerState,
        /// The reason.
        reason: DropReason,
    },
    /// The controller does not show it, although it has a lock or a process: that is not believed yet.
    Doubted {
        /// The container.
        uuid: ContainerUuid,
    },
    /// Most of the records that have a lock or a process are absent at once: none of them is believed to be deleted
    /// before the same has been answered three times over two minutes.
    MostAreAbsent {
        /// How many.
        absent: usize,
        /// Of how many.
        of: usize,
    },
    /// Most of the records are shown again, or believed to be deleted.
    MostAreShown,
    /// Its mounts cannot be read: it is left alone for a while.
    MountsUnreadable {
        /// The container.
        uuid: ContainerUuid,
        /// What is wrong.
        reason: String,
    },
    /// The spot market has taken the instance on which it had a process.
    LostToMarket {
        /// The container.
        uuid: ContainerUuid,
        /// How many were taken from it, or from those that were tried before for the same request.
        losses: u32,
    },
    /// It wants the spot market, and is placed on demand, because it has lost too much to that.
    MovedOnDemand {
        /// The container.
        uuid: ContainerUuid,
        /// How many instances were taken from it, or from those that were tried before for the same request.
        losses: u32,
    },
    /// Its record cannot be decoded: it is left alone.
    Unreadable {
        /// Which container, if that much can be read.
        uuid: Option<ContainerUuid>,
        /// Where in the JSON, and what is wrong there.
        reason: String,
    },
}

/// Why a container is no longer in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The controller does not know it any more.
    Deleted,
    /// Another dispatcher has it.
    Foreign,
    /// Fell off the end of a list that was cut short; it comes back when its turn is near.
    BeyondHorizon,
    /// The scheduler said so: final, or on hold.
    Forgotten,
}

/// The controller's containers of interest. Mutated by the Queue actor alone.
#[derive(Debug)]
pub struct ContainerQueue {
    entries: BTreeMap<ContainerUuid, Arc<Entry>>,
    /// When the question was asked that each entry's picture answers. Not in the entry, so that one that has not
    /// changed stays shared with the snapshots.
    asked: BTreeMap<ContainerUuid, Timestamp>,
    /// Whether most of the records with a process or a lock were absent at the last answer.
    most_are_absent: bool,
    /// Records that could not be decoded at the last poll, with the reason.
    unreadable: BTreeMap<ContainerUuid, String>,
    /// What is known of containers that have a process but no entry.
    orphans: Orphans,
    /// Stamps of entries that were dropped: a poll that began earlier must not bring them back.
    dropped: BTreeMap<ContainerUuid, u64>,
    /// What is remembered of those that no list shows any more.
    fallen: Fallen,
    type_lists: TypeLists,
    /// What the spot market has taken.
    losses: MarketLosses,
    /// Something was lost since what everybody has lost was counted.
    losses_changed: bool,
    /// Some that are sized may lack their requests.
    lacks_requests: bool,
    /// How far the look for them has come, while it goes on.
    requests_until: Option<ContainerUuid>,
    /// Where the search for containers whose mounts are to be read has ended.
    sized_until: Option<ContainerUuid>,
    /// How far polls look among the waiting containers.
    horizon: Horizon,
    /// Known containers about which a list fails.
    suspects: Suspects,
    /// Failures that containers share.
    shared_failures: SharedFailures,
    /// A record was not believed since the last poll, because it may be of the past: the next poll tells.
    has_passed_over: bool,
    /// A poll is being taken in: entries that it shows may still be doubted.
    is_merging: bool,
    stamp: u64,
    max_dispatch_attempts: u32,
    /// Until then nobody is cancelled for want of a type, because the configuration was read anew.
    sparing_until: Option<Timestamp>,
    me: Option<TokenUuid>,
    first_poll_began: Option<Timestamp>,
    polled_at: Option<Timestamp>,
}

impl ContainerQueue {
    /// Takes an entry in, whose record was asked for then.
    fn put_in(&mut self, entry: Entry, asked: Timestamp) {
        let uuid = entry.record.uuid;
        self.entries.insert(uuid, Arc::new(entry));
        self.asked.insert(uuid, asked);
    }

    fn take_out(&mut self, uuid: ContainerUuid) -> Option<Arc<Entry>> {
        self.asked.remove(&uuid);
        self.entries.remove(&uuid)
    }

    /// The picture of that entry answers a question that was asked then.
    pub(crate) fn note_asked(&mut self, uuid: ContainerUuid, asked: Timestamp) {
        if let Some(before) = self.asked.get_mut(&uuid) {
            *before = asked.max(*before);
        }
    }

    /// An empty queue, never polled.
    pub fn new(max_dispatch_attempts: u32) -> Self {
        Self {
            entries: BTreeMap::new(),
            asked: BTreeMap::new(),
            most_are_absent: false,
            unreadable: BTreeMap::new(),
            orphans: Orphans::default(),
            dropped: BTreeMap::new(),
            fallen: Fallen::default(),
            type_lists: TypeLists::default(),
            losses: MarketLosses::default(),
            losses_changed: false,
            lacks_requests: false,
            requests_until: None,
            sized_until: None,
            horizon: Horizon::default(),
            suspects: Suspects::default(),
            shared_failures: SharedFailures::default(),
            has_passed_over: false,
            is_merging: false,
            stamp: 0,
            max_dispatch_attempts,
            sparing_until: None,
            me: None,
            first_poll_began: None,
            polled_at: None,
        }
    }

    /// Whose locks are ours.
    pub fn set_me(&mut self, me: TokenUuid) {
        self.me = Some(me);
    }

    /// How far polls look, whatever could be placed.
    pub fn set_poll_window(&mut self, window: PollWindow) {
        self.horizon.set_window(window);
    }

    /// Takes what could be placed after the last plan: it decides how far the next poll looks.
    pub fn set_openings(&mut self, openings: Option<Arc<Openings>>) {
        self.horizon.set_openings(openings);
    }

    /// Whose locks are ours, if asked already.
    pub fn me(&self) -> Option<TokenUuid> {
        self.me
    }

    /// Drops a container that is final, or on hold: the scheduler's decision. Nothing happens while an
    /// operation is in flight.
    pub fn forget(&mut self, uuid: ContainerUuid) -> Option<QueueFact> {
        let entry = self.entries.get(&uuid)?;
        if entry.operation.is_some() {
            return None;
        }
        let state = entry.record.state;
        self.remove(uuid);
        Some(QueueFact::Dropped { uuid, state, reason: DropReason::Forgotten })
    }

    /// The operation in flight on a container.
    pub fn operation(&self, uuid: ContainerUuid) -> Option<&Operation> {
        self.entries.get(&uuid)?.operation.as_ref()
    }

    /// Dropping is a local change too: a poll that is under way may still show it.
    fn remove(&mut self, uuid: ContainerUuid) {
        self.take_out(uuid);
        let stamp = self.next_stamp();
        self.dropped.insert(uuid, stamp);
    }

    /// The next containers whose mounts are to be read, no more than that many, in the order of their uuids. One whose
    /// mounts could not be read before comes after all others and alone, so that its fault spoils no other answer. It
    /// looks on from where it has ended before: in all, a pass over a large queue costs O(containers).
    pub fn unsized_containers(&mut self, most: usize) -> Vec<ContainerUuid> {
        let failed = |it: &Entry| it.setback.as_ref().is_some_and(|it| it.has(SetbackCause::Mounts));
        let wants = |entries: btree_map::Range<'_, ContainerUuid, Arc<Entry>>, most: usize| -> Vec<_> {
            let untried = entries.filter(|(_, it)| it.wants_sizing() && !failed(it));
            untried.map(|(uuid, _)| *uuid).take(most).collect()
        };
        let mut asked = wants(self.entries.range(following(self.sized_until)), most);
        let last = asked.last().copied();
        if let Some(until) = self.sized_until
            && asked.len() < most
        {
            let earlier = wants(self.entries.range(..=until), most - asked.len());
            asked.splice(..0, earlier);
        }
        self.sized_until = last.filter(|_| asked.len() == most);
        if asked.is_empty() {
            asked.extend(self.entries.values().find(|it| it.wants_sizing()).map(|it| it.record.uuid));
        }
        asked
    }

    /// What was asked for last has not been answered: the next search begins at the beginning, so that fewer of the same
    /// are asked for.
    pub fn look_for_unsized_again(&mut self) {
        self.sized_until = None;
    }

    /// The mounts of this container alone could not be read, maybe because the controller is in trouble.
    pub fn mounts_failed(&mut self, uuid: ContainerUuid, error: &ApiError, now: Timestamp) {
        let cause = SetbackCause::Mounts;
        let shared = self.shared_failures.failed(cause, uuid, error.kind, now);
        if let Some(entry) = self.entry_mut(uuid) {
            let before = entry.setback.take();
            entry.setback = Some(Setback::after(before.as_ref(), cause, error.to_string(), shared, now));
        }
    }

    /// Whether something has failed for that container, and nothing has succeeded since.
    pub fn has_failed_before(&self, uuid: ContainerUuid) -> bool {
        self.entries.get(&uuid).is_some_and(|entry| entry.setback.is_some())
    }

    /// No operation is begun before then, because the controller is in trouble.
    pub fn operations_pause_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.shared_failures.paused_until(now)
    }

    /// A list has failed, and the poll with it.
    pub fn poll_failed(&mut self, poll: &Poll, kind: ApiErrorKind, now: Timestamp) {
        self.suspects.learn(poll, now);
        self.shared_failures.list_failed(kind, now);
    }

    fn entry(&self, uuid: ContainerUuid) -> Option<&Entry> {
        self.entries.get(&uuid).map(|entry| &**entry)
    }

    fn next_stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    fn entry_mut(&mut self, uuid: ContainerUuid) -> Option<&mut Entry> {
        self.entries.get_mut(&uuid).map(Arc::make_mut)
    }
}
