//! The ceiling on concurrent containers: it protects the controller from the containers' own calls.
//!
//! ```text
//!   start: InitialQuotaEstimate, else MaxInstances (0 = none)
//!   503 ──► cut by an eighth, at most once in 10 s, never below half of where the trouble began
//!   quiet 10 s ──► up by a quarter every 5 s to 90 % of where it began, then by one (or 2 %) every 10 s
//!   quiet 60 s, or no 503 yet ──► at least running × 11/10 + 1: where it started is an estimate, no limit;
//!                                 the trouble is forgotten when the ceiling is beyond it
//! ```
//! As TCP does: multiplicative decrease, fast recovery to just below the level at which the trouble began,
//! slow approach from there on. What jobs end by themselves does not lower it.

use std::time::Duration;

use crate::time::{Timestamp, after, since};

const CUT_PAUSE: Duration = Duration::from_secs(10);
const RECOVERY_STEP: Duration = Duration::from_secs(5);
const APPROACH_STEP: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_secs(60);

/// Owned by the Scheduler.
#[derive(Debug, Clone)]
pub struct Ceiling {
    /// 0 = none.
    limit: u32,
    last_overload: Option<Timestamp>,
    last_change: Option<Timestamp>,
    /// How many ran when the trouble began.
    trouble: Option<u32>,
    /// The most that ran within the last minute, and when.
    peak: Option<(u32, Timestamp)>,
}

impl Ceiling {
    /// Starts at that many; 0 = none until the first 503.
    pub fn new(start: u32) -> Self {
        Self { limit: start, last_overload: None, last_change: None, trouble: None, peak: None }
    }

    /// The most containers at a time now; 0 = no limit.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// When the controller last answered 503.
    pub fn last_overload(&self) -> Option<Timestamp> {
        self.last_overload
    }

    /// The controller has answered 503 while that many containers ran.
    pub fn overloaded(&mut self, running: u32, now: Timestamp) {
        // At the tail of a burst few run: that is not the width that the controller could not bear.
        let most = self.note_peak(running, now);
        let new_trouble = self.last_overload.is_none_or(|last| since(now, last) > QUIET);
        self.last_overload = Some(now);
        if running == 0 {
            // Not of the containers' making: fewer of them would not help, and one at a time would remain.
            return;
        }
        if self.last_change.is_some_and(|last| since(now, last) < CUT_PAUSE) && !new_trouble {
            return;
        }
        let level = if self.limit == 0 { most } else { self.limit.min(most) };
        let trouble = match self.trouble {
            Some(trouble) if !new_trouble => trouble,
            _ => level.max(1),
        };
        self.trouble = Some(trouble);
        let base = if self.limit == 0 || new_trouble { level } else { self.limit };
        let cut = base - base.div_ceil(8).min(base);
        self.limit = cut.max(trouble.div_ceil(2)).max(1);
        self.last_change = Some(now);
    }

    /// The most that ran within the last minute, this moment included.
    fn note_peak(&mut self, running: u32, now: Timestamp) -> u32 {
        let before = self.peak.filter(|(most, at)| *most > running && since(now, *at) <= QUIET);
        let (most, _) = *self.peak.insert(before.unwrap_or((running, now)));
        most
    }

    /// Time has passed while that many containers ran.
    pub fn look(&mut self, running: u32, now: Timestamp) {
        self.note_peak(running, now);
        let quiet_for = self.last_overload.map_or(Duration::MAX, |last| since(now, last));
        if self.limit == 0 || quiet_for < CUT_PAUSE {
            return;
        }
        let some_more = running + running / 10 + 1;
        let due = self.last_change.is_none_or(|change| since(now, change) >= self.step());
        if self.trouble.is_some() && due {
            if self.is_recovering() {
                self.limit += (self.limit / 4).max(1);
            } else if some_more >= self.limit {
                // Width that nobody uses is not earned.
                self.limit += (self.limit / 50).max(1);
            }
            self.last_change = Some(now);
        }
        if quiet_for > QUIET {
            self.limit = self.limit.max(some_more);
            self.trouble = self.trouble.filter(|trouble| self.limit <= *trouble);
        }
    }

    /// Still below the level at which the trouble began.
    fn is_recovering(&self) -> bool {
        self.trouble.is_some_and(|trouble| self.limit < trouble - trouble / 10)
    }

    fn step(&self) -> Duration {
        if self.is_recovering() { RECOVERY_STEP } else { APPROACH_STEP }
    }

    /// When [`Ceiling::look`] may change something next.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        self.trouble?;
        let quiet_ends = after(self.last_overload?, CUT_PAUSE);
        Some(self.last_change.map_or(quiet_ends, |change| after(change, self.step()).max(quiet_ends)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_burst_of_503s_costs_one_cut() {
        let mut ceiling = Ceiling::new(64);
        for second in 0..9 {
            ceiling.overloaded(40, at(second));
        }
        assert_eq!(ceiling.limit(), 35);
    }

    #[test]
    fn a_minute_of_503s_costs_no_more_than_half() {
        let mut ceiling = Ceiling::new(64);
        for second in 0..60 {
            ceiling.overloaded(40 - second as u32 / 2, at(second));
        }
        assert_eq!(ceiling.limit(), 20);
    }

    #[test]
    fn width_comes_back_soon_to_below_the_trouble_and_slowly_beyond() {
        let mut ceiling = Ceiling::new(64);
        for second in 0..60 {
            ceiling.overloaded(40, at(second));
        }
        for second in 60..100 {
            ceiling.look(ceiling.limit(), at(second));
        }
        assert!(ceiling.limit() >= 36, "{}", ceiling.limit());
        let then = ceiling.limit();
        for second in 100..120 {
            ceiling.look(then, at(second));
        }
        assert!(ceiling.limit() <= then + 3, "{}", ceiling.limit());
    }

    #[test]
    fn where_it_started_is_an_estimate_and_no_limit() {
        let mut ceiling = Ceiling::new(4);
        ceiling.look(2, at(0));
        assert_eq!((ceiling.limit(), ceiling.wakes_at()), (4, None));
        for second in 0..10 {
            ceiling.look(ceiling.limit(), at(second));
        }
        assert!(ceiling.limit() > 14, "{}", ceiling.limit());
    }

    #[test]
    fn a_503_at_the_tail_of_a_burst_is_judged_by_what_ran_before() {
        let mut ceiling = Ceiling::new(64);
        ceiling.look(40, at(0));
        ceiling.look(2, at(20));
        ceiling.overloaded(2, at(21));
        assert_eq!(ceiling.limit(), 35, "an eighth less than 40");
    }

    #[test]
    fn no_ceiling_stays_none_without_503s() {
        let mut ceiling = Ceiling::new(0);
        ceiling.look(100, at(0));
        assert_eq!(ceiling.limit(), 0);
    }

    #[test]
    fn who_looks_when_told_to_is_told_a_later_moment() {
        for running in [1, 30, 40] {
            let mut ceiling = Ceiling::new(64);
            ceiling.overloaded(40, at(0));
            let mut last = at(0);
            for _ in 0..100 {
                let Some(when) = ceiling.wakes_at() else { break };
                assert!(when > last, "{running}: {when} again");
                ceiling.look(running, when);
                last = when;
            }
        }
    }
}
