//! Two dispatchers: one works, the other stands by, and takes over what runs.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{RESUMED, SOON, Service, Site, processes, until};
use crate::{assert_no_password, calls, settled_calls, site};

const CONTAINERS: usize = 4;
/// What operators are promised, ten seconds, and as much again for a busy machine; the real time is printed.
const TAKE_OVER: Duration = Duration::from_secs(20);

#[actix_rt::test]
async fn the_standby_takes_over_from_a_killed_dispatcher_and_goes_on_with_what_runs() {
    let (site, postgres) = site().await;
    site.submit(CONTAINERS).await;
    let mut first = site.start().await;
    first.logged("lock acquired", SOON).await;
    let mut second = site.start().await;
    let line = second.logged("waiting for other process to release lock", SOON).await;
    let holder = line["HolderApplication"].as_str().unwrap();
    assert!(holder.ends_with(&format!(" pid {}", first.pid())), "{line}");
    site.reached(CONTAINERS, ContainerState::Running, SOON).await;
    site.begun(CONTAINERS).await;
    let runners = processes::runners(&site.state_directory());
    assert_eq!(first.get(&site, "/_health/ping").await.1, json!({"health": "OK"}));
    assert_eq!(second.get(&site, "/_health/ping").await.1, json!({"health": "OK", "standby": true}));

    first.kill().await;
    let began = Instant::now();
    second.logged("lock acquired", TAKE_OVER).await;
    println!("taken over after {:?}", began.elapsed());
    until("every process is detected", SOON, async || {
        (second.lines("crunch-run process detected").len() == CONTAINERS).then_some(())
    })
    .await;
    println!("every process detected after {:?}", began.elapsed());
    assert_eq!(processes::runners(&site.state_directory()), runners, "the same processes");
    site.runs.open_gate();
    site.reached(CONTAINERS, ContainerState::Complete, SOON).await;
    site.emptied(RESUMED).await;
    site.assert_all_ran_once(CONTAINERS).await;
    assert_eq!(second.stop().await, 0);
    assert_no_password(&[&first, &second]);
    drop(postgres);
}

/// It goes on with the one process that runs, to the end.
async fn has_taken_over(site: &Site, second: &mut Service) {
    second.logged("crunch-run process detected", SOON).await;
    site.runs.open_gate();
    site.reached(1, ContainerState::Complete, SOON).await;
    site.emptied(RESUMED).await;
    site.assert_all_ran_once(1).await;
    assert_eq!(second.stop().await, 0);
}

#[actix_rt::test]
async fn the_standby_takes_over_from_a_stopped_dispatcher() {
    let (site, _postgres) = site().await;
    site.submit(1).await;
    let mut first = site.start().await;
    site.reached(1, ContainerState::Running, SOON).await;
    let mut second = site.start().await;
    second.logged("waiting for other process to release lock", SOON).await;
    assert_eq!(first.stop().await, 0);
    second.logged("lock acquired", TAKE_OVER).await;
    has_taken_over(&site, &mut second).await;
}

#[actix_rt::test]
async fn after_a_restart_of_the_server_the_active_one_has_ended_and_the_other_takes_over() {
    let (site, mut postgres) = site().await;
    site.submit(1).await;
    let mut first = site.start().await;
    site.reached(1, ContainerState::Running, SOON).await;
    let mut second = site.start().await;
    second.logged("waiting for other process to release lock", SOON).await;
    let began = Instant::now();
    postgres.stop().await;
    assert_eq!(first.exit_code(SOON).await, 1);
    println!("ended {:?} after the server was told to stop", began.elapsed());
    let line = first.lines("lock lost, exiting").remove(0);
    assert_eq!(line["Code"], "57P01", "{line}");
    let asked = settled_calls(&site).await;
    second.logged("cannot ask for the lock", SOON).await;
    assert_eq!(calls(&site).await, asked, "nobody acts while nobody has the lock");
    assert_eq!(second.get(&site, "/_health/ping").await.1, json!({"health": "OK", "standby": true}));
    postgres.start_again().await;
    let back = Instant::now();
    second.logged("lock acquired", SOON).await;
    println!("taken over {:?} after the server was back", back.elapsed());
    has_taken_over(&site, &mut second).await;
    assert_no_password(&[&first, &second]);
}
