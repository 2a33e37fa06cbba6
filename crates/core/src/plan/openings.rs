//! What could still be placed after a round: it tells Queue how far a poll must look for containers.
//!
//! ```text
//!   types whose gate is open ──┐
//!   free places, by type ──────┼─► Openings ─► Queue: pages go on while nothing seen fits
//!   supervisors have room? ────┘
//! ```
//! A thousand containers that can have no instance now must not hide the one behind them that can.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::container::{MountNeeds, Record};
use crate::fit::{self, Free, Resources};
use crate::id::TypeName;
use crate::instance::InstanceType;
use crate::policy::Policy;
use crate::queue::{Entry, Fit};

/// What could still be placed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Openings {
    /// Types of which an instance may be created now.
    pub creatable: BTreeSet<TypeName>,
    /// The most that is free on one instance of each type. Each resource on its own, so this says too much rather
    /// than too little.
    pub free: BTreeMap<TypeName, Resources>,
    /// Whether one more supervisor may be placed.
    pub supervisors: bool,
}

impl Openings {
    /// Whether nothing at all can be placed.
    pub fn are_none(&self) -> bool {
        self.creatable.is_empty() && self.free.is_empty()
    }

    /// Notes what is free on an instance.
    pub(super) fn add_free(&mut self, it: &InstanceType, free: &Free) {
        let (left, most) = (free.left(), self.free.entry(it.name.clone()).or_default());
        *most = Resources {
            vcpus: most.vcpus.max(left.vcpus),
            ram: most.ram.max(left.ram),
            scratch: most.scratch.max(left.scratch),
            gpus: most.gpus.max(left.gpus),
            gpu_vram: most.gpu_vram.max(left.gpu_vram),
        };
    }

    /// Whether a container of the queue may find a place. O(its types × log).
    pub fn suit(&self, entry: &Entry) -> bool {
        if entry.is_undecidable() || entry.is_set_back() || !self.suit_role(&entry.record) {
            return false;
        }
        match &entry.fit {
            // Its mounts are about to be read.
            Fit::Unsized => true,
            Fit::Types(types) => types.iter().any(|it| self.suit_type(it, &entry.needs)),
            Fit::Nowhere(_) => true,
        }
    }

    /// Whether a container whose mounts are not known may find a place: it needs no less than without them.
    pub fn may_suit(&self, record: &Record, policy: &Policy) -> bool {
        let needs = fit::needs(record, MountNeeds::default(), &policy.sizing);
        let types = fit::eligible_types(&policy.catalog, &needs, record, &policy.sizing);
        // One that fits no type at all is to be cancelled.
        let fits = types.map_or(true, |types| types.iter().any(|it| self.suit_type(it, &needs)));
        fits && self.suit_role(record)
    }

    fn suit_role(&self, record: &Record) -> bool {
        self.supervisors || !record.scheduling.supervisor
    }

    fn suit_type(&self, it: &InstanceType, needs: &Resources) -> bool {
        let has_room = || self.free.get(&it.name).is_some_and(|most| most.covers(needs));
        self.creatable.contains(&it.name) || has_room()
    }
}
