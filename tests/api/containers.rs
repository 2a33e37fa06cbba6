//! The containers' routes.

use std::num::NonZeroU32;
use std::time::Duration;

use awc::http::Method;
use dispatch_actors::messages::queue::NoteMarketLosses;
use dispatch_core::container::ContainerState;
use dispatch_core::instance::{Catalog, InstanceType};
use serde_json::{Value, json};

use crate::support::site::{Options, bearer, quick_policy, recorded, uuid};
use crate::support::{Site, eventually};

const CONTAINERS: &str = "/arvados/v1/dispatch/containers";
const KILL: &str = "/arvados/v1/dispatch/containers/kill";

fn path(number: u32) -> String {
    format!("/arvados/v1/dispatch/container?container_uuid={}", uuid(number))
}

/// Waits until that container's entry is as wanted.
async fn entry(site: &Site, number: u32, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("entry of container {number}"), async || {
        let answer = site.get(&path(number)).await;
        (answer.status == 200).then(|| answer.json()).filter(|entry| wanted(entry))
    })
    .await
}

async fn in_order(site: &Site) -> Vec<String> {
    let items = site.get(CONTAINERS).await.json()["items"].as_array().unwrap().clone();
    items.iter().map(|it| it["container"]["uuid"].as_str().unwrap().to_owned()).collect()
}

/// Nothing can be created: what is in the queue stays there.
async fn full_site() -> Site {
    let site = Site::start().await;
    site.world.creates_hang.set(true);
    site
}

#[actix_web::test]
async fn containers_are_listed_in_scheduling_order_with_exact_priorities() {
    let site = full_site().await;
    let highest = i64::MAX - 1;
    for (number, priority) in [(1, 5), (2, highest), (3, highest - 1), (4, 562_948_158_082_432_002)] {
        let mut record = recorded(uuid(number));
        record.priority = priority;
        site.world.add(record);
    }
    let expected = [2, 3, 4, 1].map(|number| uuid(number).to_string());
    eventually("scheduling order", async || (in_order(&site).await == expected).then_some(())).await;
    let items = site.get(CONTAINERS).await.json();
    let priorities = items["items"].as_array().unwrap().iter().map(|it| &it["container"]["priority"]);
    assert!(priorities.eq(&[
        json!(highest),
        json!(highest - 1),
        json!(562_948_158_082_432_002_i64),
        json!(5)
    ]));
}

/// A long list is written a piece at a time.
#[actix_web::test]
async fn a_long_list_is_whole() {
    let site = full_site().await;
    (1..=350).for_each(|number| site.world.add(recorded(uuid(number))));
    let listed = eventually("all are listed", async || {
        let listed = in_order(&site).await;
        (listed.len() == 350).then_some(listed)
    })
    .await;
    let all: Vec<_> = (1..=350).map(|number| uuid(number).to_string()).collect();
    let sorted: std::collections::BTreeSet<_> = listed.into_iter().collect();
    assert!(sorted.into_iter().eq(all), "each of them once");
    let head = site.ask(Method::HEAD, CONTAINERS, &[("authorization", &bearer())], None).await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
}

#[actix_web::test]
async fn a_waiting_container_says_why_to_people_and_machines() {
    let site = full_site().await;
    site.world.add(recorded(uuid(1)));
    site.world.add(recorded(uuid(2)));
    let first = entry(&site, 1, |it| it["explain"]["reason"] == "booting").await;
    let text = "Waiting for a m4.large instance to boot and be ready to accept work.";
    assert_eq!(first["scheduling_status"], text);
    assert_eq!(first["explain"]["evidence"], json!({"instance_type": "m4.large"}));
    assert_eq!(first["explain"]["creates"]["m4.large"]["state"], "open");
}

#[actix_web::test]
async fn a_container_beyond_the_limit_knows_its_place_in_line() {
    let mut policy = quick_policy();
    policy.max_instances = 1;
    policy.max_containers_per_instance = 1;
    let site = Site::with(Options { policy, ..Options::default() }).await;
    site.world.creates_hang.set(true);
    for number in 1..=3 {
        site.world.add(recorded(uuid(number)));
    }
    let last = entry(&site, 3, |it| it["explain"]["reason"] == "ceiling").await;
    let text = "Waiting in queue at position 3.  Cluster is at capacity and cannot start any new instances right now.";
    assert_eq!(last["scheduling_status"], text);
    assert_eq!(last["explain"]["position"], 3);
    assert_eq!(last["explain"]["evidence"], json!({"ceiling": 1}));
}

#[actix_web::test]
async fn one_container_is_explained_with_all_that_holds_it_up() {
    let mut policy = quick_policy();
    policy.max_containers_per_instance = 1;
    let site = Site::with(Options { policy, ..Options::default() }).await;
    site.world.creates_hang.set(true);
    for number in 1..=3 {
        site.world.add(recorded(uuid(number)));
    }
    let path = |number| format!("/arvados/v1/dispatch/container?container_uuid={}", uuid(number));
    let shown = eventually("the last one waits", async || {
        let shown = site.get(&path(3)).await;
        let shown = (shown.status == 200).then(|| shown.json())?;
        (shown["explain"]["ahead"]["count"] == 2).then_some(shown)
    })
    .await;
    let explain = &shown["explain"];
    assert_eq!(explain["ahead"]["nearest"], json!([uuid(2), uuid(1)]));
    let types = explain["types"].as_array().unwrap();
    let of = |name: &str| {
        types.iter().find(|it| it["Name"] == name).unwrap_or_else(|| panic!("{name}: {types:?}"))
    };
    assert_eq!((&of("m4.large")["excluded"], &of("m4.large")["Price"]), (&Value::Null, &json!(0.1)));
    assert!(of("m4.large")["creates"]["state"].is_string());
    let excluded: Vec<_> = types.iter().filter(|it| it["excluded"].is_string()).collect();
    assert!(!excluded.is_empty() && excluded.iter().all(|it| it.get("creates").is_none()), "{types:?}");
    assert!(explain["in_words"].is_string() && explain["remedy"].is_string());
    let added =
        |events: &Value| events.as_array().unwrap().iter().any(|it| it["msg"] == "adding container to queue");
    assert!(added(&shown["events"]), "{shown}");
    // The list is for all of them: it has no room for that.
    let listed = site.get(CONTAINERS).await.json()["items"][0].clone();
    assert!(listed["explain"].is_object());
    assert!(listed["explain"].get("types").is_none() && listed.get("events").is_none());
}

#[actix_web::test]
async fn a_container_that_has_left_the_queue_is_still_explained() {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    site.running(uuid(1).as_str()).await;
    site.world.records.borrow_mut().get_mut(&uuid(1)).unwrap().state = ContainerState::Cancelled;
    let path = format!("/arvados/v1/dispatch/container?container_uuid={}", uuid(1));
    let shown = eventually("it has left", async || {
        let shown = site.get(&path).await;
        assert_eq!(shown.status, 200, "it is never unknown meanwhile");
        let shown = shown.json();
        shown["explain"]["left_at"].is_string().then_some(shown)
    })
    .await;
    assert_eq!(shown["explain"]["reason"], "cancelled");
    assert_eq!(
        (&shown["container"]["uuid"], &shown["container"]["state"]),
        (&json!(uuid(1)), &json!("Cancelled"))
    );
    assert_eq!(shown["instance_types"], json!([]), "with the keys that clients know");
    assert!(shown["events"].as_array().unwrap().len() > 2, "{shown}");
    site.world.add(recorded(uuid(2)));
    site.running(uuid(2).as_str()).await;
    site.world.records.borrow_mut().get_mut(&uuid(2)).unwrap().priority = 0;
    let path = format!("/arvados/v1/dispatch/container?container_uuid={}", uuid(2));
    eventually("it is on hold", async || {
        let shown = site.get(&path).await;
        assert_eq!(shown.status, 200, "one of priority 0 is explained");
        let shown = shown.json();
        let text = "This container will not be scheduled to run because its priority is 0 and state is ";
        assert!(
            !shown["explain"]["left_at"].is_string()
                || shown["scheduling_status"].as_str().unwrap().starts_with(text)
        );
        shown["explain"]["left_at"].is_string().then_some(())
    })
    .await;
    assert_eq!(site.get(&path.replace("dz642-", "dz642-9")).await.status, 404);
}

#[actix_web::test]
async fn a_change_in_flight_is_shown() {
    let site = Site::start().await;
    site.world.locks_hang.set(true);
    site.world.add(recorded(uuid(1)));
    let entry = entry(&site, 1, |it| !it["explain"]["operation"].is_null()).await;
    assert_eq!(entry["explain"]["operation"], json!({"kind": "lock", "reason": "", "call": "lock"}));
    assert_eq!(entry["container"]["state"], "Queued");
}

#[actix_web::test]
async fn a_running_container_has_an_instance_and_no_scheduling_status() {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    let instance = site.running(uuid(1).as_str()).await;
    let locked = entry(&site, 1, |it| it["container"]["state"] == "Locked").await;
    assert_eq!(locked["scheduling_status"], "Container is allocated to an instance and preparing to run.");
    site.world.records.borrow_mut().get_mut(&uuid(1)).unwrap().state = ContainerState::Running;
    let running = entry(&site, 1, |it| it["container"]["state"] == "Running").await;
    assert_eq!(running["scheduling_status"], "");
    assert_eq!(running["explain"]["instances"], json!([instance]));
}

#[actix_web::test]
async fn a_record_that_cannot_be_decoded_is_shown_with_the_reason() {
    let site = full_site().await;
    let reason = "runtime_constraints.ram: a number is wanted";
    site.world.undecodable.borrow_mut().insert(uuid(7), reason.to_owned());
    site.world.add(recorded(uuid(1)));
    let poisoned = entry(&site, 7, |_| true).await;
    assert_eq!(poisoned["explain"]["reason"], "undecodable");
    assert_eq!(poisoned["explain"]["undecodable"], reason);
    assert_eq!(poisoned["container"]["runtime_constraints"]["gpu"]["hardware_target"], json!([]));
    entry(&site, 1, |_| true).await;
    let expected = [1, 7].map(|number| uuid(number).to_string());
    assert_eq!(in_order(&site).await, expected);
}

#[actix_web::test]
async fn a_record_that_went_bad_keeps_its_last_good_picture() {
    let site = full_site().await;
    site.world.add(recorded(uuid(1)));
    entry(&site, 1, |_| true).await;
    site.world.undecodable.borrow_mut().insert(uuid(1), "cut".to_owned());
    let bad = entry(&site, 1, |it| it["explain"]["undecodable"] == "cut").await;
    assert_eq!(bad["container"]["priority"], recorded(uuid(1)).priority);
    assert_eq!(in_order(&site).await.len(), 1);
}

#[actix_web::test]
async fn a_container_of_priority_zero_is_shown_as_long_as_the_queue_knows_it() {
    let mut policy = quick_policy();
    policy.timeout_signal = Duration::from_millis(50);
    let site = Site::with(Options { policy, ..Options::default() }).await;
    site.world.add(recorded(uuid(1)));
    let instance = site.running(uuid(1).as_str()).await;
    site.world.kills_are_vain.set(true);
    site.world.records.borrow_mut().get_mut(&uuid(1)).unwrap().priority = 0;
    let shown = entry(&site, 1, |it| it["container"]["priority"] == 0).await;
    assert_eq!(shown["explain"]["instances"], json!([instance]), "{shown}");
    assert_eq!(in_order(&site).await, [uuid(1).to_string()]);
    // Only when nothing of it runs any more the queue forgets it.
    site.world.kills_are_vain.set(false);
    let has_left = async || site.get(&path(1)).await.json()["explain"]["left_at"].is_string().then_some(());
    eventually("it is forgotten", has_left).await;
    assert_eq!(in_order(&site).await, [""; 0]);
}

#[actix_web::test]
async fn the_first_that_waits_for_a_quota_is_told_until_when_others_are_let_past() {
    let mut policy = quick_policy();
    (policy.max_instances, policy.initial_quota_estimate) = (1, 10);
    (policy.max_containers_per_instance, policy.backfill_patience) = (1, Duration::from_secs(600));
    let site = Site::with(Options { policy, ..Options::default() }).await;
    site.world.add(recorded(uuid(1)));
    site.running(uuid(1).as_str()).await;
    site.world.add(recorded(uuid(2)));
    let explained = eventually("it is the first", async || {
        let explain = site.get(&path(2)).await.json()["explain"].take();
        explain["others_let_past_until"].is_string().then_some(explain)
    })
    .await;
    assert_eq!(explained["reason"], "max_instances", "{explained}");
    assert!(site.get(&path(1)).await.json()["explain"]["others_let_past_until"].is_null());
}

#[actix_web::test]
async fn what_the_spot_market_has_taken_from_a_container_is_explained() {
    let mut policy = quick_policy();
    policy.sizing.spot_retries = NonZeroU32::new(1);
    let large = policy.catalog.types().iter().max_by_key(|it| it.vcpus).unwrap();
    let steady = InstanceType { preemptible: false, ..InstanceType::clone(large) };
    let spot = InstanceType { name: "market".parse().unwrap(), preemptible: true, ..steady.clone() };
    policy.catalog = Catalog::new([steady, spot]);
    let site = Site::with(Options { policy, ..Options::default() }).await;
    site.world.creates_hang.set(true);
    let mut record = recorded(uuid(1));
    record.scheduling.preemptible = true;
    site.world.add(record);
    let of_type = |shown: &Value, name: &str| {
        let types = shown["explain"]["types"].as_array().cloned().unwrap_or_default();
        types.into_iter().find(|it| it["Name"] == name).unwrap_or_default()["excluded"].clone()
    };
    let before = entry(&site, 1, |it| it["instance_types"][0]["Name"] == "market").await;
    assert!(before["explain"]["market_losses"].is_null() && of_type(&before, "market").is_null(), "{before}");
    let queue = site.active.borrow().as_ref().unwrap().handles.queue.clone();
    queue.send(NoteMarketLosses { containers: vec![uuid(1)] }).await.unwrap();
    let shown = entry(&site, 1, |it| it["explain"]["moved_on_demand"] == true).await;
    assert_eq!(shown["explain"]["market_losses"], 1, "{shown}");
    assert_eq!(of_type(&shown, "market"), "is spot, and on-demand is used instead (SpotRetries)", "{shown}");
    let metrics = site.get("/metrics").await;
    for line in ["containers_lost_to_market_total 1", "containers_moved_on_demand_total 1"] {
        assert!(metrics.body.contains(&format!("arvados_dispatchcloud_{line}\n")), "{line}");
    }
    site.logs
        .with_message("container has lost its instance to the spot market")
        .first()
        .expect("it is logged");
}

/// Polls do not show what nobody wants to run. The controller asks every dispatcher of a site, so what is another's is not
/// answered for.
#[actix_web::test]
async fn a_container_of_priority_zero_that_never_was_in_the_queue_is_explained_and_anothers_is_not_found() {
    let site = Site::start().await;
    let mut unwanted = recorded(uuid(1));
    unwanted.priority = 0;
    site.world.add(unwanted);
    let shown = site.get(&path(1)).await;
    assert_eq!(shown.status, 200);
    let shown = shown.json();
    assert_eq!(
        (&shown["explain"]["reason"], &shown["container"]["state"], &shown["container"]["priority"]),
        (&json!("priority_zero"), &json!("Queued"), &json!(0))
    );
    assert_eq!(shown["explain"]["left_at"], Value::Null, "it never was in it");
    assert!(shown["scheduling_status"].as_str().unwrap().contains("priority"), "{shown}");
    assert_eq!(in_order(&site).await, [""; 0]);

    let mut ended = recorded(uuid(2));
    (ended.priority, ended.state) = (0, ContainerState::Complete);
    site.world.add(ended);
    site.get(&path(2)).await.assert_error(404);
}

#[actix_web::test]
async fn a_container_that_is_not_there_is_not_found() {
    let site = Site::start().await;
    site.get(&path(1)).await.assert_error(404);
    site.get("/arvados/v1/dispatch/container").await.assert_error(404);
    site.get("/arvados/v1/dispatch/container?container_uuid=").await.assert_error(404);
    site.get("/arvados/v1/dispatch/container?container_uuid=%00nonsense").await.assert_error(404);
}

#[actix_web::test]
async fn killing_a_container_ends_its_process_and_logs_the_operators_words() {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    let instance = site.running(uuid(1).as_str()).await;
    site.post(KILL, &[("container_uuid", uuid(1).as_str()), ("reason", "a\nreason")]).await.assert_done();
    let ended = eventually("its process has ended", async || {
        site.logs.with_message("crunch-run process ended").into_iter().next()
    })
    .await;
    assert_eq!(ended["ContainerUUID"], uuid(1).as_str());
    let killing = site.logs.with_message("killing crunch-run process");
    assert_eq!(killing[0]["Reason"], "via management API: a reason");
    let ordered = eventually("the order is logged", async || {
        site.logs.with_message("ordered by an operator").into_iter().next()
    })
    .await;
    assert_eq!((&ordered["Action"], &ordered["Reason"]), (&json!("kill"), &json!("a reason")));
    assert_eq!(killing[0]["Instance"], instance);
    assert_eq!(
        killing[0]["RequestID"], ordered["RequestID"],
        "the worker's line is found by the request, too"
    );
}

#[actix_web::test]
async fn what_has_no_process_cannot_be_killed() {
    let site = full_site().await;
    site.world.add(recorded(uuid(1)));
    entry(&site, 1, |_| true).await;
    site.post(KILL, &[]).await.assert_error(400);
    site.post(KILL, &[("container_uuid", "")]).await.assert_error(400);
    site.post(KILL, &[("container_uuid", "nonsense")]).await.assert_error(404);
    site.post(KILL, &[("container_uuid", uuid(2).as_str())]).await.assert_error(404);
    site.post(KILL, &[("container_uuid", uuid(1).as_str())]).await.assert_error(404);
}
