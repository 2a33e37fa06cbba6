//! Decides whether this process has lived all the time, or was paused: stopped by a signal, frozen with its container,
//! or asleep with its machine. Time that we did not live through is nobody's silence.
//!
//! ```text
//!   a sign of life every 2 s ── the next one comes more than 5 s late, by a clock that also counts suspended time,
//!                               and we did not compute for half of that time ──► paused
//! ```
//! At most three times an hour: else a process that is paused all the time would never destroy a VM that is dead.

use std::collections::VecDeque;
use std::time::Duration;

use super::{PoolEffect, PoolFact, WorkerPool};
use crate::ports::Pulse;
use crate::time::Timestamp;
use crate::worker::Command;

/// How often the process gives a sign of life.
pub const PULSE: Duration = Duration::from_secs(2);
/// A sign of life may come that much late.
const LATE: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);
/// How many pauses within an hour are taken into account.
const PAUSES_AN_HOUR: usize = 3;

/// The signs of life.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    last: Option<Pulse>,
    /// When the last pauses ended that were taken into account.
    counted: VecDeque<Duration>,
}

impl Pauses {
    /// Takes a sign of life. Returns how long the process was paused before, if it was, and that counts.
    fn beat(&mut self, pulse: Pulse) -> Option<Duration> {
        let last = self.last.replace(pulse)?;
        let passed = pulse.at.0.saturating_sub(last.at.0);
        let computed = pulse.computed.saturating_sub(last.computed);
        let late = passed.saturating_sub(PULSE);
        if late <= LATE || computed >= late / 2 {
            return None;
        }
        let now = pulse.at.0;
        self.counted.retain(|at| now.saturating_sub(*at) < HOUR);
        if self.counted.len() >= PAUSES_AN_HOUR {
            return None;
        }
        self.counted.push_back(now);
        Some(passed)
    }
}

impl WorkerPool {
    /// Takes a sign of life, before anything else is decided. After a pause no probe that began before now is evidence of
    /// silence, and every worker is told.
    pub fn lives(&mut self, pulse: Pulse, now: Timestamp) -> Vec<PoolEffect> {
        let Some(pause) = self.pauses.beat(pulse) else { return Vec::new() };
        self.outage.excuse(now);
        self.paused_until = Some(now);
        let mut effects = vec![PoolEffect::Tell(PoolFact::Paused(pause))];
        let ids: Vec<_> = self.workers.keys().cloned().collect();
        effects.extend(ids.iter().map(|id| self.command(id, Command::Paused)));
        effects
    }

    /// Notes whether our own side fails, as our own system calls report it: meanwhile nothing is created, and nobody is
    /// judged for silence.
    pub fn set_own_side_fails(&mut self, fails: bool, now: Timestamp) {
        // What failed meanwhile proves nothing.
        self.outage.excuse(now);
        self.own_side_fails = fails;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::BootTime;

    fn pulse(at: u64, computed: u64) -> Pulse {
        Pulse { at: BootTime(Duration::from_secs(at)), computed: Duration::from_secs(computed) }
    }

    fn beats(signs: &[(u64, u64)]) -> Vec<Option<u64>> {
        let mut pauses = Pauses::default();
        signs.iter().map(|(at, computed)| Some(pauses.beat(pulse(*at, *computed))?.as_secs())).collect()
    }

    #[test]
    fn a_late_sign_of_life_is_a_pause_unless_we_computed_meanwhile() {
        assert_eq!(beats(&[(100, 0), (102, 0), (109, 0)]), [None, None, None], "5 s late at most");
        assert_eq!(beats(&[(100, 0), (110, 0)]), [None, Some(10)]);
        assert_eq!(beats(&[(100, 7), (110, 11)]), [None, None], "it computed for half of that time");
    }

    #[test]
    fn three_pauses_an_hour_count() {
        let often: Vec<_> = (0..6).map(|n| (n * 600, 0)).collect();
        assert_eq!(beats(&often), [None, Some(600), Some(600), Some(600), None, None]);
        assert_eq!(beats(&[(0, 0), (10, 0), (20, 0), (30, 0), (3630, 0)])[4], Some(3600));
    }
}
