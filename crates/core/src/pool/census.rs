//! Counts of instances and of creates in flight, for quotas, trials and `MaxInstances`.

use std::collections::BTreeMap;

use super::fleet::Host;
use crate::instance::{IdleBehavior, InstanceType, Market, Offering};
use crate::ports::QuotaScope;
use crate::worker::State;

/// Counts of instances and creates in flight.
#[derive(Debug, Clone, Default)]
pub struct Census {
    /// Instances in any state and creates in flight.
    by_market: BTreeMap<Market, usize>,
    /// Of these the instances.
    existing: BTreeMap<Market, usize>,
    /// Of these the instances that were destroyed long ago and may never end.
    outstaying: BTreeMap<Market, usize>,
    /// Creates in flight, and workers that are booting and not on hold: what the operator keeps may never come to an
    /// end, so nobody waits for it.
    on_trial: BTreeMap<Offering, usize>,
    /// Workers that the cloud has given for good: in service, or on hold.
    there_to_stay: BTreeMap<Market, usize>,
}

impl Census {
    /// Counts workers in any state and pending creates. O(workers).
    pub(super) fn count<'a>(
        hosts: impl Iterator<Item = &'a Host>,
        creates: impl Iterator<Item = &'a InstanceType>,
    ) -> Self {
        let mut census = Self::default();
        for host in hosts {
            let it = host.instance_type();
            let market = it.map_or(Market::OnDemand, |it| it.market());
            *census.there_to_stay.entry(market).or_default() += usize::from(host.is_there_to_stay());
            *census.by_market.entry(market).or_default() += 1;
            *census.existing.entry(market).or_default() += 1;
            *census.outstaying.entry(market).or_default() += usize::from(host.outstays);
            let is_trial = host.state == State::Booting && host.behavior != IdleBehavior::Hold;
            if let (true, Some(it)) = (is_trial, it) {
                *census.on_trial.entry(it.offering()).or_default() += 1;
            }
        }
        for it in creates {
            *census.by_market.entry(it.market()).or_default() += 1;
            *census.on_trial.entry(it.offering()).or_default() += 1;
        }
        census
    }

    pub(super) fn total(&self) -> usize {
        self.by_market.values().sum()
    }

    pub(super) fn of(&self, scope: &QuotaScope) -> usize {
        count_in(&self.by_market, scope)
    }

    /// Those that exist, whatever is in flight.
    pub(super) fn existing(&self, scope: &QuotaScope) -> usize {
        count_in(&self.existing, scope)
    }

    /// Those that count against "near a quota".
    pub(super) fn near(&self, scope: &QuotaScope) -> usize {
        self.of(scope) - count_in(&self.outstaying, scope)
    }

    pub(super) fn there_to_stay(&self, scope: &QuotaScope) -> usize {
        count_in(&self.there_to_stay, scope)
    }

    pub(super) fn on_trial(&self, offering: &Offering) -> usize {
        self.on_trial.get(offering).copied().unwrap_or(0)
    }
}

fn count_in(by_market: &BTreeMap<Market, usize>, scope: &QuotaScope) -> usize {
    by_market.iter().filter(|(market, _)| scope.covers(**market)).map(|(_, count)| count).sum()
}
