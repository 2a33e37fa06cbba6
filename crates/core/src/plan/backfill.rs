//! Backfill: containers behind one that waits for a quota start on instances that are in use anyway.
//!
//! ```text
//!   first in line waits for a quota ─┬─ less than BackfillPatience ─► those behind it may take what is left free on
//!                                    │                                 instances that run something
//!                                    └─ longer ─► nothing is put before it on any instance that counts in that quota:
//!                                                 they empty, and are shut down to make room for it
//! ```
//! An instance that runs something is not given back for the one that waits, so its free part would help nobody. But each
//! container that is let past keeps its instance for longer: hence the patience. So the first waits at most for the
//! patience, for what it would have waited without backfill, and for the longest run among those that were let past.
//!
//! Since when each of them is first, the Scheduler remembers ([`Firsts`]): a plan has no memory. It counts from the first
//! time on, whoever comes before it meanwhile, and until it has its place; a restart begins anew. Whoever was let past, has
//! a lock and loses its place is a Locked container like any other: those come first in the line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Plan;
use super::assign::Assignment;
use super::budget::Budget;
use super::{Item, Round, WaitReason};
use crate::container::ContainerState;
use crate::id::ContainerUuid;
use crate::instance::{InstanceType, Market};
use crate::pool::{Gate, QuotaReason};
use crate::time::{Timestamp, after, shift, since};

/// The containers that wait for a quota before all others, and since when they are first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Firsts(BTreeMap<ContainerUuid, Timestamp>);

impl Firsts {
    /// What is to be remembered for the next round: those that are first now, and those that were and still wait.
    /// O(firsts × log).
    #[must_use]
    pub fn after(&self, plan: &Plan, now: Timestamp) -> Self {
        // A create may be refused, and then it waits as before.
        let still_waits = |uuid: &ContainerUuid| {
            let reason = plan.waiting.get(uuid).map(|waiting| &waiting.reason);
            reason.is_some_and(|reason| *reason != WaitReason::Allocated)
        };
        let before = self.0.iter().filter(|(uuid, _)| still_waits(uuid));
        let mut firsts: BTreeMap<_, _> = before.map(|(uuid, since)| (*uuid, *since)).collect();
        for uuid in plan.first_at_quota.keys() {
            firsts.entry(*uuid).or_insert(now);
        }
        Self(firsts)
    }

    /// Since when it is first, if it is.
    pub fn since(&self, uuid: ContainerUuid) -> Option<Timestamp> {
        self.0.get(&uuid).copied()
    }

    /// Those that have been first for that long.
    pub(super) fn out_of_patience(&self, patience: Duration, now: Timestamp) -> BTreeSet<ContainerUuid> {
        let all = self.0.iter().filter(|(_, first)| since(now, **first) >= patience);
        all.map(|(uuid, _)| *uuid).collect()
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.0.values_mut().for_each(|at| shift(at, by));
    }
}

const ALL_MARKETS: [Market; 2] = [Market::OnDemand, Market::Spot];

/// Those who have been first for too long, and still wait: whoever is first now.
#[derive(Default)]
pub(super) struct Impatient {
    /// On instances of these markets nothing is put before them.
    closed: BTreeSet<Market>,
    is_any: bool,
}

impl Impatient {
    /// O(line) if there are any, else O(1).
    pub(super) fn of(round: &Round<'_>, line: &[Item<'_>], budget: &Budget<'_>) -> Self {
        let mut impatient = Self::default();
        if round.clocked.impatient.is_empty() {
            return impatient;
        }
        let waits = |item: &&Item<'_>| {
            item.in_line
                && !round.has_process(item.position)
                && round.clocked.impatient.contains(&round.uuid(**item))
        };
        for item in line.iter().filter(waits) {
            let is_full =
                |it: &Arc<InstanceType>| budget.gate(it) == Gate::AtQuota(QuotaReason::MaxInstances);
            let is_for_all = round.supply.at_quota() || item.types.iter().any(is_full);
            let own = item.types.iter().map(|it| it.market());
            impatient.closed.extend(own.chain(ALL_MARKETS.into_iter().filter(|_| is_for_all)));
            impatient.is_any = true;
        }
        impatient
    }

    /// The round has come to the limit of all instances.
    pub(super) fn wait_for_all(&mut self) {
        self.closed.extend(ALL_MARKETS.into_iter().filter(|_| self.is_any));
    }
}

impl<'a> Assignment<'_, 'a> {
    /// This container waits for a quota, and none before it waits for the same.
    pub(super) fn is_first_at_quota(&mut self, item: Item<'a>) {
        let uuid = self.round.uuid(item);
        let first = self.round.firsts.since(uuid).filter(|_| self.may_backfill());
        let until = first.map(|first| after(first, self.round.rules.backfill_patience));
        self.round.plan.first_at_quota.insert(uuid, until);
    }

    /// Whether anybody may be let past anybody.
    pub(super) fn may_backfill(&self) -> bool {
        !self.round.rules.backfill_patience.is_zero()
    }

    /// Puts a container that is behind a quota on an instance that is in use anyway, if there is one with room. O(log).
    pub(super) fn backfill(&mut self, item: Item<'a>) -> bool {
        if !self.may_backfill() || item.may_run_unseen || self.is_beyond_ceiling() {
            return false;
        }
        let uuid = self.round.uuid(item);
        // The best place is the one with the most on it: if nothing runs there, nothing runs on any that has room.
        let Some(id) = self.places.best(uuid, &item.needs, item.types) else { return false };
        let place = self.places.place(id);
        let is_in_use = place.ready && place.containers > 0;
        // What was locked while there was patience is started.
        let is_closed = self.impatient.closed.contains(&place.instance_type.market());
        if !is_in_use || is_closed && item.state != ContainerState::Locked {
            return false;
        }
        if !is_closed {
            self.round.plan.backfilled.insert(uuid);
        }
        self.take(item, id);
        true
    }
}
