//! A dispatcher, its jobs and a controller in a closed loop, in virtual time, from one seed.
//!
//! ```text
//!   queue ─► lock (a call) ─► process: PUT Running ─► runs ─► PUT Complete ─► a free place
//!     ▲ never beyond the limit       each PUT is made again after 2, 4 … 60 s if it is answered 503
//!   limit ◄─ Rule ◄─ our own 503s alone: locks, and polls of four calls; a second without calls after each
//! ```
//! An ended process counts no more, whether its record was seen or not, as in the dispatcher.
//! What the controller sheds: of the calls that more than `capacity` processes cause the share beyond it, and
//! of all calls a part while a burst goes on. The dispatcher never sees the containers' 503s, only its own:
//! that is what makes the ceiling hard. The calls that running containers make in between are counted in
//! their expectation, not one by one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::at_millis;
use crate::time::Timestamp;

/// A rule for the ceiling, as the Scheduler drives it.
pub trait Rule {
    fn limit(&self) -> u32;
    fn overloaded(&mut self, running: u32, now: Timestamp);
    fn look(&mut self, running: u32, now: Timestamp);
}

impl Rule for super::Ceiling {
    fn limit(&self) -> u32 {
        self.limit()
    }

    fn overloaded(&mut self, running: u32, now: Timestamp) {
        self.overloaded(running, now);
    }

    fn look(&mut self, running: u32, now: Timestamp) {
        self.look(running, now);
    }
}

/// A stretch of time in which calls are shed whatever the load; in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    pub from: u64,
    pub until: u64,
    pub rate: f64,
}

#[derive(Debug, Clone)]
pub struct Story {
    pub seed: u64,
    /// So many processes are served well.
    pub capacity: Option<u32>,
    pub bursts: Vec<Burst>,
    /// Places on VMs.
    pub places: u32,
    /// Where the ceiling starts.
    pub start: u32,
    /// How long jobs last on average.
    pub job: Duration,
    /// How far they differ: 1 = half to one and a half times that, 0 = all alike, so that they come in waves.
    pub spread: f64,
    /// How many jobs there are; `None` = always more.
    pub jobs: Option<u32>,
    pub poll: Duration,
    /// Time between two calls of a running container.
    pub container_calls: Duration,
    pub length: Duration,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            seed: 1,
            capacity: None,
            bursts: Vec::new(),
            places: 10,
            start: 64,
            job: Duration::from_secs(5),
            spread: 1.0,
            jobs: None,
            poll: Duration::from_secs(1),
            container_calls: Duration::from_secs(10),
            length: Duration::from_secs(3600),
        }
    }
}

/// One second of a story.
#[derive(Debug, Clone, Copy, Default)]
pub struct Second {
    /// What the ceiling counts.
    pub running: u32,
    pub limit: u32,
    pub calls: f64,
    pub shed: f64,
}

#[derive(Debug, Default)]
pub struct Outcome {
    pub seconds: Vec<Second>,
    /// When the last job was done.
    pub done: Option<f64>,
}

impl Outcome {
    pub fn mean_running(&self, from: usize) -> f64 {
        let late = &self.seconds[from..];
        late.iter().map(|second| f64::from(second.running)).sum::<f64>() / late.len() as f64
    }

    pub fn shed_share(&self, from: usize) -> f64 {
        let late = &self.seconds[from..];
        late.iter().map(|it| it.shed).sum::<f64>() / late.iter().map(|it| it.calls).sum::<f64>()
    }

    pub fn shed(&self) -> f64 {
        self.seconds.iter().map(|second| second.shed).sum()
    }

    /// The first second from which on the mean over `window` seconds stays within a fifth of `capacity`.
    pub fn settles(&self, capacity: u32, window: usize) -> Option<usize> {
        let capacity = f64::from(capacity);
        let is_near = |part: &[Second]| {
            let mean = part.iter().map(|it| f64::from(it.running)).sum::<f64>() / part.len() as f64;
            (0.8 * capacity..=1.2 * capacity).contains(&mean)
        };
        let parts: Vec<_> = self.seconds.chunks(window).collect();
        let last_bad = parts.iter().rposition(|part| !is_near(part));
        let settled = last_bad.map_or(0, |bad| bad + 1);
        (settled < parts.len()).then_some(settled * window)
    }

    /// How long after that second the limit was that wide again.
    pub fn wide_again(&self, after: usize, width: u32) -> Option<usize> {
        self.seconds[after..].iter().position(|it| it.limit >= width || it.limit == 0)
    }
}

const STEP: u64 = 100;
/// Calls in a step, at 20 ms each.
const CALLS: u32 = 40;

/// SplitMix64: chance enough, and no dependency.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Report {
    Running,
    Complete,
}

struct Site<'a, R> {
    story: &'a Story,
    rule: R,
    chance: Chance,
    now: u64,
    running: u32,
    left: Option<u32>,
    reports: BinaryHeap<Reverse<(u64, Report, u32)>>,
    next_poll: u64,
    quiet_until: u64,
    own_shed: bool,
    second: Second,
}

/// Lives through a story under a rule.
pub fn live(story: &Story, rule: impl Rule) -> Outcome {
    let mut site = Site {
        story,
        rule,
        chance: Chance(story.seed),
        now: 0,
        running: 0,
        left: story.jobs,
        reports: BinaryHeap::new(),
        next_poll: 0,
        quiet_until: 0,
        own_shed: false,
        second: Second::default(),
    };
    let mut outcome = Outcome::default();
    while site.now < story.length.as_millis() as u64 {
        site.step();
        if site.now.is_multiple_of(1000) {
            outcome.seconds.push(std::mem::take(&mut site.second));
        }
        if site.left == Some(0) && site.running == 0 {
            outcome.done.get_or_insert(site.now as f64 / 1000.0);
        }
    }
    outcome
}

impl<R: Rule> Site<'_, R> {
    fn step(&mut self) {
        self.now += STEP;
        self.make_reports();
        self.background();
        self.poll();
        let now = at_millis(self.now);
        match std::mem::take(&mut self.own_shed) {
            true => self.rule.overloaded(self.running, now),
            false => self.rule.look(self.running, now),
        }
        self.start_some();
        self.second.running = self.running;
        self.second.limit = self.rule.limit();
    }

    /// How likely a call is shed now.
    fn pressure(&self) -> f64 {
        let beyond = |capacity| self.running.saturating_sub(capacity);
        let by_load =
            self.story.capacity.map_or(0.0, |it| f64::from(beyond(it)) / f64::from(self.running.max(1)));
        let is_on = |it: &&Burst| it.from <= self.now && self.now < it.until;
        let by_burst = self.story.bursts.iter().find(is_on).map_or(0.0, |it| it.rate);
        1.0 - (1.0 - by_load) * (1.0 - by_burst)
    }

    /// One call; whether it was served.
    fn call(&mut self) -> bool {
        let shed = self.chance.next() < self.pressure();
        self.second.calls += 1.0;
        self.second.shed += f64::from(u8::from(shed));
        !shed
    }

    fn own_call(&mut self) -> bool {
        let served = self.call();
        if !served {
            self.own_shed = true;
            self.quiet_until = self.now + 1000;
        }
        served
    }

    /// What running containers ask and tell in between.
    fn background(&mut self) {
        let calls = f64::from(self.running) * STEP as f64 / self.story.container_calls.as_millis() as f64;
        self.second.calls += calls;
        self.second.shed += calls * self.pressure();
    }

    fn make_reports(&mut self) {
        while let Some(Reverse((_, report, tries))) = self.reports.peek().filter(|it| it.0.0 <= self.now) {
            let (report, tries) = (*report, *tries);
            self.reports.pop();
            match (self.call(), report) {
                (false, _) => {
                    let wait = 1000 * (2u64 << tries.min(5)).min(60);
                    self.reports.push(Reverse((self.now + wait, report, tries + 1)));
                }
                (true, Report::Running) => {
                    let lasts = self.story.job.as_millis() as f64
                        * (1.0 + self.story.spread * (self.chance.next() - 0.5));
                    self.reports.push(Reverse((self.now + lasts as u64, Report::Complete, 0)));
                }
                (true, Report::Complete) => {
                    self.running -= 1;
                }
            }
        }
    }

    fn poll(&mut self) {
        if self.now < self.next_poll.max(self.quiet_until) {
            return;
        }
        self.next_poll = self.now + self.story.poll.as_millis() as u64;
        let _ = (0..4).all(|_| self.own_call());
    }

    fn start_some(&mut self) {
        for _ in 0..CALLS {
            let limit = match self.rule.limit() {
                0 => self.story.places,
                limit => limit.min(self.story.places),
            };
            if self.running >= limit || self.now < self.quiet_until || self.left == Some(0) {
                return;
            }
            if self.own_call() {
                self.running += 1;
                self.left = self.left.map(|left| left - 1);
                self.reports.push(Reverse((self.now + 300, Report::Running, 0)));
            }
        }
    }
}
