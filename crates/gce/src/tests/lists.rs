//! Listings: whole or failed, of our set, and what is done beside them.

use std::time::Duration;

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudErrorKind};
use dispatch_sim::clouds::gce::{FakeGce, GceServer};
use dispatch_sim::stub::Reply;
use serde_json::json;

use super::{ZONES, cloud, methods, order, order_of, params, small, value};

fn ours() -> Tags {
    let mut filter = Tags::default();
    filter.insert("ArvadosInstanceSetID", "set");
    filter
}

#[actix_rt::test]
async fn a_listing_shows_what_was_ordered_with_its_address_and_is_filtered_by_the_server() {
    let (server, cloud, registry) = cloud(params()).await;
    let made = cloud.create(&order()).await.unwrap();
    server.with(|fake| {
        fake.put(ZONES[1], &json!({"name": "other", "machineType": "zones/x/machineTypes/e2-micro"}))
    });
    methods(&server);
    let listed = cloud.list(&ours()).await.unwrap();
    let query = server.with(|fake| fake.calls().remove(0).query);
    assert_eq!(query["filter"], "labels.arvados-instance-set=\"set\"");
    assert_eq!((listed.len(), &listed[0].id, &listed[0].tags), (1, &made.id, &made.tags));
    assert!(listed[0].address.starts_with("10.128."), "{}", listed[0].address);
    assert!(listed[0].launched.is_some());
    assert_eq!(value(&registry, "gce_instances{zone=\"us-central1-a\"}"), Some(1.0));
    assert_eq!(cloud.list(&Tags::default()).await.unwrap().len(), 2, "without a filter all are shown");
    assert_eq!(
        value(&registry, "gce_instances{zone=\"us-central1-b\"}"),
        Some(0.0),
        "and others' are not counted"
    );
}

#[actix_rt::test]
async fn what_has_the_same_label_is_told_apart_by_its_tags() {
    let (server, cloud, _) = cloud(params()).await;
    server.with(|fake| {
        for (name, tags) in [
            ("same", r#"{"ArvadosInstanceSetID":"set"}"#),
            ("other", r#"{"ArvadosInstanceSetID":"Set"}"#),
            ("defaced", "{"),
        ] {
            fake.put(
                ZONES[0],
                &json!({
                    "name": name, "machineType": "zones/x/machineTypes/e2-micro",
                    "labels": {"arvados-instance-set": "set"},
                    "metadata": {"items": [{"key": "arvados-tags", "value": tags}]},
                }),
            );
        }
    });
    let listed = cloud.list(&ours()).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["us-central1-a/same"]);
}

#[actix_rt::test]
async fn a_zone_that_cannot_be_reached_fails_the_listing_whatever_is_in_it() {
    let (server, cloud, _) = cloud(params()).await;
    cloud.create(&order()).await.unwrap();
    server.with(|fake| fake.knobs.unreachable.insert(ZONES[2].to_owned()));
    for filter in [ours(), Tags::default()] {
        let error = cloud.list(&filter).await.unwrap_err();
        assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Unknown, "UNREACHABLE"));
        assert!(error.message.contains("VMs of us-central1-c are missing"), "{error}");
    }
    server.with(|fake| fake.knobs.unreachable.clear());
    assert_eq!(cloud.list(&ours()).await.unwrap().len(), 1);
}

#[actix_rt::test]
async fn pages_are_read_to_their_end_and_one_that_fails_fails_the_listing() {
    let (server, cloud, _) = cloud(params()).await;
    for number in 0..5 {
        cloud.create(&order_of(&small(), &format!("secret-number-{number}"))).await.unwrap();
    }
    server.with(|fake| {
        fake.knobs.page = 2;
        fake.knobs.empty_first_page = true;
    });
    assert_eq!(cloud.list(&ours()).await.unwrap().len(), 5);
    server.with(|fake| {
        fake.strike("instances.aggregatedList", good(json!({"nextPageToken": "from/0"})));
        fake.strike(
            "instances.aggregatedList",
            FakeGce::refusal(403, "rateLimitExceeded", "Rate Limit Exceeded"),
        );
    });
    let error = cloud.list(&ours()).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::RateLimited { .. }), "{error:?}");
}

fn good(more: serde_json::Value) -> Reply {
    let mut page = json!({"kind": "compute#instanceAggregatedList"});
    page.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Reply::Other(200, "application/json", page.to_string())
}

#[actix_rt::test]
async fn pages_in_a_circle_are_given_up_and_none_leads_to_another_host() {
    let (server, cloud, _) = cloud(params()).await;
    let tokens = ["http://127.0.0.1:9/evil?x=y", "two", "http://127.0.0.1:9/evil?x=y", "two"];
    server.with(move |fake| {
        for token in tokens {
            fake.strike("instances.aggregatedList", good(json!({"nextPageToken": token})));
        }
    });
    let error = cloud.list(&ours()).await.unwrap_err();
    assert_eq!(error.code, "malformed", "{error}");
    let asked = server.with(|fake| fake.calls());
    let pages: Vec<_> =
        asked.iter().map(|call| call.query.get("pageToken").cloned().unwrap_or_default()).collect();
    assert_eq!(pages, ["", tokens[0], "two"], "a token is text, and the same host is asked");
}

#[actix_rt::test]
async fn what_has_stopped_is_listed_and_deleted_beside_the_listing_ten_at_a_time() {
    let (server, cloud, registry) = cloud(params()).await;
    server.with(|fake| {
        for number in 0..12 {
            fake.put(ZONES[0], &json!({
                "name": format!("vm-{number}"), "machineType": "zones/x/machineTypes/e2-micro",
                "labels": {"arvados-instance-set": "set"},
                "metadata": {"items": [{"key": "arvados-tags", "value": r#"{"ArvadosInstanceSetID":"set"}"#}]},
            }));
            let status = if number == 0 { "RUNNING" } else { ["TERMINATED", "STOPPED"][number % 2] };
            fake.vm(ZONES[0], &format!("vm-{number}")).status = status.to_owned();
        }
        // Another set's, and nobody's.
        for (name, set) in [("theirs", "another"), ("nobodys", "")] {
            let tags = json!({"ArvadosInstanceSetID": set}).to_string();
            fake.put(ZONES[0], &json!({
                "name": name, "machineType": "zones/x/machineTypes/e2-micro",
                "labels": {"arvados-instance-set": set},
                "metadata": {"items": [{"key": "arvados-tags", "value": tags}]},
            }));
            fake.vm(ZONES[0], name).status = "TERMINATED".to_owned();
        }
    });
    assert_eq!(cloud.list(&Tags::default()).await.unwrap().len(), 14);
    assert_eq!(cloud.list(&ours()).await.unwrap().len(), 12, "it is there, and costs");
    let deleted = || value(&registry, "gce_stopped_instances_deleted_total");
    until(|| deleted() == Some(10.0)).await;
    let left = cloud.list(&ours()).await.unwrap();
    assert_eq!(left.len(), 2);
    until(|| deleted() == Some(11.0)).await;
    assert_eq!(cloud.list(&ours()).await.unwrap().len(), 1);
    let names: Vec<_> = server.with(|fake| fake.vms().into_iter().map(|vm| vm.name).collect());
    assert_eq!(names, ["nobodys", "theirs", "vm-0"]);
}

#[actix_rt::test]
async fn a_listing_does_not_wait_for_the_delete_of_what_has_stopped_and_none_is_sent_twice() {
    let (server, cloud, _) = cloud(params()).await;
    let made = cloud.create(&order()).await.unwrap();
    let name = made.id.as_str().split_once('/').unwrap().1.to_owned();
    server.with(move |fake| {
        fake.vm(ZONES[0], &name).status = "TERMINATED".to_owned();
        fake.strike("instances.delete", Reply::Silence);
    });
    methods(&server);
    for _ in 0..3 {
        let listed = tokio::time::timeout(Duration::from_secs(5), cloud.list(&ours())).await.unwrap();
        assert_eq!(listed.unwrap().len(), 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let deletes = methods(&server).into_iter().filter(|it| it == "instances.delete").count();
    assert_eq!(deletes, 1);
}

/// Puts a VM there that has stopped, of our set, with those tags more.
fn put_stopped(fake: &mut FakeGce, name: &str, more: &[(&str, &str)]) {
    let own = [("ArvadosInstanceSetID", "set")];
    let tags: std::collections::BTreeMap<_, _> = own.iter().chain(more).copied().collect();
    let item = json!({"key": "arvados-tags", "value": json!(tags).to_string()});
    fake.put(
        ZONES[0],
        &json!({
            "name": name, "machineType": "zones/x/machineTypes/e2-micro",
            "labels": {"arvados-instance-set": "set"}, "metadata": {"items": [item]},
        }),
    );
    fake.vm(ZONES[0], name).status = "TERMINATED".to_owned();
}

/// The VMs whose ends were asked for since the last look.
fn ends(server: &GceServer) -> Vec<String> {
    let calls = server.with(|fake| fake.calls()).into_iter().filter(|it| it.name == "instances.delete");
    calls.map(|it| it.path.rsplit('/').next().unwrap().to_owned()).collect()
}

#[actix_rt::test]
async fn what_has_stopped_on_hold_is_kept() {
    let (server, cloud, registry) = cloud(params()).await;
    server.with(|fake| {
        put_stopped(fake, "held", &[("ArvadosIdleBehavior", "hold")]);
        put_stopped(fake, "other", &[("ArvadosIdleBehavior", "drain")]);
    });
    assert_eq!(cloud.list(&ours()).await.unwrap().len(), 2);
    until(|| value(&registry, "gce_stopped_instances_deleted_total") == Some(1.0)).await;
    assert_eq!(ends(&server), ["other"]);
    let listed = cloud.list(&ours()).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["us-central1-a/held"]);
}

#[actix_rt::test]
async fn what_cannot_be_deleted_is_in_nobodys_way_is_not_counted_and_is_logged_once_a_minute() {
    let server = GceServer::start().unwrap();
    let (log, told) = super::listener();
    let (cloud, registry) = super::driver_with(&server, params(), Duration::from_secs(30), log).await;
    let failed = json!({
        "kind": "compute#operation", "name": "o", "status": "DONE",
        "error": {"errors": [{"code": "INVALID_USAGE", "message": "it is protected"}]},
    });
    server.with(move |fake| {
        for number in 10..22 {
            put_stopped(fake, &format!("vm-{number}"), &[]);
        }
        for _ in 0..5 {
            fake.strike("instances.delete", FakeGce::refusal(400, "invalid", "it is protected"));
            fake.strike("instances.delete", Reply::Other(200, "application/json", failed.to_string()));
        }
    });
    let counted = |series: &str| value(&registry, &format!("gce_{series}"));
    let refused =
        |code: &str| counted(&format!("errors_total{{code=\"{code}\",operation=\"instances.delete\"}}"));
    cloud.list(&ours()).await.unwrap();
    until(|| refused("invalid") == Some(5.0) && refused("INVALID_USAGE") == Some(5.0)).await;
    assert_eq!((ends(&server).len(), counted("stopped_instances_deleted_total")), (10, Some(0.0)));
    cloud.list(&ours()).await.unwrap();
    until(|| counted("stopped_instances_deleted_total") == Some(10.0)).await;
    let asked = ends(&server);
    let others = ["vm-20", "vm-21"].iter().all(|name| asked.iter().any(|it| it == name));
    assert!(asked.len() == 10 && others, "those that were not tried come first: {asked:?}");
    let told: Vec<_> = told.try_iter().collect();
    assert_eq!(told, ["deleting an instance that has stopped by itself"; 12], "each once");
}

#[actix_rt::test]
async fn a_page_that_is_longer_than_is_read_is_asked_for_in_shorter_ones() {
    let (server, cloud, _) = cloud(params()).await;
    cloud.create(&order()).await.unwrap();
    let long = "HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n{";
    server.with(move |fake| fake.strike("instances.aggregatedList", Reply::Raw(long.to_owned())));
    methods(&server);
    let error = cloud.list(&ours()).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Unknown, "too_long"));
    assert_eq!(cloud.list(&ours()).await.unwrap().len(), 1);
    let asked = server.with(|fake| fake.calls());
    let sizes: Vec<_> = asked.iter().map(|call| call.query["maxResults"].as_str()).collect();
    assert_eq!(sizes, ["500", "250"]);
}

#[actix_rt::test]
async fn what_a_listing_finds_is_logged_once_a_minute_at_most() {
    let server = GceServer::start().unwrap();
    let (log, told) = super::listener();
    let (cloud, _) = super::driver_with(&server, params(), Duration::from_secs(30), log).await;
    server.with(|fake| {
        for (name, tags) in [("stopped", r#"{"ArvadosInstanceSetID":"set"}"#), ("defaced", "{")] {
            fake.put(
                ZONES[0],
                &json!({
                    "name": name, "machineType": "zones/x/machineTypes/e2-micro",
                    "labels": {"arvados-instance-set": "set"},
                    "metadata": {"items": [{"key": "arvados-tags", "value": tags}]},
                }),
            );
        }
        fake.vm(ZONES[0], "stopped").status = "TERMINATED".to_owned();
        fake.strike("instances.delete", Reply::Silence);
    });
    for _ in 0..3 {
        cloud.list(&ours()).await.unwrap();
    }
    let mut found: Vec<_> = told.try_iter().collect();
    found.sort();
    assert_eq!(
        found,
        ["deleting an instance that has stopped by itself", "tags of an instance cannot be read"]
    );
    // What has the set's label and no tags at all is nobody's, too.
    server.with(|fake| {
        let labels = json!({"arvados-instance-set": "set"});
        fake.put(
            ZONES[1],
            &json!({"name": "bare", "machineType": "zones/x/machineTypes/e2-micro", "labels": labels}),
        );
    });
    assert_eq!(cloud.list(&ours()).await.unwrap().len(), 1);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["tags of an instance cannot be read"]);
}

/// Waits for something to become true.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within five seconds");
}
