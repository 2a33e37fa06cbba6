//! How quickly one job follows another, over real ssh and real HTTP. A program of its own: nothing runs beside it.
//!
//! ```text
//!   SimController ──(websocket) hints──► dispatcher ──ssh──► 4 instances of one job each: 10 waves of 3 s
//! ```
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

#[path = "e2e/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the end-to-end tests, which use more of it")]
mod support;

use std::time::Duration;

use dispatch_actors::clock;
use dispatch_core::container::ContainerState;
use dispatch_core::time::since;
use serde_json::json;
use support::{Metrics, SOON, Service, Site};

const JOBS: usize = 40;
const SECONDS: u64 = 3;
const INSTANCES: u64 = 4;
/// Ten waves take 30 s; the rest is for the boot, and a second between two jobs.
const IN_ALL: Duration = Duration::from_secs(45);

/// Four instances for one job each, everything else as a site has it that configures nothing, and a feed.
fn site() -> Site {
    let mut site = Site::new();
    let url = site.controller.websocket_url();
    site.cluster()["Services"]["Websocket"] = json!({ "ExternalURL": url });
    let cloud = site.cloud();
    cloud["DriverParameters"]["Instances"] = INSTANCES.into();
    cloud["MaxInstances"] = INSTANCES.into();
    cloud["MaxRunningContainersPerInstance"] = 1.into();
    let intervals = cloud.as_object_mut().unwrap();
    for key in ["PollInterval", "SyncInterval", "ProbeInterval", "TimeoutIdle", "TimeoutShutdown"] {
        assert!(intervals.remove(key).is_some(), "{key} is as it is by default");
    }
    site
}

/// How many requests the dispatcher has sent to the controller, by its own count, besides those that lock.
async fn requests_besides_locks(service: &Service, site: &Site) -> f64 {
    let metrics = Metrics::of(service, site).await;
    let name = "controller_requests_total";
    let locks = metrics.value(name, &[("call", "lock"), ("status", "200")]);
    metrics.sum(name) - locks.expect("each container was locked")
}

#[actix_rt::test]
async fn forty_jobs_of_three_seconds_on_four_vms_take_less_than_45_seconds_and_few_requests() {
    let site = site();
    let mut service = site.start().await;
    service.logged("event feed connected", SOON).await;
    service.logged("ready", SOON).await;
    let began = clock::now();
    site.submit_lasting(JOBS, SECONDS).await;
    site.reached(JOBS, ContainerState::Complete, 2 * IN_ALL).await;
    let took = since(clock::now(), began);
    let requests = requests_besides_locks(&service, &site).await / JOBS as f64;
    println!("{took:?}, {requests} requests for each container besides its lock");
    site.assert_all_ran_once(JOBS).await;
    assert!(took < IN_ALL, "{took:?}");
    assert!(requests <= 1.5, "{requests} requests for each container besides its lock");
    assert_eq!(service.stop().await, 0);
}
