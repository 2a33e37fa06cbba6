//! What a 503 says about how many containers the controller bears.

use std::time::Duration;

use crate::time::{Timestamp, since};

/// 503s at the safe level within this time belong to the trouble that the ceiling has just recovered from.
const SAME_TROUBLE: Duration = Duration::from_secs(120);
/// If the ceiling cannot recover for this long, whatever was cut, the level is too high. Bursts last a minute.
const LASTING: Duration = Duration::from_secs(90);
/// After this long at the safe level without a 503, earlier trouble at that level no longer counts.
const RELAPSES_COUNT_FOR: Duration = Duration::from_secs(600);
/// How often there may be trouble at a proven level before that level counts as unsafe.
const RELAPSES: u32 = 2;
/// The time at the safe level before the first approach.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest time before an approach, unless trouble lasts for minutes each time.
const LONGEST_PATIENCE: Duration = Duration::from_secs(2 * 3600);
/// In the long run at most one part in this many of the time is trouble.
const TROUBLE_PART: u32 = 30;

/// Trouble that is remembered.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// How many ran when it began.
    pub level: u32,
    /// The level is not lowered below this at once, unless the trouble lasts: single 503s are too weak a proof for
    /// that.
    least: u32,
    /// Trouble has come at the safe level while the level could not be lowered further. If it comes again, the level
    /// is lowered all the same: otherwise jobs that start and end in step would bring it back for ever.
    is_least_doubted: bool,
    began: Timestamp,
    /// How many approaches have failed.
    failures: u32,
    /// How often trouble has come at the safe level.
    relapses: u32,
    /// Since when the ceiling has been at the safe level or beyond, without a 503.
    safe_since: Option<Timestamp>,
}

/// What a 503 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the first, or the first that is remembered.
    New,
    /// It came beyond the safe level: the approach has failed.
    Failed,
    /// It came at the safe level, too often within a short time.
    Unsafe,
    /// It came at the safe level: it has nothing to do with the load.
    Unrelated,
    /// The trouble goes on.
    Same,
    /// It has gone on for so long that even what runs now is too much.
    Lasting,
}

impl Verdict {
    /// Whether it says that as many as run now are too many.
    pub fn is_about_the_level(self) -> bool {
        match self {
            Self::Failed | Self::Unsafe | Self::Lasting => true,
            Self::New | Self::Unrelated | Self::Same => false,
        }
    }
}

impl Trouble {
    pub fn new(level: u32, now: Timestamp) -> Self {
        let least = level / 2;
        let is_least_doubted = false;
        Self { level, least, is_least_doubted, began: now, failures: 0, relapses: 0, safe_since: None }
    }

    /// Where the recovery ends: nine tenths of the level, or almost all of what is proven.
    pub fn safe(&self, proven: u32) -> u32 {
        let proven = (proven - proven / 50).min(self.level);
        (self.level - self.level.div_ceil(10)).max(proven).max(1)
    }

    /// The ceiling is at the safe level or beyond, and all is quiet.
    pub fn is_safe_from(&mut self, now: Timestamp) {
        self.safe_since.get_or_insert(now);
    }

    /// How long the ceiling has been at the safe level or beyond, without a 503.
    pub fn safe_for(&self, now: Timestamp) -> Duration {
        self.safe_since.map_or(Duration::ZERO, |at| since(now, at))
    }

    /// The time at the safe level before the next approach. It grows with the number of failed approaches and with
    /// the time that the trouble lasted.
    pub fn patience(&self, last_overload: Option<Timestamp>) -> Duration {
        if self.failures == 0 {
            return PATIENCE;
        }
        let lasted = last_overload.map_or(Duration::ZERO, |last| since(last, self.began));
        let doubled = (PATIENCE + lasted).saturating_mul(1 << self.failures.min(16));
        doubled.min(LONGEST_PATIENCE.max(TROUBLE_PART * lasted))
    }

    /// What a 503 says that comes now, while the ceiling is at that level.
    pub fn judge(&mut self, level: u32, proven: u32, now: Timestamp) -> Verdict {
        let lasts = since(now, self.began);
        let Some(safe_since) = self.safe_since.take() else {
            return if lasts > LASTING { Verdict::Lasting } else { Verdict::Same };
        };
        if since(now, safe_since) > RELAPSES_COUNT_FOR {
            self.relapses = 0;
            self.is_least_doubted = false;
        }
        let allowed = if level <= proven { RELAPSES } else { 0 };
        if level > self.safe(proven) {
            Verdict::Failed
        } else if lasts <= SAME_TROUBLE {
            Verdict::Same
        } else if self.relapses >= allowed {
            Verdict::Unsafe
        } else {
            Verdict::Unrelated
        }
    }

    /// Remembers what a 503 has said.
    pub fn learn(&mut self, verdict: Verdict, level: u32, now: Timestamp) {
        match verdict {
            Verdict::Same | Verdict::New => {}
            Verdict::Unrelated => {
                self.relapses += 1;
                self.began = now;
            }
            Verdict::Failed => {
                *self = Self { failures: self.failures + 1, ..self.lowered(level, now) };
            }
            Verdict::Unsafe => *self = self.a_quarter_below(level, now),
            Verdict::Lasting => *self = Self::new(level, now),
        }
    }

    fn a_quarter_below(&self, level: u32, now: Timestamp) -> Self {
        let wanted = level - level / 4;
        let is_below_least = wanted < self.least;
        if is_below_least && self.is_least_doubted {
            return Self::new(wanted, now);
        }
        Self { is_least_doubted: self.is_least_doubted || is_below_least, ..self.lowered(wanted, now) }
    }

    fn lowered(&self, level: u32, now: Timestamp) -> Self {
        let Self { least, is_least_doubted, .. } = *self;
        Self { least, is_least_doubted, ..Self::new(level.max(least), now) }
    }
}
