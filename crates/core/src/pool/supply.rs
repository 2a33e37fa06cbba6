//! What may be created at one moment: the holds at that moment, the limits that the site has set, and
//! what exists already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::census::Census;
use super::cordon::Cordons;
use super::fleet::Fleet;
use super::holds::{Gate, Holds, PauseReason, QuotaReason};
use super::observed_capacity::ObservedCapacity;
use crate::id::TypeName;
use crate::instance::InstanceType;
use crate::policy::PlanRules;
use crate::ports::QuotaScope;
use crate::time::Timestamp;

/// What may be created, by type and in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Supply {
    /// Whether instances of each configured type may be created.
    pub gates: BTreeMap<TypeName, Gate>,
    /// When the present reason ends why a type may not be created, as far as that is known. For people: no plan
    /// depends on it, and it is not written down.
    #[serde(skip)]
    pub ends: BTreeMap<TypeName, Timestamp>,
    /// Types of which at most one create may be in flight.
    pub on_trial: BTreeSet<TypeName>,
    /// Types that could not be had lately although the account had room: no room is made for them.
    pub vain: BTreeSet<TypeName>,
    /// How many creates may be sent now; `None` = no limit.
    pub creates_left: Option<usize>,
    /// How many instances may still be added; `None` = no limit.
    pub instances_left: Option<usize>,
    /// How many more instances each scope may get before creates wait until as many as fitted the quota before run.
    #[serde(with = "crate::pairs")]
    pub near_quota_left: BTreeMap<QuotaScope, usize>,
    /// How many instances there were when the cloud last refused one more, for each type of which that is known.
    pub observed_capacity: BTreeMap<TypeName, ObservedCapacity>,
}

/// The limits on creates other than the holds.
pub(super) struct CreateLimits<'a> {
    pub(super) cordons: &'a Cordons,
    pub(super) max_instances: u32,
    pub(super) max_concurrent_creates: u32,
    pub(super) creates_in_flight: usize,
    pub(super) runner_readable: bool,
    pub(super) own_side_fails: bool,
}

impl CreateLimits<'_> {
    /// Whether an instance of this type may be created under all limits. A hold of the type's own comes before
    /// `MaxInstances`: at that limit a container that waits ends the placement and makes room, which is of no use
    /// while its type cannot be had, and instances would be shut down and created again without end. So does what an
    /// operator has forbidden.
    pub(super) fn gate(&self, it: &InstanceType, holds: &Holds, census: &Census, now: Timestamp) -> Gate {
        if let Some((cause, _)) = self.cordons.cause(it, now) {
            return Gate::Paused(cause);
        }
        let (most, slots) = (self.max_instances as usize, self.max_concurrent_creates as usize);
        let is_full = most > 0 && census.total() >= most;
        let hold = holds.gate(it, census, now);
        match hold {
            Gate::Paused(PauseReason::NearQuota) | Gate::Open if is_full => {
                Gate::AtQuota(QuotaReason::MaxInstances)
            }
            Gate::Open if self.own_side_fails => Gate::Paused(PauseReason::OwnSide),
            Gate::Open if !self.runner_readable => Gate::Paused(PauseReason::RunnerUnreadable),
            Gate::Open if slots > 0 && self.creates_in_flight >= slots => {
                Gate::Paused(PauseReason::CreatesInFlight)
            }
            Gate::Open | Gate::AtQuota(_) | Gate::Paused(_) | Gate::AtCapacity(_) => hold,
        }
    }
}

impl Fleet {
    /// What may be created at the moment `now`; `census` is [`Fleet::census`]. O(types × holds).
    pub fn supply(&self, rules: &PlanRules, census: &Census, now: Timestamp) -> Supply {
        let left = |most: u32, used: usize| (most > 0).then(|| (most as usize).saturating_sub(used));
        let limits = self.create_limits(rules);
        let types = rules.catalog.types();
        let named = |it: &Arc<InstanceType>| it.name.clone();
        let gate = |it: &Arc<InstanceType>| (named(it), limits.gate(it, &self.holds, census, now));
        let gates: BTreeMap<_, _> = types.iter().map(gate).collect();
        let end = |it: &Arc<InstanceType>| Some((named(it), self.gate_ends(it, *gates.get(&it.name)?, now)?));
        let capacity = |it: &Arc<InstanceType>| Some((named(it), self.holds.observed_capacity_of(it)?));
        Supply {
            ends: types.iter().filter_map(end).collect(),
            gates,
            on_trial: types.iter().filter(|it| self.holds.is_on_trial(it)).map(named).collect(),
            vain: types.iter().filter(|it| self.holds.is_vain(it, now)).map(named).collect(),
            creates_left: left(rules.max_concurrent_creates, limits.creates_in_flight),
            instances_left: left(rules.max_instances, census.total()),
            near_quota_left: self.holds.near_quota_left(census),
            observed_capacity: types.iter().filter_map(capacity).collect(),
        }
    }

    /// When what closes the gate of a type ends by itself, if that is known.
    fn gate_ends(&self, it: &InstanceType, gate: Gate, now: Timestamp) -> Option<Timestamp> {
        match gate {
            Gate::Paused(PauseReason::Operator) => self.cordons.cause(it, now)?.1,
            Gate::Paused(cause) => self.holds.pause_ends(it, cause),
            Gate::AtQuota(QuotaReason::Account) => self.holds.quota_retry_at(it),
            Gate::AtCapacity(until) => Some(until),
            Gate::Open | Gate::AtQuota(QuotaReason::MaxInstances) => None,
        }
    }

    fn create_limits(&self, rules: &PlanRules) -> CreateLimits<'_> {
        CreateLimits {
            cordons: &self.cordons,
            max_instances: rules.max_instances,
            max_concurrent_creates: rules.max_concurrent_creates,
            creates_in_flight: self.creates.iter().filter(|create| !create.is_doubtful).count()
                + self.shown_before_answer,
            runner_readable: self.runner_readable,
            own_side_fails: self.own_side_fails,
        }
    }
}

impl Supply {
    /// Whether quotas forbid to create an instance of any type: the gauge `at_quota`.
    pub fn at_quota(&self) -> bool {
        !self.gates.is_empty() && self.gates.values().all(|gate| matches!(gate, Gate::AtQuota(_)))
    }

    /// How many instances of these types together the cloud gave last time, if it has refused one more of each
    /// type. O(types); O(1) as long as nothing was refused.
    pub fn observed_capacity_for(&self, types: &[Arc<InstanceType>]) -> Option<usize> {
        if self.observed_capacity.is_empty() || types.is_empty() {
            return None;
        }
        let mut scopes = BTreeMap::new();
        for it in types {
            let observed = self.observed_capacity.get(&it.name)?;
            scopes.insert(&observed.scope, observed.instances);
        }
        Some(scopes.values().sum())
    }
}
