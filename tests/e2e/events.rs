//! The controller's event feed: work is seen when it comes, not when the queue is polled.

use dispatch_core::container::ContainerState;
use serde_json::json;

use crate::support::{SOON, Site};

/// A site with a feed, that polls so rarely that a test would not live to see it.
fn site_with_feed() -> Site {
    let mut site = Site::new();
    let url = site.controller.websocket_url();
    site.cluster()["Services"]["Websocket"] = json!({ "ExternalURL": url });
    site.cloud()["PollInterval"] = json!("1h");
    site
}

#[actix_rt::test]
async fn work_that_comes_between_two_polls_is_done_at_once_with_the_feed() {
    let mut site = site_with_feed();
    // The path is ours to add, and http means ws.
    let base = site.controller.url().to_owned();
    site.cluster()["Services"]["Websocket"] = json!({ "ExternalURL": base });
    site.runs.open_gate();
    let mut service = site.start().await;
    service.logged("event feed connected", SOON).await;
    service.logged("ready", SOON).await;
    site.submit(4).await;
    site.reached(4, ContainerState::Complete, SOON).await;
    site.assert_all_ran_once(4).await;
    assert!(!service.log_text().contains(&site.root_token), "the token is in the URL of the feed");
    assert!(!service.log_text().contains("api_token"));
    assert_eq!(service.stop().await, 0);
}

/// Nothing that is done follows from a hint alone: what the feed says is asked for, and the answer decides.
#[actix_rt::test]
async fn a_feed_that_lies_about_every_container_changes_nothing() {
    let site = site_with_feed();
    site.controller.with(|arvados, _| arvados.events.knobs.lies = 1.0).await.unwrap();
    let mut service = site.start().await;
    service.logged("event feed connected", SOON).await;
    service.logged("ready", SOON).await;
    site.submit(4).await;
    site.reached(4, ContainerState::Running, SOON).await;
    site.begun(4).await;
    site.runs.open_gate();
    site.reached(4, ContainerState::Complete, SOON).await;
    site.assert_all_ran_once(4).await;
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn a_feed_that_is_not_there_is_told_and_the_queue_is_polled() {
    let mut site = site_with_feed();
    site.cloud()["PollInterval"] = json!("500ms");
    site.cluster()["Services"]["Websocket"] = json!({ "ExternalURL": "ws://127.0.0.1:1/websocket" });
    site.runs.open_gate();
    let mut service = site.start().await;
    let lost = service.logged("event feed lost", SOON).await;
    assert!(lost["error"].as_str().unwrap().contains("ws://127.0.0.1:1/websocket: "), "{lost}");
    site.submit(2).await;
    site.reached(2, ContainerState::Complete, SOON).await;
    site.assert_all_ran_once(2).await;
    assert_eq!(service.stop().await, 0);
}
