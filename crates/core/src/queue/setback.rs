//! A container that something keeps failing for: it is left alone for a while, and no other container waits for it.
//!
//! ```text
//!   lock, unlock, cancel or the reading of mounts fails ─► set back: the same is not tried, nothing is reserved
//!        └ a later poll shows it again, and its back-off is over ─► lifted: one try, at its own rank
//!             ├ it succeeds ─► no setback
//!             └ it fails ────► set back again, for twice as long (5 s doubling to 10 min)
//! ```
//! A failure in which others share ([`super::shared_failures`]) says little about the container. When a success shows
//! that the outage is over, the back-off of all who shared in it is over, too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, after};

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(600);

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SetbackCause {
    /// Its lock.
    Lock,
    /// The unlock that gives its lock back.
    Unlock,
    /// Its cancel.
    Cancel,
    /// The reading of its mounts.
    Mounts,
}

impl SetbackCause {
    /// For users, in a sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "its lock failed",
            Self::Unlock => "its unlock failed",
            Self::Cancel => "its cancel failed",
            Self::Mounts => "its mounts could not be read",
        }
    }
}

/// What failed for a container, and until when it is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setback {
    /// What failed last.
    pub cause: SetbackCause,
    /// How often that has failed in a row.
    pub failures: u32,
    /// When it failed last.
    pub at: Timestamp,
    /// The end of the back-off.
    pub until: Timestamp,
    /// What the controller answered.
    pub error: String,
    /// Whether other containers shared in the last failure.
    pub shared: bool,
    /// Whether the back-off is over and a later poll has shown the container again: it has one try.
    pub lifted: bool,
}

impl Setback {
    /// The next failure, after `before`; `shared` = other containers share in it.
    pub(super) fn after(
        before: Option<&Self>,
        cause: SetbackCause,
        error: String,
        shared: bool,
        at: Timestamp,
    ) -> Self {
        let failures = before.filter(|it| it.cause == cause).map_or(0, |it| it.failures) + 1;
        Self { cause, failures, at, until: after(at, back_off(failures)), error, shared, lifted: false }
    }

    /// The record was read and stands otherwise than we had believed: the next poll shows it anew.
    pub(super) fn until_next_poll(
        before: Option<&Self>,
        cause: SetbackCause,
        error: String,
        at: Timestamp,
    ) -> Self {
        let failures = before.filter(|it| it.cause == cause).map_or(0, |it| it.failures);
        Self { cause, failures, at, until: at, error, shared: false, lifted: false }
    }

    /// Whether what failed is not tried.
    pub fn is_active(&self) -> bool {
        !self.lifted
    }

    /// The outage in which it failed is over: the next poll that shows the container lifts the setback.
    pub(super) fn outage_is_over(&mut self) {
        if self.shared {
            self.until = self.at;
        }
    }

    /// A poll that began then shows the container; it is `now`.
    pub(super) fn seen_by_poll(&mut self, began: Timestamp, now: Timestamp) {
        self.lifted |= began > self.at && now >= self.until;
    }
}

fn back_off(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST.saturating_mul(doubled).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn fail(before: Option<&Setback>, second: i64) -> Setback {
        Setback::after(before, SetbackCause::Lock, "no".to_owned(), false, at(second))
    }

    #[test]
    fn the_back_off_doubles_to_ten_minutes() {
        let mut last = fail(None, 0);
        let mut waits = vec![last.until.as_second()];
        for _ in 0..8 {
            last = fail(Some(&last), 0);
            waits.push(last.until.as_second());
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn it_is_lifted_by_a_later_poll_after_its_end_and_by_no_other() {
        for (began, now, lifted) in [(0, 20, false), (2, 4, false), (2, 5, true), (1, 20, false)] {
            let mut setback = fail(None, 1);
            setback.until = at(5);
            setback.seen_by_poll(at(began), at(now));
            assert_eq!(setback.lifted, lifted, "a poll from {began} to {now}");
        }
    }

    #[test]
    fn the_end_of_an_outage_ends_the_back_off_of_those_who_shared_in_it() {
        for shared in [true, false] {
            let mut setback = Setback::after(None, SetbackCause::Lock, "no".to_owned(), shared, at(1));
            setback.outage_is_over();
            setback.seen_by_poll(at(2), at(3));
            assert_eq!(setback.lifted, shared);
        }
    }

    #[test]
    fn another_cause_begins_anew() {
        let lock = fail(Some(&fail(None, 0)), 0);
        let cancel = Setback::after(Some(&lock), SetbackCause::Cancel, "no".to_owned(), false, at(0));
        assert_eq!((lock.failures, cancel.failures), (2, 1));
    }
}
