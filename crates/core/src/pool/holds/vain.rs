//! Offerings that could not be had lately although the account had room: no room is made for them.
//!
//! ```text
//!   no capacity, refused, or its boot failed ─► for ten minutes it waits at a limit and stops nobody
//!        ├ room is made for it, and it is refused again ─► the same for twice as long, up to two hours
//!        └ it boots ─► forgotten
//! ```
//! At `MaxInstances` and at a quota a container that waits ends the placement, and instances without a container make
//! room for it. If its own create is then refused again, others' instances are made, and ended for it at its next
//! try, in turn and without end. Ten minutes are enough for an instance to boot and to be given its container. If one
//! needs longer, or will never boot and that is not known yet, the time grows until it is enough.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::instance::Offering;
use crate::time::{Timestamp, after, shift};

const FIRST: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(2 * 3600);

/// The last refusal of an offering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct VainCreate {
    at: Timestamp,
    lasts: Duration,
}

impl VainCreate {
    fn ends(&self) -> Timestamp {
        after(self.at, self.lasts)
    }
}

/// How each offering was last refused. What is over is remembered for as long again, so that the next is longer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct VainCreates(#[serde(with = "crate::pairs")] BTreeMap<Offering, VainCreate>);

impl VainCreates {
    pub(super) fn note(&mut self, offering: Offering, now: Timestamp) {
        let lasts = match self.0.get(&offering) {
            None => FIRST,
            Some(before) if now < before.ends() => before.lasts,
            Some(before) => (before.lasts * 2).min(LONGEST),
        };
        self.0.insert(offering, VainCreate { at: now, lasts });
    }

    pub(super) fn forget(&mut self, offering: &Offering) {
        self.0.remove(offering);
    }

    /// Whether it is of no use to make room for that offering.
    pub(super) fn has(&self, offering: &Offering, now: Timestamp) -> bool {
        self.0.get(offering).is_some_and(|it| now < it.ends())
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.0.retain(|_, it| now < after(it.ends(), it.lasts));
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.0.values_mut().for_each(|it| shift(&mut it.at, by));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, policy};

    #[test]
    fn the_time_doubles_with_each_refusal_after_its_end_and_not_with_those_before() {
        let offering = policy().catalog.types()[0].offering();
        let mut vain = VainCreates::default();
        let (mut now, mut ends) = (0, Vec::new());
        for _ in 0..6 {
            vain.note(offering.clone(), at(now));
            vain.note(offering.clone(), at(now + 10));
            let end = (now..now + 10_000).find(|second| !vain.has(&offering, at(*second))).unwrap();
            ends.push(end - now - 10);
            now = end;
            vain.expire(at(now));
        }
        assert_eq!(ends, [600, 1200, 2400, 4800, 7200, 7200]);
        vain.expire(at(now + 7200));
        vain.note(offering.clone(), at(now + 7200));
        assert!(!vain.has(&offering, at(now + 7200 + 600)), "what is long over is forgotten");
    }
}
