//! What could still be placed after a planning round: it decides how far a poll looks for containers.
//!
//! ```text
//!   types whose gate is open ──────────────┐
//!   free places, by type ──────────────────┤
//!   supervisors have room? ────────────────┼─► Openings ─► Queue: pages go on while nothing seen fits
//!   those in the queue that got no place ──┘
//! ```
//! A thousand containers that can have no instance now must not hide the one behind them that can. The plan knows which
//! containers of the queue have no place. Of a container that is not in the queue only its record is known, and that is
//! compared with what is open.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Entry, Fit};
use crate::container::{MountNeeds, Record};
use crate::fit::{self, Free, Resources};
use crate::id::{ContainerUuid, TypeName};
use crate::instance::{InstanceType, Market};
use crate::policy::Policy;

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
    /// Queued containers that got no place in this round, whatever the reason.
    pub unplaced: BTreeSet<ContainerUuid>,
    /// Whether something is decided only by a later picture of a container: polls are not to be rare.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub awaits_picture: bool,
}

impl Openings {
    /// Whether nothing at all can be placed.
    pub fn are_none(&self) -> bool {
        self.creatable.is_empty() && self.free.is_empty()
    }

    /// Whether something can be placed that could not be under the `others`.
    pub fn exceed(&self, others: &Self) -> bool {
        let is_more = |(name, free): (&TypeName, &Resources)| {
            others.free.get(name).is_none_or(|before| !before.covers(free))
        };
        !self.creatable.is_subset(&others.creatable)
            || self.free.iter().any(is_more)
            || self.supervisors && !others.supervisors
    }

    /// Notes what is free on an instance, if even the smallest container fits there.
    pub(crate) fn add_free(&mut self, it: &InstanceType, free: &Free) {
        if !free.fits(&Resources { ram: 1, ..Resources::default() }) {
            return;
        }
        let (left, most) = (free.left(), self.free.entry(it.name.clone()).or_default());
        *most = Resources {
            vcpus: most.vcpus.max(left.vcpus),
            ram: most.ram.max(left.ram),
            scratch: most.scratch.max(left.scratch),
            gpus: most.gpus.max(left.gpus),
            gpu_vram: most.gpu_vram.max(left.gpu_vram),
        };
    }

    /// Whether a container of the queue may find a place. O(log containers).
    pub fn suit(&self, entry: &Entry) -> bool {
        let is_left_alone = entry.is_undecidable() || entry.setback.as_ref().is_some_and(|it| it.is_active());
        // One without sizes is placed in no round, and its mounts are about to be read.
        let is_placed = entry.fit == Fit::Unsized || !self.unplaced.contains(&entry.record.uuid);
        !is_left_alone && is_placed
    }

    /// Whether a container that is not in the queue may find a place. Its mounts are not known: it needs no less than
    /// without them. O(types).
    pub fn may_suit(&self, record: &Record, policy: &Policy) -> bool {
        // One that fits no type at all is to be cancelled, a supervisor too.
        self.suit_on(record.scheduling.market(), record, policy).unwrap_or(true)
    }

    /// The same of one that is placed on demand, whatever it wants.
    pub fn may_suit_on_demand(&self, record: &Record, policy: &Policy) -> bool {
        self.suit_on(Market::OnDemand, record, policy).unwrap_or(false)
    }

    /// `None`: no type of that market fits.
    fn suit_on(&self, market: Market, record: &Record, policy: &Policy) -> Option<bool> {
        let needs = fit::needs(record, MountNeeds::default(), &policy.sizing);
        let types = fit::eligible_types_on(market, &policy.catalog, &needs, record, &policy.sizing).ok()?;
        let has_a_turn = self.supervisors || !record.scheduling.supervisor;
        Some(has_a_turn && types.iter().any(|it| self.suit_type(it, &needs)))
    }

    fn suit_type(&self, it: &InstanceType, needs: &Resources) -> bool {
        let has_room = || self.free.get(&it.name).is_some_and(|most| most.covers(needs));
        self.creatable.contains(&it.name) || has_room()
    }
}
