//! Reads that are answered by a replica of the database: it shows the records as they were up to a second or so ago, and
//! not always equally late. Changes and their answers are the primary's, and so is what a crunch-run reads.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dispatch_core::id::ContainerUuid;
use dispatch_core::time::{Timestamp, since};

use super::FakeArvados;
use super::state::Container;

/// A replica, and what it needs to remember.
#[derive(Debug)]
pub struct Replica {
    /// The most that it is late.
    pub lag: Duration,
    /// Records as they were before their changes, oldest first; `None`: it did not exist.
    past: VecDeque<(Timestamp, ContainerUuid, Option<Container>)>,
}

impl Replica {
    /// One that is at most so late.
    pub fn new(lag: Duration) -> Self {
        Self { lag, past: VecDeque::new() }
    }

    /// A record changes now, and was that before.
    pub(super) fn note(&mut self, uuid: ContainerUuid, before: Option<Container>, now: Timestamp) {
        self.past.push_back((now, uuid, before));
        while self.past.front().is_some_and(|(at, ..)| since(now, *at) > self.lag) {
            self.past.pop_front();
        }
    }

    /// What has changed later than at that moment, as it was then.
    fn as_of(&self, moment: Timestamp) -> BTreeMap<ContainerUuid, Option<&Container>> {
        let mut then = BTreeMap::new();
        for (_, uuid, before) in self.past.iter().filter(|(at, ..)| *at > moment) {
            then.entry(*uuid).or_insert(before.as_ref());
        }
        then
    }
}

impl FakeArvados {
    /// A record changes now, and was that before.
    pub(super) fn note_change(&mut self, uuid: ContainerUuid, before: Option<Container>, now: Timestamp) {
        if let Some(replica) = &mut self.replica {
            replica.note(uuid, before, now);
        }
    }

    /// All records as they were at that moment, by uuid. Without a replica, and before what it remembers: as they are.
    pub(super) fn as_of(&self, moment: Timestamp) -> Vec<&Container> {
        let mut then = self.replica.as_ref().map(|it| it.as_of(moment)).unwrap_or_default();
        if then.is_empty() {
            return self.containers.values().collect();
        }
        let present = self.containers.iter().map(|(uuid, it)| (*uuid, it));
        let unchanged: Vec<_> = present.filter(|(uuid, _)| !then.contains_key(uuid)).collect();
        then.extend(unchanged.into_iter().map(|(uuid, it)| (uuid, Some(it))));
        then.into_values().flatten().collect()
    }

    /// One record as it was at that moment.
    pub(super) fn record_as_of(&self, uuid: ContainerUuid, moment: Timestamp) -> Option<&Container> {
        let then = self.replica.as_ref().map(|it| it.as_of(moment)).unwrap_or_default();
        then.get(&uuid).copied().unwrap_or_else(|| self.containers.get(&uuid))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use crate::clock::epoch;
    use crate::world::job;
    use dispatch_core::time::after;

    fn at(millis: u64) -> Timestamp {
        after(epoch(), Duration::from_millis(millis))
    }

    #[test]
    fn it_shows_what_was_and_forgets_what_is_older_than_its_lag() {
        let mut arvados = FakeArvados::new(1, Settings::default());
        arvados.replica = Some(Replica::new(Duration::from_secs(1)));
        let uuid = arvados.submit(job(1, 1), at(0));
        let first = arvados.container(uuid).unwrap().priority;
        arvados.set_priority(uuid, 7, at(500));
        arvados.set_priority(uuid, 8, at(900));
        let priority = |moment| arvados.record_as_of(uuid, at(moment)).map(|it| it.priority);
        assert_eq!([400, 500, 899, 900].map(priority), [Some(first), Some(7), Some(7), Some(8)]);
        assert_eq!(arvados.as_of(at(600))[0].priority, 7);
        assert_eq!(arvados.as_of(at(900))[0].priority, 8);
        arvados.delete(uuid, at(2_000));
        assert!(arvados.as_of(at(2_000)).is_empty());
        assert_eq!(arvados.as_of(at(1_999)).len(), 1);
        let known = arvados.replica.as_ref().unwrap().past.len();
        assert_eq!(known, 1, "the changes of long ago are not needed");
    }

    #[test]
    fn what_did_not_exist_is_not_shown() {
        let mut arvados = FakeArvados::new(1, Settings::default());
        arvados.replica = Some(Replica::new(Duration::from_secs(1)));
        let uuid = arvados.submit(job(1, 1), at(100));
        assert!(arvados.as_of(at(99)).is_empty());
        assert!(arvados.record_as_of(uuid, at(99)).is_none());
        assert_eq!(arvados.as_of(at(100)).len(), 1);
    }
}
