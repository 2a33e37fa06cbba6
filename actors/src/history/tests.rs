//! What is logged becomes an event.

use std::time::Duration;

use rand::SeedableRng as _;
use serde_json::Value;

use super::*;
use crate::{catalogue, event};

fn site() -> (Logger, HistoryHandle) {
    recorded(Logger::root(slog::Discard, o!()), &mut rand::rngs::StdRng::seed_from_u64(1))
}

async fn page(of: &HistoryHandle, since: u64, most: usize, about: About) -> EventPage {
    of.history.send(GetEvents { since, most, about }).await.unwrap()
}

/// Waits until that many have been taken in.
async fn happened(of: &HistoryHandle, count: u64) {
    let mut latest = of.latest.clone();
    let wait = latest.wait_for(|latest| *latest >= count);
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap().unwrap();
}

fn json(event: &Happened) -> Value {
    serde_json::from_str(&event.json).unwrap()
}

const UUID: &str = "zzzzz-dz642-000000000000001";

#[actix::test]
async fn what_tells_of_a_change_is_an_event_with_its_facts_whatever_the_level_of_the_log() {
    let (log, history) = site();
    let of_vm = log.new(o!("Instance" => "i-1"));
    event!(log, catalogue::REQUEST, "reqPath" => "x");
    event!(log, catalogue::PROBE_SUCCEEDED);
    event!(of_vm, catalogue::STARTED, "ContainerUUID" => UUID, "Duration" => 0.5);
    event!(log, catalogue::LOCK_SUCCEEDED, "ContainerUUID" => UUID);
    event!(log, catalogue::SYNC_FAILED, "error" => "e".repeat(2_000));
    happened(&history, 3).await;
    let events = page(&history, 0, 100, About::default()).await.events;
    let told: Vec<_> =
        events.iter().map(|it| (it.seq, json(it)["msg"].as_str().unwrap().to_owned())).collect();
    let expected = ["crunch-run process started", "lock succeeded", "sync failed"];
    assert_eq!(told, (1..).zip(expected.map(str::to_owned)).collect::<Vec<_>>());
    let started = json(&events[0]);
    assert_eq!(
        (&started["Instance"], &started["Duration"], &started["level"]),
        (&"i-1".into(), &0.5.into(), &"info".into())
    );
    assert!(started["time"].as_str().unwrap().parse::<dispatch_core::time::Timestamp>().is_ok());
    assert_eq!((events[0].container.unwrap().as_str(), &*events[0].instance), (UUID, "i-1"));
    let cut = json(&events[2])["error"].as_str().unwrap().to_owned();
    assert!(cut.len() < 1_050 && cut.ends_with("… (2000 bytes)"), "{cut}");
}

#[actix::test]
async fn a_reader_gets_page_after_page_and_only_what_it_wants() {
    let (log, history) = site();
    for n in 0..10 {
        let uuid = if n % 2 == 0 { UUID } else { "zzzzz-dz642-000000000000002" };
        event!(log, catalogue::STARTED, "ContainerUUID" => uuid, "Instance" => format!("i-{n}"));
    }
    happened(&history, 10).await;
    let first = page(&history, 0, 4, About::default()).await;
    assert_eq!((first.events.len(), first.seen, first.oldest), (4, 4, 1));
    let rest = page(&history, first.seen, 100, About::default()).await;
    assert_eq!((rest.events.len(), rest.seen), (6, 10));
    let about = About { container: Some(UUID.parse().unwrap()), instance: None };
    let of_one = page(&history, 0, 100, about.clone()).await;
    assert_eq!(of_one.events.iter().map(|it| it.seq).collect::<Vec<_>>(), [1, 3, 5, 7, 9]);
    let last = history.history.send(GetLastEvents { most: 2, about }).await.unwrap();
    assert_eq!(last.events.iter().map(|it| it.seq).collect::<Vec<_>>(), [7, 9]);
    let of_vm = About { container: None, instance: Some("i-3".to_owned()) };
    assert_eq!(page(&history, 0, 100, of_vm).await.events.len(), 1);
}

#[actix::test]
async fn two_processes_are_told_apart() {
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let log = || Logger::root(slog::Discard, o!());
    let (one, other) = (recorded(log(), &mut random).1, recorded(log(), &mut random).1);
    assert_ne!(one.boot, other.boot);
    assert_eq!(one.boot.len(), 16);
}

/// Whoever does not read holds one page.
#[actix::test]
async fn a_page_is_bounded_in_bytes_and_the_last_are_found_without_being_copied() {
    let (log, history) = site();
    for n in 0..200 {
        event!(log, catalogue::SYNC_FAILED, "error" => format!("{n} {}", "e".repeat(900)));
    }
    happened(&history, 200).await;
    let first = page(&history, 0, 1_000, About::default()).await;
    let bytes: usize = first.events.iter().map(|event| event.json.len()).sum();
    assert!((30_000..35_000).contains(&bytes), "{bytes}");
    let before = history.history.send(FindLastEvents { most: 3, about: About::default() }).await.unwrap();
    assert_eq!(before, 197);
    let none = About { container: Some(UUID.parse().unwrap()), instance: None };
    assert_eq!(history.history.send(FindLastEvents { most: 3, about: none }).await.unwrap(), 200);
}
