//! What has happened, and what happens from now on.

use std::time::Duration;

use awc::http::Method;
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::support::site::{Answer, bearer, recorded, uuid};
use crate::support::{DEADLINE, Site, eventually};

const EVENTS: &str = "/arvados/v1/dispatch/events";

fn lines(answer: &Answer) -> Vec<Value> {
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn all(site: &Site) -> Vec<Value> {
    lines(&site.get(EVENTS).await)
}

/// A site that has started something, and all its events.
async fn site_with_events() -> (Site, Vec<Value>) {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    site.running(uuid(1).as_str()).await;
    let events = eventually("a start is told", async || {
        let events = all(&site).await;
        events.iter().any(|it| it["msg"] == "crunch-run process started").then_some(events)
    })
    .await;
    (site, events)
}

#[actix_web::test]
async fn changes_are_told_in_order_with_a_number_and_their_facts() {
    let (site, events) = site_with_events().await;
    let numbers: Vec<_> = events.iter().map(|it| it["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    let place = |message: &str| events.iter().position(|it| it["msg"] == message).expect(message);
    let order = [
        "adding container to queue",
        "lock succeeded",
        "creating new instance",
        "crunch-run process started",
    ];
    assert!(order.map(place).is_sorted(), "{events:?}");
    let started = &events[place("crunch-run process started")];
    assert_eq!(started["ContainerUUID"], uuid(1).as_str());
    assert!(!started["Instance"].as_str().unwrap().is_empty());
    let boot = started["boot"].as_str().unwrap();
    assert!(boot.len() == 16 && events.iter().all(|it| it["boot"] == boot));

    let after = lines(&site.get(&format!("{EVENTS}?since=2&boot={boot}")).await);
    assert_eq!(after[0], events[2]);
    let last = lines(&site.get(&format!("{EVENTS}?last=2")).await);
    assert_eq!(last.len(), 2);
    let of_one = lines(&site.get(&format!("{EVENTS}?container_uuid={}", uuid(1))).await);
    assert!(!of_one.is_empty() && of_one.iter().all(|it| it["ContainerUUID"] == uuid(1).as_str()));
    let of_another = site.get(&format!("{EVENTS}?container_uuid={}", uuid(2))).await;
    assert_eq!((of_another.status.as_u16(), of_another.body.as_str()), (200, ""));
}

#[actix_web::test]
async fn what_is_missing_is_said() {
    let (site, events) = site_with_events().await;
    for query in ["since=2&boot=0123456789abcdef", "since=4000000000"] {
        let answer = lines(&site.get(&format!("{EVENTS}?{query}")).await);
        assert_eq!(answer[0]["msg"], "events are missing", "{query}");
        assert!(answer[0]["Reason"].as_str().unwrap().contains("another process"), "{query}");
        assert_eq!(answer[1], events[0], "{query}");
    }
    for query in ["since=x", "last=-1", "container_uuid=x"] {
        site.get(&format!("{EVENTS}?{query}")).await.assert_error(400);
    }
    site.ask(Method::POST, EVENTS, &[("authorization", &bearer())], None).await.assert_error(405);
    site.ask(Method::GET, EVENTS, &[], None).await.assert_error(401);
}

/// The next bytes of a stream that are an event, or nothing more.
async fn next_event(
    body: &mut (impl futures_util::Stream<Item = Result<bytes::Bytes, awc::error::PayloadError>> + Unpin),
) -> String {
    let mut text = String::new();
    while !text.ends_with('\n') || text.trim().is_empty() {
        let bytes = tokio::time::timeout(DEADLINE, body.next()).await.expect("something comes in time");
        text.push_str(std::str::from_utf8(&bytes.expect("the stream goes on").unwrap()).unwrap());
    }
    text
}

#[actix_web::test]
async fn whoever_follows_is_told_at_once_and_until_the_service_ends() {
    let (site, events) = site_with_events().await;
    let (boot, seen) = (events[0]["boot"].as_str().unwrap(), all(&site).await.len());
    let url = format!("{}{EVENTS}?follow=1&since={seen}&boot={boot}", site.url);
    let request = site.client.get(url).insert_header(("authorization", bearer()));
    let mut response = request.insert_header(("accept", "text/event-stream")).send().await.unwrap();
    assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
    site.world.add(recorded(uuid(2)));
    let text = next_event(&mut response).await;
    let (id, data) = text.split_once('\n').unwrap();
    assert!(id.starts_with(&format!("id: {boot}:")), "{text}");
    assert!(data.starts_with("data: {\"seq\":"), "{text}");

    // A client that comes back says what it has seen.
    let id = id.trim_start_matches("id: ").to_owned();
    let again = [("authorization", bearer()), ("last-event-id", id.clone())];
    let again: Vec<_> = again.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = site.ask(Method::GET, EVENTS, &again, None).await;
    let after: u64 = id.split_once(':').unwrap().1.parse().unwrap();
    assert!(lines(&answer).iter().all(|it| it["seq"].as_u64().unwrap() > after), "{answer:?}");

    site.history.do_send(dispatch_actors::history::EndFollowing);
    let ended = async { while response.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the stream ends with the service");
}
