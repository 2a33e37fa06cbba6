//! Which holds there are, to tell when one has ended.
//!
//! A hold of a minute that is over, and begins again with the next refusal, has not ended for those who wait: an end is told
//! when there was no such hold for a minute.

use std::collections::{BTreeMap, BTreeSet};

use super::super::PoolFact;
use super::{CapacityKey, Holds, SHORT};
use crate::ports::QuotaScope;
use crate::time::{Timestamp, after};

/// Why creates are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldKind {
    /// The cloud limits the rate of calls.
    RateLimit,
    /// The account may not have more instances.
    Quota,
    /// The cloud has no more.
    Capacity,
    /// Instances do not boot.
    BootsFail,
    /// A create failed for another reason.
    CreateFailed,
}

impl HoldKind {
    /// For logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate limit",
            Self::Quota => "quota",
            Self::Capacity => "capacity",
            Self::BootsFail => "boots fail",
            Self::CreateFailed => "create failed",
        }
    }
}

/// A hold on creates: why, and of what, in words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StandingHold {
    /// Why.
    pub kind: HoldKind,
    /// Of what: an offering, a market, a quota group, or "all".
    pub scope: String,
}

/// The holds whose end has not been told yet, and since when each stands no longer.
#[derive(Debug, Default)]
pub(in crate::pool) struct StandingHolds(BTreeMap<StandingHold, Option<Timestamp>>);

impl StandingHolds {
    /// These stand now; tells which have ended. O(holds).
    pub(in crate::pool) fn follow(
        &mut self,
        standing: BTreeSet<StandingHold>,
        now: Timestamp,
    ) -> Vec<PoolFact> {
        for (hold, ended) in &mut self.0 {
            if !standing.contains(hold) {
                ended.get_or_insert(now);
            }
        }
        self.0.extend(standing.into_iter().map(|hold| (hold, None)));
        let is_over =
            |_: &StandingHold, ended: &mut Option<Timestamp>| ended.is_some_and(|at| after(at, SHORT) <= now);
        let over = self.0.extract_if(.., is_over);
        over.filter_map(|(hold, at)| Some(PoolFact::HoldEnded { hold, at: at? })).collect()
    }

    /// When the next end is to be told.
    pub(in crate::pool) fn wakes_at(&self) -> Option<Timestamp> {
        self.0.values().flatten().min().map(|at| after(*at, SHORT))
    }
}

impl Holds {
    /// Those that stand at that moment. O(holds).
    pub(in crate::pool) fn standing(&self, now: Timestamp) -> BTreeSet<StandingHold> {
        let hold = |kind, scope: String| StandingHold { kind, scope };
        let all = || "all".to_owned();
        let rate = self.rate_limited_until.filter(|until| now < *until);
        let quota = self.quota.scopes().map(|scope| match scope {
            QuotaScope::All => hold(HoldKind::Quota, all()),
            QuotaScope::Market(market) => hold(HoldKind::Quota, market.to_string()),
        });
        let capacity = self.capacity.scopes(now).map(|key| match key {
            CapacityKey::All => hold(HoldKind::Capacity, all()),
            CapacityKey::Offering(offering) => hold(HoldKind::Capacity, offering.to_string()),
            CapacityKey::Group(group, market) => hold(HoldKind::Capacity, format!("{group} {market}")),
        });
        let failed = self.backoff.scopes(now);
        let failed =
            failed.map(|of| hold(HoldKind::CreateFailed, of.as_ref().map_or_else(all, ToString::to_string)));
        let boots = self.boots.scopes().map(|offering| hold(HoldKind::BootsFail, offering.to_string()));
        let rate = rate.map(|_| hold(HoldKind::RateLimit, all()));
        rate.into_iter().chain(quota).chain(capacity).chain(failed).chain(boots).collect()
    }
}
