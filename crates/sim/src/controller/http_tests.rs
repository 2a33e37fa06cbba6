//! Tests over real sockets: faults as a client sees them, and a replay of exchanges that were captured from a
//! real server.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::Method;
use awc::Client;
use awc::error::SendRequestError;
use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use serde_json::json;

use super::super::facts::{Entry, Fact};
use super::super::faults::{CallKind, Fault};
use super::super::state::{Container, ContainerSpec};
use super::super::{Caller, ROOT_TOKEN, Settings, Submission};
use super::*;
use crate::chance::Span;
use crate::clock;

fn started(containers: usize) -> (SimController, Vec<ContainerUuid>) {
    let mut arvados = FakeArvados::new(1, Settings::default());
    let submit = |_| arvados.submit(Submission::of(ContainerSpec::default()), clock::epoch());
    let uuids = (0..containers).map(submit).collect();
    (SimController::start(arvados, clock::now).unwrap(), uuids)
}

fn request(controller: &SimController, method: Method, path: &str) -> awc::ClientRequest {
    Client::new()
        .request(method, format!("{}/arvados/v1/{path}", controller.url()))
        .insert_header(("Authorization", format!("Bearer {}", controller.token())))
}

async fn state_of(controller: &SimController, uuid: ContainerUuid) -> ContainerState {
    controller.with(move |arvados, _| arvados.container(uuid).unwrap().state).await.unwrap()
}

async fn strike_next(controller: &SimController, kind: CallKind, fault: Fault) {
    controller.with(move |arvados, _| arvados.faults.strike_next(kind, fault)).await.unwrap();
}

#[actix_web::test]
async fn an_answer_lost_after_commit_is_a_broken_connection_and_the_change_was_made() {
    let (controller, uuids) = started(1);
    strike_next(&controller, CallKind::Lock, Fault::LostAnswer).await;
    let path = format!("containers/{}/lock", uuids[0]);
    let answer = request(&controller, Method::POST, &path).send().await;
    assert!(
        matches!(answer, Err(SendRequestError::Connect(_) | SendRequestError::Response(_))),
        "{answer:?}"
    );
    assert_eq!(state_of(&controller, uuids[0]).await, ContainerState::Locked);
}

#[actix_web::test]
async fn a_call_lost_on_its_way_is_a_broken_connection_and_nothing_happened() {
    let (controller, uuids) = started(1);
    strike_next(&controller, CallKind::Lock, Fault::LostCall).await;
    let path = format!("containers/{}/lock", uuids[0]);
    request(&controller, Method::POST, &path).send().await.unwrap_err();
    assert_eq!(state_of(&controller, uuids[0]).await, ContainerState::Queued);
}

#[actix_web::test]
async fn a_shed_call_has_an_empty_503() {
    let (controller, _) = started(0);
    strike_next(&controller, CallKind::List, Fault::Overloaded).await;
    let mut response = request(&controller, Method::GET, "containers").send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.body().await.unwrap().is_empty());
    assert!(!response.headers().contains_key("retry-after"));
}

#[actix_web::test]
async fn a_slow_answer_is_late_but_right() {
    let (controller, _) = started(0);
    let slow = Span::millis(200);
    let slow_down = move |arvados: &mut FakeArvados, _| {
        arvados.faults.slow_rate = 1.0;
        arvados.faults.slow_by = Some(slow);
    };
    controller.with(slow_down).await.unwrap();
    let began = tokio::time::Instant::now();
    let response = request(&controller, Method::GET, "containers").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(began.elapsed() >= slow.least);
}

#[actix_web::test]
async fn the_scheme_is_case_sensitive_and_the_token_needed() {
    let (controller, _) = started(0);
    let url = format!("{}/arvados/v1/containers", controller.url());
    for authorization in ["bearer ROOT-TOKEN", "Bearer nobody's", ""] {
        let request = Client::new().get(&url).insert_header(("Authorization", authorization));
        assert_eq!(request.send().await.unwrap().status(), 401, "{authorization}");
    }
    assert_eq!(Client::new().get(&url).send().await.unwrap().status(), 401);
}

#[actix_web::test]
async fn a_json_body_is_as_good_as_a_form() {
    let (controller, uuids) = started(1);
    let body = json!({ "container": { "state": "Cancelled" }, "select": ["state"], "ensure": null });
    let path = format!("containers/{}", uuids[0]);
    let mut response = request(&controller, Method::PUT, &path).send_json(&body).await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), json!({ "state": "Cancelled" }));
}

#[actix_web::test]
async fn a_runner_is_told_from_its_dispatcher_by_its_user_agent() {
    let (controller, uuids) = started(1);
    for (agent, verb) in [("arvados-dispatch-cloud", "lock"), ("crunch-run/1", "unlock")] {
        let path = format!("containers/{}/{verb}", uuids[0]);
        let call = request(&controller, Method::POST, &path).insert_header(("User-Agent", agent));
        assert_eq!(call.send().await.unwrap().status(), 200);
    }
    let origins = |arvados: &mut FakeArvados, _| {
        let origin = |entry: &Entry| match entry.fact {
            Fact::Changed { origin, .. } => Some(origin),
            _ => None,
        };
        arvados.history().entries().iter().filter_map(origin).collect::<Vec<_>>()
    };
    assert_eq!(controller.with(origins).await.unwrap(), [Origin::Http, Origin::Process]);
}

#[actix_web::test]
async fn unknown_paths_and_malformed_uuids_are_404() {
    let (controller, _) = started(0);
    for path in ["nonsense", "containers/zzzzz-dz642-short", "containers/x/lock", "users/current"] {
        let mut response = request(&controller, Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        let body: Value = response.json().await.unwrap();
        let text = body["errors"][0].as_str().unwrap();
        assert!(text.starts_with("Path not found (req-") && text.len() == 41, "{text}");
    }
}

#[actix_web::test]
async fn an_answer_may_be_about_another_container() {
    let (controller, uuids) = started(1);
    strike_next(&controller, CallKind::Lock, Fault::WrongUuid).await;
    let path = format!("containers/{}/lock", uuids[0]);
    let mut response = request(&controller, Method::POST, &path).send().await.unwrap();
    let body: Value = response.json().await.unwrap();
    assert_ne!(body["uuid"], json!(uuids[0]));
    assert_eq!(body["state"], "Locked");
}

#[actix_web::test]
async fn empty_values_may_be_null() {
    let (controller, uuids) = started(1);
    controller.with(|arvados, _| arvados.settings.nulls = true).await.unwrap();
    let path = format!("containers/{}", uuids[0]);
    let mut response = request(&controller, Method::GET, &path).send().await.unwrap();
    let body: Value = response.json().await.unwrap();
    for attribute in ["mounts", "environment", "runtime_status", "scheduling_parameters", "locked_by_uuid"] {
        assert!(body[attribute].is_null(), "{attribute}: {}", body[attribute]);
    }
    assert_eq!(body["runtime_constraints"]["gpu"], Value::Null);
    assert_eq!(body["runtime_constraints"]["vcpus"], 1);
    assert_eq!((&body["priority"], &body["state"]), (&json!(500), &json!("Queued")));
}

#[actix_web::test]
async fn a_dropped_controller_serves_no_more() {
    let (controller, _) = started(0);
    let url = controller.url().to_owned();
    drop(controller);
    Client::new().get(&url).send().await.unwrap_err();
}

#[actix_web::test]
async fn a_controller_that_was_shut_down_serves_no_more() {
    let (controller, _) = started(0);
    let url = controller.url().to_owned();
    controller.shutdown().await;
    Client::new().get(&url).send().await.unwrap_err();
}

// ---------------------------------------------------------------- the captured exchanges

const WIRE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/wire");

/// The captures by their number.
fn captures() -> BTreeMap<u32, Value> {
    let read = |entry: io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let number = path.file_name().unwrap().to_str().unwrap()[..2].parse().unwrap();
        (number, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
    };
    std::fs::read_dir(WIRE).unwrap().map(read).collect()
}

/// A record as the captures show it: built from an item of a list, and from the full record if there is one.
fn fixture(item: &Value, full: Option<&Value>) -> Container {
    let text = |name: &str| item[name].as_str().unwrap().to_owned();
    let whole = |value: &Value| value.as_u64().unwrap();
    let mut spec = ContainerSpec { container_image: text("container_image"), ..ContainerSpec::default() };
    if let Some(full) = full {
        spec.command = serde_json::from_value(full["command"].clone()).unwrap();
        spec.cwd = full["cwd"].as_str().unwrap().to_owned();
        spec.mounts = full["mounts"].as_object().unwrap().clone();
    }
    spec.mounts.entry("/tmp").or_insert(json!({ "capacity": 1_000_000, "kind": "tmp" }));
    let wanted = &item["runtime_constraints"];
    let constraints = &mut spec.runtime_constraints;
    constraints.vcpus = whole(&wanted["vcpus"]);
    constraints.ram = whole(&wanted["ram"]);
    let mut container = Container::new(
        text("uuid").parse().unwrap(),
        format!("zzzzz-xvhdp-{}", &text("uuid")[12..]),
        std::sync::Arc::new(spec),
        item["priority"].as_i64().unwrap(),
        text("created_at").parse().unwrap(),
    );
    container.state = ContainerState::from_name(&text("state")).unwrap();
    for odd in ["runtime_constraints", "scheduling_parameters"] {
        container.overrides.insert(odd.to_owned(), item[odd].clone());
    }
    container
}

/// The site as it was when the captures began.
fn captured_site(captures: &BTreeMap<u32, Value>) -> FakeArvados {
    let mut arvados = FakeArvados::new(1, Settings::default());
    let root = arvados.root_uuid();
    let full_records = [&captures[&10]["response"]["body"], &captures[&11]["response"]["body"]];
    let items =
        [3, 5].iter().flat_map(|page| captures[page]["response"]["body"]["items"].as_array().unwrap());
    for item in items {
        let full = full_records.into_iter().find(|full| full["uuid"] == item["uuid"]);
        let mut container = fixture(item, full);
        if container.state == ContainerState::Locked {
            container.locked_by = Some(root);
        }
        arvados.insert(container);
    }
    arvados
}

/// Makes the changes that others made between the captured calls.
fn meanwhile(number: u32, arvados: &mut FakeArvados, captures: &BTreeMap<u32, Value>, now: Timestamp) {
    let root = arvados.authenticate(ROOT_TOKEN, Origin::User).unwrap();
    let uuid_in = |number: u32| -> ContainerUuid {
        let path = captures[&number]["request"]["path"].as_str().unwrap();
        path.split('/').nth(4).unwrap().parse().unwrap()
    };
    match number {
        23 => arvados.cancel_by_user(uuid_in(23), now),
        27 => use_up_attempts(arvados, uuid_in(27), root, now),
        28 => drop(arvados.lock(uuid_in(28), root, now).unwrap()),
        32 => {
            arvados.lock(uuid_in(32), root, now).unwrap();
            let running = super::super::state::Changes::from_json(&json!({ "state": "Running" })).unwrap();
            arvados.update(uuid_in(32), &running, root, now).unwrap();
        }
        34 => {
            let priority = captures[&34]["response"]["body"]["priority"].as_i64().unwrap();
            let spec = std::sync::Arc::new(ContainerSpec::default());
            let mut container = Container::new(uuid_in(34), "zzzzz-xvhdp-34".to_owned(), spec, priority, now);
            container.lock_count = 9;
            arvados.insert(container);
            arvados.lock(uuid_in(34), root, now).unwrap();
        }
        _ => {}
    }
}

fn use_up_attempts(arvados: &mut FakeArvados, uuid: ContainerUuid, root: Caller, now: Timestamp) {
    while arvados.lock(uuid, root, now).is_ok() {
        arvados.unlock(uuid, root, now).unwrap();
    }
}

/// Sends a captured request. Returns status, content type and body of the answer.
async fn replay(controller: &SimController, request: &Value) -> (u16, String, Value) {
    let encode = |pairs: &Value| {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let pairs = pairs.as_object().into_iter().flatten();
        form.extend_pairs(pairs.map(|(name, value)| (name, value.as_str().unwrap())));
        form.finish()
    };
    let path = request["path"].as_str().unwrap();
    let url = format!("{}{path}?{}", controller.url(), encode(&request["query"]));
    let method = Method::from_bytes(request["method"].as_str().unwrap().as_bytes()).unwrap();
    let mut call = Client::new().request(method, url);
    for (name, value) in request["headers"].as_object().unwrap() {
        call = call.insert_header((name.as_str(), value.as_str().unwrap()));
    }
    let mut response =
        call.timeout(Duration::from_secs(10)).send_body(encode(&request["form"])).await.unwrap();
    let header = |name| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("x-request-id"), request["headers"]["X-Request-Id"].as_str().unwrap());
    let content_type = header("content-type");
    (response.status().as_u16(), content_type, response.json().await.unwrap())
}

/// Fields that differ from server to server and from day to day. Only their types are compared.
const VOLATILE: [&str; 9] = [
    "etag",
    "error_token",
    "modified_at",
    "started_at",
    "finished_at",
    "auth_uuid",
    "runtime_user_uuid",
    "created_by_ip_address",
    "api_token",
];

fn assert_same(expected: &Value, found: &Value, path: &str) {
    let name = path.rsplit('/').next().unwrap();
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            let sorted = |mut keys: Vec<String>| {
                keys.sort();
                keys
            };
            assert_eq!(sorted(keys(expected)), sorted(keys(found)), "keys at {path}");
            for (key, value) in expected {
                assert_same(value, &found[key], &format!("{path}/{key}"));
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            assert_eq!(expected.len(), found.len(), "length of {path}");
            for (n, (expected, found)) in expected.iter().zip(found).enumerate() {
                assert_same(expected, found, &format!("{path}/{n}"));
            }
        }
        (expected, found) if VOLATILE.contains(&name) => {
            let kind = std::mem::discriminant;
            assert_eq!(kind(expected), kind(found), "type at {path}: {expected} and {found}");
        }
        (expected, found) => assert_eq!(expected, found, "value at {path}"),
    }
}

#[actix_web::test]
async fn every_captured_exchange_is_answered_as_the_real_server_did() {
    let captures = captures();
    assert_eq!(captures.len(), 34);
    let controller = SimController::start(captured_site(&captures), clock::now).unwrap();
    for (number, capture) in captures.clone() {
        let known = captures.clone();
        let others_act =
            move |arvados: &mut FakeArvados, now: Timestamp| meanwhile(number, arvados, &known, now);
        controller.with(others_act).await.unwrap();
        let (status, content_type, body) = replay(&controller, &capture["request"]).await;
        let expected = &capture["response"];
        assert_eq!(status, expected["status"], "status of {number}: {body}");
        assert_eq!(content_type, expected["headers"]["content-type"].as_str().unwrap());
        assert_same(&expected["body"], &body, &format!("{number}"));
    }
}
