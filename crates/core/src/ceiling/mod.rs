//! The ceiling on concurrent containers: it protects the controller from the containers' own calls.
//!
//! ```text
//!   start: InitialQuotaEstimate, else MaxInstances (0 = none, until the first 503)
//!
//!   level ─ ─ ─ ─╮─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─╭────── approach, when patience is over: 4 % a minute;
//!   safe  ─ ─ ─ ─│─ ─ ─ ─ ─ ─ ─╭─────────────────────╯       beyond the level every 20 s, ever faster
//!                ╰─╮           │ recovery, 10 s after the last 503: doubled every second
//!                  ╰───────────╯
//!           503: half, and half of that once it is obeyed, at most once a second
//! ```
//! `level` is how many containers ran when the trouble began. `safe` is nine tenths of it, or what was proven: the
//! number that ran for three minutes without a 503. So a burst of 503s that has nothing to do with our load costs
//! the time that it lasts and some seconds. A controller that really bears no more is not tried again and again:
//! each approach that fails at least doubles the time to the next. This is how the two are told apart:
//!
//! ```text
//!   503 beyond `safe` ──────────────────────► Failed: so many are too many, the next approach comes later
//!   503 at `safe`, proven, now and then ────► Unrelated: the ceiling returns there when the 503s are over
//!   503 at `safe`, not proven, or often ────► Unsafe: a quarter less is tried, at first not below half of `level`
//!   503s for 90 s, whatever we cut ─────────► Lasting: what runs now is too many
//! ```
//! Single 503s do not lower the level below half of what ran when the trouble began. If it comes back twice where
//! that half is, the half was too much, and it is as if the trouble had begun there: jobs that start in step end in
//! step, and the quiet between two waves of them proves nothing.
//!
//! The cuts are deep because they last only briefly: a dispatcher that starts little during a burst adds little to
//! it. Jobs that end do not lower the ceiling, and it is not cut again before as few run as it allows: with jobs of
//! an hour, it would otherwise fall to one before the first of them ends. The trouble is forgotten when twice the
//! level runs without 503s, or when no more containers are there to run; from then on the ceiling is a tenth above
//! what runs, as before any 503.
//!
//! We see only the answers to our own calls, a few in ten seconds, and not which share of all calls fails. So a
//! controller that sheds one call in a hundred, whatever the load, is taken for one that bears less.
//!
//! The numbers were found by simulation: `tests/table.rs` prints how other rules compare.

mod facts;
mod trouble;

use std::time::Duration;

use crate::time::{Timestamp, since};
pub use facts::CeilingFacts;
use trouble::{Trouble, Verdict};

/// The time between two cuts, and between two steps of the recovery.
const BEAT: Duration = Duration::from_secs(1);
/// The recovery begins after this long without a 503.
const LULL: Duration = Duration::from_secs(10);
/// The time between two steps beyond the safe level: within a minute 503s show that one container in five is too many.
const APPROACH_STEP: Duration = Duration::from_secs(60);
/// The time between two steps beyond the level at which the trouble began.
const BEYOND_STEP: Duration = Duration::from_secs(20);
/// The ceiling follows what runs after this long without a 503, if no trouble is remembered.
const QUIET: Duration = Duration::from_secs(60);
/// A 503 while at most that many ran is not of their making, unless another follows.
const FEW: u32 = 2;
/// A number of containers is proven when it ran this long ago and no 503 has come since.
const PROOF: Duration = Duration::from_secs(180);

/// Owned by the Scheduler. All operations cost O(1).
#[derive(Debug, Clone)]
pub struct Ceiling {
    /// The most containers at a time; 0 = no limit.
    limit: u32,
    last_overload: Option<Timestamp>,
    last_change: Option<Timestamp>,
    trouble: Option<Trouble>,
    /// The most that ran within the last three minutes, and when.
    peak: Option<(u32, Timestamp)>,
    /// The most that ran for long without a 503.
    proven: u32,
    /// When the first 503 came of those while few ran, until a minute has passed without one.
    first_while_few: Option<Timestamp>,
}

impl Ceiling {
    /// A ceiling that starts at that many; 0 = no limit until the first 503.
    pub fn new(start: u32) -> Self {
        Self {
            limit: start,
            last_overload: None,
            last_change: None,
            trouble: None,
            peak: None,
            proven: 0,
            first_while_few: None,
        }
    }

    /// `MaxInstances` is that now. A ceiling that no 503 has lowered is where a new one would start; another stays.
    pub fn site_allows(&mut self, start: u32) {
        if self.is_as_the_site_wants() {
            self.limit = start;
        }
    }

    fn is_as_the_site_wants(&self) -> bool {
        self.trouble.is_none() && self.last_overload.is_none()
    }

    /// The most containers at a time now; 0 = no limit.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// When the controller last answered 503.
    pub fn last_overload(&self) -> Option<Timestamp> {
        self.last_overload
    }

    /// The controller has answered 503 while that many containers ran. Never raises the ceiling.
    pub fn overloaded(&mut self, running: u32, now: Timestamp) {
        // At the end of a burst few containers run; more ran when the controller was overloaded.
        let most = self.note_peak(running, now);
        let before = self.last_overload.replace(now);
        if self.is_first_while_few(most, before, now) {
            return;
        }
        if running == 0 || self.is_exceeded_by(running) {
            // The containers did not cause it, or more still run than the last cut allows.
            return;
        }
        let level = if self.limit == 0 { most } else { self.limit.min(most) };
        let verdict = self.trouble.as_mut().map_or(Verdict::New, |it| it.judge(level, self.proven, now));
        if verdict == Verdict::Same && !self.is_due(BEAT, now) {
            return;
        }
        if verdict.is_about_the_level() {
            self.proven = self.proven.min(level - 1);
        }
        let trouble = self.trouble.get_or_insert_with(|| Trouble::new(level, now));
        trouble.learn(verdict, level, now);
        self.change((level / 2).max(1), now);
    }

    /// Whether this is the first 503 of its kind within a minute, while hardly anything ran: a cut to one container
    /// would cost minutes, and proves nothing. Those that come within a second of it answer calls of the same moment.
    fn is_first_while_few(&mut self, most: u32, before: Option<Timestamp>, now: Timestamp) -> bool {
        if most > FEW || self.trouble.is_some() {
            self.first_while_few = None;
            return false;
        }
        let is_quiet = before.is_none_or(|last| since(now, last) > QUIET);
        let first = *self.first_while_few.get_or_insert(now);
        if is_quiet {
            self.first_while_few = Some(now);
        }
        is_quiet || since(now, first) < BEAT
    }

    /// Time has passed while that many containers ran.
    pub fn look(&mut self, running: u32, now: Timestamp) {
        let most = self.note_peak(running, now);
        if self.limit == 0 {
            return;
        }
        let quiet = self.last_overload.map_or(Duration::MAX, |last| since(now, last));
        // While more run than the ceiling allows, a short time without 503s proves nothing.
        let lull = if running > self.limit { PROOF } else { LULL };
        match &mut self.trouble {
            // The ceiling at the start is an estimate, not a limit.
            None if quiet > QUIET => self.limit = unhurt(self.limit, running),
            Some(trouble) if quiet >= lull => {
                let safe = trouble.safe(self.proven);
                if self.limit < safe {
                    self.recover(safe, now);
                } else {
                    trouble.is_safe_from(now);
                    self.approach(running, most, now);
                }
            }
            None | Some(_) => {}
        }
    }

    fn recover(&mut self, safe: u32, now: Timestamp) {
        if self.is_due(BEAT, now) {
            self.change(self.limit.saturating_mul(2).min(safe), now);
        }
    }

    /// Raises the ceiling carefully towards the level at which the trouble began, and beyond it.
    fn approach(&mut self, running: u32, most: u32, now: Timestamp) {
        let Some(trouble) = &self.trouble else { return };
        let (patience, waited) = (trouble.patience(self.last_overload), trouble.safe_for(now));
        // Between two waves of jobs few run, but the ceiling is needed all the same; and after a raise the next have
        // not started yet.
        let is_needed = some_more(most) > self.limit || !self.is_due(QUIET, now);
        let is_left_behind = self.limit / 2 >= trouble.level;
        if waited > 4 * patience + QUIET && (is_left_behind || !is_needed) {
            self.trouble = None;
            return;
        }
        // The ceiling is raised only if as many run as it allows.
        let is_used = some_more(running) > self.limit;
        let is_first = self.limit == trouble.safe(self.proven);
        let pause = if self.limit > trouble.level { BEYOND_STEP } else { APPROACH_STEP };
        if is_used && waited >= patience && (is_first || self.is_due(pause, now)) {
            let beyond = self.limit.saturating_sub(trouble.level);
            let step = 1.max(self.limit / 25).max(beyond);
            self.change((self.limit + step).min(some_more(running)), now);
        }
    }

    fn change(&mut self, limit: u32, now: Timestamp) {
        self.limit = limit;
        self.last_change = Some(now);
    }

    fn is_due(&self, step: Duration, now: Timestamp) -> bool {
        self.last_change.is_none_or(|at| since(now, at) >= step)
    }

    fn is_exceeded_by(&self, running: u32) -> bool {
        self.limit > 0 && running > self.limit
    }

    /// The most that ran within the last three minutes, this moment included.
    fn note_peak(&mut self, running: u32, now: Timestamp) -> u32 {
        let recent = |(_, at): &(u32, Timestamp)| since(now, *at) <= PROOF;
        if let Some((most, at)) = self.peak.filter(|it| !recent(it))
            && self.last_overload.is_none_or(|last| last < at)
        {
            // Only what still runs counts: what has ended may have ended just before the next 503.
            self.proven = self.proven.max(most.min(running));
        }
        let before = self.peak.filter(|it| it.0 >= running && recent(it));
        let (most, _) = *self.peak.insert(before.unwrap_or((running, now)));
        most
    }
}

/// A ceiling that nothing has lowered lately: it follows what runs.
fn unhurt(limit: u32, running: u32) -> u32 {
    limit.max(some_more(running))
}

/// A tenth more, and one more.
fn some_more(running: u32) -> u32 {
    running.saturating_add(running / 10).saturating_add(1)
}

#[cfg(test)]
mod tests;
