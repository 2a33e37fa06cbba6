//! One container of interest.

use std::sync::Arc;

use super::operation::Operation;
use crate::container::{ContainerState, MountNeeds, Record};
use crate::fit::{self, Resources, Unsuitable};
use crate::instance::InstanceType;
use crate::policy::Policy;
use crate::time::Timestamp;

/// Whether and where a container can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// Its mounts have not been read yet.
    Unsized,
    /// These types, the most preferred first; never empty.
    Types(Arc<[Arc<InstanceType>]>),
    /// Nowhere, and why.
    Nowhere(Unsuitable),
}

/// Lists of eligible types, each kept once: many thousands of containers want the same few.
#[derive(Debug, Default)]
pub(super) struct TypeLists(Vec<Arc<[Arc<InstanceType>]>>);

impl TypeLists {
    /// O(lists); there are as many as ways to cut the catalog.
    fn shared(&mut self, types: Vec<Arc<InstanceType>>) -> Arc<[Arc<InstanceType>]> {
        if let Some(known) = self.0.iter().find(|known| ***known == *types) {
            return Arc::clone(known);
        }
        self.0.push(types.into());
        Arc::clone(self.0.last().expect("it was just pushed"))
    }
}

/// One container of interest: the controller's record and what we know beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The last good picture of the record.
    pub record: Record,
    /// What it needs of an instance; zero while unsized.
    pub needs: Resources,
    /// Whether and where it can run.
    pub fit: Fit,
    /// When a poll of this process first showed it.
    pub first_seen: Timestamp,
    /// What we are changing about it now.
    pub operation: Option<Operation>,
    /// The last operation failed and so did the read after it: nothing is decided until a poll tells.
    pub uncertain: bool,
    /// The record at the last poll could not be decoded: where and why.
    pub unreadable: Option<String>,
    /// It was Locked by our token, and not by this process: its process may be on a worker that has not
    /// answered yet. Until one of our operations succeeds.
    pub locked_before_start: bool,
    /// How often this process has unlocked it.
    pub unlocks: u32,
    /// One more unlock would use up its dispatch attempts: it stays locked.
    pub attempts_nearly_used: bool,
    /// When the last operation ended in failure or refusal: the next waits a moment.
    pub last_failure: Option<Timestamp>,
    /// Stamp of the last local change.
    pub(super) changed: u64,
}

impl Entry {
    pub(super) fn new(record: Record, first_seen: Timestamp) -> Self {
        Self {
            locked_before_start: record.state == ContainerState::Locked,
            record,
            needs: Resources::default(),
            fit: Fit::Unsized,
            first_seen,
            operation: None,
            uncertain: false,
            unreadable: None,
            unlocks: 0,
            attempts_nearly_used: false,
            last_failure: None,
            changed: 0,
        }
    }

    /// An entry as a poll would make it, sized: for tests and benchmarks of whoever reads snapshots.
    pub fn sized(record: Record, mounts: MountNeeds, policy: &Policy, first_seen: Timestamp) -> Self {
        let mut entry = Self { locked_before_start: false, ..Self::new(record, first_seen) };
        entry.size(mounts, policy, &mut TypeLists::default());
        entry
    }

    /// Computes needs and eligible types.
    pub(super) fn size(&mut self, mounts: MountNeeds, policy: &Policy, lists: &mut TypeLists) {
        self.needs = fit::needs(&self.record, mounts, &policy.sizing);
        self.fit = match fit::eligible_types(&policy.catalog, &self.needs, &self.record, &policy.sizing) {
            Ok(types) => Fit::Types(lists.shared(types)),
            Err(why) => Fit::Nowhere(why),
        };
    }

    /// Whether its mounts are to be read. Those of a container that has ended are nobody's business, and
    /// a fault in them must not keep it in the queue.
    pub(super) fn wants_sizing(&self) -> bool {
        self.fit == Fit::Unsized && self.unreadable.is_none() && !self.record.state.is_final()
    }

    /// The eligible types, the most preferred first; empty if unsized or nowhere.
    pub fn types(&self) -> &[Arc<InstanceType>] {
        match &self.fit {
            Fit::Types(types) => types,
            Fit::Unsized | Fit::Nowhere(_) => &[],
        }
    }

    /// Whether nothing may be decided about it now: it is being changed, or we do not know how it stands.
    pub fn is_undecidable(&self) -> bool {
        self.operation.is_some() || self.uncertain || self.unreadable.is_some()
    }

    /// Wants to run and has not ended.
    pub fn is_waiting(&self) -> bool {
        matches!(self.record.state, ContainerState::Queued | ContainerState::Locked)
            && self.record.priority > 0
    }
}
