//! Money as whole numbers: a rate, and what it comes to.

use std::ops::{AddAssign, Sub};

use crate::instance::Price;
use crate::time::{Timestamp, since};

/// Rates are in billionths of the currency an hour.
const NANO: f64 = 1e9;
const NANOSECONDS_AN_HOUR: f64 = 3600.0 * 1e9;

/// A price as a rate: billionths of the currency an hour, rounded.
pub(super) fn rate_of(price: Price) -> u64 {
    (price.per_hour() * NANO).round() as u64
}

/// An amount: a rate times nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Spent(u128);

impl Spent {
    /// What a rate comes to between two moments.
    pub fn of(rate: u64, from: Timestamp, to: Timestamp) -> Self {
        Self(u128::from(rate).saturating_mul(since(to, from).as_nanos()))
    }

    /// In the currency of the prices.
    pub fn amount(self) -> f64 {
        self.0 as f64 / NANO / NANOSECONDS_AN_HOUR
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

impl Sub for Spent {
    type Output = Self;

    /// Nothing, if it would be less.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// A sum that grows with time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meter {
    rate: u64,
    /// What it had come to `at`.
    spent: Spent,
    at: Option<Timestamp>,
}

impl Meter {
    /// What it has come to. A moment before the last change counts as that.
    pub fn total(&self, now: Timestamp) -> Spent {
        let mut total = self.spent;
        total += self.at.map_or(Spent::default(), |at| Spent::of(self.rate, at, now));
        total
    }

    /// What it grows by in an hour, in the currency of the prices.
    pub fn per_hour(&self) -> f64 {
        self.rate as f64 / NANO
    }

    /// An amount at once.
    pub fn add(&mut self, spent: Spent) {
        self.spent += spent;
    }

    /// Less than was counted, never less than nothing.
    pub fn take(&mut self, spent: Spent) {
        self.spent = self.spent - spent;
    }

    /// It grows faster from now on.
    pub fn faster(&mut self, by: u64, now: Timestamp) {
        self.set(self.rate.saturating_add(by), now);
    }

    /// It grows slower from now on.
    pub fn slower(&mut self, by: u64, now: Timestamp) {
        self.set(self.rate.saturating_sub(by), now);
    }

    /// It grows by that from now on.
    pub fn set(&mut self, rate: u64, now: Timestamp) {
        self.spent = self.total(now);
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
        self.rate = rate;
    }
}
