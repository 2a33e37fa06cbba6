//! Decides which worker is probed next: workers that a listing lacks come first, because whether their containers are
//! given up depends on it; then those on which the end of a process was told, because a place may be free there; then
//! those with another urgent reason; then the others in turn. All within the allowed number of probes a second.
//!
//! ```text
//!   listing lacks it, end told ─► at once, as long as no second has more than the rate ─┐
//!   another reason, its turn ───► evenly, a slot each ──────────────────────────────────┴─► each moves the next slot
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::id::InstanceId;
use crate::time::{Timestamp, after};

/// A timer may fire late. The probes that were due meanwhile are granted at once, but no more than this time holds.
const CATCH_UP: Duration = Duration::from_millis(100);

const SECOND: Duration = Duration::from_secs(1);

/// Why a worker is probed: the first in this order are probed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A listing lacks it.
    Missing,
    /// The end of a process there was told.
    EndHinted,
    /// It has another reason.
    OutOfTurn,
    /// It is its turn.
    InTurn,
}

impl Urgency {
    /// Whether it does not wait for a slot while the second has room: jobs that end together would wait for each other.
    fn skips_slots(self) -> bool {
        match self {
            Self::Missing | Self::EndHinted => true,
            Self::OutOfTurn | Self::InTurn => false,
        }
    }
}

/// The queue of probes. Scheduling and granting cost O(log workers).
#[derive(Debug, Default)]
pub(super) struct Pacer {
    wishes: BTreeMap<InstanceId, (Timestamp, Urgency)>,
    lines: BTreeMap<Urgency, BTreeSet<(Timestamp, InstanceId)>>,
    /// The earliest moment at which the next slot is free.
    next_slot: Option<Timestamp>,
    /// When the probes of the last second were granted.
    granted: VecDeque<Timestamp>,
    /// The second is full until then.
    full_until: Option<Timestamp>,
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
        let gap = SECOND / per_second.max(1);
        let mut granted = Vec::new();
        self.look_at_second(per_second, now);
        while let Some((due, id)) = self.pop_due(now) {
            // The probe counts from when it could have been granted; time in which none was due is not saved.
            let missed = due.max(before(now, CATCH_UP));
            self.next_slot = Some(after(self.next_slot.map_or(missed, |slot| slot.max(missed)), gap));
            self.granted.push_back(now);
            self.look_at_second(per_second, now);
            granted.push(id);
        }
        granted
    }

    /// Forgets what was granted more than a second ago, and notes whether the last second has room.
    fn look_at_second(&mut self, per_second: u32, now: Timestamp) {
        while self.granted.front().is_some_and(|at| after(*at, SECOND) <= now) {
            self.granted.pop_front();
        }
        let is_full = self.granted.len() >= per_second.max(1) as usize;
        self.full_until = self.granted.front().filter(|_| is_full).map(|at| after(*at, SECOND));
    }

    fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, InstanceId)> {
        let due = |(urgency, line): (&Urgency, &BTreeSet<(Timestamp, InstanceId)>)| {
            let first = line.first().filter(|(at, _)| *at <= now);
            first.filter(|_| self.opens_at(*urgency).is_none_or(|from| from <= now)).cloned()
        };
        let (at, id) = self.lines.iter().find_map(due)?;
        self.schedule(&id, None);
        Some((at, id))
    }

    /// From when on the rate allows a probe of that urgency; `None` = at any time.
    fn opens_at(&self, urgency: Urgency) -> Option<Timestamp> {
        if urgency.skips_slots() { self.next_slot.min(self.full_until) } else { self.next_slot }
    }

    /// When a probe may be granted next.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        let of_line = |(urgency, line): (&Urgency, &BTreeSet<(Timestamp, InstanceId)>)| {
            let (earliest, _) = line.first()?;
            Some(self.opens_at(*urgency).map_or(*earliest, |opens| opens.max(*earliest)))
        };
        self.lines.iter().filter_map(of_line).min()
    }
}

/// `at - by`, at least the beginning of representable time.
fn before(at: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::Urgency::{EndHinted, InTurn, Missing, OutOfTurn};
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

    /// Twenty jobs of the same length end together: the last place would be seen two seconds later.
    #[test]
    fn ends_that_are_told_together_share_the_second_and_no_second_has_more_than_the_rate() {
        let mut pacer = Pacer::default();
        for n in 0..25 {
            pacer.schedule(&id(&format!("vm-{n:02}")), Some((at(0), EndHinted)));
            pacer.schedule(&id(&format!("other-{n:02}")), Some((at(0), InTurn)));
        }
        let mut granted = Vec::new();
        while let Some(wakes) = pacer.wakes_at() {
            let now = at(wakes.as_millisecond().max(0));
            granted.extend(pacer.grant(10, now).into_iter().map(|id| (now.as_millisecond(), id)));
        }
        let hinted: Vec<_> =
            granted.iter().filter(|(_, id)| id.as_str().starts_with("vm")).map(|(at, _)| *at).collect();
        assert_eq!(hinted[..10], [0; 10]);
        assert!(hinted[20..].iter().all(|at| *at <= 2_000), "{hinted:?}");
        assert_eq!(granted.len(), 50);
        for (n, (at, _)) in granted.iter().enumerate().skip(10) {
            assert!(at - granted[n - 10].0 >= 1_000, "more than ten in the second before {at}");
        }
    }

    #[test]
    fn an_end_that_was_told_goes_before_other_reasons_and_after_those_that_a_listing_lacks() {
        let mut pacer = Pacer::default();
        pacer.schedule(&id("urgent"), Some((at(0), OutOfTurn)));
        pacer.schedule(&id("told"), Some((at(60), EndHinted)));
        pacer.schedule(&id("missing"), Some((at(60), Missing)));
        assert_eq!(pacer.grant(10, at(60)), [id("missing"), id("told")]);
        assert_eq!(pacer.wakes_at(), Some(at(260)), "each has taken a slot");
        assert_eq!(pacer.grant(10, at(260)), [id("urgent")]);
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
