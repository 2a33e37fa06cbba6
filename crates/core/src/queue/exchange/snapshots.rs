//! Snapshots of the queue: shared until something changes, and of a large queue made a piece at a time.
//!
//! ```text
//!   asked for ─┬ nothing has changed since the last ─► that one
//!              ├ a small queue ─► copied at once
//!              └ a large one ─► a piece ─► GoOn ─► … ─► Copied, for all who have asked meanwhile
//! ```
//! What changes while it is copied may be in it or not. Each entry has its own date, and what dates the whole queue is of
//! the moment at which the copy was begun: so nothing looks newer than it is. Whoever asks after such a change gets the
//! next copy: all that had happened when a planning round asked is in what it plans from.

use std::sync::Arc;

use super::{Exchange, ExchangeEffect};
use crate::queue::{Copying, QueueSnapshot};

/// The last snapshot, and the next.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    last: Option<Arc<QueueSnapshot>>,
    copying: Option<Copying>,
    /// Something has changed since the copy was begun.
    has_changed: bool,
    /// The number of the copy that was begun last.
    number: u64,
    /// Somebody waits for one more copy.
    again: bool,
}

/// The answer to [`Exchange::ask_snapshot`].
#[derive(Debug)]
pub enum SnapshotAnswer {
    /// It is there.
    Ready(Arc<QueueSnapshot>),
    /// It comes as [`ExchangeEffect::Copied`] with that number.
    Later(u64, Vec<ExchangeEffect>),
}

impl Snapshots {
    /// Something has changed: what was made before is not handed out any more.
    pub(super) fn are_outdated(&mut self) {
        self.last = None;
        self.has_changed = true;
    }

    pub(super) fn is_copying(&self) -> bool {
        self.copying.is_some()
    }
}

impl Exchange {
    /// The containers at this moment, shared until they change. O(containers), at once.
    pub fn snapshot(&mut self) -> Arc<QueueSnapshot> {
        let queue = &self.queue;
        Arc::clone(self.snapshots.last.get_or_insert_with(|| Arc::new(queue.snapshot())))
    }

    /// The same without keeping others waiting.
    pub fn ask_snapshot(&mut self) -> SnapshotAnswer {
        if let Some(last) = &self.snapshots.last {
            return SnapshotAnswer::Ready(Arc::clone(last));
        }
        if self.snapshots.is_copying() {
            self.snapshots.again |= self.snapshots.has_changed;
            let number = self.snapshots.number + u64::from(self.snapshots.again);
            return SnapshotAnswer::Later(number, Vec::new());
        }
        self.begin_copy();
        match self.copy_a_piece() {
            Some(snapshot) => SnapshotAnswer::Ready(snapshot),
            None => {
                let mut effects = Vec::new();
                self.go_on_soon(&mut effects);
                SnapshotAnswer::Later(self.snapshots.number, effects)
            }
        }
    }

    fn begin_copy(&mut self) {
        self.snapshots.number += 1;
        (self.snapshots.has_changed, self.snapshots.again) = (false, false);
        self.snapshots.copying = Some(self.queue.begin_copy());
    }

    /// Copies the next piece, if there is one to copy; after the last one the next copy is begun, if somebody waits for it.
    pub(super) fn copy_on(&mut self, effects: &mut Vec<ExchangeEffect>) {
        let number = self.snapshots.number;
        if let Some(snapshot) = self.copy_a_piece() {
            effects.push(ExchangeEffect::Copied(number, snapshot));
            if self.snapshots.again {
                self.begin_copy();
            }
        }
        if self.snapshots.is_copying() {
            self.go_on_soon(effects);
        }
    }

    /// The snapshot, if that was the last piece.
    fn copy_a_piece(&mut self) -> Option<Arc<QueueSnapshot>> {
        let is_complete = self.queue.copy_on(self.snapshots.copying.as_mut()?, self.policy.pieces.entries);
        let copied = self.snapshots.copying.take_if(|_| is_complete)?;
        let snapshot = Arc::new(copied.copy);
        self.snapshots.last = Some(Arc::clone(&snapshot)).filter(|_| !self.snapshots.has_changed);
        Some(snapshot)
    }
}
