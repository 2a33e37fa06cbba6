//! What may still be created in a round, and of which type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Item, Round};
use crate::id::TypeName;
use crate::instance::{InstanceType, Market};
use crate::pool::{Gate, PauseReason, QuotaReason, Supply};
use crate::ports::QuotaScope;
use crate::time::Timestamp;

/// What Pool's gates allow, minus what this round has planned already.
pub(super) struct Budget<'a> {
    supply: &'a Supply,
    creates: Option<usize>,
    instances: Option<usize>,
    near_quota: BTreeMap<QuotaScope, usize>,
    /// Tenths of an instance a day that the spot market takes of each type.
    interruptions: &'a BTreeMap<TypeName, u32>,
    /// Types of which at most one create may be in flight, and one is planned already.
    tried: BTreeSet<TypeName>,
    /// When a quota is reached, the retry must serve another type than these.
    not_their_turn: BTreeSet<TypeName>,
}

/// Whether anything may be created for a container, and of which type.
pub(super) enum Order {
    Create(Arc<InstanceType>),
    Paused(TypeName, PauseReason),
    AtQuota(QuotaReason),
    AtCapacity,
    /// The one retry that the quota allows is reserved for another type this time.
    RetryReservedForOtherType,
}

impl<'a> Budget<'a> {
    /// `wants_new`: whether a container of the line may need an instance that does not exist.
    pub(super) fn new(round: &Round<'a>, line: &[Item<'a>], wants_new: impl Fn(Item<'a>) -> bool) -> Self {
        let supply = round.supply;
        Self {
            supply,
            creates: supply.creates_left,
            instances: supply.instances_left,
            near_quota: supply.near_quota_left.clone(),
            interruptions: &round.fleet.interruptions,
            tried: BTreeSet::new(),
            not_their_turn: refused_before_others(round, line, wants_new),
        }
    }

    /// The cheapest type that can be created now; otherwise the reason that is likely to end first. What an operator
    /// has forbidden counts last: whatever else holds up another type is over before.
    pub(super) fn order(&self, types: &[Arc<InstanceType>]) -> Order {
        let mut paused = None;
        let mut quota = None;
        let mut wanted = None;
        let mut others = false;
        let mut full = false;
        for it in types {
            match self.gate(it) {
                _ if self.not_their_turn.contains(&it.name) => others = true,
                Gate::Open => return Order::Create(Arc::clone(self.least_interrupted(it, types))),
                Gate::Paused(cause) => {
                    let kind = if cause.is_wanted() { &mut wanted } else { &mut paused };
                    // A pause has an end, a drained type has none.
                    let is_later = matches!(kind, Some((_, PauseReason::TypeDrained)));
                    if kind.is_none() || is_later && cause == PauseReason::Operator {
                        *kind = Some((it.name.clone(), cause));
                    }
                }
                Gate::AtQuota(reason) => quota = quota.or(Some(reason)),
                Gate::AtCapacity(_) => full = true,
            }
        }
        if let (None, None, false, false, Some((name, cause))) = (&paused, quota, others, full, wanted) {
            return Order::Paused(name, cause);
        }
        match (paused, quota) {
            (Some((name, cause)), _) => Order::Paused(name, cause),
            (None, Some(reason)) => Order::AtQuota(reason),
            (None, None) if others => Order::RetryReservedForOtherType,
            (None, None) => Order::AtCapacity,
        }
    }

    /// Of the types of that one's price that may be created, the one of which the spot market takes the fewest; the first of
    /// several. O(1) on demand.
    fn least_interrupted<'t>(
        &self,
        it: &'t Arc<InstanceType>,
        types: &'t [Arc<InstanceType>],
    ) -> &'t Arc<InstanceType> {
        let rank = |it: &Arc<InstanceType>| self.interruptions.get(&it.name).copied().unwrap_or(0);
        if it.market() == Market::OnDemand || rank(it) == 0 {
            return it;
        }
        let alike = types.iter().filter(|other| other.price == it.price && self.may_create(other));
        alike.min_by_key(|other| rank(other)).unwrap_or(it)
    }

    /// Whether one of that type may be created in this round.
    pub(super) fn may_create(&self, it: &InstanceType) -> bool {
        self.gate(it) == Gate::Open && !self.not_their_turn.contains(&it.name)
    }

    /// Pool's gate, and what this round has used up already.
    pub(super) fn gate(&self, it: &InstanceType) -> Gate {
        let gate =
            self.supply.gates.get(&it.name).copied().unwrap_or(Gate::Paused(PauseReason::CreateFailed));
        if gate != Gate::Open {
            return gate;
        }
        self.own_gate(it)
    }

    pub(super) fn spend(&mut self, it: &InstanceType) {
        for left in [&mut self.creates, &mut self.instances] {
            *left = left.map(|left| left.saturating_sub(1));
        }
        for (_, left) in self.near_quota.iter_mut().filter(|(scope, _)| scope.covers(it.market())) {
            *left = left.saturating_sub(1);
        }
        if self.supply.on_trial.contains(&it.name) {
            self.tried.insert(it.name.clone());
        }
    }

    /// The gate that results from what this round has used up.
    fn own_gate(&self, it: &InstanceType) -> Gate {
        let near_quota =
            || self.near_quota.iter().any(|(scope, left)| *left == 0 && scope.covers(it.market()));
        match self {
            Self { instances: Some(0), .. } => Gate::AtQuota(QuotaReason::MaxInstances),
            Self { creates: Some(0), .. } => Gate::Paused(PauseReason::CreatesInFlight),
            Self { tried, .. } if tried.contains(&it.name) => Gate::Paused(PauseReason::BootsFail),
            Self { .. } if near_quota() => Gate::Paused(PauseReason::NearQuota),
            Self { .. } => Gate::Open,
        }
    }
}

/// When a quota is reached, one create is tried from time to time. The types take turns: a type that was refused waits
/// until every other wanted type has been refused later. A smaller type may still fit, and a type that can never be had
/// keeps no other from its turn. Nor does a type for which nothing would be created: nobody would ever use its turn.
fn refused_before_others<'a>(
    round: &Round<'a>,
    line: &[Item<'a>],
    wants_new: impl Fn(Item<'a>) -> bool,
) -> BTreeSet<TypeName> {
    let (supply, refused) = (round.supply, round.fleet.holds.refused_types());
    if refused.is_empty() {
        return BTreeSet::new();
    }
    let held: Vec<_> = round.fleet.holds.quota_scopes().collect();
    let at_quota = |market: Market| held.iter().any(|scope| scope.covers(market));
    let can_be_had =
        |it: &&Arc<InstanceType>| supply.gates.get(&it.name) == Some(&Gate::Open) && at_quota(it.market());
    let in_line = line.iter().filter(|item| item.in_line && wants_new(**item));
    let wanted: BTreeMap<_, _> =
        in_line.flat_map(|item| item.types).filter(can_be_had).map(|it| (&it.name, it.market())).collect();
    // The quota of one market says nothing about the other market.
    if held.contains(&&QuotaScope::All) {
        return waiting_for_their_turn(refused, wanted.into_keys().collect());
    }
    let of =
        |market: Market| wanted.iter().filter(move |(_, it)| **it == market).map(|(name, _)| *name).collect();
    let markets = [Market::OnDemand, Market::Spot].map(of);
    markets.into_iter().flat_map(|wanted| waiting_for_their_turn(refused, wanted)).collect()
}

fn waiting_for_their_turn(
    refused: &BTreeMap<TypeName, Timestamp>,
    wanted: BTreeSet<&TypeName>,
) -> BTreeSet<TypeName> {
    // A type that was never refused comes before all refused types.
    let turn = wanted.iter().map(|name| refused.get(*name)).min().flatten();
    let waits = |name: &&TypeName| refused.get(*name) > turn;
    let mut waiting: BTreeSet<_> = wanted.iter().copied().filter(waits).cloned().collect();
    // Of the types that were refused at the same time, one is chosen.
    let of_turn = wanted.iter().filter(|name| turn.is_some() && refused.get(**name) == turn);
    waiting.extend(of_turn.skip(1).map(|name| (*name).clone()));
    waiting
}
