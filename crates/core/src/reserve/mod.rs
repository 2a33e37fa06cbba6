//! The reserve: how many instances of a type are kept without work, so that the next container need not wait for a boot.
//!
//! ```text
//!   rules of a type ─► those whose calendar covers the moment ─► Spares ─┐
//!   instances of the type that run something ────────────────────────────┴─► how many more are kept idle, or created
//! ```
//! Which instances these are a plan decides (`plan/spares.rs`).

mod calendar;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

pub use calendar::{Calendar, Days, HourRange, Zone};

use crate::id::TypeName;
use crate::time::Timestamp;

/// The reserve of each type (`IdleReserve`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IdleReserve {
    rules: BTreeMap<TypeName, Vec<ReserveRule>>,
    /// By how much moments are moved before a calendar is asked: the times of a recorded round count from another origin.
    #[serde(default)]
    moved_by: SignedDuration,
}

/// How many of a type are kept, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReserveRule {
    /// How many.
    pub spares: Spares,
    /// When.
    pub calendar: Calendar,
}

/// How many instances of a type are kept without work: the greater of the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spares {
    /// That many.
    pub instances: u32,
    /// That share of those that run something, rounded up.
    pub percent_of_busy: u32,
}

impl Spares {
    /// How many, beside that many which run something.
    pub fn beside(self, busy: usize) -> usize {
        let share = (busy as u64).saturating_mul(u64::from(self.percent_of_busy)).div_ceil(100);
        (self.instances as usize).max(usize::try_from(share).unwrap_or(usize::MAX))
    }

    fn and(self, other: Self) -> Self {
        Self {
            instances: self.instances.max(other.instances),
            percent_of_busy: self.percent_of_busy.max(other.percent_of_busy),
        }
    }
}

impl IdleReserve {
    /// These rules.
    pub fn new(rules: BTreeMap<TypeName, Vec<ReserveRule>>) -> Self {
        Self { rules, moved_by: SignedDuration::ZERO }
    }

    /// The rules of each type.
    pub fn rules(&self) -> &BTreeMap<TypeName, Vec<ReserveRule>> {
        &self.rules
    }

    /// What holds at that moment; a type without a rule that holds is not in it. O(rules).
    pub fn at(&self, now: Timestamp) -> BTreeMap<TypeName, Spares> {
        let moment = now.checked_sub(self.moved_by).unwrap_or(now);
        let of_type = |(name, rules): (&TypeName, &Vec<ReserveRule>)| {
            let hold = rules.iter().filter(|rule| rule.calendar.covers(moment));
            let spares = hold.map(|rule| rule.spares).reduce(Spares::and)?;
            (spares != Spares::default()).then(|| (name.clone(), spares))
        };
        self.rules.iter().filter_map(of_type).collect()
    }

    pub(crate) fn shift(&mut self, by: SignedDuration) {
        self.moved_by = self.moved_by.saturating_add(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn midnight() -> Timestamp {
        "2026-11-30T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_share_is_rounded_up_and_the_greater_of_both_counts() {
        for (instances, percent_of_busy, busy, expected) in [
            (0, 10, 0, 0),
            (0, 10, 1, 1),
            (0, 10, 10, 1),
            (0, 10, 11, 2),
            (2, 10, 0, 2),
            (2, 50, 9, 5),
            (3, 0, 99, 3),
        ] {
            assert_eq!(Spares { instances, percent_of_busy }.beside(busy), expected);
        }
    }

    fn rule(instances: u32, percent_of_busy: u32, hours: &str) -> ReserveRule {
        let calendar = Calendar { hours: hours.parse().unwrap(), ..Calendar::default() };
        ReserveRule { spares: Spares { instances, percent_of_busy }, calendar }
    }

    fn reserve(rules: Vec<ReserveRule>) -> IdleReserve {
        IdleReserve::new(BTreeMap::from([("small".parse().unwrap(), rules)]))
    }

    #[test]
    fn of_several_rules_that_hold_the_greatest_counts_and_of_none_nothing() {
        let reserve =
            reserve(vec![rule(1, 0, "00:00-12:00"), rule(3, 0, "06:00-08:00"), rule(0, 20, "07:00-09:00")]);
        let spares =
            |hour: i64| reserve.at(midnight() + SignedDuration::from_hours(hour)).into_values().next();
        assert_eq!(spares(1), Some(Spares { instances: 1, percent_of_busy: 0 }));
        assert_eq!(spares(6), Some(Spares { instances: 3, percent_of_busy: 0 }));
        assert_eq!(spares(7), Some(Spares { instances: 3, percent_of_busy: 20 }));
        assert_eq!(spares(8), Some(Spares { instances: 1, percent_of_busy: 20 }));
        assert_eq!(spares(12), None);
    }

    #[test]
    fn a_round_that_is_dated_from_another_origin_has_the_same_reserve() {
        let mut dated = reserve(vec![rule(1, 0, "06:00-08:00")]);
        let by = SignedDuration::from_secs(-123_456);
        dated.shift(by);
        for hour in 0..24 {
            let now = midnight() + SignedDuration::from_hours(hour);
            assert_eq!(dated.at(now + by), reserve(vec![rule(1, 0, "06:00-08:00")]).at(now), "{hour}");
        }
    }
}
