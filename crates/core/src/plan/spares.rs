//! The reserve (`IdleReserve`): instances without work that are kept, or created ahead, so that the next container need not
//! wait for a boot.
//!
//! ```text
//!   line is placed ─► idle instances of a type that are left over ─┬─ as many as its reserve wants ─► kept: not idle
//!                                                                  ├─ more ─► end when they have been idle long enough
//!                                                                  └─ fewer ─► created, if nobody is short of anything
//! ```
//! A reserve serves the line, and never takes anything from it. Nothing is created for it while anybody waits for a quota
//! or the cloud is known to have one, nor of a type that may not boot; and what it keeps is given back first
//! ([`super::quota`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::PoolAction;
use super::assign::Assignment;
use crate::id::{InstanceId, TypeName};
use crate::instance::InstanceType;
use crate::pool::Gate;
use crate::reserve::Spares;
use crate::worker::State;

impl Assignment<'_, '_> {
    /// Says which idle instances are kept, and has missing ones created. O(places + types) if there is a reserve, else O(1).
    pub(super) fn keep_spares(&mut self) {
        if self.round.clocked.spares.is_empty() {
            return;
        }
        let wanted = self.wanted_spares();
        let mut there: BTreeMap<TypeName, usize> = BTreeMap::new();
        let kept = self.spares_in_service(&wanted, &mut there);
        self.count_spares_to_come(&mut there);
        for (name, wanted) in &wanted {
            let missing = wanted.saturating_sub(there.get(name).copied().unwrap_or(0));
            let it = self.round.rules.catalog.get(name.as_str());
            if let Some(it) = it.filter(|it| missing > 0 && self.may_create_spares(it)).cloned() {
                self.create_spares(&it, missing);
            }
        }
        self.round.plan.spares = Arc::new(kept);
    }

    /// How many of each type the reserve wants beside those that run something; none of a type that others wait for a
    /// quota of. O(workers + types).
    fn wanted_spares(&self) -> BTreeMap<TypeName, usize> {
        let mut busy: BTreeMap<&TypeName, usize> = BTreeMap::new();
        for host in self.round.hosts.iter().filter(|host| !host.processes.is_empty()) {
            if let Some(name) = &host.type_name {
                *busy.entry(name).or_default() += 1;
            }
        }
        let spares = self.round.clocked.spares.iter();
        let of_type = |(name, spares): (&TypeName, &Spares)| {
            let it = self.round.rules.catalog.get(name.as_str())?;
            let wanted = spares.beside(busy.get(name).copied().unwrap_or(0));
            (!self.is_wanted_for_others(it)).then(|| (name.clone(), wanted))
        };
        spares.filter_map(of_type).collect()
    }

    /// Whether somebody waits for a quota that an instance of that type counts in.
    fn is_wanted_for_others(&self, it: &InstanceType) -> bool {
        let market = |name: &TypeName| self.round.rules.catalog.get(name.as_str()).map(|it| it.market());
        self.over_quota_types.iter().any(|name| market(name) == Some(it.market()))
    }

    /// Idle instances in service with nothing on them, as many as are wanted of each type; those that there are counted in
    /// `there`. The first ones by id, so that the same ones are kept from round to round.
    fn spares_in_service(
        &self,
        wanted: &BTreeMap<TypeName, usize>,
        there: &mut BTreeMap<TypeName, usize>,
    ) -> BTreeSet<InstanceId> {
        let mut kept = BTreeSet::new();
        for (place, host) in self.places.workers() {
            let name = &place.instance_type.name;
            let is_idle = place.containers == 0 && !place.used && host.state == State::Idle;
            let Some(wanted) = wanted.get(name).filter(|_| is_idle) else { continue };
            let so_far = there.entry(name.clone()).or_default();
            if *so_far < *wanted && !self.is_reserved(&host.id) {
                *so_far += 1;
                kept.insert(host.id.clone());
            }
        }
        kept
    }

    /// Instances that boot, or are being created, and that nothing in the line will use.
    fn count_spares_to_come(&self, there: &mut BTreeMap<TypeName, usize>) {
        for place in self.places.to_come().filter(|place| place.containers == 0 && !place.used) {
            *there.entry(place.instance_type.name.clone()).or_default() += 1;
        }
    }

    /// Whether creating one takes nothing from anybody.
    fn may_create_spares(&self, it: &InstanceType) -> bool {
        let supply = self.round.supply;
        let at_quota = self.round.fleet.holds.quota_scopes().any(|scope| scope.covers(it.market()));
        !at_quota
            && !self.promised.contains(&it.name)
            && !self.round.fleet.outage
            && !self.is_beyond_ceiling()
            && !supply.on_trial.contains(&it.name)
            && !supply.vain.contains(&it.name)
    }

    fn create_spares(&mut self, it: &Arc<InstanceType>, missing: usize) {
        for _ in 0..missing {
            if self.budget.gate(it) != Gate::Open {
                return;
            }
            self.budget.spend(it);
            self.round.ask_pool(PoolAction::CreateSpare(Arc::clone(it)));
        }
    }
}
