//! Holds for boots that fail: after three failures in a row, creates of that offering are rationed to one trial
//! at a time. The trials are a minute apart, doubling to half an hour, until an instance boots.
//!
//! ```text
//!   three failures ─► step: a minute ─► trial fails ─► step: two minutes ─► trial fails ─► step: four minutes …
//!                       ▲ failures of instances that were ordered before this moment take no further step
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::super::PoolFact;
use super::super::census::Census;
use super::{LONGEST, SHORT};
use crate::instance::Offering;
use crate::time::{Timestamp, after, shift};

/// After this many failures in a row the creates of an offering are rationed.
const FAILURES: u32 = 3;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct BootFailures {
    in_a_row: u32,
    until: Option<Timestamp>,
    backoff: Duration,
    /// When the back-off last took a step: instances that were ordered before say nothing new.
    #[serde(default)]
    stepped: Option<Timestamp>,
}

impl BootFailures {
    fn ration(&self) -> bool {
        self.in_a_row >= FAILURES
    }
}

/// The failed boots by offering.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct BootHolds(#[serde(with = "crate::pairs")] BTreeMap<Offering, BootFailures>);

impl BootHolds {
    /// A create is sent: the next trial follows after the back-off at the earliest.
    pub(super) fn sent(&mut self, offering: &Offering, now: Timestamp) {
        if let Some(boots) = self.0.get_mut(offering).filter(|boots| boots.ration()) {
            boots.until = Some(after(now, boots.backoff));
        }
    }

    /// The trial that was to be sent then was not sent: it is due as before.
    pub(super) fn not_sent(&mut self, offering: &Offering, sent: Timestamp) {
        if let Some(boots) = self.0.get_mut(offering).filter(|boots| boots.ration()) {
            boots.until = Some(sent);
        }
    }

    /// Learns from the end of the boot of an instance that was ordered at `ordered`.
    pub(super) fn booted(
        &mut self,
        offering: &Offering,
        success: bool,
        ordered: Timestamp,
        now: Timestamp,
    ) -> Option<PoolFact> {
        if success {
            self.0.remove(offering);
            return None;
        }
        let boots = self.0.entry(offering.clone()).or_default();
        boots.in_a_row += 1;
        if !boots.ration() || boots.stepped.is_some_and(|stepped| ordered <= stepped) {
            return None;
        }
        boots.stepped = Some(now);
        boots.backoff = (boots.backoff * 2).clamp(SHORT, LONGEST);
        let until = after(now, boots.backoff);
        boots.until = Some(until);
        Some(PoolFact::BootsFail { offering: offering.clone(), failures: boots.in_a_row, until })
    }

    pub(super) fn is_on_trial(&self, offering: &Offering) -> bool {
        self.0.get(offering).is_some_and(BootFailures::ration)
    }

    /// Whether a create must wait: a trial is under way, or the next trial is not due yet.
    pub(super) fn are_rationed(&self, offering: &Offering, census: &Census, now: Timestamp) -> bool {
        let Some(boots) = self.0.get(offering).filter(|boots| boots.ration()) else { return false };
        census.on_trial(offering) > 0 || boots.until.is_some_and(|until| now < until)
    }

    /// The offerings whose creates are rationed.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &Offering> {
        self.0.iter().filter(|(_, boots)| boots.ration()).map(|(offering, _)| offering)
    }

    /// When the next trial is due.
    pub(super) fn until(&self, offering: &Offering) -> Option<Timestamp> {
        self.0.get(offering).filter(|boots| boots.ration())?.until
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = Timestamp> {
        self.0.values().filter_map(|boots| boots.until)
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        let moments = self.0.values_mut().flat_map(|boots| boots.until.iter_mut().chain(&mut boots.stepped));
        moments.for_each(|moment| shift(moment, by));
    }
}
