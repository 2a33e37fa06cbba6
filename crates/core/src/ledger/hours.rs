//! What was spent in each of the last hours.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::meter::{Meter, Spent};
use super::{Category, Key, TypeName};
use crate::time::{Timestamp, after};

/// So many whole hours are kept: 7 days.
pub const HOURS_KEPT: usize = 7 * 24;

const HOUR: Duration = Duration::from_secs(3600);

/// An hour of the clock, or the part of it in which this process has counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Hour {
    /// Its beginning.
    pub start: Timestamp,
    /// Its end; of the present hour, now.
    pub end: Timestamp,
    /// What was spent in it. What came to nothing is left out.
    pub sums: Vec<(Option<TypeName>, Category, f64)>,
}

/// The hours that are over, and where the meters stood when the present one began.
#[derive(Debug, Default)]
pub(super) struct Hours {
    over: VecDeque<Arc<Hour>>,
    began: Option<Timestamp>,
    stood: BTreeMap<Key, Spent>,
}

impl Hours {
    /// Closes the hours that have ended. To be called before a meter is changed. O(types) for each of them.
    pub fn turn(&mut self, meters: &BTreeMap<Key, Meter>, now: Timestamp) {
        let began = *self.began.get_or_insert(now);
        if now < end_of_hour(began) {
            return;
        }
        let mut start = began;
        while end_of_hour(start) <= now {
            let end = end_of_hour(start);
            self.over.push_back(Arc::new(self.hour(meters, start, end)));
            self.stood = meters.iter().map(|(key, meter)| (key.clone(), meter.total(end))).collect();
            start = end;
        }
        self.began = Some(start);
        let surplus = self.over.len().saturating_sub(HOURS_KEPT);
        self.over.drain(..surplus);
    }

    /// All, oldest first, with the present one.
    pub fn all(&self, meters: &BTreeMap<Key, Meter>, since: Timestamp, now: Timestamp) -> Vec<Arc<Hour>> {
        let present = self.hour(meters, self.began.unwrap_or(since), now);
        self.over.iter().cloned().chain([Arc::new(present)]).collect()
    }

    fn hour(&self, meters: &BTreeMap<Key, Meter>, start: Timestamp, end: Timestamp) -> Hour {
        let spent = |(key, meter): (&Key, &Meter)| {
            let spent = meter.total(end) - self.stood.get(key).copied().unwrap_or_default();
            (spent > Spent::default()).then(|| (key.0.clone(), key.1, spent.amount()))
        };
        Hour { start, end, sums: meters.iter().filter_map(spent).collect() }
    }
}

/// The end of the hour of the clock in which that moment lies.
fn end_of_hour(at: Timestamp) -> Timestamp {
    let into = at.as_second().rem_euclid(3600);
    let begin = Timestamp::from_second(at.as_second() - into).unwrap_or(at);
    after(begin, HOUR)
}
