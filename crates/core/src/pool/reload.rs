//! The site's configuration was read anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{PoolEffect, WorkerPool};
use crate::id::InstanceId;
use crate::instance::Offering;
use crate::policy::Policy;
use crate::time::Timestamp;
use crate::worker::Command;

impl WorkerPool {
    /// From now on that configuration holds; `quota_groups` are the driver's for its types. Every worker is told: one whose
    /// type is configured no longer drains. Holds, pauses and drained types stay. A greater `DriftBudget` is used at once; what has
    /// drifted by the change is known when the workers have looked. O(workers).
    pub fn use_policy(
        &mut self,
        policy: Arc<Policy>,
        quota_groups: BTreeMap<Offering, String>,
        now: Timestamp,
    ) -> Vec<PoolEffect> {
        self.policy = Arc::clone(&policy);
        self.holds.groups.extend(quota_groups);
        for slot in self.workers.values() {
            self.outage.note(&slot.view, &policy);
        }
        let ids: Vec<InstanceId> = self.workers.keys().cloned().collect();
        let mut effects: Vec<_> =
            ids.iter().map(|id| self.command(id, Command::UsePolicy(Arc::clone(&policy)))).collect();
        self.renew_some(now, &mut effects);
        effects.push(PoolEffect::FleetChanged);
        effects
    }
}
