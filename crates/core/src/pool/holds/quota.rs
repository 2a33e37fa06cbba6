//! Holds for a quota: the account may not have more instances of a market, or of any.
//!
//! ```text
//!   refused with n > 0 instances ─► no create until fewer than n exist; one retry after 5 min, doubling to 30 min
//!   refused with none ────────────► one retry a minute
//! ```
//! Each retry serves another type than the one that was refused last, whatever the cause: a type that can never be had
//! must not use up all of them.
//! The number of instances that fitted the quota is remembered until more than that are seen in service: later
//! creates exceed it by at most one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::super::census::Census;
use super::{LONGEST, SHORT};
use crate::id::TypeName;
use crate::instance::{InstanceType, Market};
use crate::ports::QuotaScope;
use crate::time::{Timestamp, after, shift};

const FIRST_RETRY: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct QuotaHold {
    /// Creates sent before this moment say nothing about it.
    began: Timestamp,
    /// Instances of the scope when the cloud refused one more; 0 = one retry follows another
    /// until one succeeds.
    instances: usize,
    retry_at: Timestamp,
    backoff: Duration,
    /// Whether the retry is in flight.
    retrying: bool,
}

impl QuotaHold {
    fn holds(&self, now: Timestamp) -> bool {
        self.retrying || now < self.retry_at
    }
}

/// The quota holds by scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct QuotaHolds {
    #[serde(with = "crate::pairs")]
    holds: BTreeMap<QuotaScope, QuotaHold>,
    /// How many instances of a scope fitted its quota when it was last hit.
    #[serde(with = "crate::pairs")]
    pub(in crate::pool) within: BTreeMap<QuotaScope, usize>,
    /// Types refused while a quota was reached, and when: the next retry serves another type.
    pub(super) refused_types: BTreeMap<TypeName, Timestamp>,
    /// The markets of these types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    refused_markets: BTreeMap<TypeName, Market>,
}

impl QuotaHolds {
    #[cfg(test)]
    pub(super) fn with_refused_types<'a>(
        refused_types: BTreeMap<TypeName, Timestamp>,
        held: impl IntoIterator<Item = &'a QuotaScope>,
    ) -> Self {
        let due = Timestamp::UNIX_EPOCH;
        let hold = QuotaHold { began: due, instances: 0, retry_at: due, backoff: SHORT, retrying: false };
        let holds = held.into_iter().map(|scope| (scope.clone(), hold.clone())).collect();
        Self { holds, refused_types, ..Self::default() }
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = &QuotaScope> {
        self.holds.keys()
    }

    /// If this create, which was sent at `sent`, was the retry of a hold, the next one follows after a while, whatever
    /// the cause of the failure. Returns the scopes of the holds whose retry it was.
    pub(super) fn retry_failed(
        &mut self,
        it: &InstanceType,
        sent: Timestamp,
        now: Timestamp,
    ) -> Vec<QuotaScope> {
        let mut retried = Vec::new();
        for (scope, hold) in &mut self.holds {
            if hold.retrying && scope.covers(it.market()) && sent >= hold.retry_at {
                hold.retrying = false;
                hold.retry_at = after(now, SHORT);
                retried.push(scope.clone());
            }
        }
        if !retried.is_empty() {
            self.note_refused(it, now);
        }
        retried
    }

    fn note_refused(&mut self, it: &InstanceType, now: Timestamp) {
        self.refused_types.insert(it.name.clone(), now);
        self.refused_markets.insert(it.name.clone(), it.market());
    }

    /// Whose turn it is matters as long as a quota of that market holds, whatever happens on the other market.
    fn forget_turns_without_a_hold(&mut self) {
        let Self { holds, refused_types, refused_markets, .. } = self;
        refused_markets.retain(|_, market| holds.keys().any(|scope| scope.covers(*market)));
        refused_types.retain(|name, _| refused_markets.contains_key(name));
    }

    /// Only a refused retry doubles the time to the next, and moves it: refusals of creates that were in flight
    /// together with the one that was refused first tell nothing new but the number of instances. Returns that number,
    /// the next retry, and whether this began a hold.
    pub(super) fn refused(
        &mut self,
        it: &InstanceType,
        scope: &QuotaScope,
        was_retry: bool,
        census: &Census,
        now: Timestamp,
    ) -> (usize, Timestamp, bool) {
        let instances = census.of(scope);
        let before = self.holds.get(scope);
        let is_new = before.is_none();
        let backoff = match (instances, before.map(|hold| hold.backoff)) {
            (0, _) => SHORT,
            (_, Some(backoff)) if was_retry => (backoff * 2).clamp(FIRST_RETRY, LONGEST),
            (_, Some(backoff)) => backoff.max(FIRST_RETRY),
            (_, None) => FIRST_RETRY,
        };
        let hold = match before.filter(|_| !was_retry) {
            Some(before) => {
                let retry_at = before.retry_at.min(after(now, backoff));
                QuotaHold { instances, retry_at, backoff, ..before.clone() }
            }
            None => {
                let began = before.map_or(now, |hold| hold.began);
                QuotaHold { began, instances, retry_at: after(now, backoff), backoff, retrying: false }
            }
        };
        let retry_at = hold.retry_at;
        self.holds.insert(scope.clone(), hold);
        self.within.insert(scope.clone(), instances.max(1));
        self.note_refused(it, now);
        (instances, retry_at, is_new)
    }

    pub(super) fn sent(&mut self, market: Market, now: Timestamp) {
        for (scope, hold) in &mut self.holds {
            hold.retrying |= scope.covers(market) && now >= hold.retry_at;
        }
    }

    /// The retry was not sent after all: it is due as before.
    pub(super) fn not_sent(&mut self, market: Market) {
        for (scope, hold) in &mut self.holds {
            hold.retrying &= !scope.covers(market);
        }
    }

    pub(super) fn succeeded(&mut self, market: Market, sent: Timestamp) {
        self.holds.retain(|scope, hold| !scope.covers(market) || sent <= hold.began);
        self.forget_turns_without_a_hold();
    }

    pub(super) fn depends_on_numbers(&self) -> bool {
        !self.holds.is_empty() || !self.within.is_empty()
    }

    pub(super) fn recount(&mut self, census: &Census) {
        self.holds.retain(|scope, hold| hold.instances == 0 || census.of(scope) >= hold.instances);
        self.within.retain(|scope, within| census.there_to_stay(scope) <= *within);
        self.forget_turns_without_a_hold();
    }

    pub(super) fn retries(&self) -> impl Iterator<Item = Timestamp> {
        self.holds.values().map(|hold| hold.retry_at)
    }

    /// The latest next retry of the holds on that market.
    pub(super) fn retry_at(&self, market: Market) -> Option<Timestamp> {
        let holds = self.holds.iter().filter(|(scope, _)| scope.covers(market));
        holds.map(|(_, hold)| hold.retry_at).max()
    }

    pub(super) fn holds(&self, market: Market, now: Timestamp) -> bool {
        self.holds.iter().any(|(scope, hold)| scope.covers(market) && hold.holds(now))
    }

    /// Whether more instances exist, or are being created, than fitted the quota last time.
    pub(super) fn is_near(&self, market: Market, census: &Census) -> bool {
        self.within.iter().any(|(scope, within)| scope.covers(market) && census.near(scope) > *within)
    }

    pub(super) fn near_quota_left(&self, census: &Census) -> BTreeMap<QuotaScope, usize> {
        let left = |(scope, within): (&QuotaScope, &usize)| {
            let most = if self.holds.contains_key(scope) { 1 } else { usize::MAX };
            (scope.clone(), (within + 1).saturating_sub(census.near(scope)).min(most))
        };
        self.within.iter().map(left).collect()
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        for hold in self.holds.values_mut() {
            shift(&mut hold.began, by);
            shift(&mut hold.retry_at, by);
        }
        self.refused_types.values_mut().for_each(|at| shift(at, by));
    }
}
