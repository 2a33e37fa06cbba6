//! Whether failures are the controller's, and no single container's.
//!
//! ```text
//!   a list fails ───────────────────────────────────────────────┐
//!   calls of one kind fail for two containers within a minute, ─┴─► shared: operations pause, 1 s doubling to 30 s
//!   and none of that kind succeeds in between                        └ an operation succeeds ─► as before
//! ```
//! An answer 4xx never counts: it is about what was asked, and the server that gives it is well. So the trouble of
//! one container slows no other, and a controller in trouble is not asked by every container in turn. The first
//! success after a minute or more without one ends an outage.

use std::collections::BTreeMap;
use std::time::Duration;

use super::setback::SetbackCause;
use crate::id::ContainerUuid;
use crate::ports::ApiErrorKind;
use crate::time::{Timestamp, after, since};

/// Failures within this time of each other may be one trouble.
const TOGETHER: Duration = Duration::from_secs(60);
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// What has failed lately. All operations cost O(failures within a minute).
#[derive(Debug, Default)]
pub(super) struct SharedFailures {
    /// The last failure of each container, by what failed.
    failed: BTreeMap<(SetbackCause, ContainerUuid), Timestamp>,
    /// The first failure since the last success, by what failed.
    failing_since: BTreeMap<SetbackCause, Timestamp>,
    pause: Duration,
    until: Option<Timestamp>,
}

impl SharedFailures {
    /// A call about a container has failed. True = others share in the failure, so it says nothing about this one.
    pub(super) fn failed(
        &mut self,
        cause: SetbackCause,
        uuid: ContainerUuid,
        kind: ApiErrorKind,
        now: Timestamp,
    ) -> bool {
        if is_about_what_was_asked(kind) {
            return false;
        }
        self.failed.retain(|_, at| since(now, *at) <= TOGETHER);
        self.failed.insert((cause, uuid), now);
        self.failing_since.entry(cause).or_insert(now);
        let others = self.failed.keys().filter(|(failed, _)| *failed == cause).count();
        let is_shared = others >= 2;
        if is_shared && pauses(kind) {
            self.pause(now);
        }
        is_shared
    }

    /// A list has failed.
    pub(super) fn list_failed(&mut self, kind: ApiErrorKind, now: Timestamp) {
        if pauses(kind) {
            self.pause(now);
        }
    }

    /// An operation of this kind has succeeded: what fails from now on has another cause. True = an outage is over.
    pub(super) fn succeeded(&mut self, cause: SetbackCause, now: Timestamp) -> bool {
        let since_first = self.failing_since.remove(&cause).map(|first| since(now, first));
        self.failed.retain(|(failed, _), _| *failed != cause);
        (self.pause, self.until) = (Duration::ZERO, None);
        since_first.is_some_and(|lasted| lasted >= TOGETHER)
    }

    /// No operation is begun before then.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| now < *until)
    }

    /// Failures of calls that were in flight together count once.
    fn pause(&mut self, now: Timestamp) {
        if self.paused_until(now).is_none() {
            self.pause = self.pause.saturating_mul(2).clamp(FIRST, LONGEST);
            self.until = Some(after(now, self.pause));
        }
    }
}

/// After a 503 fewer calls are made at a time already, and fewer containers run ([`super::limiter`], the ceiling):
/// both follow the load within seconds, and a pause in which locks pile up would only make waves of it.
fn pauses(kind: ApiErrorKind) -> bool {
    kind != ApiErrorKind::Overloaded && !is_about_what_was_asked(kind)
}

fn is_about_what_was_asked(kind: ApiErrorKind) -> bool {
    match kind {
        ApiErrorKind::NotSent
        | ApiErrorKind::Unauthorized
        | ApiErrorKind::Forbidden
        | ApiErrorKind::NotFound
        | ApiErrorKind::Refused => true,
        ApiErrorKind::Overloaded
        | ApiErrorKind::Server
        | ApiErrorKind::Timeout
        | ApiErrorKind::Connection
        | ApiErrorKind::Malformed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn fail(trouble: &mut SharedFailures, n: u64, second: i64) -> bool {
        trouble.failed(SetbackCause::Lock, uuid(n), ApiErrorKind::Server, at(second))
    }

    #[test]
    fn one_container_alone_is_no_trouble_of_the_controller() {
        let mut trouble = SharedFailures::default();
        for second in 0..100 {
            assert!(!fail(&mut trouble, 1, second));
        }
        assert_eq!(trouble.paused_until(at(100)), None);
    }

    #[test]
    fn two_containers_within_a_minute_are() {
        let mut trouble = SharedFailures::default();
        fail(&mut trouble, 1, 0);
        assert!(!fail(&mut trouble, 2, 61));
        assert!(fail(&mut trouble, 1, 62));
        assert_eq!(trouble.paused_until(at(62)), Some(at(63)));
    }

    #[test]
    fn the_pause_doubles_and_failures_in_flight_together_count_once() {
        let mut trouble = SharedFailures::default();
        fail(&mut trouble, 1, 0);
        for n in 2..8 {
            fail(&mut trouble, n, 0);
        }
        assert_eq!(trouble.paused_until(at(0)), Some(at(1)));
        fail(&mut trouble, 1, 1);
        assert_eq!(trouble.paused_until(at(1)), Some(at(3)));
        for second in 2..200 {
            fail(&mut trouble, 1, second);
        }
        assert!(trouble.until <= Some(at(230)), "{trouble:?}");
    }

    #[test]
    fn a_success_in_between_shows_that_it_is_about_the_containers() {
        let mut trouble = SharedFailures::default();
        fail(&mut trouble, 1, 0);
        trouble.succeeded(SetbackCause::Unlock, at(0));
        assert!(fail(&mut trouble, 2, 1), "an unlock proves nothing about locks");
        trouble.succeeded(SetbackCause::Lock, at(1));
        assert!(!fail(&mut trouble, 3, 2));
        assert_eq!(trouble.paused_until(at(2)), None);
    }

    #[test]
    fn the_first_success_after_a_minute_of_failures_ends_an_outage() {
        for (lasted, ends) in [(59, false), (60, true)] {
            let mut trouble = SharedFailures::default();
            fail(&mut trouble, 1, 0);
            fail(&mut trouble, 2, 1);
            assert_eq!(trouble.succeeded(SetbackCause::Lock, at(lasted)), ends);
            assert!(!trouble.succeeded(SetbackCause::Lock, at(lasted + 60)), "it has ended");
        }
    }

    #[test]
    fn a_refusal_counts_for_nothing() {
        let mut trouble = SharedFailures::default();
        for n in 0..9 {
            assert!(!trouble.failed(SetbackCause::Lock, uuid(n), ApiErrorKind::Refused, at(0)));
        }
        assert_eq!(trouble.paused_until(at(0)), None);
    }

    #[test]
    fn a_list_that_fails_pauses_operations() {
        let mut trouble = SharedFailures::default();
        trouble.list_failed(ApiErrorKind::Timeout, at(0));
        assert_eq!(trouble.paused_until(at(0)), Some(at(1)));
    }
}
