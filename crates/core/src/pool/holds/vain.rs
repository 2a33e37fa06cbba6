//! Offerings that could not be had lately although the account had room: no room is made for them.
//!
//! ```text
//!   no capacity, refused, or its boot failed ─► for ten minutes it waits at a limit and stops nobody
//!        └ it boots ─► forgotten
//! ```
//! At `MaxInstances` and at a quota a container that waits ends the placement, and instances without a container make
//! room for it. If its own create is then refused again, others' instances are made, and ended for it at its next
//! try, in turn and without end. Ten minutes are enough for an instance to boot and to be given its container.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::instance::Offering;
use crate::time::{Timestamp, after, shift};

const LASTS: Duration = Duration::from_secs(600);

/// When each offering was last refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct VainCreates(#[serde(with = "crate::pairs")] BTreeMap<Offering, Timestamp>);

impl VainCreates {
    pub(super) fn note(&mut self, offering: Offering, now: Timestamp) {
        self.0.insert(offering, now);
    }

    pub(super) fn forget(&mut self, offering: &Offering) {
        self.0.remove(offering);
    }

    /// Whether it is of no use to make room for that offering.
    pub(super) fn has(&self, offering: &Offering, now: Timestamp) -> bool {
        self.0.get(offering).is_some_and(|at| now < after(*at, LASTS))
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.0.retain(|_, at| now < after(*at, LASTS));
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.0.values_mut().for_each(|at| shift(at, by));
    }
}
