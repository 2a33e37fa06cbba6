//! Pauses of creates, and drained types.

use serde_json::{Value, json};

use crate::support::site::{recorded, uuid};
use crate::support::{Site, eventually};

const CREATES: &str = "/arvados/v1/dispatch/creates";
const PAUSE: &str = "/arvados/v1/dispatch/creates/pause";
const RESUME: &str = "/arvados/v1/dispatch/creates/resume";
const DRAIN: &str = "/arvados/v1/dispatch/types/drain";
const RUN: &str = "/arvados/v1/dispatch/types/run";
const TYPE: &str = "m4.large";

async fn status(site: &Site) -> Value {
    site.get(CREATES).await.json()
}

/// What may be created of the type that the recorded container takes.
async fn creates_of_type(site: &Site) -> Value {
    let status = status(site).await;
    let item = status["items"].as_array().unwrap().iter().find(|it| it["instance_type"] == TYPE);
    item.unwrap()["creates"].clone()
}

async fn container(site: &Site) -> Option<Value> {
    let path = format!("/arvados/v1/dispatch/container?container_uuid={}", uuid(1));
    let answer = site.get(&path).await;
    (answer.status == 200).then(|| answer.json())
}

#[actix_web::test]
async fn a_pause_is_told_to_whoever_asks_and_nothing_is_created_before_it_is_ended() {
    let site = Site::start().await;
    let form = [("for", "1h"), ("reason", "the image is renewed"), ("by", "alice")];
    let paused = site.post(PAUSE, &form).await;
    assert_eq!(paused.status, 200);
    let paused = paused.json();
    assert_eq!(paused["scope"], "all");
    assert!(paused["kept"].as_str().unwrap().contains("no directory"), "{paused}");
    let shown = &status(&site).await["pauses"][0];
    assert_eq!(
        (&shown["scope"], &shown["by"], &shown["reason"], &shown["until"]),
        (&json!("all"), &json!("alice"), &json!("the image is renewed"), &paused["until"])
    );

    site.world.add(recorded(uuid(1)));
    let waiting = eventually("it is told why it waits", async || {
        container(&site).await.filter(|it| it["explain"]["evidence"]["cause"] == "operator")
    })
    .await;
    assert_eq!(waiting["explain"]["reason"], "paused");
    let text = waiting["scheduling_status"].as_str().unwrap();
    assert!(
        text.contains("is created until 20") && text.ends_with("because an operator has paused creates."),
        "{text}"
    );
    let gate = creates_of_type(&site).await;
    assert_eq!((&gate["state"], &gate["until"]), (&json!("paused"), &paused["until"]));
    let instances = site.get("/arvados/v1/dispatch/instances").await.json();
    assert_eq!(instances, json!({ "items": [] }));

    assert_eq!(site.post(RESUME, &[("by", "bob")]).await.status, 200);
    site.running(uuid(1).as_str()).await;
    assert_eq!(status(&site).await["pauses"], json!([]));
    let ended = site.post(RESUME, &[]).await;
    assert_eq!(ended.status, 404);
    let told = site.logs.with_message("creates are paused by an operator");
    assert_eq!((&told[0]["By"], &told[0]["Kept"]), (&json!("alice"), &json!(false)));
    assert_eq!(site.logs.with_message("creates are resumed")[0]["By"], "bob");
}

#[actix_web::test]
async fn a_pause_needs_an_end_and_a_scope_that_there_is() {
    let site = Site::start().await;
    let wrong: [(&[(&str, &str)], u16, &str); 7] = [
        (&[], 400, "for parameter not provided"),
        (&[("for", "0s")], 400, "for parameter is wrong: wanted is a duration such as 30m"),
        (&[("for", "169h")], 400, "168h (7 days) at most"),
        (&[("for", "for ever")], 400, "a duration"),
        (&[("for", "1h"), ("market", "black")], 400, "one of on-demand, spot"),
        (&[("for", "1h"), ("market", "spot"), ("instance_type", TYPE)], 400, "left out where instance_type"),
        (&[("for", "1h"), ("instance_type", "huge")], 404, "instance type not found"),
    ];
    for (form, code, text) in wrong {
        let answer = site.post(PAUSE, form).await;
        assert_eq!(answer.status, code, "{form:?}");
        assert!(answer.json()["errors"][0].as_str().unwrap().contains(text), "{:?}", answer.json());
    }
    for path in [DRAIN, RUN] {
        assert_eq!(site.post(path, &[]).await.status, 400);
        assert_eq!(site.post(path, &[("instance_type", "huge")]).await.status, 404);
        assert_eq!(site.get(path).await.status, 405);
    }
    assert_eq!(status(&site).await["pauses"], json!([]));
}

#[actix_web::test]
async fn a_drained_type_is_not_created_its_instances_are_drained_and_used_again() {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    let id = site.running(uuid(1).as_str()).await;
    let drained = site.post(DRAIN, &[("instance_type", TYPE), ("by", "carol"), ("reason", "too dear")]).await;
    assert_eq!(drained.status, 200);
    let behavior = async |wanted: &str| {
        eventually(wanted, async || {
            let items = site.get("/arvados/v1/dispatch/instances").await.json();
            let found =
                items["items"].as_array().unwrap().iter().find(|it| it["instance"] == id.as_str()).cloned();
            found.filter(|it| it["idle_behavior"] == wanted)
        })
        .await
    };
    let shown = behavior("drain").await;
    assert_eq!(shown["idle_behavior_by"], "carol");
    assert_eq!(shown["idle_behavior_reason"], "type m4.large is drained: too dear");
    assert!(!shown["idle_behavior_at"].as_str().unwrap().is_empty());
    assert_eq!(creates_of_type(&site).await["state"], "drained");
    assert_eq!(status(&site).await["drained"][0]["reason"], "too dear");

    assert_eq!(site.post(RUN, &[("instance_type", TYPE), ("by", "carol")]).await.status, 200);
    behavior("run").await;
    assert_eq!(status(&site).await["drained"], json!([]));
}

/// A drain ends what somebody looks at: the command line asks first; other clients are answered as always.
#[actix_web::test]
async fn a_held_instance_is_drained_only_by_who_does_not_ask_to_be_refused() {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    let id = site.running(uuid(1).as_str()).await;
    let order = async |verb: &str, more: &[(&'static str, &'static str)]| {
        let path = format!("/arvados/v1/dispatch/instances/{verb}?instance_id={id}");
        site.post(&path, more).await
    };
    assert_eq!(order("hold", &[("by", "dave"), ("reason", "core dump")]).await.status, 200);
    eventually("on hold", async || {
        let items = site.get("/arvados/v1/dispatch/instances").await.json();
        (items["items"][0]["idle_behavior"] == "hold").then_some(())
    })
    .await;
    let refused = order("drain", &[("if_held", "refuse")]).await;
    assert_eq!(refused.status, 409);
    assert!(refused.json()["errors"][0].as_str().unwrap().contains("force=1"));
    assert_eq!(order("drain", &[("if_held", "refuse"), ("force", "1")]).await.status, 200);
    assert_eq!(order("hold", &[]).await.status, 200);
    assert_eq!(order("drain", &[]).await.status, 200);
}
