//! What a container needs, and which types fit, under a configuration that was read anew.
//!
//! ```text
//!   reload ─► no type fits: spared ─┬─ reload: one does ────► as before
//!                                   └─ SPARED_FOR is over ─► it may be cancelled
//! ```
//! One that is first seen in that time is spared, too: it may have waited behind others, and have had a type before.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Fit, TypeLists};
use super::{CancelReason, ContainerQueue, Entry, OperationKind, QueueFact};
use crate::id::ContainerUuid;
use crate::policy::Policy;
use crate::time::{Timestamp, after};

/// After a reload no container is cancelled for want of a type for this long: a cancel cannot be taken back, and a file that
/// was cut or mistyped can. One that had no type before the reload either is not meant.
pub const SPARED_FOR: Duration = Duration::from_secs(5 * 60);

/// Sizes that container again, if it was sized. What stays as it was is not copied. O(types).
pub(super) fn size_again(
    entry: &mut Arc<Entry>,
    policy: &Policy,
    lists: &mut TypeLists,
    sparing_until: Option<Timestamp>,
) {
    let Some(mounts) = entry.mounts else { return };
    let (needs, fit) = entry.fit_under(mounts, &policy.catalog, &policy.sizing, lists);
    if (needs, &fit) != (entry.needs, &entry.fit) {
        let entry = Arc::make_mut(entry);
        entry.spared_until = match (&entry.fit, &fit) {
            (_, Fit::Types(_) | Fit::Unsized) => None,
            (Fit::Types(_) | Fit::Unsized, Fit::Nowhere(_)) => sparing_until,
            (Fit::Nowhere(_), Fit::Nowhere(_)) => entry.spared_until,
        };
        (entry.needs, entry.fit) = (needs, fit);
    }
}

impl ContainerQueue {
    /// From now on that configuration holds for what the controller does by itself, and for lists of types.
    /// `sizes_otherwise`: other types may fit than before.
    pub(crate) fn use_policy(&mut self, policy: &Policy, sizes_otherwise: bool, now: Timestamp) {
        self.max_dispatch_attempts = policy.max_dispatch_attempts;
        if sizes_otherwise {
            self.type_lists = TypeLists::default();
            self.sparing_until = Some(after(now, SPARED_FOR));
        }
    }

    /// Sizes the containers after that one, at most so many; the last of them, if there may be more. What stays as it was is
    /// not copied. O(most × types).
    pub(crate) fn size_anew(
        &mut self,
        from: Option<ContainerUuid>,
        most: usize,
        policy: &Policy,
        now: Timestamp,
        facts: &mut Vec<QueueFact>,
    ) -> Option<ContainerUuid> {
        let bounds = (from.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let (most, mut looked_at, mut last, mut moved) = (most.max(1), 0, None, Vec::new());
        for (uuid, entry) in self.entries.range_mut::<ContainerUuid, _>(bounds).take(most) {
            (last, looked_at) = (Some(*uuid), looked_at + 1);
            size_again(entry, policy, &mut self.type_lists, self.sparing_until);
            moved.extend(entry.is_moved_on_demand().then_some(*uuid));
        }
        facts.extend(moved.into_iter().filter_map(|uuid| self.moved(uuid, now)));
        last.filter(|_| looked_at == most)
    }

    /// How many are spared. O(containers).
    pub(crate) fn spared(&self) -> usize {
        self.entries.values().filter(|entry| entry.spared_until.is_some()).count()
    }

    /// Until when whoever has no type is spared, if a reload was lately.
    pub(super) fn sparing_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.sparing_until.filter(|until| now < *until)
    }

    /// If that time is over, nobody is spared any longer; whether anybody was. O(containers), once a reload.
    pub(crate) fn end_sparing(&mut self, now: Timestamp) -> bool {
        if self.sparing_until.is_none_or(|until| now < until) {
            return false;
        }
        self.sparing_until = None;
        let mut was_any = false;
        for entry in self.entries.values_mut().filter(|entry| entry.spared_until.is_some()) {
            Arc::make_mut(entry).spared_until = None;
            was_any = true;
        }
        was_any
    }

    /// Whether that is a cancel for want of a type, of a container that has one now, or is spared.
    pub(crate) fn is_spared(&self, uuid: ContainerUuid, kind: &OperationKind) -> bool {
        let is_for_want =
            matches!(kind, OperationKind::Cancel { reason: CancelReason::NoSuitableType(_), .. });
        let may_go =
            |entry: &Arc<Entry>| matches!(entry.fit, Fit::Nowhere(_)) && entry.spared_until.is_none();
        is_for_want && !self.entries.get(&uuid).is_some_and(may_go)
    }
}
