//! What a container needs, and which types fit, under a configuration that was read anew.

use std::ops::Bound;
use std::sync::Arc;

use super::ContainerQueue;
use super::entry::TypeLists;
use crate::id::ContainerUuid;
use crate::policy::Policy;

impl ContainerQueue {
    /// From now on that configuration holds for what the controller does by itself, and for lists of types.
    pub(crate) fn use_policy(&mut self, policy: &Policy) {
        self.max_dispatch_attempts = policy.max_dispatch_attempts;
        self.type_lists = TypeLists::default();
    }

    /// Sizes the containers after that one, at most so many; the last of them, if there may be more. What stays as it was is
    /// not copied. O(most × types).
    pub(crate) fn size_anew(
        &mut self,
        from: Option<ContainerUuid>,
        most: usize,
        policy: &Policy,
    ) -> Option<ContainerUuid> {
        let bounds = (from.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let (most, mut looked_at, mut last) = (most.max(1), 0, None);
        for (uuid, entry) in self.entries.range_mut::<ContainerUuid, _>(bounds).take(most) {
            (last, looked_at) = (Some(*uuid), looked_at + 1);
            let Some(mounts) = entry.mounts else { continue };
            let (needs, fit) = entry.fit_under(mounts, &policy.catalog, &policy.sizing, &mut self.type_lists);
            if (needs, &fit) != (entry.needs, &entry.fit) {
                let entry = Arc::make_mut(entry);
                (entry.needs, entry.fit) = (needs, fit);
            }
        }
        last.filter(|_| looked_at == most)
    }
}
