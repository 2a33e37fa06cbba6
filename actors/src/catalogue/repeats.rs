//! A fault that comes back every round is logged once, and then once a minute with a count; so is one that strikes many
//! at a time.
//!
//! ```text
//!   the same fault of the same subject ─── within a minute ──► left out, counted
//!   the same fault of a sixth subject ──── within a minute ──► left out, counted       (warnings and errors)
//!   any other ──► logged, with the count of what was left out before
//! ```
//! A cloud at its limit, or a key that is refused, strikes a hundred VMs within a second: five lines say what there is to
//! say, and a hundred hide everything else. What becomes of each VM and container is told by events of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::time::{Timestamp, since};
use slog::Level;

use super::Event;

/// How long a repeated fault is kept quiet.
const QUIET: Duration = Duration::from_secs(60);
/// Of how many subjects a warning or an error is logged within that time.
const FEW: u32 = 5;

/// Which faults were logged when. Owned by one actor; its memory is bounded.
#[derive(Debug)]
pub struct Repeats {
    /// By message and subject.
    seen: BTreeMap<(&'static str, String), Seen>,
    /// By message.
    bursts: BTreeMap<&'static str, Burst>,
    capacity: usize,
}

/// What was logged of one message, whatever the subject, since a moment.
#[derive(Debug)]
struct Burst {
    began: Timestamp,
    logged: u32,
    left_out: u64,
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
        Self { seen: BTreeMap::new(), bursts: BTreeMap::new(), capacity: capacity.max(1) }
    }

    /// A fault has shown itself. `Some(n)`: log it now, n times have been left out since it was logged last, of this
    /// subject or of one too many; `None`: leave it out. `subject` tells faults of one kind apart (a container, an
    /// instance).
    pub fn note(&mut self, event: &Event, subject: &str, now: Timestamp) -> Option<u64> {
        let key = (event.message, subject.to_owned());
        let seen = self.seen.get_mut(&key);
        if let Some(seen) = seen.filter(|seen| since(now, seen.logged) < QUIET) {
            seen.left_out += 1;
            return None;
        }
        let of_others = self.is_one_of_few(event, now)?;
        if let Some(seen) = self.seen.get_mut(&key) {
            seen.logged = now;
            return Some(std::mem::take(&mut seen.left_out) + of_others);
        }
        self.make_room();
        self.seen.insert(key, Seen { logged: now, left_out: 0 });
        Some(of_others)
    }

    /// Counts a line of that message; `None` if it is one too many, otherwise how many were too many before.
    fn is_one_of_few(&mut self, event: &Event, now: Timestamp) -> Option<u64> {
        if !event.level.is_at_least(Level::Warning) {
            return Some(0);
        }
        let fresh = Burst { began: now, logged: 0, left_out: 0 };
        let burst = self.bursts.entry(event.message).or_insert(fresh);
        if since(now, burst.began) >= QUIET {
            (burst.began, burst.logged) = (now, 0);
        }
        if burst.logged >= FEW {
            burst.left_out += 1;
            return None;
        }
        burst.logged += 1;
        Some(std::mem::take(&mut burst.left_out))
    }

    /// What was left out and never told, because the fault did not come again for another minute: message and count.
    /// Each is returned once.
    pub fn untold(&mut self, now: Timestamp) -> Vec<(&'static str, u64)> {
        let mut untold = BTreeMap::new();
        for ((message, _), seen) in &mut self.seen {
            if since(now, seen.logged) >= 2 * QUIET {
                *untold.entry(*message).or_default() += std::mem::take(&mut seen.left_out);
            }
        }
        for (message, burst) in &mut self.bursts {
            if since(now, burst.began) >= 2 * QUIET {
                *untold.entry(*message).or_default() += std::mem::take(&mut burst.left_out);
            }
        }
        untold.into_iter().filter(|(_, n)| *n > 0).collect()
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
            // So that five a minute are logged.
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
        assert_eq!(repeats.len(), 10);
        assert_eq!(repeats.note(&SYNC_FAILED, "999", clock::now()), None, "the newest is remembered");
        assert_eq!(repeats.note(&SYNC_FAILED, "0", clock::now()), Some(0), "the oldest is not");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_strikes_many_at_once_is_few_lines_and_a_count() {
        let mut repeats = Repeats::default();
        let now = clock::now();
        let logged: Vec<_> =
            (0..100).filter_map(|vm| repeats.note(&SYNC_FAILED, &vm.to_string(), now)).collect();
        assert_eq!(logged, [0; 5]);
        assert_eq!(repeats.note(&UPDATE_FAILED, "7", now), Some(0), "another fault is not kept quiet");
        tokio::time::sleep(QUIET).await;
        let now = clock::now();
        let logged: Vec<_> =
            (0..100).filter_map(|vm| repeats.note(&SYNC_FAILED, &vm.to_string(), now)).collect();
        assert_eq!(logged, [95, 0, 0, 0, 0]);
        assert!(repeats.len() < 20, "what is not logged is not remembered: {}", repeats.len());
        // What is no fault is told of everybody.
        let told =
            (0..100).filter_map(|vm| repeats.note(&super::super::ACTION_REFUSED, &vm.to_string(), now));
        assert_eq!(told.count(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_left_out_is_told_once_if_the_fault_does_not_come_again() {
        let mut repeats = Repeats::default();
        for _ in 0..7 {
            repeats.note(&SYNC_FAILED, "", clock::now());
        }
        tokio::time::sleep(2 * QUIET - Duration::from_secs(1)).await;
        assert_eq!(repeats.untold(clock::now()), []);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(repeats.untold(clock::now()), [(SYNC_FAILED.message, 6)]);
        assert_eq!(repeats.untold(clock::now()), []);
    }
}
