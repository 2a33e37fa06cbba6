//! How many instances there were when the cloud last refused one more: supervisors get a share of this capacity.
//!
//! A quota of the account is a hold as well ([`super::holds`]). A quota group (EC2 counts VCPUs by family) is only
//! skipped for a minute at a time: without this memory supervisors would, one minute after the other, fill all that
//! the group allows, and wait there for steps that can never run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::WorkerPool;
use super::fleet::Host;
use super::holds::Holds;
use crate::instance::{InstanceType, Market};
use crate::ports::{CapacityScope, CloudError, CloudErrorKind, QuotaScope};

/// The scope of an observed capacity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum ObservedScope {
    /// The quota of a market, or of all markets.
    Quota(QuotaScope),
    /// A quota group of a market.
    Group(String, Market),
}

/// The number of instances that there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObservedCapacity {
    /// Which instances count.
    pub scope: ObservedScope,
    /// How many; at least 1.
    pub instances: usize,
}

/// The capacities of quota groups.
pub(super) type GroupCapacities = BTreeMap<(String, Market), usize>;

impl WorkerPool {
    /// Learns from a create's failure.
    pub(super) fn observe_capacity(&mut self, it: &InstanceType, error: &CloudError) {
        if error.kind != CloudErrorKind::Capacity(CapacityScope::QuotaGroup) {
            return;
        }
        if let Some(group) = self.holds.group_of(it) {
            let count = self.count_in(&group, |_| true) + self.count_pending_in(&group);
            self.holds.group_capacities.insert(group, count.max(1));
        }
    }

    /// Forgets a capacity when more instances than that are there to stay: the quota of the group has been raised.
    pub(super) fn forget_outgrown_capacities(&mut self) {
        let groups: Vec<_> =
            self.holds.group_capacities.iter().map(|(group, most)| (group.clone(), *most)).collect();
        for (group, most) in groups {
            if self.count_in(&group, Host::is_there_to_stay) > most {
                self.holds.group_capacities.remove(&group);
            }
        }
    }

    /// O(workers): only while a group's capacity is remembered.
    fn count_in(&self, group: &(String, Market), counts: impl Fn(&Host) -> bool) -> usize {
        let is_of = |host: &&Host| {
            host.instance_type().and_then(|it| self.holds.group_of(it)).as_ref() == Some(group)
        };
        self.workers.values().map(|slot| &*slot.host).filter(|host| counts(host)).filter(is_of).count()
    }

    fn count_pending_in(&self, group: &(String, Market)) -> usize {
        let types = self.creates.values().map(|create| &create.instance_type);
        types.filter(|it| self.holds.group_of(it).as_ref() == Some(group)).count()
    }
}

impl Holds {
    fn group_of(&self, it: &InstanceType) -> Option<(String, Market)> {
        Some((self.groups.get(&it.offering())?.clone(), it.market()))
    }

    /// The smallest capacity that is known for a type.
    pub(super) fn observed_capacity_of(&self, it: &InstanceType) -> Option<ObservedCapacity> {
        let quotas = self.quota.within.iter().filter(|(scope, _)| scope.covers(it.market()));
        let quotas = quotas.map(|(scope, count)| ObservedCapacity {
            scope: ObservedScope::Quota(scope.clone()),
            instances: *count,
        });
        let group = self.group_of(it).and_then(|group| {
            let instances = *self.group_capacities.get(&group)?;
            Some(ObservedCapacity { scope: ObservedScope::Group(group.0, group.1), instances })
        });
        quotas.chain(group).min_by_key(|observed| observed.instances)
    }
}
