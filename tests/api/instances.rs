//! The instances' routes.

use std::time::Duration;

use awc::http::Method;
use dispatch_core::instance::{Price, PricePoint};
use dispatch_core::time::Timestamp;
use serde_json::{Value, json};

use crate::support::site::{Options, bearer, quick_policy, recorded, uuid};
use crate::support::{Site, TOKEN, eventually};

const INSTANCES: &str = "/arvados/v1/dispatch/instances";

async fn instances(site: &Site) -> Vec<Value> {
    site.get(INSTANCES).await.json()["items"].as_array().unwrap().clone()
}

async fn instance(site: &Site, id: &str) -> Option<Value> {
    instances(site).await.into_iter().find(|it| it["instance"] == id)
}

/// A site with one container running, and where.
async fn busy_site() -> (Site, String) {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    let id = site.running(uuid(1).as_str()).await;
    (site, id)
}

#[actix_web::test]
async fn an_empty_site_has_an_empty_list() {
    let site = Site::start().await;
    assert_eq!(site.get(INSTANCES).await.json(), json!({"items": []}));
}

#[actix_web::test]
async fn a_create_in_progress_is_shown_without_an_id() {
    let site = Site::start().await;
    site.world.creates_hang.set(true);
    site.world.add(recorded(uuid(1)));
    let pending = eventually("a create", async || instances(&site).await.into_iter().next()).await;
    let expected = json!({
        "instance": "", "address": "", "price": 0.1, "arvados_instance_type": "m4.large",
        "provider_instance_type": "m4.large", "last_container_uuid": "", "last_busy": pending["last_busy"],
        "running_container_uuids": [], "worker_state": "booting", "idle_behavior": "run", "idle_behavior_by": "",
        "idle_behavior_reason": "", "idle_behavior_at": "", "appeared_at": pending["last_busy"],
        "launched_at": "", "drifted": false, "renewal": "", "spot_notice": "", "spare": false,
    });
    assert_eq!(pending, expected);
    assert!(pending["last_busy"].as_str().unwrap().parse::<Timestamp>().is_ok());
}

#[actix_web::test]
async fn a_busy_instance_shows_what_it_runs() {
    let (site, id) = busy_site().await;
    let shown = eventually("running", async || {
        instance(&site, &id).await.filter(|it| it["worker_state"] == "running")
    })
    .await;
    assert_eq!(shown["running_container_uuids"], json!([uuid(1).as_str()]));
    assert_eq!(shown["last_container_uuid"], uuid(1).as_str());
    assert_eq!((&shown["price"], &shown["idle_behavior"]), (&json!(0.1), &json!("run")));
    assert_eq!(shown["address"], "10.1.0.4");
}

#[actix_web::test]
async fn a_price_that_the_cloud_tells_counts_more_than_the_types() {
    let (site, id) = busy_site().await;
    let point = |second, price| PricePoint {
        start_time: Timestamp::from_second(second).unwrap(),
        price: Price::new(price).unwrap(),
    };
    *site.world.prices.borrow_mut() = vec![point(2_000, 0.03125), point(1_000, 0.5)];
    eventually("new price", async || instance(&site, &id).await.filter(|it| it["price"] == 0.03125)).await;
}

#[actix_web::test]
async fn instances_are_sorted_by_id() {
    let site = Site::start().await;
    for number in 1..=12 {
        let mut record = recorded(uuid(number));
        record.runtime_constraints.ram = 6 << 30;
        site.world.add(record);
    }
    let ids = eventually("three instances", async || {
        let all = instances(&site).await;
        let ids: Vec<_> = all.iter().map(|it| it["instance"].as_str().unwrap().to_owned()).collect();
        (ids.iter().filter(|id| !id.is_empty()).count() >= 3).then_some(ids)
    })
    .await;
    assert!(ids.is_sorted(), "{ids:?}");
}

#[actix_web::test]
async fn a_change_of_behaviour_is_seen_at_once_in_tags_too_and_may_be_repeated() {
    // No poll and no listing within the hour: at once is before that, however busy the machine.
    let mut policy = quick_policy();
    policy.poll_interval = Duration::from_secs(3600);
    policy.sync_interval = Duration::from_secs(3600);
    let site = Site::with(Options { policy, ..Options::default() }).await;
    site.world.add(recorded(uuid(1)));
    let id = site.running(uuid(1).as_str()).await;
    for behavior in ["hold", "drain", "run"] {
        let path = format!("{INSTANCES}/{behavior}");
        site.post(&path, &[("instance_id", &id)]).await.assert_done();
        site.post(&path, &[("instance_id", &id)]).await.assert_done();
        eventually(behavior, async || {
            instance(&site, &id).await.filter(|it| it["idle_behavior"] == behavior)
        })
        .await;
        eventually("tag", async || {
            let instances = site.world.instances.borrow();
            let instance = instances.values().find(|it| it.id.as_str() == id)?;
            (instance.tags.get("ArvadosIdleBehavior") == Some(behavior)).then_some(())
        })
        .await;
    }
}

#[actix_web::test]
async fn parameters_may_stand_in_the_query_and_the_body_counts_more() {
    let (site, id) = busy_site().await;
    site.post(&format!("{INSTANCES}/hold?instance_id={id}"), &[]).await.assert_done();
    site.post(&format!("{INSTANCES}/run?instance_id=i-unknown"), &[("instance_id", &id)]).await.assert_done();
    site.post(&format!("{INSTANCES}/run?instance_id={id}"), &[("instance_id", "i-unknown")])
        .await
        .assert_error(404);
}

#[actix_web::test]
async fn an_operators_order_is_logged_with_its_reason_and_the_requests_id() {
    let (site, id) = busy_site().await;
    let order = async |path: String, name: &str, what: &str, request: &str| {
        let reason = format!("look at\nits {TOKEN}");
        let form = [(name, what), ("reason", reason.as_str()), ("by", TOKEN)];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let bearer = bearer();
        let form_type = "application/x-www-form-urlencoded";
        let headers =
            [("authorization", bearer.as_str()), ("content-type", form_type), ("x-request-id", request)];
        site.ask(Method::POST, &path, &headers, Some(body)).await
    };
    for action in ["hold", "drain", "run", "kill"] {
        let request = format!("req-{action}");
        order(format!("{INSTANCES}/{action}"), "instance_id", &id, &request).await.assert_done();
        let line = site.logs.about("ordered by an operator", &request).await;
        assert_eq!((&line["Action"], &line["Instance"]), (&json!(action), &json!(id)));
        assert_eq!(line["Reason"], "look at its (secret)");
        assert_eq!(line["By"], "(secret)");
        if action == "hold" {
            let tag = eventually("a tag says who and why", async || {
                let instances = site.world.instances.borrow();
                let tags = &instances.values().next()?.tags;
                tags.0
                    .iter()
                    .find(|(key, _)| key.ends_with("IdleBehaviorNote"))
                    .map(|(_, value)| value.clone())
            })
            .await;
            assert!(tag.ends_with(" _secret_: look at its _secret_"), "{tag}");
        }
        // So have the lines of who carries it out.
        let told = if action == "kill" { "shutting down" } else { "set idle behavior" };
        let line_of_worker = site.logs.about(told, &request).await;
        assert_eq!(line_of_worker["Instance"], json!(id), "{line_of_worker}");
        assert!(line["remoteAddr"].as_str().is_some_and(|it| it.starts_with("127.0.0.1:")), "{line}");
    }
    // Nor is it anywhere else: in lists, events, tags, or another line of the log.
    for path in [INSTANCES, "/arvados/v1/dispatch/events", "/arvados/v1/dispatch/creates"] {
        assert!(!site.get(path).await.body.contains(TOKEN), "{path}");
    }
    assert!(!site.logs.text().contains(TOKEN));
    // What was refused was not done.
    order(format!("{INSTANCES}/hold"), "instance_id", "i-unknown", "req-refused").await.assert_error(404);
    site.logs.about("response", "req-refused").await;
    let lines = site.logs.with_message("ordered by an operator");
    assert!(lines.iter().all(|line| line["RequestID"] != "req-refused"), "{lines:?}");
}

#[actix_web::test]
async fn an_instance_must_be_named_and_known() {
    let site = Site::start().await;
    for action in ["hold", "drain", "run", "kill"] {
        let path = format!("{INSTANCES}/{action}");
        site.post(&path, &[]).await.assert_error(400);
        site.post(&path, &[("instance_id", "")]).await.assert_error(400);
        site.post(&path, &[("instance_id", "i-unknown")]).await.assert_error(404);
        site.post(&path, &[("instance_id", "a\nb")]).await.assert_error(404);
        site.post(&path, &[("instance_id", &"x".repeat(1000))]).await.assert_error(404);
    }
}

#[actix_web::test]
async fn a_killed_instance_goes_whatever_runs_on_it() {
    let (site, id) = busy_site().await;
    // Before listings show it, its absence would say nothing for a minute.
    let seen = site.world.listings.get();
    eventually("a whole listing", async || (site.world.listings.get() > seen + 1).then_some(())).await;
    site.world.records.borrow_mut().clear();
    let form = [("instance_id", id.as_str()), ("reason", "disk is on fire")];
    site.post(&format!("{INSTANCES}/kill"), &form).await.assert_done();
    // What ran there may live on while the instance ends: it is shown, and counts, until that must be over.
    let is_ending = async || instance(&site, &id).await.is_some_and(|it| it["worker_state"] == "shutdown");
    eventually("instance is being shut down", async || is_ending().await.then_some(())).await;
    let line = eventually("it is logged", async || {
        let lines = site.logs.with_message("shutting down");
        lines.into_iter().find(|line| line["Instance"] == id.as_str())
    })
    .await;
    assert_eq!(line["Reason"], "via management API: disk is on fire");
}
