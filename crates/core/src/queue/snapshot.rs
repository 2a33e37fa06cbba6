//! What others see of the queue: a copy, of a large queue made a piece at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::poll::following;
use super::{ContainerQueue, Entry, LookOutcome};
use crate::id::{ContainerUuid, TokenUuid};
use crate::time::Timestamp;

/// What `plan` and the management API see of the queue: raw facts, no secrets. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSnapshot {
    /// All entries, in order of uuid.
    pub entries: Vec<Arc<Entry>>,
    /// When the question was asked that each entry's picture answers, in the same order.
    pub asked: Vec<Timestamp>,
    /// Records that could not be decoded, with the reason.
    pub unreadable: BTreeMap<ContainerUuid, String>,
    /// What is known of containers that have a process but no entry.
    pub looked: BTreeMap<ContainerUuid, LookOutcome>,
    /// Our lock owner id.
    pub me: Option<TokenUuid>,
    /// When the first successful poll began.
    pub first_poll_began: Option<Timestamp>,
    /// When the last successful poll began.
    pub polled_at: Option<Timestamp>,
}

/// A snapshot of a large queue that is being made.
#[derive(Debug)]
pub(crate) struct Copying {
    pub(crate) copy: QueueSnapshot,
    /// Entries up to this one are in it.
    last: Option<ContainerUuid>,
}

impl QueueSnapshot {
    /// When the question was asked that the picture of the entry at that position answers.
    pub fn asked_at(&self, position: usize) -> Option<Timestamp> {
        self.asked.get(position).copied()
    }

    /// The entry of that container; O(log n).
    pub fn get(&self, uuid: ContainerUuid) -> Option<&Arc<Entry>> {
        self.position(uuid).map(|at| &self.entries[at])
    }

    /// The position of the entry of that container; O(log n).
    pub fn position(&self, uuid: ContainerUuid) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.record.uuid.cmp(&uuid)).ok()
    }
}

impl ContainerQueue {
    /// The present state; O(containers) pointer copies.
    pub fn snapshot(&self) -> QueueSnapshot {
        let mut copying = self.begin_copy();
        self.copy_on(&mut copying, usize::MAX);
        copying.copy
    }

    /// A copy of the present state, without entries so far.
    pub(crate) fn begin_copy(&self) -> Copying {
        let copy = QueueSnapshot {
            entries: Vec::with_capacity(self.entries.len()),
            asked: Vec::with_capacity(self.entries.len()),
            unreadable: self.unreadable.clone(),
            looked: self.orphans.outcomes(),
            me: self.me,
            first_poll_began: self.first_poll_began,
            polled_at: self.polled_at,
        };
        Copying { copy, last: None }
    }

    /// Copies no more than that many further entries. True: there are no more, and the copy is complete.
    pub(crate) fn copy_on(&self, copying: &mut Copying, most: usize) -> bool {
        let Copying { copy, last } = copying;
        let piece = following(*last);
        let before = copy.entries.len();
        copy.entries.extend(self.entries.range(piece).take(most).map(|(_, entry)| Arc::clone(entry)));
        copy.asked.extend(self.asked.range(piece).take(most).map(|(_, asked)| *asked));
        *last = copy.entries.last().map(|entry| entry.record.uuid);
        copy.entries.len() - before < most
    }
}
