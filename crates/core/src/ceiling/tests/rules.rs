//! The rules that were tried beside the one that was chosen.

use std::time::Duration;

use super::closed_loop::Rule;
use crate::time::{Timestamp, since};

/// The reference's: one less than run for each look with a 503; a minute without: a tenth more than run.
pub struct Reference {
    pub limit: u32,
    pub last: Option<Timestamp>,
}

impl Rule for Reference {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn overloaded(&mut self, running: u32, now: Timestamp) {
        self.last = Some(now);
        self.limit = running.saturating_sub(1).max(1);
    }

    fn look(&mut self, running: u32, now: Timestamp) {
        let quiet = self.last.is_none_or(|last| since(now, last) > Duration::from_secs(60));
        if self.limit > 0 && quiet {
            self.limit = self.limit.max(running + running / 10 + 1);
        }
    }
}

/// TCP Reno's: half, at most once in 10 s; one more every 10 s without.
pub struct Reno {
    pub limit: u32,
    pub changed: Option<Timestamp>,
}

impl Reno {
    fn is_due(&self, now: Timestamp) -> bool {
        self.changed.is_none_or(|at| since(now, at) >= Duration::from_secs(10))
    }
}

impl Rule for Reno {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn overloaded(&mut self, running: u32, now: Timestamp) {
        if self.is_due(now) {
            let level = if self.limit == 0 { running } else { self.limit.min(running) };
            self.limit = (level / 2).max(1);
            self.changed = Some(now);
        }
    }

    fn look(&mut self, running: u32, now: Timestamp) {
        if self.limit > 0 && running >= self.limit && self.is_due(now) {
            self.limit += 1;
            self.changed = Some(now);
        }
    }
}

/// CUBIC's: three tenths less, then `W = C (t − K)³ + W_max`: fast, flat about where it was cut, fast.
pub struct Cubic {
    pub limit: u32,
    pub most: f64,
    pub cut: Option<Timestamp>,
}

impl Rule for Cubic {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn overloaded(&mut self, running: u32, now: Timestamp) {
        if self.cut.is_some_and(|at| since(now, at) < Duration::from_secs(10)) {
            return;
        }
        let level = if self.limit == 0 { running } else { self.limit.min(running) };
        self.most = f64::from(level);
        self.limit = ((self.most * 0.7) as u32).max(1);
        self.cut = Some(now);
    }

    fn look(&mut self, running: u32, now: Timestamp) {
        let Some(cut) = self.cut.filter(|_| running >= self.limit) else { return };
        // Back at the old width after a minute: C follows from that.
        let (t, plateau) = (since(now, cut).as_secs_f64(), 60.0_f64);
        let c = 0.3 * self.most / plateau.powi(3);
        let wanted = c * (t - plateau).powi(3) + self.most;
        self.limit = self.limit.max(wanted as u32);
    }
}
