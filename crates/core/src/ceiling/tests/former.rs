//! The rule before: an eighth less at most once in 10 s, never below half of where the trouble began, fast up to
//! 90 % of that, slow beyond. It never gets below that half, and tries the troubled level again and again.

use std::time::Duration;

use super::closed_loop::Rule;
use crate::time::{Timestamp, since};

const CUT_PAUSE: Duration = Duration::from_secs(10);
const RECOVERY_STEP: Duration = Duration::from_secs(5);
const APPROACH_STEP: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Former {
    /// 0 = none.
    limit: u32,
    last_overload: Option<Timestamp>,
    last_change: Option<Timestamp>,
    /// How many ran when the trouble began.
    trouble: Option<u32>,
    /// The most that ran within the last minute, and when.
    peak: Option<(u32, Timestamp)>,
}

impl Former {
    /// Starts at that many; 0 = none until the first 503.
    pub fn new(start: u32) -> Self {
        Self { limit: start, last_overload: None, last_change: None, trouble: None, peak: None }
    }

    /// The most that ran within the last minute, this moment included.
    fn note_peak(&mut self, running: u32, now: Timestamp) -> u32 {
        let before = self.peak.filter(|(most, at)| *most > running && since(now, *at) <= QUIET);
        let (most, _) = *self.peak.insert(before.unwrap_or((running, now)));
        most
    }

    /// Still below the level at which the trouble began.
    fn is_recovering(&self) -> bool {
        self.trouble.is_some_and(|trouble| self.limit < trouble - trouble / 10)
    }

    fn step(&self) -> Duration {
        if self.is_recovering() { RECOVERY_STEP } else { APPROACH_STEP }
    }
}

impl Rule for Former {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn overloaded(&mut self, running: u32, now: Timestamp) {
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

    fn look(&mut self, running: u32, now: Timestamp) {
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
}
