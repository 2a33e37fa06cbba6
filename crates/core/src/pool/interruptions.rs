//! How often the spot market takes instances away, by offering.
//!
//! ```text
//!   a spot instance is gone that nobody here has ended ─► a loss ─┐
//!   the days that instances of the offering have lived ───────────┴─► losses a day ─► its rank (0 = hardly ever)
//! ```
//! Of offerings of one price the one with the lowest rank is created ([`crate::plan`]): what happened yesterday counts half as
//! much as what happens now, and a week ago hardly at all. A restart begins anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{PoolEffect, PoolFact, Slot, WorkerPool};
use crate::id::TypeName;
use crate::instance::{Catalog, InstanceType, Market, Offering};
use crate::time::{Timestamp, since};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// After so long what was counted is counted half.
const HALF_LIFE: Duration = DAY;

/// Counted as lived in any case, so that the first instance that is taken, after a minute, is not fourteen hundred a day.
const LEAST_DAYS: f64 = 0.25;

/// Of one offering.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tally {
    losses: f64,
    days: f64,
    /// Up to when both have been made less.
    at: Timestamp,
}

impl Tally {
    fn at(self, now: Timestamp) -> Self {
        let halvings = since(now, self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        let left = 0.5_f64.powf(halvings);
        Self { losses: self.losses * left, days: self.days * left, at: now }
    }
}

/// What was seen of each offering of the spot market.
#[derive(Debug, Default)]
pub(super) struct Interruptions {
    tallies: BTreeMap<Offering, Tally>,
    /// The rank of each type that has lost any.
    ranks: Arc<BTreeMap<TypeName, u32>>,
    /// Whether a loss has come that the ranks do not show, or they are old.
    is_due: bool,
    ranked: Timestamp,
}

impl Interruptions {
    /// An instance of that type is gone after that long. `taken`: nobody here had ended it.
    pub(super) fn gone(&mut self, it: &InstanceType, lived: Duration, taken: bool, now: Timestamp) {
        if it.market() != Market::Spot {
            return;
        }
        let tally = self.tallies.entry(it.offering()).or_default();
        *tally = tally.at(now);
        tally.losses += f64::from(u8::from(taken));
        tally.days += lived.min(DAY).as_secs_f64() / DAY.as_secs_f64();
        self.is_due |= taken;
    }

    /// Ranks the types anew if that is due: after a loss, and once an hour as long as there is any. `living`: the ages of the
    /// instances that there are. True = a rank has changed. O(types + instances) then, else O(1).
    pub(super) fn rank<'a>(
        &mut self,
        catalog: &Catalog,
        living: impl Iterator<Item = (&'a InstanceType, Duration)>,
        now: Timestamp,
    ) -> bool {
        let is_old = !self.ranks.is_empty() && since(now, self.ranked) >= Duration::from_secs(3600);
        if !self.is_due && !is_old {
            return false;
        }
        (self.is_due, self.ranked) = (false, now);
        let mut days: BTreeMap<Offering, f64> = BTreeMap::new();
        for (it, age) in living.filter(|(it, _)| it.market() == Market::Spot) {
            *days.entry(it.offering()).or_default() += age.min(DAY).as_secs_f64() / DAY.as_secs_f64();
        }
        let rank = |it: &Arc<InstanceType>| {
            let offering = it.offering();
            let tally = self.tallies.get(&offering)?.at(now);
            let days = tally.days + days.get(&offering).copied().unwrap_or(0.0);
            // Tenths of a loss a day: less is no difference.
            let rank = (10.0 * tally.losses / (days + LEAST_DAYS)).round() as u32;
            (rank > 0).then(|| (it.name.clone(), rank))
        };
        let ranks: BTreeMap<_, _> = catalog.types().iter().filter_map(rank).collect();
        let is_news = ranks != *self.ranks;
        if is_news {
            self.ranks = Arc::new(ranks);
        }
        is_news
    }

    /// Tenths of a loss for each day that an instance lives, of each type that loses any.
    pub(super) fn ranks(&self) -> Arc<BTreeMap<TypeName, u32>> {
        Arc::clone(&self.ranks)
    }
}

impl WorkerPool {
    /// Whether the market has taken it: a spot instance that nobody here has ended.
    pub(super) fn note_interruption(&mut self, slot: &Slot, now: Timestamp, effects: &mut Vec<PoolEffect>) {
        let view = &slot.view;
        let Some(it) = view.like.as_ref().filter(|it| it.market() == Market::Spot) else { return };
        let lived = since(now, slot.instance.born(view.appeared));
        let taken = view.destroy_called.is_none() && slot.listed;
        self.interruptions.gone(it, lived, taken, now);
        if taken {
            let (instance, type_name) = (view.id.clone(), it.name.clone());
            effects.push(PoolEffect::Tell(PoolFact::Interrupted { instance, type_name, lived }));
        }
        // One that is announced to be taken is the market's, whoever has ended it at last.
        let containers: Vec<_> = slot.containers().into_iter().collect();
        if (taken || slot.spot_notice.is_some()) && !containers.is_empty() {
            effects.push(PoolEffect::LostToMarket(containers));
        }
    }

    /// Ranks what the market takes, if anything has been taken.
    pub(super) fn rank_interruptions(&mut self, now: Timestamp, effects: &mut Vec<PoolEffect>) {
        let living = self.workers.values().filter_map(|slot| {
            let age = since(now, slot.instance.born(slot.view.appeared));
            slot.view.like.as_deref().map(|it| (it, age))
        });
        if self.interruptions.rank(&self.policy.catalog, living, now) {
            effects.push(PoolEffect::FleetChanged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, policy, typed};
    use crate::time::after;

    fn hours(n: u64) -> Duration {
        Duration::from_secs(3600 * n)
    }

    fn rank_of(interruptions: &mut Interruptions, name: &str, now: Timestamp) -> u32 {
        interruptions.is_due = true;
        interruptions.rank(&policy().catalog, std::iter::empty(), now);
        interruptions.ranks().get(&name.parse::<TypeName>().unwrap()).copied().unwrap_or(0)
    }

    #[test]
    fn an_offering_that_loses_many_has_a_higher_rank_and_one_that_loses_none_has_none() {
        let policy = policy();
        let (small, big) = (typed(&policy, "small.spot"), typed(&policy, "big.spot"));
        let mut interruptions = Interruptions::default();
        interruptions.gone(&small, hours(12), true, at(0));
        for _ in 0..4 {
            interruptions.gone(&big, hours(12), true, at(0));
        }
        let (of_small, of_big) = (
            rank_of(&mut interruptions, "small.spot", at(0)),
            rank_of(&mut interruptions, "big.spot", at(0)),
        );
        assert!(0 < of_small && of_small < of_big, "{of_small} {of_big}");
        let mut none = Interruptions::default();
        none.gone(&small, hours(1), false, at(0));
        none.gone(&typed(&policy, "small"), hours(1), true, at(0));
        assert_eq!((rank_of(&mut none, "small.spot", at(0)), rank_of(&mut none, "small", at(0))), (0, 0));
    }

    #[test]
    fn it_is_forgotten_by_halves() {
        let policy = policy();
        let small = typed(&policy, "small.spot");
        let mut interruptions = Interruptions::default();
        interruptions.gone(&small, hours(24), true, at(0));
        let ranks: Vec<_> =
            (0..12).map(|day| rank_of(&mut interruptions, "small.spot", after(at(0), day * DAY))).collect();
        assert!(ranks.is_sorted_by(|a, b| a >= b) && ranks[0] > ranks[2] && ranks[11] == 0, "{ranks:?}");
    }

    #[test]
    fn those_that_live_count_and_nothing_is_ranked_before_it_is_due() {
        let policy = policy();
        let small = typed(&policy, "small.spot");
        let mut interruptions = Interruptions::default();
        let living = || std::iter::repeat_n((&*small, hours(24)), 40);
        assert!(!interruptions.rank(&policy.catalog, living(), at(0)), "nothing was lost");
        interruptions.gone(&small, hours(1), true, at(0));
        assert!(!interruptions.rank(&policy.catalog, living(), at(0)), "one of forty days is hardly any");
        interruptions.gone(&small, hours(1), true, at(0));
        assert!(interruptions.rank(&policy.catalog, std::iter::empty(), at(0)));
        assert!(!interruptions.rank(&policy.catalog, std::iter::empty(), at(60)), "no loss since");
    }
}
