//! The configured feed against the simulated service, over a real websocket.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::ports::{FeedCounts, Hint};
use dispatch_sim::chance::Span;
use dispatch_sim::controller::events::Knobs;
use dispatch_sim::controller::facts::Origin;
use dispatch_sim::controller::http::SimController;
use dispatch_sim::controller::state::ContainerSpec;
use dispatch_sim::controller::{FakeArvados, ROOT_TOKEN, Settings as SiteSettings, Submission};
use tokio::time::timeout;

use super::*;
use crate::settings::{self, Environment, Host};

/// How long the tests wait for what must come, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn site() -> SimController {
    // Signs of life come so often that a test need not wait for them.
    let settings = SiteSettings { ping_interval: Duration::from_millis(20), ..SiteSettings::default() };
    SimController::start(FakeArvados::new(1, settings), dispatch_actors::clock::now).unwrap()
}

/// What a site's file makes of it.
fn settings(websocket: &str, token: &str) -> Settings {
    let pair = russh::keys::PrivateKey::random(&mut rand::rng(), russh::keys::Algorithm::Ed25519).unwrap();
    let key = pair.to_openssh(Default::default()).unwrap().to_string();
    let text = serde_json::json!({"Clusters": {"zzzzz": {
        "ManagementToken": "m",
        "SystemRootToken": token,
        "Services": {
            "Controller": {"ExternalURL": "http://127.0.0.1:1"},
            "Websocket": {"ExternalURL": websocket},
        },
        "Containers": {"DispatchPrivateKey": key, "CloudVMs": {"ImageID": "ami-1"}},
    }}});
    let text = serde_json::to_vec(&text).unwrap();
    settings::parse("test", &text, None, &Environment::default(), &Host::this()).unwrap().settings
}

/// An open feed that has connected.
async fn connected(site: &SimController, token: &str) -> Rc<dyn EventFeed> {
    let feed = open(&settings(&site.websocket_url(), token)).unwrap().unwrap();
    assert_eq!(next(&*feed).await, Hint::Connected);
    feed
}

async fn next(feed: &dyn EventFeed) -> Hint {
    timeout(PATIENCE, feed.next()).await.expect("a hint comes")
}

/// The next hint for which the condition holds.
async fn until(feed: &dyn EventFeed, is_wanted: impl Fn(&Hint) -> bool) -> Hint {
    loop {
        let hint = next(feed).await;
        if is_wanted(&hint) {
            return hint;
        }
    }
}

async fn counted(feed: &dyn EventFeed, is_enough: impl Fn(FeedCounts) -> bool) -> FeedCounts {
    let wait = async {
        while !is_enough(feed.counts()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{:?}", feed.counts()));
    feed.counts()
}

async fn submit(site: &SimController) -> dispatch_core::id::ContainerUuid {
    site.with(|arvados, now| arvados.submit(Submission::of(ContainerSpec::default()), now)).await.unwrap()
}

async fn turn_knobs(site: &SimController, knobs: Knobs) {
    site.with(|arvados, _| arvados.events.knobs = knobs).await.unwrap();
}

#[actix_rt::test]
async fn a_site_without_the_service_has_no_feed() {
    assert!(open(&settings("", "t")).unwrap().is_none());
}

#[actix_rt::test]
async fn what_changes_at_the_controller_is_told() {
    let site = site();
    let feed = connected(&site, ROOT_TOKEN).await;
    let uuid = submit(&site).await;
    let told = |state| Hint::Container { uuid, state: Some(state) };
    until(&*feed, |hint| *hint == told(ContainerState::Queued)).await;
    let lock = move |arvados: &mut FakeArvados, now| {
        let caller = arvados.authenticate(ROOT_TOKEN, Origin::Http).unwrap();
        arvados.lock(uuid, caller, now).map(|_| ()).unwrap();
    };
    site.with(lock).await.unwrap();
    until(&*feed, |hint| *hint == told(ContainerState::Locked)).await;
    // The user's cancel changes a priority, which no event tells; the event of the request does.
    site.with(move |arvados, now| arvados.cancel_by_user(uuid, now)).await.unwrap();
    until(&*feed, |hint| *hint == Hint::Requests).await;
    let counts = feed.counts();
    assert_eq!((counts.containers, counts.requests, counts.malformed), (2, 2, 0));
}

#[actix_rt::test]
async fn with_a_wrong_token_it_is_connected_and_hears_nothing() {
    let site = site();
    let (deaf, hearing) = (connected(&site, "wrong").await, connected(&site, ROOT_TOKEN).await);
    submit(&site).await;
    until(&*hearing, |hint| matches!(hint, Hint::Container { .. })).await;
    let pings = deaf.counts().pings;
    let counts = counted(&*deaf, |counts| counts.pings > pings + 1).await;
    assert_eq!(counts, FeedCounts { pings: counts.pings, ..FeedCounts::default() });
}

#[actix_rt::test]
async fn in_a_flood_of_other_objects_ours_are_told_and_the_service_does_not_cut_us_off() {
    let site = site();
    let feed = connected(&site, ROOT_TOKEN).await;
    turn_knobs(&site, Knobs { others_per_second: 10_000, ..Knobs::default() }).await;
    let counts = counted(&*feed, |counts| counts.others > 10_000).await;
    let uuid = submit(&site).await;
    let hint = until(&*feed, |hint| !matches!(hint, Hint::Requests)).await;
    assert_eq!(hint, Hint::Container { uuid, state: Some(ContainerState::Queued) });
    assert!(counts.malformed == 0 && feed.counts().others >= counts.others);
}

#[actix_rt::test]
async fn a_service_that_goes_and_comes_is_told() {
    let site = site();
    let feed = connected(&site, ROOT_TOKEN).await;
    turn_knobs(&site, Knobs { is_down: true, ..Knobs::default() }).await;
    until(&*feed, |hint| matches!(hint, Hint::Lost { reason } if reason.contains("502"))).await;
    turn_knobs(&site, Knobs::default()).await;
    until(&*feed, |hint| *hint == Hint::Connected).await;
    site.with(|arvados, _| arvados.events.cut()).await.unwrap();
    until(&*feed, |hint| matches!(hint, Hint::Lost { .. })).await;
    until(&*feed, |hint| *hint == Hint::Connected).await;
}

/// Whatever it tells, it is a hint about a container of the site.
#[actix_rt::test]
async fn lost_doubled_late_and_false_events_are_hints_like_others() {
    let site = site();
    let feed = connected(&site, ROOT_TOKEN).await;
    let late_by = Span::between_millis(1, 50);
    let knobs = Knobs { lost: 0.3, doubled: 0.3, late: 0.5, late_by, lies: 0.5, ..Knobs::default() };
    turn_knobs(&site, knobs).await;
    let mut uuids = Vec::new();
    for _ in 0..50 {
        uuids.push(submit(&site).await);
    }
    turn_knobs(&site, Knobs::default()).await;
    let last = submit(&site).await;
    let of_last = |hint: &Hint| matches!(hint, Hint::Container { uuid, .. } if *uuid == last);
    until(&*feed, |hint| {
        let is_known = match hint {
            Hint::Container { uuid, .. } => uuids.contains(uuid) || *uuid == last,
            Hint::Requests => true,
            Hint::Everything | Hint::Connected | Hint::Lost { .. } => false,
        };
        assert!(is_known, "{hint:?}");
        of_last(hint)
    })
    .await;
    assert_eq!(feed.counts().malformed, 0);
}
