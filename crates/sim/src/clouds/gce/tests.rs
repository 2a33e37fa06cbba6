//! The fake is as strict as it says. That it is as Google's is for Google's own clients to say
//! (`tests/long/gce-clients`).

use serde_json::{Value, json};

use super::GceServer;

fn instance(name: &str) -> Value {
    json!({
        "name": name,
        "machineType": "zones/us-central1-a/machineTypes/n2-standard-4",
        "disks": [{"boot": true, "initializeParams": {
            "sourceImage": "projects/lab/global/images/img", "diskType": "zones/us-central1-a/diskTypes/pd-balanced",
        }}],
        "networkInterfaces": [{"network": "global/networks/default"}],
        "labels": {"a": "b"},
        "metadata": {"items": [{"key": "k", "value": "v"}]},
    })
}

/// Status and answer of a call.
async fn call(server: &GceServer, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}projects/lab/{path}", server.endpoint());
    let request = awc::Client::default().request(method.parse().unwrap(), url);
    let sent = if body.is_null() { request.send() } else { request.send_body(body.to_string()) };
    let mut response = sent.await.unwrap();
    let bytes = response.body().await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(&bytes).unwrap())
}

fn server() -> GceServer {
    let server = GceServer::start().unwrap();
    server.with(|fake| fake.knobs.serves_anybody = true);
    server
}

const INSTANCES: &str = "zones/us-central1-a/instances";

#[actix_rt::test]
async fn an_order_is_an_operation_that_takes_as_many_looks_as_told() {
    let server = server();
    server.with(|fake| fake.knobs.looks = 2);
    let (status, operation) = call(&server, "POST", INSTANCES, &instance("vm-1")).await;
    assert_eq!((status, operation["status"].as_str()), (200, Some("RUNNING")));
    let wait = format!("zones/us-central1-a/operations/{}/wait", operation["name"].as_str().unwrap());
    let elsewhere = wait.replace("us-central1-a", "us-central1-b");
    assert_eq!(call(&server, "POST", &elsewhere, &Value::Null).await.0, 404, "it is that zone's");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(call(&server, "POST", &wait, &Value::Null).await.1["status"].clone());
    }
    assert_eq!(seen, ["RUNNING", "RUNNING", "DONE", "DONE"]);
    let (_, vm) = call(&server, "GET", &format!("{INSTANCES}/vm-1"), &Value::Null).await;
    assert_eq!(vm["status"], "RUNNING");
    assert!(vm["networkInterfaces"][0]["networkIP"].as_str().unwrap().starts_with("10.128."), "{vm}");
}

#[actix_rt::test]
async fn under_one_requests_id_one_vm_is_made_and_under_another_its_name_is_taken() {
    let server = server();
    let insert = |id: &str| format!("{INSTANCES}?requestId=00000000-0000-4000-8000-00000000000{id}");
    let (_, first) = call(&server, "POST", &insert("1"), &instance("vm-1")).await;
    let (_, again) = call(&server, "POST", &insert("1"), &instance("vm-1")).await;
    assert_eq!(first["name"], again["name"]);
    let (status, refused) = call(&server, "POST", &insert("2"), &instance("vm-1")).await;
    assert_eq!((status, &refused["error"]["errors"][0]["reason"]), (409, &json!("alreadyExists")));
    assert_eq!(call(&server, "POST", &format!("{INSTANCES}?requestId=1"), &instance("vm-2")).await.0, 400);
}

#[actix_rt::test]
async fn what_google_would_refuse_is_refused() {
    let server = server();
    for (field, value) in [
        ("name", json!("VM")),
        ("machineType", json!("n2-standard-4")),
        ("disks", json!([])),
        ("networkInterfaces", json!([])),
        ("labels", json!({"A": "b"})),
        ("labels", json!({"a": "user@host"})),
        ("metadata", json!({"items": [{"key": "a b", "value": ""}]})),
        ("metadata", json!({"items": [{"key": "a", "value": ""}, {"key": "a", "value": ""}]})),
        ("scheduling", json!({"provisioningModel": "SPOT"})),
        ("guestAccelerators", json!([{"acceleratorType": "x", "acceleratorCount": 1}])),
    ] {
        let mut wrong = instance("vm-1");
        wrong[field] = value;
        let (status, refused) = call(&server, "POST", INSTANCES, &wrong).await;
        assert_eq!((status, &refused["error"]["errors"][0]["reason"]), (400, &json!("invalid")), "{field}");
    }
    assert_eq!(call(&server, "POST", "zones/mars-1-a/instances", &instance("vm-1")).await.0, 400);
    assert_eq!(call(&server, "GET", &format!("{INSTANCES}/vm-9"), &Value::Null).await.0, 404);
    server.with(|fake| fake.knobs.serves_anybody = false);
    assert_eq!(call(&server, "POST", INSTANCES, &instance("vm-1")).await.0, 401);
}

#[actix_rt::test]
async fn who_has_seen_former_metadata_is_too_late() {
    let server = server();
    call(&server, "POST", INSTANCES, &instance("vm-1")).await;
    let (_, vm) = call(&server, "GET", &format!("{INSTANCES}/vm-1"), &Value::Null).await;
    let body = json!({"fingerprint": vm["metadata"]["fingerprint"], "items": [{"key": "k", "value": "w"}]});
    let set = format!("{INSTANCES}/vm-1/setMetadata");
    assert_eq!(call(&server, "POST", &set, &body).await.0, 200);
    assert_eq!(call(&server, "POST", &set, &body).await.0, 412);
    assert_eq!(server.with(|fake| fake.vm("us-central1-a", "vm-1").metadata("k").to_owned()), "w");
}

#[actix_rt::test]
async fn lists_come_in_pages_by_label_and_say_which_zones_they_lack() {
    let server = server();
    for number in 0..3 {
        call(&server, "POST", INSTANCES, &instance(&format!("vm-{number}"))).await;
    }
    server.with(|fake| fake.knobs.page = 2);
    let list = |query: &str| format!("aggregated/instances?{query}");
    let (_, first) = call(&server, "GET", &list("filter=labels.a%3D%22b%22"), &Value::Null).await;
    assert_eq!(first["items"]["zones/us-central1-a"]["instances"].as_array().unwrap().len(), 2);
    assert_eq!(first["items"]["zones/us-central1-b"]["warning"]["code"], "NO_RESULTS_ON_PAGE");
    let next = list(&format!("pageToken={}", first["nextPageToken"].as_str().unwrap()));
    let (_, second) = call(&server, "GET", &next, &Value::Null).await;
    assert_eq!(second["items"]["zones/us-central1-a"]["instances"].as_array().unwrap().len(), 1);
    assert!(second["nextPageToken"].is_null());
    let (_, none) = call(&server, "GET", &list("filter=labels.a%3D%22c%22"), &Value::Null).await;
    assert_eq!(none["items"]["zones/us-central1-a"]["warning"]["code"], "NO_RESULTS_ON_PAGE");
    server.with(|fake| fake.knobs.unreachable.insert("us-central1-a".to_owned()));
    let (status, lacking) = call(&server, "GET", &list(""), &Value::Null).await;
    assert_eq!(
        (status, &lacking["items"]["zones/us-central1-a"]["warning"]["code"]),
        (200, &json!("UNREACHABLE"))
    );
}
