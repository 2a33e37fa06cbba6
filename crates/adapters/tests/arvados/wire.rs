//! For every recorded exchange, our client sends the same request and understands the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dispatch_core::container::{ContainerState, MountNeeds, Standing};
use dispatch_core::id::{ContainerUuid, TokenUuid};
use dispatch_core::ports::{ApiErrorKind, ArvadosApi, ListQuestion};
use serde_json::{Value, json};

use crate::server::{Canned, Seen, Server};

const ME: &str = "zzzzz-gj3su-000000000000000";

/// The call of our client that comes nearest to a recorded exchange.
enum Call {
    Token,
    List(ListQuestion),
    Mounts(Vec<&'static str>),
    Get,
    Lock,
    Unlock,
    Cancel(Option<&'static str>),
}

/// The call that belongs to an exchange. `false` = only other programs send that request, and we only read
/// such answers.
fn call_for(name: &str) -> (Call, bool) {
    let me: TokenUuid = ME.parse().unwrap();
    let known = |ends: &[&str]| {
        let uuids = ends.iter().map(|end| format!("zzzzz-dz642-{end}").parse().unwrap());
        Call::List(ListQuestion::Known { uuids: uuids.collect() })
    };
    match &name[..2] {
        "01" | "02" => (Call::Token, true),
        "03" => (Call::List(ListQuestion::Available { offset: 0 }), true),
        "04" => (Call::List(ListQuestion::Available { offset: 1000 }), true),
        "05" => (Call::List(ListQuestion::Mine { me, after: None }), true),
        "06" => (known(&["z0xq96ixjfvyi0r", "doesnotexist000"]), true),
        "07" => (Call::Mounts(vec!["zzzzz-dz642-jjfdtjm6yuxyz4m", "zzzzz-dz642-z0xq96ixjfvyi0r"]), true),
        "08" => {
            let ends = ["z0xq96ixjfvyi0r", "b08jobpz2bfzw31", "o04pux6ehrmwdoz", "s2b1d3xr0qgn1he"];
            (known(&[&ends[..], &["jjfdtjm6yuxyz4m", "f0c6it4ai0ynfu0"]].concat()), true)
        }
        "09" | "17" => (Call::List(ListQuestion::Mine { me, after: None }), false),
        "10" | "11" | "12" | "23" | "27" => (Call::Get, false),
        "13" | "14" | "15" | "21" | "22" | "24" => (Call::Lock, true),
        "16" | "19" | "20" | "29" | "34" => (Call::Unlock, true),
        "18" | "25" | "28" | "30" | "31" => (Call::Cancel(None), false),
        "26" => (Call::Cancel(Some("constraints not satisfiable by any configured instance type")), true),
        "32" | "33" => (Call::Cancel(None), true),
        _ => panic!("{name} is a new recording: say which call it belongs to"),
    }
}

/// Makes the call and returns its result as JSON that can be compared.
async fn perform(
    api: &dyn ArvadosApi,
    call: &Call,
    uuid: Option<ContainerUuid>,
) -> Result<Value, ApiErrorKind> {
    let standing = |it: Standing| json!([it.state, it.priority, it.locked_by]);
    let result = match call {
        Call::Token => api.current_token().await.map(|it| json!(it)),
        Call::List(question) => api.list(question).await.map(|page| {
            assert_eq!(page.undecodable, vec![]);
            page.items.iter().map(|it| json!([it.uuid, it.state, it.priority])).collect()
        }),
        Call::Mounts(uuids) => {
            let uuids: Vec<_> = uuids.iter().map(|it| it.parse().unwrap()).collect();
            let page = api.mounts(&uuids).await;
            page.map(|it| {
                it.items.iter().map(|(uuid, MountNeeds { tmp_bytes })| json!([uuid, tmp_bytes])).collect()
            })
        }
        Call::Get => api.get(uuid.unwrap()).await.map(|it| standing(it.standing())),
        Call::Lock => api.lock(uuid.unwrap()).await.map(standing),
        Call::Unlock => api.unlock(uuid.unwrap()).await.map(standing),
        Call::Cancel(error) => api.cancel(uuid.unwrap(), *error).await.map(standing),
    };
    result.map_err(|error| error.kind)
}

/// The expected result, read from the recording without our decoder.
fn wanted(exchange: &Value, call: &Call) -> Result<Value, ApiErrorKind> {
    let body = &exchange["response"]["body"];
    match exchange["response"]["status"].as_u64().unwrap() {
        401 => return Err(ApiErrorKind::Unauthorized),
        403 => return Err(ApiErrorKind::Forbidden),
        404 => return Err(ApiErrorKind::NotFound),
        422 => return Err(ApiErrorKind::Refused),
        status => assert_eq!(status, 200),
    }
    let or_zero = |value: &Value| if value.is_null() { json!(0) } else { value.clone() };
    let items = || body["items"].as_array().unwrap().iter();
    match call {
        Call::Token => Ok(body["uuid"].clone()),
        Call::List(_) => Ok(items().map(|it| json!([it["uuid"], it["state"], it["priority"]])).collect()),
        Call::Mounts(_) => {
            let tmp = |it: &Value| {
                let mounts = it["mounts"].as_object().unwrap().values();
                mounts
                    .filter(|it| it["kind"] == "tmp")
                    .map(|it| it["capacity"].as_u64().unwrap())
                    .sum::<u64>()
            };
            Ok(items().map(|it| json!([it["uuid"], tmp(it)])).collect())
        }
        _ if body["uuid"].is_null() => Err(ApiErrorKind::Malformed),
        _ => Ok(json!([body["state"], or_zero(&body["priority"]), body["locked_by_uuid"]])),
    }
}

fn assert_same_request(name: &str, seen: &Seen, recorded: &Value) {
    if name.starts_with("08") {
        // This was recorded to show a list that is sent as a POST. Ours is sent so only if it is too long for
        // a GET.
        return assert_same_parameters(name, &seen.query, &recorded["form"], "GET");
    }
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        (recorded["method"].as_str().unwrap(), recorded["path"].as_str().unwrap())
    );
    let header = |name: &str| seen.headers.get(&name.to_lowercase()).cloned();
    for wanted in ["Authorization", "X-Http-Method-Override", "Content-Type"] {
        let recorded = recorded["headers"][wanted].as_str().map(str::to_owned);
        assert_eq!(header(wanted), recorded, "{name}: {wanted}");
    }
    assert_same_parameters(name, &seen.query, &recorded["query"], &seen.method);
    assert_same_parameters(name, &seen.form, &recorded["form"], &seen.method);
}

fn assert_same_parameters(name: &str, seen: &BTreeMap<String, String>, recorded: &Value, method: &str) {
    let empty = serde_json::Map::new();
    let mut recorded = recorded.as_object().unwrap_or(&empty).clone();
    let mut seen = seen.clone();
    let columns = |text: Option<String>| -> BTreeSet<String> {
        text.map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default()
    };
    let ours = columns(seen.remove("select"));
    let theirs = columns(recorded.remove("select").map(|it| it.as_str().unwrap().to_owned()));
    // The answer to an update must have what we need to know then. A list must have the columns that the
    // reference polls.
    if method != "PUT" {
        let more: Vec<_> = ours.difference(&theirs).collect();
        assert!(
            theirs.is_subset(&ours)
                && more
                    .iter()
                    .all(|it| ["locked_by_uuid", "lock_count", "runtime_status"].contains(&it.as_str())),
            "{name}: {more:?}"
        );
    }
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!(text));
    let seen: BTreeMap<_, _> = seen.iter().map(|(key, text)| (key.clone(), value(text))).collect();
    let recorded: BTreeMap<_, _> =
        recorded.iter().map(|(key, text)| (key.clone(), value(text.as_str().unwrap()))).collect();
    assert_eq!(seen, recorded, "{name}");
}

#[actix_rt::test]
async fn every_recorded_exchange_is_asked_for_and_understood() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/wire"));
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 34);
    for name in names {
        let exchange: Value =
            serde_json::from_str(&std::fs::read_to_string(dir.join(&name)).unwrap()).unwrap();
        let (request, response) = (&exchange["request"], &exchange["response"]);
        let status = response["status"].as_u64().unwrap();
        let server = Server::start(Canned::json(u16::try_from(status).unwrap(), &response["body"]));
        let token = request["headers"]["Authorization"].as_str().unwrap().strip_prefix("Bearer ").unwrap();
        let client = server.client(token);
        let (call, is_ours) = call_for(&name);
        let uuid = request["path"].as_str().unwrap().split('/').find_map(|part| part.parse().ok());

        let got = perform(&client, &call, uuid).await;

        assert_eq!(got, wanted(&exchange, &call), "{name}");
        let seen = server.seen();
        if is_ours {
            assert_same_request(&name, &seen, request);
        }
    }
}

#[actix_rt::test]
async fn a_list_that_is_too_long_for_a_query_is_sent_as_a_post_with_an_override() {
    let server = Server::start(Canned::json(200, r#"{"items":[]}"#));
    let uuids =
        (0..50).map(|number| format!("zzzzz-dz642-{number:015}").parse().unwrap()).collect::<Vec<_>>();
    server.client("token").mounts(&uuids).await.unwrap();
    let seen = server.seen();
    assert_eq!((&*seen.method, &*seen.headers["x-http-method-override"]), ("POST", "GET"));
    assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!((seen.query.len(), &*seen.form["count"]), (0, "none"));
    let filters: Value = serde_json::from_str(&seen.form["filters"]).unwrap();
    assert_eq!(filters, json!([["uuid", "in", uuids]]));
}

#[actix_rt::test]
async fn a_full_record_is_decoded_to_its_last_field() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/wire/11-show-gpu.json");
    let exchange: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let server = Server::start(Canned::json(200, &exchange["response"]["body"]));
    let uuid = "zzzzz-dz642-b08jobpz2bfzw31".parse().unwrap();
    let record = server.client("t").get(uuid).await.unwrap();
    let constraints = &record.runtime_constraints;
    assert_eq!((constraints.ram, constraints.vcpus, constraints.keep_cache_disk), (1 << 34, 4, 1 << 34));
    let gpu = &constraints.gpu;
    assert_eq!((&*gpu.stack, &*gpu.driver_version, gpu.device_count, gpu.vram), ("cuda", "11.0", 1, 8 << 30));
    assert_eq!(gpu.hardware_target, ["9.0"]);
    assert_eq!((record.uuid, record.state, record.locked_by), (uuid, ContainerState::Queued, None));
    assert_eq!(record.priority, 564_074_057_986_463_065);
    assert_eq!(record.created_at.unwrap().to_string(), "2026-11-22T10:01:31.538504Z");
    assert_eq!(record.container_image, "d740a57097711e08eb9b2a93518f20ab+174");
}
