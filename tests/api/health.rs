//! Health: bad when polls, listings, the runner or an actor are.

use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use actix_rt::Arbiter;
use arvados_dispatch_cloud::api::HealthPolicy;
use dispatch_actors::metrics::{KnownLabels, Metrics};
use dispatch_actors::system::Handles;
use serde_json::{Value, json};
use slog::{Logger, o};

use crate::support::site::{Options, quick_policy, start_actors};
use crate::support::{DEADLINE, Site, World, eventually};

const PING: &str = "/_health/ping";
const READY: &str = "/_health/ready";

async fn ping(site: &Site) -> Value {
    let answer = site.get(PING).await;
    assert_eq!(answer.status, 200);
    answer.json()
}

/// Waits until health is an error that says so.
async fn sick(site: &Site, because: &str) {
    eventually(because, async || {
        let answer = ping(site).await;
        let says_so = || answer["error"].as_str().unwrap().contains(because);
        (answer["health"] == "ERROR" && says_so()).then_some(())
    })
    .await;
    let ready = site.get(READY).await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["ready"], false);
    assert!(ready.json()["errors"][0].as_str().is_some());
}

/// Waits until it is well and ready; that answer.
async fn well(site: &Site) -> Value {
    eventually("health", async || (ping(site).await == json!({"health": "OK"})).then_some(())).await;
    eventually("readiness", async || {
        let ready = site.get(READY).await;
        (ready.status == 200).then(|| ready.json())
    })
    .await
}

#[actix_web::test]
async fn a_working_dispatcher_is_well_and_ready() {
    let site = Site::start().await;
    let ready = well(&site).await;
    let checks = ready["checks"].as_object().unwrap();
    let names: Vec<_> = checks.keys().collect();
    assert_eq!(
        names,
        ["last_poll", "last_instance_list", "lock_held", "runner_readable", "own_side", "actors"]
    );
    assert!(checks.values().all(|check| check["ok"] == true), "{ready}");
    assert!(
        checks["last_poll"]["age_seconds"].as_f64().unwrap()
            < checks["last_poll"]["limit_seconds"].as_f64().unwrap()
    );
}

#[actix_web::test]
async fn failing_polls_are_an_error_after_five_intervals_and_over_with_the_next_success() {
    let site = Site::start().await;
    well(&site).await;
    site.world.controller_fails.set(true);
    sick(&site, "no poll of the controller has succeeded").await;
    site.world.controller_fails.set(false);
    well(&site).await;
}

#[actix_web::test]
async fn trouble_on_our_own_side_is_an_error_at_once() {
    let site = Site::start().await;
    well(&site).await;
    site.trouble.send_replace(Some("no file descriptors".to_owned()));
    let text = ping(&site).await.to_string();
    assert!(text.contains("our own side fails: no file descriptors"), "{text}");
    assert_eq!(site.get(READY).await.status, 503);
    site.trouble.send_replace(None);
    well(&site).await;
}

#[actix_web::test]
async fn failing_listings_are_an_error_after_five_intervals() {
    let site = Site::start().await;
    well(&site).await;
    site.world.cloud_fails.set(true);
    sick(&site, "no list of instances has succeeded").await;
    site.world.cloud_fails.set(false);
    well(&site).await;
}

/// Intervals so long that nothing comes again, judged by other ones.
fn judged_by(poll: Duration, sync: Duration) -> Options {
    let mut policy = quick_policy();
    policy.poll_interval = Duration::from_secs(3600);
    policy.sync_interval = Duration::from_secs(3600);
    let health = HealthPolicy { poll_interval: poll, sync_interval: sync, actor_answer: DEADLINE };
    Options { policy, health, ..Options::default() }
}

#[actix_web::test]
async fn before_the_first_poll_the_start_counts_and_nothing_is_ready() {
    let site = Site::with(judged_by(Duration::from_secs(3600), Duration::from_secs(3600))).await;
    site.world.controller_fails.set(true);
    site.world.cloud_fails.set(true);
    let ready = eventually("not ready yet", async || {
        let ready = site.get(READY).await;
        (ready.status == 503).then(|| ready.json())
    })
    .await;
    assert_eq!(ping(&site).await, json!({"health": "OK"}), "five intervals have not passed");
    assert_eq!(ready["checks"]["last_poll"]["succeeded"], false);
    assert_eq!(ready["errors"][0], "no poll of the controller has succeeded yet");
}

#[actix_web::test]
async fn a_first_poll_that_never_succeeds_is_an_error() {
    let options = judged_by(Duration::from_millis(20), Duration::from_secs(3600));
    let site = Site::with(options).await;
    site.world.controller_fails.set(true);
    sick(&site, "no poll of the controller has succeeded").await;
}

#[actix_web::test]
async fn a_runner_that_cannot_be_read_is_an_error() {
    let site = Site::start().await;
    well(&site).await;
    site.runner.send(Err("/usr/bin/crunch-run: no such file".to_owned())).unwrap();
    sick(&site, "cannot read the runner: /usr/bin/crunch-run: no such file").await;
    site.runner.send(Ok(())).unwrap();
    well(&site).await;
}

/// Actors on a thread of their own that is held up until the sender is dropped.
fn held_up_actors() -> (Handles, mpsc::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let (release, held) = mpsc::channel();
    let arbiter = Arbiter::new();
    arbiter.spawn_fn(move || {
        let (metrics, _) = Metrics::new(KnownLabels::default());
        let log = Logger::root(slog::Discard, o!());
        let handles = start_actors(&Rc::new(World::default()), quick_policy(), Rc::new(metrics), log);
        tell.send(handles).unwrap();
        let _ = held.recv();
        Arbiter::current().stop();
    });
    (told.recv().unwrap(), release)
}

#[actix_web::test]
async fn actors_that_do_not_answer_are_named_and_logged_once() {
    let (handles, release) = held_up_actors();
    let health = HealthPolicy {
        actor_answer: Duration::from_millis(100),
        ..HealthPolicy::new(&quick_policy(), false)
    };
    let site = Site::with(Options { health, handles: Some(handles), ..Options::default() }).await;
    sick(&site, "no answer from: queue, pool, scheduler, cloud").await;
    for path in ["containers", "instances"] {
        site.get(&format!("/arvados/v1/dispatch/{path}")).await.assert_error(503);
    }
    for _ in 0..6 {
        ping(&site).await;
    }
    let lines = eventually("the queue is named", async || {
        let lines = site.logs.with_message("actor does not answer");
        let named = lines.iter().any(|line| line["Actor"] == "queue" && line["level"] == "error");
        named.then_some(lines)
    })
    .await;
    assert!(lines.len() <= 2 * 4, "once a thread and actor: {}", lines.len());
    drop(release);
}
