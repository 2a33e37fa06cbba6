//! What spot VMs cost: asked for only while there are any, at most once an interval, kept by type and zone.
//!
//! ```text
//!   a listing ─ saw ─► zones of spot VMs ─ due ─► question ─ DescribeSpotPriceHistory, all pages ─ learned ─► prices
//!                                                                                     history(instance) ◄─────┘
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Instance, InstanceType, Price, PricePoint};
use dispatch_core::time::{Timestamp, after};

use crate::answer::instances::Listed;
use crate::answer::prices::SpotPrice;
use crate::request::scratch_gib;

/// After a failure the next try comes sooner than after an interval of a day.
const RETRY: Duration = Duration::from_secs(600);
/// A VM's whole life costs less than that many changes of price.
const MOST_POINTS: usize = 2000;
/// Pricing is by the month of 30 days.
const HOURS_A_MONTH: f64 = 30.0 * 24.0;

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub types: Vec<String>,
    pub since: Timestamp,
}

/// The prices, as far as they are known.
#[derive(Debug)]
pub(crate) struct SpotPrices {
    /// Zero = never ask.
    interval: Duration,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The spot VMs of the last listing: type and zone.
    zones: BTreeMap<InstanceId, (String, String)>,
    /// When each type may be asked for again.
    next: BTreeMap<String, Timestamp>,
    /// By type and zone, newest first.
    prices: BTreeMap<(String, String), Vec<PricePoint>>,
}

impl SpotPrices {
    pub fn new(interval: Duration) -> Self {
        Self { interval, state: RefCell::default() }
    }

    /// Takes a listing in.
    pub fn saw(&self, listed: &[Listed]) {
        let spot = listed.iter().filter(|it| it.spot).map(|it| {
            let instance = &it.instance;
            (instance.id.clone(), (instance.provider_type.as_str().to_owned(), it.zone.clone()))
        });
        self.state.borrow_mut().zones = spot.collect();
    }

    /// What is to be asked for now, if anything: the types in use that are due.
    pub fn due(&self, now: Timestamp) -> Option<Question> {
        if self.interval.is_zero() {
            return None;
        }
        let state = self.state.borrow();
        let in_use: BTreeSet<&String> =
            state.zones.values().map(|(provider_type, _)| provider_type).collect();
        let is_due = |it: &&String| state.next.get(*it).is_none_or(|next| *next <= now);
        let types: Vec<_> = in_use.into_iter().filter(is_due).cloned().collect();
        (!types.is_empty()).then(|| Question { types, since: before(now, self.interval.saturating_mul(3)) })
    }

    /// Takes the answer in, or that there was none.
    pub fn learned(&self, question: &Question, answer: Option<Vec<SpotPrice>>, now: Timestamp) {
        let mut state = self.state.borrow_mut();
        let wait = if answer.is_some() { self.interval } else { self.interval.min(RETRY) };
        for provider_type in &question.types {
            state.next.insert(provider_type.clone(), after(now, wait));
        }
        for price in answer.unwrap_or_default() {
            // What was not asked for would only fill memory.
            if question.types.contains(&price.provider_type) {
                state.prices.entry((price.provider_type, price.zone)).or_default().push(price.point);
            }
        }
        state.prices.values_mut().for_each(tidy);
    }

    /// What a spot VM has cost, its attached volume included, newest first; empty if unknown.
    pub fn history(
        &self,
        instance: &Instance,
        instance_type: &InstanceType,
        ebs_price: f64,
    ) -> Vec<PricePoint> {
        let state = self.state.borrow();
        let known = state.zones.get(&instance.id).and_then(|key| state.prices.get(key));
        let volume = ebs_price * scratch_gib(instance_type) as f64 / HOURS_A_MONTH;
        let with_volume = |point: &PricePoint| {
            let price = Price::new(point.price.per_hour() + volume)?;
            Some(PricePoint { price, ..*point })
        };
        known.map(|points| points.iter().filter_map(with_volume).collect()).unwrap_or_default()
    }
}

fn before(now: Timestamp, by: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(by)
        .ok()
        .and_then(|by| now.checked_sub(by).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Newest first, without repeats; of the same price time and again the oldest word stays.
fn tidy(points: &mut Vec<PricePoint>) {
    points.sort_by(|a, b| a.start_time.cmp(&b.start_time).then(a.price.cmp(&b.price)));
    points.dedup_by(|later, earlier| later.start_time == earlier.start_time || later.price == earlier.price);
    points.reverse();
    points.truncate(MOST_POINTS);
}

#[cfg(test)]
pub(crate) mod tests;
