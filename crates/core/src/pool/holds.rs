//! Why nothing is created: holds with a scope and an end, and what they mean for each type.
//!
//! A hold that ends wakes the scheduler ([`Holds::next_end`]): one that ends unnoticed is a queue that
//! stands still.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Fact;
use super::widths::GroupWidths;
use crate::id::TypeName;
use crate::instance::{InstanceType, Market, Offering};
use crate::ports::{CapacityScope, CloudError, CloudErrorKind, QuotaScope};
use crate::time::{Timestamp, after};

const SHORT: Duration = Duration::from_secs(60);
const QUOTA_RETRY: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// After a failure that says nothing: this long, doubling to a minute.
const OTHER_RETRY: Duration = Duration::from_secs(5);
/// That many boot failures in a row ration the creates of an offering.
const BOOT_FAILURES: u32 = 3;

/// Why no create is possible now, though neither quota nor capacity says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The cloud asked for patience.
    RateLimit,
    /// `MaxConcurrentInstanceCreateOps`.
    CreatesInFlight,
    /// The runner that is to be deployed cannot be read.
    RunnerUnreadable,
    /// Instances of this offering do not boot.
    BootsFail,
    /// The last create of this offering, or any for want of rights, failed for a reason that says nothing of when
    /// it will be better.
    CreateFailed,
    /// One more than fitted the quota last time is on its way.
    NearQuota,
}

/// Why there may be no more instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaReason {
    /// The cloud account's limit.
    Account,
    /// `MaxInstances`.
    MaxInstances,
}

/// Whether an instance of a type may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// Yes.
    Open,
    /// Not now: wait.
    Paused(PauseReason),
    /// Not before an instance is gone, or the limit is raised.
    AtQuota(QuotaReason),
    /// The cloud has none before this moment.
    AtCapacity(Timestamp),
}

#[derive(Debug, Clone)]
struct QuotaHold {
    /// Creates sent before this moment say nothing about it.
    began: Timestamp,
    /// Instances of the scope when the cloud refused one more; 0 = one retry after another, and no end
    /// before one succeeds.
    instances: usize,
    retry_at: Timestamp,
    backoff: Duration,
    /// The retry is in flight.
    retrying: bool,
}

/// After a failure that says nothing of when it will be better.
#[derive(Debug, Clone, Copy)]
struct OtherHold {
    until: Timestamp,
    wait: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum CapacityKey {
    Offering(Offering),
    Group(String, Market),
    All,
}

#[derive(Debug, Clone, Default)]
struct BootFailures {
    in_a_row: u32,
    until: Option<Timestamp>,
    backoff: Duration,
}

/// Counts of instances and creates in flight, by market.
#[derive(Debug, Clone, Default)]
pub(super) struct Census {
    pub(super) by_market: BTreeMap<Market, usize>,
    /// Creates in flight, by offering.
    pub(super) pending: BTreeMap<Offering, usize>,
    /// Workers that are booting, by offering.
    pub(super) booting: BTreeMap<Offering, usize>,
    /// Workers that are there to stay, by market.
    pub(super) there: BTreeMap<Market, usize>,
}

impl Census {
    pub(super) fn total(&self) -> usize {
        self.by_market.values().sum()
    }

    fn of(&self, scope: &QuotaScope) -> usize {
        count_in(&self.by_market, scope)
    }
}

fn count_in(by_market: &BTreeMap<Market, usize>, scope: &QuotaScope) -> usize {
    by_market.iter().filter(|(market, _)| scope.covers(**market)).map(|(_, count)| count).sum()
}

/// All holds on creates.
#[derive(Debug)]
pub(super) struct Holds {
    pub(super) groups: BTreeMap<Offering, String>,
    rate: Option<Timestamp>,
    /// `None`: of every offering.
    other: BTreeMap<Option<Offering>, OtherHold>,
    quota: BTreeMap<QuotaScope, QuotaHold>,
    capacity: BTreeMap<CapacityKey, Timestamp>,
    boots: BTreeMap<Offering, BootFailures>,
    /// How many instances of a scope fitted its quota when it was last hit.
    pub(super) within_quota: BTreeMap<QuotaScope, usize>,
    /// How many instances of a quota group there were when it was last hit.
    pub(super) group_widths: GroupWidths,
    /// Types refused for quota while no instance existed, and when: the next retry serves another type.
    refused_types: BTreeMap<TypeName, Timestamp>,
}

impl Holds {
    pub(super) fn new(groups: BTreeMap<Offering, String>) -> Self {
        Self {
            groups,
            rate: None,
            other: BTreeMap::new(),
            quota: BTreeMap::new(),
            capacity: BTreeMap::new(),
            boots: BTreeMap::new(),
            within_quota: BTreeMap::new(),
            group_widths: GroupWidths::new(),
            refused_types: BTreeMap::new(),
        }
    }

    /// Takes a create's failure in; `census` without the failed create.
    pub(super) fn failed(
        &mut self,
        it: &InstanceType,
        error: &CloudError,
        census: &Census,
        now: Timestamp,
    ) -> Vec<Fact> {
        let type_name = it.name.clone();
        let retried = self.retry_failed(it.market(), now);
        let mut facts = vec![Fact::CreateFailed { type_name: type_name.clone(), error: error.clone() }];
        match &error.kind {
            CloudErrorKind::RateLimited { until } => {
                self.rate = self.rate.max(Some(*until));
                facts.push(Fact::RateHold { until: *until, error: error.clone() });
            }
            CloudErrorKind::Quota(scope) => {
                let again = retried.contains(scope);
                let (instances, retry_at) = self.hold_quota(it, scope, again, census, now);
                facts.push(Fact::QuotaHold { type_name, instances, retry_at, error: error.clone() });
            }
            CloudErrorKind::Capacity(scope) => {
                let until = after(now, SHORT);
                self.capacity.insert(self.capacity_key(it, *scope), until);
                facts.push(Fact::CapacityHold { type_name, scope: *scope, until, error: error.clone() });
            }
            // Its outcome is unknown: it stays pending, which is hold enough.
            CloudErrorKind::Unknown => {}
            CloudErrorKind::Unauthorized => self.hold_other(None, now),
            // A type, image or price that this offering alone may not have: the others are none the worse.
            CloudErrorKind::NotFound | CloudErrorKind::Other => self.hold_other(Some(it.offering()), now),
        }
        facts
    }

    fn hold_other(&mut self, of: Option<Offering>, now: Timestamp) {
        let before = self.other.get(&of);
        let wait = before.map_or(OTHER_RETRY, |hold| (hold.wait * 2).min(SHORT));
        self.other.insert(of, OtherHold { until: after(now, wait), wait });
    }

    /// If this was a quota hold's retry, the next comes in a while, whatever it failed of. Says of which
    /// holds it was the retry.
    fn retry_failed(&mut self, market: Market, now: Timestamp) -> Vec<QuotaScope> {
        let mut retried = Vec::new();
        for (scope, hold) in &mut self.quota {
            if hold.retrying && scope.covers(market) {
                hold.retrying = false;
                hold.retry_at = after(now, SHORT);
                retried.push(scope.clone());
            }
        }
        retried
    }

    /// Only a refused retry doubles the time to the next: creates that were in flight together with the one
    /// that was refused first are the same news.
    fn hold_quota(
        &mut self,
        it: &InstanceType,
        scope: &QuotaScope,
        was_retry: bool,
        census: &Census,
        now: Timestamp,
    ) -> (usize, Timestamp) {
        let instances = census.of(scope);
        let before = self.quota.get(scope);
        let backoff = match (instances, before.map(|hold| hold.backoff)) {
            (0, _) => SHORT,
            (_, Some(backoff)) if was_retry => (backoff * 2).clamp(QUOTA_RETRY, LONGEST),
            (_, Some(backoff)) => backoff.max(QUOTA_RETRY),
            (_, None) => QUOTA_RETRY,
        };
        let began = before.map_or(now, |hold| hold.began);
        let retry_at = after(now, backoff);
        let hold = QuotaHold { began, instances, retry_at, backoff, retrying: false };
        self.quota.insert(scope.clone(), hold);
        self.within_quota.insert(scope.clone(), instances.max(1));
        if instances == 0 {
            self.refused_types.insert(it.name.clone(), now);
        }
        (instances, retry_at)
    }

    /// A create is sent: if it is the retry that a quota hold allows, no second one is.
    pub(super) fn sent(&mut self, it: &InstanceType, now: Timestamp) {
        for (scope, hold) in &mut self.quota {
            hold.retrying |= scope.covers(it.market()) && now >= hold.retry_at;
        }
        if let Some(boots) =
            self.boots.get_mut(&it.offering()).filter(|boots| boots.in_a_row >= BOOT_FAILURES)
        {
            boots.until = Some(after(now, boots.backoff));
        }
    }

    /// A create that was sent then succeeded: what held its like since before that is over.
    pub(super) fn succeeded(&mut self, it: &InstanceType, sent: Timestamp) {
        self.quota.retain(|scope, hold| !scope.covers(it.market()) || sent <= hold.began);
        self.capacity.remove(&CapacityKey::Offering(it.offering()));
        self.other.remove(&None);
        self.other.remove(&Some(it.offering()));
        self.refused_types.clear();
    }

    /// How booting ended.
    pub(super) fn booted(&mut self, offering: &Offering, success: bool, now: Timestamp) -> Option<Fact> {
        if success {
            self.boots.remove(offering);
            return None;
        }
        let boots = self.boots.entry(offering.clone()).or_default();
        boots.in_a_row += 1;
        if boots.in_a_row < BOOT_FAILURES {
            return None;
        }
        boots.backoff = (boots.backoff * 2).clamp(SHORT, LONGEST);
        let until = after(now, boots.backoff);
        boots.until = Some(until);
        Some(Fact::BootsFail { offering: offering.clone(), failures: boots.in_a_row, until })
    }

    /// Whether any hold ends when instances come or go.
    pub(super) fn depend_on_numbers(&self) -> bool {
        !self.quota.is_empty() || !self.within_quota.is_empty() || !self.group_widths.is_empty()
    }

    /// Instances have gone or come: quota holds whose reason is gone end.
    pub(super) fn recount(&mut self, census: &Census) {
        self.quota.retain(|scope, hold| hold.instances == 0 || census.of(scope) >= hold.instances);
        self.within_quota.retain(|scope, within| count_in(&census.there, scope) <= *within);
    }

    /// Forgets what has ended by time.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.rate = self.rate.filter(|until| now < *until);
        self.capacity.retain(|_, until| now < *until);
    }

    /// When the next hold ends, after `now`: the scheduler must look again then.
    pub(super) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let quota = self.quota.values().map(|hold| hold.retry_at);
        let boots = self.boots.values().filter_map(|boots| boots.until);
        let other = self.other.values().map(|hold| hold.until);
        let ends = self
            .rate
            .into_iter()
            .chain(other)
            .chain(quota)
            .chain(self.capacity.values().copied())
            .chain(boots);
        ends.filter(|end| *end > now).min()
    }

    /// Whether an instance of that type may be created, limits in numbers aside.
    pub(super) fn gate(&self, it: &InstanceType, census: &Census, now: Timestamp) -> Gate {
        if self.rate.is_some_and(|until| now < until) {
            return Gate::Paused(PauseReason::RateLimit);
        }
        let others = [None, Some(it.offering())];
        if others.iter().filter_map(|of| self.other.get(of)).any(|hold| now < hold.until) {
            return Gate::Paused(PauseReason::CreateFailed);
        }
        if self.quota.iter().any(|(scope, hold)| scope.covers(it.market()) && hold.holds(now)) {
            return Gate::AtQuota(QuotaReason::Account);
        }
        if let Some(until) = self.capacity_until(it).filter(|until| now < *until) {
            return Gate::AtCapacity(until);
        }
        if self.boots_are_rationed(it, census, now) {
            return Gate::Paused(PauseReason::BootsFail);
        }
        if self
            .within_quota
            .iter()
            .any(|(scope, within)| scope.covers(it.market()) && census.of(scope) > *within)
        {
            return Gate::Paused(PauseReason::NearQuota);
        }
        Gate::Open
    }

    /// One at a time, and not before its time.
    fn boots_are_rationed(&self, it: &InstanceType, census: &Census, now: Timestamp) -> bool {
        let offering = it.offering();
        let Some(boots) = self.boots.get(&offering).filter(|boots| boots.in_a_row >= BOOT_FAILURES) else {
            return false;
        };
        let on_trial = census.pending.get(&offering).copied().unwrap_or(0)
            + census.booting.get(&offering).copied().unwrap_or(0);
        on_trial > 0 || boots.until.is_some_and(|until| now < until)
    }

    fn capacity_until(&self, it: &InstanceType) -> Option<Timestamp> {
        let scopes = [CapacityScope::Offering, CapacityScope::QuotaGroup, CapacityScope::All];
        scopes.into_iter().filter_map(|scope| self.capacity.get(&self.capacity_key(it, scope))).max().copied()
    }

    fn capacity_key(&self, it: &InstanceType, scope: CapacityScope) -> CapacityKey {
        let offering = it.offering();
        match scope {
            CapacityScope::All => CapacityKey::All,
            CapacityScope::Offering => CapacityKey::Offering(offering),
            CapacityScope::QuotaGroup => match self.groups.get(&offering) {
                Some(group) => CapacityKey::Group(group.clone(), offering.market),
                None => CapacityKey::Offering(offering),
            },
        }
    }

    /// Whether only one instance of that offering may be on its way.
    pub(super) fn is_on_trial(&self, it: &InstanceType) -> bool {
        self.boots.get(&it.offering()).is_some_and(|boots| boots.in_a_row >= BOOT_FAILURES)
    }

    /// Types refused for quota since an instance last existed, and when.
    pub(super) fn refused_types(&self) -> &BTreeMap<TypeName, Timestamp> {
        &self.refused_types
    }

    /// How many more instances of each scope may be created now, by what fitted its quota last time: one
    /// beyond that, and one at a time as long as the hold lasts.
    pub(super) fn near_quota_left(&self, census: &Census) -> BTreeMap<QuotaScope, usize> {
        let left = |(scope, within): (&QuotaScope, &usize)| {
            let most = if self.quota.contains_key(scope) { 1 } else { usize::MAX };
            (scope.clone(), (within + 1).saturating_sub(census.of(scope)).min(most))
        };
        self.within_quota.iter().map(left).collect()
    }
}

impl QuotaHold {
    fn holds(&self, now: Timestamp) -> bool {
        self.retrying || now < self.retry_at
    }
}
