//! The ceiling on concurrent containers: it protects the controller from the containers' own calls.
//!
//! ```text
//!   start: InitialQuotaEstimate, else MaxInstances (0 = none)
//!   503 ──► cut by an eighth, at most once in 10 s, never below half of where the trouble began
//!   quiet 10 s ──► up by a quarter every 5 s to 90 % of where it began, then by one (or 2 %) every 10 s
//!   quiet 60 s ──► at least running × 11/10 + 1; the trouble is forgotten when the ceiling is beyond it
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
}

impl Ceiling {
    /// Starts at that many; 0 = none until the first 503.
    pub fn new(start: u32) -> Self {
        Self { limit: start, last_overload: None, last_change: None, trouble: None }
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
        let new_trouble = self.last_overload.is_none_or(|last| since(now, last) > QUIET);
        self.last_overload = Some(now);
        if self.last_change.is_some_and(|last| since(now, last) < CUT_PAUSE) && !new_trouble {
            return;
        }
        let level = if self.limit == 0 { running } else { self.limit.min(running.max(1)) };
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

    /// Time has passed while that many containers ran.
    pub fn look(&mut self, running: u32, now: Timestamp) {
        let Some(last) = self.last_overload else { return };
        if self.limit == 0 || since(now, last) < CUT_PAUSE {
            return;
        }
        let near = self.trouble.map_or(u32::MAX, |trouble| trouble - trouble / 10);
        let step = if self.limit < near { RECOVERY_STEP } else { APPROACH_STEP };
        let due = self.last_change.is_none_or(|change| since(now, change) >= step);
        // Width that nobody uses is not earned.
        let used = self.limit < near || running + running / 10 + 1 >= self.limit;
        if due && used {
            self.limit = if self.limit < near {
                self.limit + (self.limit / 4).max(1)
            } else {
                self.limit + (self.limit / 50).max(1)
            };
            self.last_change = Some(now);
        }
        if since(now, last) > QUIET {
            self.limit = self.limit.max(running + running / 10 + 1);
            self.trouble = self.trouble.filter(|trouble| self.limit <= *trouble);
        }
    }

    /// When [`Ceiling::look`] may change something next.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let trouble = self.trouble?;
        let last = self.last_overload?;
        let step = if self.limit < trouble { RECOVERY_STEP } else { APPROACH_STEP };
        let quiet_ends = after(last, CUT_PAUSE);
        Some(self.last_change.map_or(quiet_ends, |change| after(change, step).max(quiet_ends)))
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
    fn without_503s_nothing_changes() {
        let mut ceiling = Ceiling::new(12);
        ceiling.look(12, at(0));
        assert_eq!((ceiling.limit(), ceiling.wakes_at()), (12, None));
    }
}
