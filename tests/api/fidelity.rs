//! Each recorded call gets the same status, and an answer that a client of the recorded one can read.

use awc::http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config_support::reference;
use crate::support::shape::missing;
use crate::support::site::{bearer, recorded};
use crate::support::{Site, eventually};

#[derive(Deserialize)]
struct Call {
    method: String,
    path: String,
    token: Option<String>,
    form: Option<Map<String, Value>>,
    status: u16,
    json: Option<Value>,
    /// The idle behaviour a moment later.
    after: Option<String>,
}

/// The container and the instance of the recording that the calls are about.
const CONTAINER: &str = "zzzzz-dz642-4ur9hgns31ufr0g";
const INSTANCE: &str = "i-0246ec5dbe77ae0e8";
/// Keys that we fill and the recorded dispatcher did not.
const FILLED: [&str; 2] = ["locked_by_uuid", "lock_count"];
/// Where we have something and the recorded dispatcher had nothing: the page (docs/operate.md, "The page").
const OURS: &str = "/";

fn calls() -> Vec<Call> {
    serde_json::from_slice(&std::fs::read(reference("http.json")).unwrap()).unwrap()
}

async fn replay(site: &Site, call: &Call, instance: &str) {
    let name = format!("{} {} {:?} {:?}", call.method, call.path, call.token, call.form);
    let token = match call.token.as_deref() {
        Some("right") => Some(bearer()),
        Some(_) => Some("Bearer wrong".to_owned()),
        None => None,
    };
    let mut headers: Vec<_> = token.iter().map(|token| ("authorization", token.as_str())).collect();
    let body = call.form.as_ref().map(|form| {
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        let pairs =
            form.iter().map(|(key, value)| (key, value.as_str().unwrap().replace(INSTANCE, instance)));
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    });
    let method = Method::from_bytes(call.method.as_bytes()).unwrap();
    let answer = site.ask(method, &call.path.replace(INSTANCE, instance), &headers, body).await;
    assert_eq!(answer.status.as_u16(), call.status, "{name}: {}", answer.body);
    if let Some(theirs) = call.json.as_ref().filter(|it| it.is_object()) {
        assert_eq!(missing(theirs, &answer.json(), &FILLED), [""; 0], "{name}: {}", answer.body);
    } else if call.status == 200 && call.method == "POST" {
        answer.assert_done();
    } else if call.status >= 400 {
        answer.assert_error(call.status);
    }
    if let Some(behavior) = &call.after {
        eventually(behavior, async || {
            let items = site.get("/arvados/v1/dispatch/instances").await.json();
            let shown = items["items"]
                .as_array()
                .unwrap()
                .iter()
                .any(|it| it["instance"] == instance && it["idle_behavior"] == behavior.as_str());
            shown.then_some(())
        })
        .await;
    }
}

#[actix_web::test]
async fn every_recorded_call_is_answered_alike() {
    let site = Site::start().await;
    site.world.add(recorded(CONTAINER.parse().unwrap()));
    let instance = site.running(CONTAINER).await;
    let calls = calls();
    assert_eq!(calls.len(), 39);
    for call in calls.iter().filter(|call| call.path != OURS) {
        replay(&site, call, &instance).await;
        // The recorded container was killed; ours must be there for the calls that follow.
        site.running(CONTAINER).await;
    }
}

#[actix_web::test]
async fn the_list_has_entries_of_the_recorded_single_ones_shape() {
    let site = Site::start().await;
    site.world.add(recorded(CONTAINER.parse().unwrap()));
    site.running(CONTAINER).await;
    let single = format!("/arvados/v1/dispatch/container?container_uuid={CONTAINER}");
    let theirs = calls().into_iter().find(|call| call.path == single).unwrap().json.unwrap();
    let ours = site.get("/arvados/v1/dispatch/containers").await.json();
    let items = ours["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(missing(&theirs, &items[0], &FILLED), [""; 0]);
}

#[actix_web::test]
async fn the_recorded_container_needs_and_fits_what_it_did_there() {
    let site = Site::start().await;
    site.world.add(recorded(CONTAINER.parse().unwrap()));
    let single = format!("/arvados/v1/dispatch/container?container_uuid={CONTAINER}");
    let theirs = calls().into_iter().find(|call| call.path == single).unwrap().json.unwrap();
    site.running(CONTAINER).await;
    let ours = eventually("Locked", async || {
        let entry = site.get(&single).await.json();
        (entry["container"]["state"] == "Locked").then_some(entry)
    })
    .await;
    for key in
        ["uuid", "priority", "created_at", "container_image", "runtime_constraints", "scheduling_parameters"]
    {
        assert_eq!(ours["container"][key], theirs["container"][key], "{key}");
    }
    assert_eq!(ours["instance_resources"], theirs["instance_resources"]);
    assert_eq!(ours["scheduling_status"], theirs["scheduling_status"]);
    let names = ours["instance_types"].as_array().unwrap().iter().map(|it| it["Name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["m4.large", "m4.large.scratch"]);
    let mut types = ours["instance_types"].clone();
    for it in types.as_array_mut().unwrap() {
        let it = it.as_object_mut().unwrap();
        let scratch = it["IncludedScratch"].as_u64().unwrap() + it["AddedScratch"].as_u64().unwrap();
        assert_eq!(it.remove("Scratch").unwrap(), scratch);
        it.remove("Name");
    }
    assert_eq!(types, theirs["instance_types"]);
}
