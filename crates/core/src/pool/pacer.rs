//! Decides which worker is probed next: workers with an urgent reason come first, then the others in turn, within
//! the allowed number of probes a second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::InstanceId;
use crate::time::{Timestamp, after};

/// The queue of probes. Scheduling and granting cost O(log workers).
#[derive(Debug, Default)]
pub(super) struct Pacer {
    wishes: BTreeMap<InstanceId, (Timestamp, bool)>,
    urgent: BTreeSet<(Timestamp, InstanceId)>,
    regular: BTreeSet<(Timestamp, InstanceId)>,
    /// The earliest moment at which the rate allows a probe.
    next_slot: Option<Timestamp>,
}

impl Pacer {
    /// Notes when this worker wants to be probed (true = out of turn); `None` = not at all.
    pub(super) fn schedule(&mut self, id: &InstanceId, wish: Option<(Timestamp, bool)>) {
        if let Some((at, urgent)) = self.wishes.remove(id) {
            self.line(urgent).remove(&(at, id.clone()));
        }
        if let Some((at, urgent)) = wish {
            self.wishes.insert(id.clone(), (at, urgent));
            self.line(urgent).insert((at, id.clone()));
        }
    }

    fn line(&mut self, urgent: bool) -> &mut BTreeSet<(Timestamp, InstanceId)> {
        if urgent { &mut self.urgent } else { &mut self.regular }
    }

    /// The workers to probe now. Each leaves the queue until its next view.
    pub(super) fn grant(&mut self, per_second: u32, now: Timestamp) -> Vec<InstanceId> {
        let gap = Duration::from_secs(1) / per_second.max(1);
        let mut granted = Vec::new();
        while self.next_slot.is_none_or(|slot| slot <= now) {
            let Some(id) = self.pop_due(now) else { break };
            // Unused time is not saved for later.
            self.next_slot = Some(after(self.next_slot.map_or(now, |slot| slot.max(now)), gap));
            granted.push(id);
        }
        granted
    }

    fn pop_due(&mut self, now: Timestamp) -> Option<InstanceId> {
        let due =
            |line: &BTreeSet<(Timestamp, InstanceId)>| line.first().filter(|(at, _)| *at <= now).cloned();
        let (_, id) = due(&self.urgent).or_else(|| due(&self.regular))?;
        self.schedule(&id, None);
        Some(id)
    }

    /// When a probe may be granted next.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        let earliest =
            [self.urgent.first(), self.regular.first()].into_iter().flatten().map(|(at, _)| *at).min()?;
        Some(self.next_slot.map_or(earliest, |slot| slot.max(earliest)))
    }
}

#[cfg(test)]
mod tests {
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
            pacer.schedule(&id(name), Some((at(0), false)));
        }
        assert_eq!(pacer.grant(10, at(0)), [id("a")]);
        assert_eq!(pacer.wakes_at(), Some(at(100)));
        assert_eq!(pacer.grant(10, at(100)), [id("b")]);
        assert_eq!(pacer.grant(10, at(150)), []);
        assert_eq!(pacer.grant(10, at(200)), [id("c")]);
    }

    #[test]
    fn those_with_a_reason_go_first() {
        let mut pacer = Pacer::default();
        pacer.schedule(&id("early"), Some((at(0), false)));
        pacer.schedule(&id("urgent"), Some((at(50), true)));
        assert_eq!(pacer.grant(10, at(60)), [id("urgent")]);
    }

    #[test]
    fn nobody_is_probed_before_its_time_or_twice() {
        let mut pacer = Pacer::default();
        pacer.schedule(&id("a"), Some((at(1000), false)));
        assert_eq!(pacer.grant(10, at(999)), []);
        assert_eq!(pacer.grant(10, at(1000)), [id("a")]);
        assert_eq!(pacer.grant(10, at(2000)), []);
        assert_eq!(pacer.wakes_at(), None);
    }
}
