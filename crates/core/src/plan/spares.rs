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

use super::assign::Assignment;
use super::bins::Place;
use super::{PoolAction, Round};
use crate::id::{InstanceId, TypeName};
use crate::instance::InstanceType;
use crate::pool::{Gate, Host};
use crate::reserve::Spares;
use crate::worker::State;

impl Round<'_> {
    /// Nothing is placed yet, because it is not known what an earlier dispatcher has left: what is idle is kept all the same.
    /// O(workers × log + types) if there is a reserve, else O(1).
    pub(super) fn keep_idle_spares(&mut self) {
        if self.clocked.spares.is_empty() {
            return;
        }
        let is_free = |host: &&Host| host.is_placeable() && host.processes.is_empty();
        let mut free: Vec<_> = self.hosts.iter().copied().filter(is_free).collect();
        free.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let kept = first_of_each(free.into_iter(), &self.wanted_spares(), &mut BTreeMap::new());
        self.plan.spares = Arc::new(kept);
    }

    /// How many of each type the reserve wants beside those that run something. O(workers + types).
    fn wanted_spares(&self) -> BTreeMap<TypeName, usize> {
        let mut busy: BTreeMap<&TypeName, usize> = BTreeMap::new();
        for host in self.hosts.iter().filter(|host| !host.processes.is_empty()) {
            if let Some(name) = &host.type_name {
                *busy.entry(name).or_default() += 1;
            }
        }
        let wanted = |(name, spares): (&TypeName, &Spares)| {
            (name.clone(), spares.beside(busy.get(name).copied().unwrap_or(0)))
        };
        self.clocked.spares.iter().map(wanted).collect()
    }
}

/// Those of the free hosts, in order of their ids, that are idle, as many as are wanted of each type; they are counted in
/// `there`. The first ones, so that the same ones are kept from round to round.
fn first_of_each<'h>(
    free: impl Iterator<Item = &'h Host>,
    wanted: &BTreeMap<TypeName, usize>,
    there: &mut BTreeMap<TypeName, usize>,
) -> BTreeSet<InstanceId> {
    let mut kept = BTreeSet::new();
    for host in free.filter(|host| host.state == State::Idle) {
        let Some(it) = host.instance_type() else { continue };
        let Some(wanted) = wanted.get(&it.name) else { continue };
        let so_far = there.entry(it.name.clone()).or_default();
        if *so_far < *wanted {
            *so_far += 1;
            kept.insert(host.id.clone());
        }
    }
    kept
}

impl Assignment<'_, '_> {
    /// Says which idle instances are kept, and has missing ones created. O(places + types) if there is a reserve, else O(1).
    pub(super) fn keep_spares(&mut self) {
        if self.round.clocked.spares.is_empty() {
            return;
        }
        let mut wanted = self.round.wanted_spares();
        wanted.retain(|name, _| !self.is_wanted_for_others(name));
        let mut there = BTreeMap::new();
        let kept = first_of_each(self.free_hosts(), &wanted, &mut there);
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

    /// Whether it is of a type that is not configured, or somebody waits for a quota that an instance of it counts in.
    fn is_wanted_for_others(&self, name: &TypeName) -> bool {
        let market = |name: &TypeName| self.round.rules.catalog.get(name.as_str()).map(|it| it.market());
        let own = market(name);
        own.is_none() || self.over_quota_types.iter().any(|other| market(other) == own)
    }

    /// Workers on which nothing is, and nothing has a place, by id.
    fn free_hosts(&self) -> impl Iterator<Item = &Host> + '_ {
        let is_free = |(place, host): &(&Place, &Host)| {
            place.containers == 0 && !place.used && !self.is_reserved(&host.id)
        };
        self.places.workers().filter(is_free).map(|(_, host)| host)
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
