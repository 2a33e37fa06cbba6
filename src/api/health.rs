//! Whether we work: polls and listings succeed, the runner can be read, every actor answers.
//!
//! ```text
//!   /_health/ping   200, and the verdict in the body: a site's health checker asks it
//!   /_health/ready  200 or 503, with each check: load balancers and people ask it
//! ```
//! On standby there is nothing to check: alive, and not ready.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use dispatch_actors::catalogue::{ACTOR_SILENT, Repeats};
use dispatch_actors::messages::pool::GetPool;
use dispatch_actors::messages::queue::GetQueue;
use dispatch_actors::{clock, event};
use dispatch_core::queue::exchange::FeedStanding;
use dispatch_core::time::{Timestamp, since};
use serde::Serialize;
use serde_json::json;

use super::state::{Active, ApiState};

/// After this many intervals without a success the check fails.
const INTERVALS: u32 = 5;

/// Silent actors that were logged lately; one such list a thread.
pub(super) type SilentActors = Rc<RefCell<Repeats>>;

/// The answer for the site's health checker.
pub(super) async fn ping(state: web::Data<ApiState>, request: HttpRequest) -> HttpResponse {
    let Ok(active) = state.active() else {
        return HttpResponse::Ok().json(json!({ "health": "OK", "standby": true }));
    };
    let checks = Checks::make(&state, &active).await;
    checks.log_silent(&state, &request);
    match checks.faults() {
        faults if faults.is_empty() => HttpResponse::Ok().json(json!({ "health": "OK" })),
        faults => HttpResponse::Ok().json(json!({ "health": "ERROR", "error": faults.join("; ") })),
    }
}

/// The answer for load balancers and people.
pub(super) async fn ready(state: web::Data<ApiState>, request: HttpRequest) -> HttpResponse {
    let Ok(active) = state.active() else {
        let checks = json!({ "lock_held": { "ok": false } });
        let errors = ["standby: this dispatcher does not hold the lock"];
        return HttpResponse::ServiceUnavailable()
            .json(json!({ "ready": false, "standby": true, "checks": checks, "errors": errors }));
    };
    let checks = Checks::make(&state, &active).await;
    checks.log_silent(&state, &request);
    let is_ready = checks.are_ready();
    let mut answer = if is_ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let errors: Vec<String> = if is_ready { Vec::new() } else { checks.obstacles() };
    answer.json(json!({ "ready": is_ready, "checks": checks, "errors": errors }))
}

/// What `/_health/ready` shows.
#[derive(Serialize)]
struct Checks {
    last_poll: Age,
    last_instance_list: Age,
    lock_held: Lock,
    runner_readable: Check,
    own_side: Check,
    actors: Actors,
    /// Not there if the site has none. Whatever it says is no fault: without it the queue is polled.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_feed: Option<Feed>,
}

#[derive(Serialize)]
struct Feed {
    connected: bool,
    /// Since it has told of a container or a container request.
    silent_seconds: Option<f64>,
}

impl Feed {
    fn of(standing: FeedStanding) -> Self {
        let silent = standing.last_heard.map(|heard| since(clock::now(), heard).as_secs_f64());
        Self { connected: standing.is_connected, silent_seconds: silent }
    }
}

/// How long ago something succeeded.
#[derive(Serialize)]
struct Age {
    ok: bool,
    /// Whether it has succeeded at all.
    succeeded: bool,
    /// Since the last success, or since the start if there was none.
    age_seconds: f64,
    limit_seconds: f64,
    #[serde(skip)]
    what: &'static str,
}

#[derive(Serialize)]
struct Lock {
    ok: bool,
}

#[derive(Serialize)]
struct Check {
    ok: bool,
    error: String,
}

impl Check {
    fn of(error: String) -> Self {
        Self { ok: error.is_empty(), error }
    }
}

#[derive(Serialize)]
struct Actors {
    ok: bool,
    silent: Vec<&'static str>,
}

impl Checks {
    /// Asks everyone at once; takes no longer than the slowest actor may.
    async fn make(state: &ApiState, active: &Active) -> Self {
        let (handles, within) = (&active.handles, state.health().actor_answer);
        let (silent, queue, pool) = tokio::join!(
            handles.silent(within),
            handles.queue.send(GetQueue).timeout(within),
            handles.pool.send(GetPool).timeout(within),
        );
        let queue = queue.ok();
        let polled = queue.as_ref().and_then(|view| view.last_success);
        let listed = pool.ok().and_then(|view| view.snapshot.fleet.listings.last().copied());
        let error = state.runner.borrow().clone().err().unwrap_or_default();
        let policy = state.health();
        Self {
            last_poll: Age::of("poll of the controller", polled, active.since, policy.poll_interval),
            last_instance_list: Age::of("list of instances", listed, active.since, policy.sync_interval),
            lock_held: Lock { ok: true },
            runner_readable: Check::of(error),
            own_side: Check::of(active.trouble.borrow().clone().unwrap_or_default()),
            actors: Actors { ok: silent.is_empty(), silent },
            event_feed: queue.and_then(|view| view.feed).map(Feed::of),
        }
    }

    /// What is wrong.
    fn faults(&self) -> Vec<String> {
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

    fn are_ready(&self) -> bool {
        self.obstacles().is_empty()
    }

    /// What is wrong, or has not happened yet.
    fn obstacles(&self) -> Vec<String> {
        let waiting = [&self.last_poll, &self.last_instance_list].into_iter().filter_map(Age::waiting);
        self.faults().into_iter().chain(waiting).collect()
    }

    fn log_silent(&self, state: &ApiState, request: &HttpRequest) {
        let repeats = request.app_data::<SilentActors>().expect("every app is given its list");
        for actor in &self.actors.silent {
            if let Some(n) = repeats.borrow_mut().note(&ACTOR_SILENT, actor, clock::now()) {
                event!(state.log, ACTOR_SILENT, "Actor" => actor,
                    "Duration" => state.health().actor_answer.as_secs_f64(), "Repeated" => n);
            }
        }
    }
}

impl Age {
    fn of(what: &'static str, succeeded: Option<Timestamp>, start: Timestamp, interval: Duration) -> Self {
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
