//! How many calls to the controller may be in flight: few, fewer after a 503, soon as many as before.
//!
//! ```text
//!   start: 8 ── success: + max(1, 10 %), to at most twice the calls in flight and 16
//!            ── 503: half, rounded up, and a quiet second in which nothing starts;
//!               further 503s in that second are answers to calls made before it: no second cut
//! ```
//! A 503 of the controller's request limiter means "not executed"; many retries at once are what makes an
//! overload last, so nothing is retried here: a refused call waits for the next poll.

use std::time::Duration;

use crate::time::{Timestamp, after};

const START: u32 = 8;
const MOST: u32 = 16;
const QUIET: Duration = Duration::from_secs(1);

/// Asked by the line of calls. All operations cost O(1).
#[derive(Debug, Clone)]
pub struct Limiter {
    width: u32,
    in_flight: u32,
    quiet_until: Option<Timestamp>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { width: START, in_flight: 0, quiet_until: None }
    }
}

impl Limiter {
    /// Takes a place for one call; false = not now.
    pub fn try_start(&mut self, now: Timestamp) -> bool {
        let quiet = self.quiet_until.is_some_and(|until| now < until);
        let free = self.in_flight < self.width;
        if free && !quiet {
            self.in_flight += 1;
        }
        free && !quiet
    }

    /// Gives the place back, and learns from the answer.
    pub fn finish(&mut self, overloaded: bool, now: Timestamp) {
        let busy = self.in_flight;
        self.in_flight = self.in_flight.saturating_sub(1);
        if !overloaded {
            let wider = self.width + (self.width / 10).max(1);
            self.width = wider.min((2 * busy).max(self.width)).min(MOST);
        } else if self.quiet_until.is_none_or(|until| now >= until) {
            self.width = self.width.div_ceil(2);
            self.quiet_until = Some(after(now, QUIET));
        }
    }

    /// Gives the place of a call back that nobody waits for any longer, and learns nothing.
    pub fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// When a call that has to wait for the quiet second may be tried again.
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.quiet_until.filter(|until| now < *until)
    }

    /// How many calls may be in flight.
    pub fn width(&self) -> u32 {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn fill(limiter: &mut Limiter, now: Timestamp) -> u32 {
        std::iter::from_fn(|| limiter.try_start(now).then_some(())).count() as u32
    }

    #[test]
    fn eight_calls_start_and_no_more() {
        assert_eq!(fill(&mut Limiter::default(), at(0)), 8);
    }

    #[test]
    fn a_burst_of_503s_halves_once_and_is_followed_by_a_quiet_second() {
        let mut limiter = Limiter::default();
        fill(&mut limiter, at(0));
        for _ in 0..8 {
            limiter.finish(true, at(10));
        }
        assert_eq!(limiter.width(), 4);
        assert_eq!(fill(&mut limiter, at(1009)), 0);
        assert_eq!(fill(&mut limiter, at(1010)), 4);
    }

    #[test]
    fn it_never_falls_below_one() {
        let mut limiter = Limiter::default();
        for second in 0..20 {
            assert!(limiter.try_start(at(second * 2000)));
            limiter.finish(true, at(second * 2000 + 1));
        }
        assert_eq!(limiter.width(), 1);
    }

    #[test]
    fn success_widens_while_the_width_is_used_and_up_to_sixteen() {
        let mut limiter = Limiter::default();
        for _ in 0..40 {
            fill(&mut limiter, at(0));
            limiter.finish(false, at(0));
        }
        assert_eq!(limiter.width(), 16);
    }

    #[test]
    fn an_idle_dispatcher_does_not_earn_width() {
        let mut limiter = Limiter { width: 2, ..Limiter::default() };
        for _ in 0..40 {
            assert!(limiter.try_start(at(0)));
            limiter.finish(false, at(0));
        }
        assert_eq!(limiter.width(), 2, "one call in flight earns at most two");
    }
}
