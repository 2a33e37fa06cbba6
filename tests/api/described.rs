//! The API's description: of every path and no other, and real answers fit it.

use awc::http::Method;
use serde_json::{Value, json};

use crate::support::schema::{Description, OPENAPI};
use crate::support::site::{bearer, recorded, uuid};
use crate::support::{Site, eventually};

/// Its path, its form, and the status of its answer.
type Order<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

const ONE: &str = "/arvados/v1/dispatch/container";

#[actix_web::test]
async fn the_description_says_which_it_is_and_needs_the_token() {
    let site = Site::start().await;
    let document = site.get(OPENAPI).await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], arvados_dispatch_cloud::VERSION);
    assert_eq!(document["security"], json!([{ "bearer": [] }, { "basic": [] }, { "oauth2": [] }]));
    site.ask(Method::GET, OPENAPI, &[], None).await.assert_error(401);
}

/// What is described is there, and answered to those methods; what the text of `routes` has is described.
#[actix_web::test]
async fn every_route_is_described_and_no_other() {
    let site = Site::start().await;
    let description = Description::of(&site).await;
    let text = include_str!("../../src/api/routes.rs");
    let rows =
        text.lines().filter(|line| line.trim().starts_with("get(") || line.trim().starts_with("post("));
    assert_eq!(description.paths().count(), rows.count());
    for path in description.paths() {
        let methods: Vec<_> = description.methods(path).collect();
        let wrong = if methods == ["post"] { Method::GET } else { Method::POST };
        let answer = site.ask(wrong, path, &[("authorization", &bearer())], None).await;
        answer.assert_error(405);
        assert_eq!(answer.header("allow").to_lowercase(), methods.join(", "), "{path}");
        description.check("delete", path, &answer);
    }
}

#[actix_web::test]
async fn what_is_read_fits_its_description() {
    let site = Site::start().await;
    let description = Description::of(&site).await;
    site.world.add(recorded(uuid(1)));
    site.running(uuid(1).as_str()).await;
    site.world.undecodable.borrow_mut().insert(uuid(3), "it is no record".to_owned());
    site.world.creates_hang.set(true);
    let mut large = recorded(uuid(2));
    large.runtime_constraints.vcpus = 4;
    site.world.add(large);
    eventually("a create is under way", async || {
        let listed = site.get("/arvados/v1/dispatch/instances").await.json();
        (listed["items"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    for path in description.paths().filter(|path| *path != ONE) {
        if description.methods(path).any(|it| it == "get") {
            let answer = site.get(path).await;
            assert!(answer.status.is_success() || answer.status == 503, "{path}: {answer:?}");
            description.check("get", path, &answer);
            let head = site.ask(Method::HEAD, path, &[("authorization", &bearer())], None).await;
            description.check("head", path, &head);
        }
    }
    for number in 1..=4 {
        let answer = site.get(&format!("{ONE}?container_uuid={}", uuid(number))).await;
        description.check("get", ONE, &answer);
    }
}

/// Each reason that the world of a test can bring about, and what has left the queue.
#[actix_web::test]
async fn what_is_explained_fits_its_description() {
    let site = Site::start().await;
    let description = Description::of(&site).await;
    let shown = async |number: u32, wanted: &str| {
        let path = format!("{ONE}?container_uuid={}", uuid(number));
        let answer = eventually(wanted, async || {
            let answer = site.get(&path).await;
            (answer.status == 200 && answer.json()["explain"]["reason"] == wanted).then_some(answer)
        })
        .await;
        description.check("get", ONE, &answer);
        description.check(
            "get",
            "/arvados/v1/dispatch/containers",
            &site.get("/arvados/v1/dispatch/containers").await,
        );
        description.check(
            "get",
            "/arvados/v1/dispatch/creates",
            &site.get("/arvados/v1/dispatch/creates").await,
        );
    };
    site.post("/arvados/v1/dispatch/creates/pause", &[("for", "1h"), ("by", "alice")]).await;
    site.world.add(recorded(uuid(1)));
    shown(1, "paused").await;
    site.world.cloud_fails.set(true);
    site.post("/arvados/v1/dispatch/creates/resume", &[]).await;
    eventually("the cloud's refusal is told", async || {
        let creates = site.get("/arvados/v1/dispatch/creates").await;
        let items = creates.json()["items"].clone();
        let is_told = items.as_array().unwrap().iter().any(|it| it["creates"]["cloud"].is_object());
        description.check("get", "/arvados/v1/dispatch/creates", &creates);
        is_told.then_some(())
    })
    .await;
    site.world.cloud_fails.set(false);
    site.world.creates_hang.set(true);
    shown(1, "booting").await;
    site.world.records.borrow_mut().get_mut(&uuid(1)).unwrap().state =
        dispatch_core::container::ContainerState::Cancelled;
    shown(1, "cancelled").await;
}

#[actix_web::test]
async fn what_comes_of_orders_fits_its_description() {
    let site = Site::start().await;
    let description = Description::of(&site).await;
    site.world.add(recorded(uuid(1)));
    let id = site.running(uuid(1).as_str()).await;
    let id = ("instance_id", id.as_str());
    let (one, two) = (uuid(1), uuid(2));
    let held = [id, ("if_held", "refuse")];
    let orders: [Order<'_>; 19] = [
        ("instances/hold", &[id, ("reason", "why"), ("by", "alice")], 200),
        ("instances/drain", &held, 409),
        ("instances/drain", &[held[0], held[1], ("force", "yes")], 200),
        ("instances/run", &[id], 200),
        ("instances/run", &[("instance_id", "i-none")], 404),
        ("instances/kill", &[], 400),
        ("creates/pause", &[("for", "10m"), ("market", "spot")], 200),
        ("creates/pause", &[("for", "never")], 400),
        ("creates/resume", &[("market", "spot")], 200),
        ("creates/resume", &[], 404),
        ("creates/resume", &[("type", "m4.large")], 400),
        ("types/drain", &[("instance_type", "m4.large")], 200),
        ("types/run", &[("instance_type", "m4.large")], 200),
        ("types/run", &[("instance_type", "huge")], 404),
        ("types/drain", &[], 400),
        ("containers/kill", &[("container_uuid", one.as_str())], 200),
        ("containers/kill", &[("container_uuid", two.as_str())], 404),
        ("instances/kill", &[id, ("reason", "over")], 200),
        ("instances/kill", &[("instance_id", "")], 400),
    ];
    for (order, form, status) in orders {
        let path = format!("/arvados/v1/dispatch/{order}");
        let answer = site.post(&path, form).await;
        assert_eq!(answer.status.as_u16(), status, "{order} {form:?}: {}", answer.body);
        description.check("post", &path, &answer);
    }
}

/// Lines of a stream that goes on, and of one whose reader has missed something.
#[actix_web::test]
async fn events_fit_their_description_line_by_line() {
    let site = Site::start().await;
    let description = Description::of(&site).await;
    site.world.add(recorded(uuid(1)));
    site.running(uuid(1).as_str()).await;
    let events = "/arvados/v1/dispatch/events";
    for query in ["", "?last=3", "?since=1&boot=another", &format!("?container_uuid={}", uuid(1))] {
        let answer = site.get(&format!("{events}{query}")).await;
        description.check("get", events, &answer);
        let lines: Vec<Value> = answer.body.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        assert!(!lines.is_empty(), "{query}");
        lines.iter().for_each(|line| description.check_named("EventLine", line));
    }
    let sse = [("authorization", bearer()), ("accept", "text/event-stream".to_owned())];
    let sse = sse.each_ref().map(|(name, value)| (*name, value.as_str()));
    description.check("get", events, &site.ask(Method::GET, events, &sse, None).await);
    for query in ["?last=some", "?since=-1", "?follow=perhaps", "?container_uuid=x"] {
        let answer = site.get(&format!("{events}{query}")).await;
        answer.assert_error(400);
        description.check("get", events, &answer);
    }
}

#[actix_web::test]
async fn who_is_refused_is_told_so_as_described() {
    let site = Site::start().await;
    let description = Description::of(&site).await;
    site.active.send(None).unwrap();
    for path in description.paths() {
        for method in description.methods(path) {
            let as_method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", &bearer())]] {
                let answer = site.ask(as_method.clone(), path, headers, None).await;
                description.check(method, path, &answer);
            }
        }
    }
}

/// Otherwise all that fits would prove nothing.
#[actix_web::test]
async fn what_does_not_fit_is_found() {
    let site = Site::start().await;
    let description = Description::of(&site).await;
    site.world.add(recorded(uuid(1)));
    site.running(uuid(1).as_str()).await;
    let instance = site.get("/arvados/v1/dispatch/instances").await.json()["items"][0].clone();
    assert!(description.fits("Instance", &instance));
    for (key, value) in [
        ("worker_state", json!("asleep")),
        ("idle_behavior", json!("")),
        ("price", json!("0.1")),
        ("last_busy", json!("yesterday")),
        ("running_container_uuids", json!(["x"])),
        ("more", json!(1)),
    ] {
        let mut other = instance.clone();
        other[key] = value;
        assert!(!description.fits("Instance", &other), "{key}");
    }
    for key in instance.as_object().unwrap().keys() {
        let mut other = instance.clone();
        other.as_object_mut().unwrap().remove(key);
        assert!(!description.fits("Instance", &other), "without {key}");
    }
}
