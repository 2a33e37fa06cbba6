//! Holds for capacity: the cloud has no more of an offering, of a quota group, or of anything, for a minute.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::CapacityKey;
use crate::instance::{InstanceType, Offering};
use crate::ports::CapacityScope;
use crate::time::{Timestamp, shift};

/// The scopes without capacity, and the end of each hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct CapacityHolds(#[serde(with = "crate::pairs")] BTreeMap<CapacityKey, Timestamp>);

impl CapacityHolds {
    pub(super) fn hold(
        &mut self,
        it: &InstanceType,
        scope: CapacityScope,
        groups: &BTreeMap<Offering, String>,
        until: Timestamp,
    ) {
        self.0.insert(CapacityKey::of(it, scope, groups), until);
    }

    pub(super) fn succeeded(&mut self, offering: &Offering) {
        self.0.remove(&CapacityKey::Offering(offering.clone()));
    }

    /// The latest end of the holds on this type.
    pub(super) fn until(&self, it: &InstanceType, groups: &BTreeMap<Offering, String>) -> Option<Timestamp> {
        let scopes = [CapacityScope::Offering, CapacityScope::QuotaGroup, CapacityScope::All];
        scopes.into_iter().filter_map(|scope| self.0.get(&CapacityKey::of(it, scope, groups))).max().copied()
    }

    /// The scopes that are held.
    pub(super) fn scopes(&self, now: Timestamp) -> impl Iterator<Item = &CapacityKey> {
        self.0.iter().filter(move |(_, until)| now < **until).map(|(key, _)| key)
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.0.retain(|_, until| now < *until);
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = Timestamp> {
        self.0.values().copied()
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.0.values_mut().for_each(|until| shift(until, by));
    }
}
