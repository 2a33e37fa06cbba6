//! Snapshots of the queue: shared until something changes, and of a large queue made a piece at a time.
//!
//! ```text
//!   asked for ─┬ nothing has changed since the last ─► that one
//!              ├ a small queue ─► copied at once
//!              └ a large one ─► a piece ─► GoOn ─► … ─► Copied, for all who have asked meanwhile
//! ```
//! What changes while it is copied may be in it or not. Each entry has its own date, and what dates the whole queue is of
//! the moment at which the copy was begun: so nothing looks newer than it is.

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
}

/// The answer to [`Exchange::ask_snapshot`].
#[derive(Debug)]
pub enum SnapshotAnswer {
    /// It is there.
    Ready(Arc<QueueSnapshot>),
    /// It comes as [`ExchangeEffect::Copied`], maybe by these effects or by some that were told before.
    Later(Vec<ExchangeEffect>),
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
        let mut effects = Vec::new();
        if self.snapshots.is_copying() {
            return SnapshotAnswer::Later(effects);
        }
        self.snapshots.has_changed = false;
        self.snapshots.copying = Some(self.queue.begin_copy());
        match self.copy_on() {
            Some(snapshot) => SnapshotAnswer::Ready(snapshot),
            None => {
                self.go_on_soon(&mut effects);
                SnapshotAnswer::Later(effects)
            }
        }
    }

    /// Copies the next piece, if there is one to copy; the snapshot, if that was the last.
    pub(super) fn copy_on(&mut self) -> Option<Arc<QueueSnapshot>> {
        let is_complete = self.queue.copy_on(self.snapshots.copying.as_mut()?, self.policy.pieces.entries);
        let copied = self.snapshots.copying.take_if(|_| is_complete)?;
        let snapshot = Arc::new(copied.copy);
        self.snapshots.last = Some(Arc::clone(&snapshot)).filter(|_| !self.snapshots.has_changed);
        Some(snapshot)
    }
}
