//! Whether we work: polls and listings succeed, the runner can be read, every actor answers.
//!
//! ```text
//!   /_health/ping   200, and the verdict in the body: a site's health checker asks it
//!   /_health/ready  200 or 503, with each check: load balancers and people ask it
//! ```
//! On standby there is nothing to check: alive, and not ready.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::{HttpRequest, HttpResponse, web};
use dispatch_actors::catalogue::{ACTOR_SILENT, Repeats};
use dispatch_actors::messages::pool::GetPool;
use dispatch_actors::messages::queue::GetQueue;
use dispatch_actors::{clock, event};

use super::state::{Active, ApiState};
use super::view::{Actors, Age, Check, Checks, Feed, Lock, Ping, Readiness};

/// Silent actors that were logged lately; one such list a thread.
pub(super) type SilentActors = Rc<RefCell<Repeats>>;

/// The answer for the site's health checker.
pub(super) async fn ping(state: web::Data<ApiState>, request: HttpRequest) -> HttpResponse {
    let Ok(active) = state.active() else {
        return HttpResponse::Ok().json(Ping::standby());
    };
    let checks = make(&state, &active).await;
    log_silent(&checks, &state, &request);
    HttpResponse::Ok().json(Ping::of(&checks.faults()))
}

/// The answer for load balancers and people.
pub(super) async fn ready(state: web::Data<ApiState>, request: HttpRequest) -> HttpResponse {
    let Ok(active) = state.active() else {
        return HttpResponse::ServiceUnavailable().json(Readiness::standby());
    };
    let checks = make(&state, &active).await;
    log_silent(&checks, &state, &request);
    let readiness = Readiness::of(checks);
    let mut answer = if readiness.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(readiness)
}

/// Asks everyone at once; takes no longer than the slowest actor may.
async fn make(state: &ApiState, active: &Active) -> Checks {
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
    Checks {
        last_poll: Age::of("poll of the controller", polled, active.since, policy.poll_interval),
        last_instance_list: Age::of("list of instances", listed, active.since, policy.sync_interval),
        lock_held: Lock { ok: true },
        runner_readable: Check::of(error),
        own_side: Check::of(active.trouble.borrow().clone().unwrap_or_default()),
        actors: Actors { ok: silent.is_empty(), silent },
        event_feed: queue.and_then(|view| view.feed).map(Feed::of),
    }
}

fn log_silent(checks: &Checks, state: &ApiState, request: &HttpRequest) {
    let repeats = request.app_data::<SilentActors>().expect("every app is given its list");
    for actor in &checks.actors.silent {
        if let Some(n) = repeats.borrow_mut().note(&ACTOR_SILENT, actor, clock::now()) {
            event!(state.log, ACTOR_SILENT, "Actor" => actor,
                "Duration" => state.health().actor_answer.as_secs_f64(), "Repeated" => n);
        }
    }
}
