//! Google's own programs: every call that the driver sends against Google's models, its claims against Google's reader, and
//! Google's client against the fake. They need packages of 100 MB, so `tests/long/gce-clients` runs them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dispatch_core::instance::{InstanceType, Tags};
use dispatch_core::ports::{CloudDriver as _, CreateOrder, HostKey};
use dispatch_sim::clouds::gce::{GceServer, SeenCall};
use dispatch_sim::samples;
use serde_json::{Value, json};

use super::{SECRET, cloud, keys, log, now, order, order_of, params, real, small};
use crate::environment::Environment;
use crate::{GceCloud, InitBy, Options, Params};

const DEFAULT_VENV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/google-venv");

/// The Python that has Google's clients.
fn python() -> PathBuf {
    let venv = std::env::var_os("DISPATCH_GOOGLE_VENV").map_or_else(|| DEFAULT_VENV.into(), PathBuf::from);
    let python = venv.join("bin/python");
    assert!(python.exists(), "no {}; tests/long/gce-clients puts Google's clients there", python.display());
    python
}

/// What one of our scripts says of that.
fn ask(script: &str, question: &Value) -> Value {
    let script = format!("{}/tests/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut child =
        Command::new(python()).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn with_key(order: CreateOrder) -> CreateOrder {
    CreateOrder { public_key: Some("ssh-ed25519 AAAAC3Nz comment".to_owned()), ..order }
}

/// Every call that there is, with the most and the least that it can say.
async fn every_call() -> Vec<SeenCall> {
    let most = Params {
        subnetwork: "projects/host/regions/us-central1/subnetworks/jobs".to_owned(),
        network_tags: vec!["arvados-worker".to_owned()],
        service_account: "worker@lab.iam.gserviceaccount.com".to_owned(),
        boot_disk_size: 20,
        init_by: InitBy::UserData,
        ..params()
    };
    let spot = real(samples::spot_type("spot", 1), "n1-standard-8+nvidia-tesla-t4:2");
    let spot = Arc::new(InstanceType { added_scratch: 100_000_000_000, ..InstanceType::clone(&spot) });
    let mut full = with_key(order_of(&spot, SECRET));
    full.tags.insert("Owner", "Lab of J. M.");
    full.image = "projects/debian-cloud/global/images/family/debian-12".to_owned();
    let mut calls = Vec::new();
    for (params, order) in [(most, full), (params(), order())] {
        let (server, cloud, _) = cloud(params).await;
        server.with(|fake| {
            fake.knobs.looks = 1;
            fake.knobs.page = 1;
            fake.knobs.empty_first_page = true;
        });
        let made = cloud.create(&order).await.unwrap();
        server.with(|fake| fake.forget_requests());
        cloud.create(&order).await.unwrap();
        let mut filter = Tags::default();
        filter.insert("ArvadosInstanceSetID", "set");
        assert_eq!(cloud.list(&filter).await.unwrap().len(), 1);
        cloud.list(&Tags::default()).await.unwrap();
        cloud.set_tags(&made.id, &Tags([("Owner".to_owned(), "other".to_owned())].into())).await.unwrap();
        let key = HostKey { algorithm: "ssh-ed25519".to_owned(), base64: "AAAA".to_owned() };
        cloud.verify_host_key(&made.id, &key).await.unwrap();
        cloud.destroy(&made.id).await.unwrap();
        calls.extend(server.with(|fake| fake.calls()));
    }
    calls
}

fn shown(call: &SeenCall) -> Value {
    let path = call.path.split('?').next().unwrap();
    let body = Some(&call.body).filter(|it| !it.is_null());
    json!({"name": call.name, "verb": call.verb, "path": path, "query": call.query, "body": body})
}

#[actix_rt::test]
#[ignore = "needs Google's models: tests/long/gce-clients"]
async fn every_call_is_as_googles_models_want_it() {
    let calls = every_call().await;
    let names: std::collections::BTreeSet<_> = calls.iter().map(|call| call.name.as_str()).collect();
    let all = [
        "instances.aggregatedList",
        "instances.delete",
        "instances.get",
        "instances.getGuestAttributes",
        "instances.insert",
        "instances.setLabels",
        "instances.setMetadata",
        "zoneOperations.wait",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), all, "a call is not tested");
    let calls: Vec<_> = calls.iter().map(shown).collect();
    assert_eq!(ask("model.py", &json!(calls)), json!([]));
}

#[actix_rt::test]
#[ignore = "needs Google's models: tests/long/gce-clients"]
async fn googles_models_have_something_against_wrong_calls() {
    let calls = every_call().await;
    let insert = calls.iter().find(|call| call.name == "instances.insert").map(shown).unwrap();
    let with = |change: fn(&mut Value)| {
        let mut call = insert.clone();
        change(&mut call);
        call
    };
    let wrong = [
        with(|it| it["body"]["machinetype"] = json!("x")),
        with(|it| it["body"]["disks"][0]["boot"] = json!("perhaps")),
        with(|it| it["body"]["disks"][0]["initializeParams"]["diskSizeGb"] = json!("ten")),
        with(|it| it["body"]["labels"] = json!(["a"])),
        with(|it| it["body"]["scheduling"]["automaticRestart"] = json!({})),
        with(|it| it["query"]["requestID"] = json!("x")),
        with(|it| it["body"] = Value::Null),
        with(|it| it["path"] = json!("/compute/v1/projects/lab/zones/us-central1-a/instance")),
        with(|it| it["path"] = json!("/compute/v1/projects/lab/zones/US_CENTRAL/instances")),
    ];
    let Value::Array(objections) = ask("model.py", &json!(wrong)) else { panic!("a list") };
    assert!(objections.len() >= wrong.len(), "{objections:#?}");
    for call in wrong {
        assert_ne!(ask("model.py", &json!([call])), json!([]), "{call}");
    }
}

#[actix_rt::test]
#[ignore = "needs Google's clients: tests/long/gce-clients"]
async fn googles_reader_verifies_our_claims_and_its_client_signs_the_same() {
    let server = GceServer::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = keys::write(directory.path(), &server.token_uri());
    let registry = prometheus::Registry::new();
    let params = Params { endpoint: Some(server.endpoint()), credentials_file: file.clone(), ..params() };
    let options = Options {
        params,
        call_timeout: std::time::Duration::from_secs(30),
        now,
        registry: &registry,
        log: log(),
    };
    let cloud = GceCloud::open_in(options, Environment::default()).await.unwrap();
    cloud.create(&order_of(&small(), SECRET)).await.unwrap();
    let assertion = server.with(|fake| fake.tokens.assertions.remove(0));
    let question = json!({
        "assertion": assertion, "public_key": keys::public_key(), "key_file": file, "token_uri": server.token_uri(),
    });
    let answer = tokio::task::spawn_blocking(move || ask("claims.py", &question)).await.unwrap();
    for part in ["claims", "header"] {
        let names = |of: &str| {
            let names = answer[of].as_object().unwrap().keys().cloned();
            names.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(part), names(&format!("their_{part}")), "{answer}");
    }
    assert_eq!(answer["claims"]["aud"], json!(server.token_uri()));
    for name in ["iss", "scope"] {
        assert_eq!(answer["claims"][name], answer["their_claims"][name], "{name}");
    }
    assert_eq!(answer["header"]["kid"], answer["their_header"]["kid"]);
    assert!(
        answer["their_token"].as_str().unwrap().starts_with("ya29."),
        "the fake gives Google's client a token"
    );
}

#[actix_rt::test]
#[ignore = "needs Google's clients: tests/long/gce-clients"]
async fn googles_client_believes_the_fake() {
    let server = GceServer::start().unwrap();
    server.with(|fake| {
        fake.knobs.serves_anybody = true;
        fake.knobs.looks = 2;
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client.py");
    let endpoint = server.endpoint();
    let output =
        tokio::task::spawn_blocking(move || Command::new(python()).args([script, &endpoint]).output());
    let output = output.await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(out.lines().count(), 6, "{out}");
    println!("{out}");
}
