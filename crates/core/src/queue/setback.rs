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

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, after, shift};

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
    /// What else has failed before it and has not succeeded since; each cause once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Box<Setback>>,
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
        let (failures, earlier) = history(before, cause);
        let (failures, lifted) = (failures + 1, false);
        Self { cause, failures, at, until: after(at, back_off(failures)), error, shared, lifted, earlier }
    }

    /// The record was read and stands otherwise than we had believed: the next poll shows it anew.
    pub(super) fn until_next_poll(
        before: Option<&Self>,
        cause: SetbackCause,
        error: String,
        at: Timestamp,
    ) -> Self {
        let (failures, earlier) = history(before, cause);
        Self { cause, failures, at, until: at, error, shared: false, lifted: false, earlier }
    }

    /// What has failed last, what before it, and so on.
    pub(super) fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |it| it.earlier.as_deref())
    }

    /// The last failure of that cause, without what failed before and after it.
    fn of(&self, cause: SetbackCause) -> Option<&Self> {
        self.all().find(|it| it.cause == cause)
    }

    /// Whether anything that failed is not tried.
    pub fn is_active(&self) -> bool {
        self.all().any(|it| !it.lifted)
    }

    /// Whether that has failed, and is not tried.
    pub(super) fn forbids(&self, cause: SetbackCause) -> bool {
        self.of(cause).is_some_and(|it| !it.lifted)
    }

    /// Whether that has failed.
    pub(super) fn has(&self, cause: SetbackCause) -> bool {
        self.of(cause).is_some()
    }

    /// Whether some back-off is not over then.
    pub(super) fn lasts_at(&self, now: Timestamp) -> bool {
        self.all().any(|it| now < it.until)
    }

    /// That has succeeded: what is left.
    pub(super) fn without(self, cause: SetbackCause) -> Option<Self> {
        let earlier = self.earlier.and_then(|it| it.without(cause));
        if self.cause == cause { earlier } else { Some(Self { earlier: earlier.map(Box::new), ..self }) }
    }

    fn for_each(&mut self, mut change: impl FnMut(&mut Self)) {
        let mut next = Some(self);
        while let Some(it) = next {
            change(it);
            next = it.earlier.as_deref_mut();
        }
    }

    /// Moves all its moments.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.for_each(|it| {
            shift(&mut it.at, by);
            shift(&mut it.until, by);
        });
    }

    /// The outage in which it failed is over: the next poll that shows the container lifts the setback.
    pub(super) fn outage_is_over(&mut self, cause: SetbackCause) {
        self.for_each(|it| {
            if it.shared && it.cause == cause {
                it.until = it.at;
            }
        });
    }

    /// A poll that began then shows the container; it is `now`.
    pub(super) fn seen_by_poll(&mut self, began: Timestamp, now: Timestamp) {
        self.for_each(|it| it.lifted |= began > it.at && now >= it.until);
    }
}

/// How often that has failed before, and what else has.
fn history(before: Option<&Setback>, cause: SetbackCause) -> (u32, Option<Box<Setback>>) {
    let failures = before.and_then(|it| it.of(cause)).map_or(0, |it| it.failures);
    (failures, before.cloned().and_then(|it| it.without(cause)).map(Box::new))
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
            setback.outage_is_over(SetbackCause::Lock);
            setback.seen_by_poll(at(2), at(3));
            assert_eq!(setback.lifted, shared);
        }
    }

    /// Found by chaos (seed 1795956289007996): its lock and its mounts failed in turn, and neither back-off doubled.
    #[test]
    fn each_cause_has_its_own_count_whatever_fails_or_succeeds_in_between() {
        let fail_by = |before: &Setback, cause, second| {
            Setback::after(Some(before), cause, "no".to_owned(), false, at(second))
        };
        let lock = fail(Some(&fail(None, 0)), 0);
        let mounts = fail_by(&lock, SetbackCause::Mounts, 1);
        let both = fail_by(&mounts, SetbackCause::Lock, 2);
        assert_eq!((lock.failures, mounts.failures, both.failures), (2, 1, 3));
        assert_eq!(
            both.all().map(|it| it.cause).collect::<Vec<_>>(),
            [SetbackCause::Lock, SetbackCause::Mounts]
        );
        assert!(mounts.forbids(SetbackCause::Lock) && mounts.forbids(SetbackCause::Mounts));
        assert!(!mounts.has(SetbackCause::Cancel));
        let read = mounts.without(SetbackCause::Mounts).unwrap();
        assert_eq!(read, lock, "what had failed before is not forgotten with it");
        assert_eq!(read.without(SetbackCause::Lock), None);
    }

    #[test]
    fn a_poll_lifts_each_cause_when_its_own_back_off_is_over() {
        let mut lock = fail(None, 0);
        for _ in 0..3 {
            lock = fail(Some(&lock), 0);
        }
        let mut both = Setback::after(Some(&lock), SetbackCause::Mounts, "no".to_owned(), false, at(1));
        both.seen_by_poll(at(2), at(10));
        assert!(both.forbids(SetbackCause::Lock) && !both.forbids(SetbackCause::Mounts) && both.is_active());
        both.seen_by_poll(at(2), at(40));
        assert!(!both.is_active());
    }
}
