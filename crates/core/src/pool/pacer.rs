//! Decides which worker is probed next: workers that a listing lacks come first, because whether their containers are
//! given up depends on it; then those with another urgent reason; then the others in turn. All within the allowed number
//! of probes a second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::InstanceId;
use crate::time::{Timestamp, after};

/// A timer may fire late. The probes that were due meanwhile are granted at once, but no more than this time holds.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Why a worker is probed: the first in this order are probed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A listing lacks it.
    Missing,
    /// It has another reason.
    OutOfTurn,
    /// It is its turn.
    InTurn,
}

/// The queue of probes. Scheduling and granting cost O(log workers).
#[derive(Debug, Default)]
pub(super) struct Pacer {
    wishes: BTreeMap<InstanceId, (Timestamp, Urgency)>,
    lines: BTreeMap<Urgency, BTreeSet<(Timestamp, InstanceId)>>,
    /// The earliest moment at which the rate allows a probe.
    next_slot: Option<Timestamp>,
}

impl Pacer {
    /// Notes when this worker wants to be probed; `None` = not at all.
    pub(super) fn schedule(&mut self, id: &InstanceId, wish: Option<(Timestamp, Urgency)>) {
        if let Some((at, urgent)) = self.wishes.remove(id) {
            self.line(urgent).remove(&(at, id.clone()));
        }
        if let Some((at, urgent)) = wish {
            self.wishes.insert(id.clone(), (at, urgent));
            self.line(urgent).insert((at, id.clone()));
        }
    }

    fn line(&mut self, urgency: Urgency) -> &mut BTreeSet<(Timestamp, InstanceId)> {
        self.lines.entry(urgency).or_default()
    }

    /// The workers to probe now. Each leaves the queue until its next view.
    pub(super) fn grant(&mut self, per_second: u32, now: Timestamp) -> Vec<InstanceId> {
        let gap = Duration::from_secs(1) / per_second.max(1);
        let mut granted = Vec::new();
        while self.next_slot.is_none_or(|slot| slot <= now) {
            let Some((due, id)) = self.pop_due(now) else { break };
            // The probe counts from when it could have been granted; time in which none was due is not saved.
            let missed = due.max(before(now, CATCH_UP));
            self.next_slot = Some(after(self.next_slot.map_or(missed, |slot| slot.max(missed)), gap));
            granted.push(id);
        }
        granted
    }

    fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, InstanceId)> {
        let due =
            |line: &BTreeSet<(Timestamp, InstanceId)>| line.first().filter(|(at, _)| *at <= now).cloned();
        let (at, id) = self.lines.values().find_map(due)?;
        self.schedule(&id, None);
        Some((at, id))
    }

    /// When a probe may be granted next.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        let earliest = self.lines.values().filter_map(|line| line.first()).map(|(at, _)| *at).min()?;
        Some(self.next_slot.map_or(earliest, |slot| slot.max(earliest)))
    }
}

/// `at - by`, at least the beginning of representable time.
fn before(at: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::Urgency::{InTurn, Missing, OutOfTurn};
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn id(name: &str) -> InstanceId {
        InstanceId::new(name).unwrap()
    }

    #[test]
    fn probes_are_spread_over_the_second() {
        let mut pacer = Pacer::default();
        for name in ["a", "b", "c"] {
            pacer.schedule(&id(name), Some((at(0), InTurn)));
        }
        assert_eq!(pacer.grant(10, at(0)), [id("a")]);
        assert_eq!(pacer.wakes_at(), Some(at(100)));
        assert_eq!(pacer.grant(10, at(100)), [id("b")]);
        assert_eq!(pacer.grant(10, at(150)), []);
        assert_eq!(pacer.grant(10, at(200)), [id("c")]);
    }

    /// A timer rounds up to a millisecond, and takes another until its actor runs: with a probe due every
    /// millisecond half of the rate was lost.
    #[test]
    fn the_rate_is_reached_although_each_timer_fires_late() {
        let mut pacer = Pacer::default();
        for n in 0..2000 {
            pacer.schedule(&id(&format!("vm-{n:04}")), Some((at(0), InTurn)));
        }
        let (mut now, mut granted) = (0, 0);
        while now < 1000 {
            granted += pacer.grant(1000, at(now)).len();
            let wakes = pacer.wakes_at().unwrap().as_millisecond();
            now = now.max(wakes) + 3;
        }
        assert!((950..=1000).contains(&granted), "{granted}");
    }

    #[test]
    fn no_more_is_caught_up_than_a_tenth_of_a_second_holds() {
        let mut pacer = Pacer::default();
        for n in 0..2000 {
            pacer.schedule(&id(&format!("vm-{n:04}")), Some((at(0), InTurn)));
        }
        assert_eq!(pacer.grant(1000, at(0)).len(), 1);
        assert_eq!(pacer.grant(1000, at(900)).len(), 101);
        assert_eq!(pacer.grant(1000, at(900)).len(), 0);
    }

    #[test]
    fn time_in_which_no_probe_was_due_is_not_saved() {
        let mut pacer = Pacer::default();
        for n in 0..100 {
            pacer.schedule(&id(&format!("vm-{n:02}")), Some((at(1000), InTurn)));
        }
        assert_eq!(pacer.grant(1000, at(1000)).len(), 1);
    }

    #[test]
    fn those_that_a_listing_lacks_go_first_and_then_those_with_another_reason() {
        let mut pacer = Pacer::default();
        pacer.schedule(&id("early"), Some((at(0), InTurn)));
        pacer.schedule(&id("urgent"), Some((at(50), OutOfTurn)));
        pacer.schedule(&id("missing"), Some((at(55), Missing)));
        assert_eq!(pacer.grant(10, at(60)), [id("missing")]);
        assert_eq!(pacer.grant(10, at(160)), [id("urgent")]);
        assert_eq!(pacer.grant(10, at(260)), [id("early")]);
    }

    #[test]
    fn nobody_is_probed_before_its_time_or_twice() {
        let mut pacer = Pacer::default();
        pacer.schedule(&id("a"), Some((at(1000), InTurn)));
        assert_eq!(pacer.grant(10, at(999)), []);
        assert_eq!(pacer.grant(10, at(1000)), [id("a")]);
        assert_eq!(pacer.grant(10, at(2000)), []);
        assert_eq!(pacer.wakes_at(), None);
    }
}
