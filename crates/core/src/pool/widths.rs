//! How many instances there were when the cloud last refused one more: the width that supervisors get a share of.
//!
//! A quota of the account is a hold as well ([`super::holds`]). A quota group (EC2 counts VCPUs by family) is only
//! skipped for a minute at a time: without this memory supervisors would, one minute after the other, fill all that
//! the group allows, and wait there for steps that can never run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::holds::Holds;
use super::{Pool, PoolSnapshot};
use crate::instance::{InstanceType, Market};
use crate::ports::{CapacityScope, CloudError, CloudErrorKind, QuotaScope};

/// What a width is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WidthScope {
    /// A market, or all.
    Quota(QuotaScope),
    /// A quota group of a market.
    Group(String, Market),
}

/// As many instances as there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Width {
    /// Which instances count.
    pub scope: WidthScope,
    /// How many; at least 1.
    pub instances: usize,
}

/// The widths of quota groups.
pub(super) type GroupWidths = BTreeMap<(String, Market), usize>;

impl Pool {
    /// Takes a create's failure in.
    pub(super) fn note_width(&mut self, it: &InstanceType, error: &CloudError) {
        if error.kind != CloudErrorKind::Capacity(CapacityScope::QuotaGroup) {
            return;
        }
        if let Some(group) = self.holds.group_of(it) {
            let count = self.count_in(&group, |_| true) + self.count_pending_in(&group);
            self.holds.group_widths.insert(group, count.max(1));
        }
    }

    /// More than that many are there to stay: the group has become wider.
    pub(super) fn forget_outgrown_widths(&mut self) {
        let groups: Vec<_> =
            self.holds.group_widths.iter().map(|(group, most)| (group.clone(), *most)).collect();
        for (group, most) in groups {
            if self.count_in(&group, super::Slot::is_there_to_stay) > most {
                self.holds.group_widths.remove(&group);
            }
        }
    }

    /// O(workers): only while a group's width is remembered.
    fn count_in(&self, group: &(String, Market), counts: impl Fn(&super::Slot) -> bool) -> usize {
        let is_of = |slot: &&super::Slot| {
            slot.view.instance_type.as_ref().and_then(|it| self.holds.group_of(it)).as_ref() == Some(group)
        };
        self.workers.values().filter(|slot| counts(slot)).filter(is_of).count()
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

    /// The narrowest that is known of a type.
    pub(super) fn width_of(&self, it: &InstanceType) -> Option<Width> {
        let quotas = self.within_quota.iter().filter(|(scope, _)| scope.covers(it.market()));
        let quotas =
            quotas.map(|(scope, count)| Width { scope: WidthScope::Quota(scope.clone()), instances: *count });
        let group = self.group_of(it).and_then(|group| {
            let instances = *self.group_widths.get(&group)?;
            Some(Width { scope: WidthScope::Group(group.0, group.1), instances })
        });
        quotas.chain(group).min_by_key(|width| width.instances)
    }
}

impl PoolSnapshot {
    /// As many instances of these types as the cloud gave last time, all together, if it has refused more of each.
    /// O(types); O(1) as long as nothing was refused.
    pub fn width_for(&self, types: &[Arc<InstanceType>]) -> Option<usize> {
        if self.widths.is_empty() || types.is_empty() {
            return None;
        }
        let mut scopes = BTreeMap::new();
        for it in types {
            let width = self.widths.get(&it.name)?;
            scopes.insert(&width.scope, width.instances);
        }
        Some(scopes.values().sum())
    }
}
