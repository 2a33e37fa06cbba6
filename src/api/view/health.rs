//! Whether we work, with each check.

use std::time::Duration;

use dispatch_actors::clock;
use dispatch_core::queue::exchange::FeedStanding;
use dispatch_core::time::{Timestamp, since};
use serde::Serialize;
use utoipa::ToSchema;

/// After this many intervals without a success the check fails.
const INTERVALS: u32 = 5;

/// What `/_health/ping` shows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ping {
    health: Health,
    /// There if this dispatcher does not hold the lock.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    standby: bool,
    /// What is wrong, if `health` says that something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// Whether anything is wrong.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Health {
    Ok,
    Error,
}

impl Ping {
    /// We work, or another dispatcher does.
    pub fn standby() -> Self {
        Self { health: Health::Ok, standby: true, error: None }
    }

    /// These faults were found.
    pub fn of(faults: &[String]) -> Self {
        let error = (!faults.is_empty()).then(|| faults.join("; "));
        Self { health: if error.is_some() { Health::Error } else { Health::Ok }, standby: false, error }
    }
}

/// What `/_health/ready` shows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    /// There if this dispatcher does not hold the lock.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    standby: bool,
    checks: Checked,
    /// What is wrong, or has not happened yet; empty if it is ready.
    errors: Vec<String>,
}

/// What was checked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Checked {
    Active(Box<Checks>),
    Standby(StandbyChecks),
}

/// On standby there is nothing else to check.
#[derive(Debug, Serialize, ToSchema)]
struct StandbyChecks {
    lock_held: Lock,
}

impl Readiness {
    /// Another dispatcher works on this cluster, or nobody can be asked whether one does.
    pub fn standby() -> Self {
        let checks = Checked::Standby(StandbyChecks { lock_held: Lock { ok: false } });
        let errors = vec!["standby: this dispatcher does not hold the lock".to_owned()];
        Self { ready: false, standby: true, checks, errors }
    }

    /// As these checks say.
    pub fn of(checks: Checks) -> Self {
        let errors = checks.obstacles();
        let ready = errors.is_empty();
        Self { ready, standby: false, checks: Checked::Active(Box::new(checks)), errors }
    }
}

/// Each check of a dispatcher that holds the lock.
#[derive(Debug, Serialize, ToSchema)]
pub struct Checks {
    pub last_poll: Age,
    pub last_instance_list: Age,
    pub lock_held: Lock,
    pub runner_readable: Check,
    pub own_side: Check,
    pub actors: Actors,
    /// Not there if the site has none. Whatever it says is no fault: without it the queue is polled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub event_feed: Option<Feed>,
}

/// The controller's events.
#[derive(Debug, Serialize, ToSchema)]
pub struct Feed {
    connected: bool,
    /// Since it has told of a container or a container request; null if it has not.
    #[schema(required)]
    silent_seconds: Option<f64>,
}

impl Feed {
    /// As the queue says.
    pub fn of(standing: FeedStanding) -> Self {
        let silent = standing.last_heard.map(|heard| since(clock::now(), heard).as_secs_f64());
        Self { connected: standing.is_connected, silent_seconds: silent }
    }
}

/// How long ago something succeeded.
#[derive(Debug, Serialize, ToSchema)]
pub struct Age {
    ok: bool,
    /// Whether it has succeeded at all.
    succeeded: bool,
    /// Since the last success, or since the start if there was none.
    age_seconds: f64,
    limit_seconds: f64,
    #[serde(skip)]
    what: &'static str,
}

/// The lock that keeps one dispatcher at a time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Lock {
    pub ok: bool,
}

/// Something that is in order, or why not.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    pub ok: bool,
    /// Empty if it is in order.
    pub error: String,
}

impl Check {
    /// Empty: it is in order.
    pub fn of(error: String) -> Self {
        Self { ok: error.is_empty(), error }
    }
}

/// Whether all actors answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Actors {
    pub ok: bool,
    /// Those that do not.
    pub silent: Vec<&'static str>,
}

impl Checks {
    /// What is wrong.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.runner_readable.ok {
            faults.push(format!("cannot read the runner: {}", self.runner_readable.error));
        }
        if !self.own_side.ok {
            faults.push(format!("our own side fails: {}", self.own_side.error));
        }
        // Ages come from actors: of a silent one they say nothing, and its silence is the fault.
        let is_silent = |name| self.actors.silent.contains(&name);
        faults.extend(self.last_poll.fault().filter(|_| !is_silent("queue")));
        faults.extend(self.last_instance_list.fault().filter(|_| !is_silent("pool")));
        if !self.actors.ok {
            faults.push(format!("no answer from: {}", self.actors.silent.join(", ")));
        }
        faults
    }

    /// What is wrong, or has not happened yet.
    fn obstacles(&self) -> Vec<String> {
        let waiting = [&self.last_poll, &self.last_instance_list].into_iter().filter_map(Age::waiting);
        self.faults().into_iter().chain(waiting).collect()
    }
}

impl Age {
    /// `succeeded`: when it has succeeded last.
    pub fn of(
        what: &'static str,
        succeeded: Option<Timestamp>,
        start: Timestamp,
        interval: Duration,
    ) -> Self {
        let age = since(clock::now(), succeeded.unwrap_or(start));
        let limit = interval.saturating_mul(INTERVALS);
        Self {
            ok: age <= limit,
            succeeded: succeeded.is_some(),
            age_seconds: age.as_secs_f64(),
            limit_seconds: limit.as_secs_f64(),
            what,
        }
    }

    fn fault(&self) -> Option<String> {
        let Self { what, age_seconds: age, limit_seconds: limit, .. } = self;
        (!self.ok).then(|| format!("no {what} has succeeded for {age:.0} s (limit {limit:.0} s)"))
    }

    fn waiting(&self) -> Option<String> {
        (self.ok && !self.succeeded).then(|| format!("no {} has succeeded yet", self.what))
    }
}
