//! Holds after creates that failed for another reason, without a known end: 5 s, doubling to a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::SHORT;
use crate::instance::Offering;
use crate::time::{Timestamp, after, shift};

const FIRST: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct BackoffHold {
    until: Timestamp,
    wait: Duration,
}

/// The holds by offering; `None`: a hold on every offering.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct BackoffHolds(#[serde(with = "crate::pairs")] BTreeMap<Option<Offering>, BackoffHold>);

impl BackoffHolds {
    /// A create that was sent at `sent` has failed. One that was in flight when the present hold began, together with
    /// the one that failed first, says nothing new.
    pub(super) fn failed(&mut self, of: Option<Offering>, sent: Timestamp, now: Timestamp) {
        if self.0.get(&of).is_some_and(|hold| after(sent, hold.wait) <= hold.until) {
            return;
        }
        let wait = self.0.get(&of).map_or(FIRST, |hold| (hold.wait * 2).min(SHORT));
        self.0.insert(of, BackoffHold { until: after(now, wait), wait });
    }

    pub(super) fn succeeded(&mut self, offering: Offering) {
        self.0.remove(&None);
        self.0.remove(&Some(offering));
    }

    pub(super) fn holds(&self, offering: Offering, now: Timestamp) -> bool {
        let of = [None, Some(offering)];
        of.iter().filter_map(|of| self.0.get(of)).any(|hold| now < hold.until)
    }

    /// What is held; `None`: every offering.
    pub(super) fn scopes(&self, now: Timestamp) -> impl Iterator<Item = &Option<Offering>> {
        self.0.iter().filter(move |(_, hold)| now < hold.until).map(|(of, _)| of)
    }

    /// The latest end of the holds on that offering.
    pub(super) fn until(&self, offering: Offering) -> Option<Timestamp> {
        let of = [None, Some(offering)];
        of.iter().filter_map(|of| self.0.get(of)).map(|hold| hold.until).max()
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = Timestamp> {
        self.0.values().map(|hold| hold.until)
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.0.values_mut().for_each(|hold| shift(&mut hold.until, by));
    }
}
