//! A fault that comes back every round is logged once, and then once a minute with a count.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::time::{Timestamp, since};

use super::Event;

/// How long a repeated fault is kept quiet.
const QUIET: Duration = Duration::from_secs(60);

/// Which faults were logged when. Owned by one actor; its memory is bounded.
#[derive(Debug)]
pub struct Repeats {
    /// By message and subject.
    seen: BTreeMap<(&'static str, String), Seen>,
    capacity: usize,
}

#[derive(Debug)]
struct Seen {
    logged: Timestamp,
    left_out: u64,
}

impl Default for Repeats {
    /// Room for 1,000 faults at a time.
    fn default() -> Self {
        Self::with_capacity(1000)
    }
}

impl Repeats {
    /// Room for that many faults; beyond it the one logged longest ago is forgotten.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { seen: BTreeMap::new(), capacity: capacity.max(1) }
    }

    /// A fault has shown itself. `Some(n)`: log it now, n times have been left out since it was logged last;
    /// `None`: leave it out. `subject` tells faults of one kind apart (a container, an instance).
    pub fn note(&mut self, event: &Event, subject: &str, now: Timestamp) -> Option<u64> {
        let key = (event.message, subject.to_owned());
        if let Some(seen) = self.seen.get_mut(&key) {
            if since(now, seen.logged) < QUIET {
                seen.left_out += 1;
                return None;
            }
            seen.logged = now;
            return Some(std::mem::take(&mut seen.left_out));
        }
        self.make_room();
        self.seen.insert(key, Seen { logged: now, left_out: 0 });
        Some(0)
    }

    /// The fault is over: when it comes again it is a new one, and logged at once.
    pub fn clear(&mut self, event: &Event, subject: &str) {
        self.seen.remove(&(event.message, subject.to_owned()));
    }

    /// How many faults are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn make_room(&mut self) {
        while self.seen.len() >= self.capacity {
            let oldest = self.seen.iter().min_by_key(|(_, seen)| seen.logged).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SYNC_FAILED, UPDATE_FAILED};
    use super::*;
    use crate::clock;

    #[tokio::test(start_paused = true)]
    async fn the_same_fault_every_round_is_logged_once_a_minute_with_a_count() {
        let mut repeats = Repeats::default();
        let mut logged = Vec::new();
        for round in 0..13 {
            if let Some(left_out) = repeats.note(&UPDATE_FAILED, "", clock::now()) {
                logged.push((round, left_out));
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        assert_eq!(logged, [(0, 0), (6, 5), (12, 5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn faults_of_other_kinds_and_subjects_are_told_apart() {
        let mut repeats = Repeats::default();
        let now = clock::now();
        assert_eq!(repeats.note(&UPDATE_FAILED, "a", now), Some(0));
        assert_eq!(repeats.note(&UPDATE_FAILED, "b", now), Some(0));
        assert_eq!(repeats.note(&SYNC_FAILED, "a", now), Some(0));
        assert_eq!(repeats.note(&UPDATE_FAILED, "a", now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_was_over_is_logged_at_once_when_it_comes_again() {
        let mut repeats = Repeats::default();
        repeats.note(&SYNC_FAILED, "", clock::now());
        repeats.clear(&SYNC_FAILED, "");
        assert_eq!(repeats.note(&SYNC_FAILED, "", clock::now()), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut repeats = Repeats::with_capacity(10);
        for subject in 0..1000 {
            repeats.note(&SYNC_FAILED, &subject.to_string(), clock::now());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(repeats.len(), 10);
        assert_eq!(repeats.note(&SYNC_FAILED, "999", clock::now()), None, "the newest is remembered");
        assert_eq!(repeats.note(&SYNC_FAILED, "0", clock::now()), Some(0), "the oldest is not");
    }
}
