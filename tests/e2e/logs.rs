//! What a run logs, held against the catalogue and the recording; and that no secret is seen anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dispatch_actors::catalogue::{self, CONTEXT_KEYS, level_name};
use dispatch_core::container::ContainerState;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

use crate::support::{RESUMED, SOON, Service, Site, processes, until};

/// On every line.
const ALWAYS: [&str; 5] = ["time", "level", "msg", "PID", "ClusterID"];

/// Messages that the recording has and that nobody is known to search for: only their level is compared.
const NOT_SEARCHED_FOR: [&str; 1] = ["probe succeeded"];

#[derive(Deserialize)]
struct Recorded {
    level: String,
    msg: String,
    keys: BTreeSet<String>,
}

fn recorded() -> Vec<Recorded> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/reference/log-lines.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn keys(line: &Value) -> BTreeSet<&str> {
    line.as_object().unwrap().keys().map(String::as_str).filter(|key| !ALWAYS.contains(key)).collect()
}

/// Every line is an event of the catalogue, with its level and no key that is not listed there.
fn assert_in_catalogue(service: &Service) {
    for line in service.log() {
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no {key}: {line}"));
        text("time").parse::<dispatch_core::time::Timestamp>().unwrap();
        assert!(text("time").ends_with('Z'), "{line}");
        assert_eq!((&line["PID"], text("ClusterID")), (&service.pid().into(), "zzzzz"), "{line}");
        let event = catalogue::ALL.iter().find(|event| event.message == text("msg"));
        let event = event.unwrap_or_else(|| panic!("not in the catalogue: {line}"));
        assert_eq!(text("level"), level_name(event.level), "{line}");
        let known = |key: &&&str| event.keys.contains(key) || CONTEXT_KEYS.contains(key);
        let keys = keys(&line);
        let unknown: Vec<_> = keys.iter().filter(|key| !known(key)).collect();
        assert!(unknown.is_empty(), "{unknown:?} of {line}");
    }
}

/// Messages of the recording that occur here have the recorded level and at least the recorded keys.
fn assert_as_recorded(lines: &[Value]) -> BTreeSet<String> {
    let mut compared = BTreeSet::new();
    for Recorded { level, msg, keys: wanted } in recorded() {
        for line in lines.iter().filter(|line| line["msg"] == msg) {
            let present = keys(line);
            let missing: Vec<_> = wanted.iter().filter(|key| !present.contains(key.as_str())).collect();
            // The reference has a queue of requests; we have none.
            let queueing = msg == "response" && missing == ["priority", "queue"];
            let is_free = NOT_SEARCHED_FOR.contains(&msg.as_str());
            assert!(missing.is_empty() || queueing || is_free, "{missing:?} of {line}");
            assert_eq!(line["level"], level, "{line}");
            compared.insert(msg.clone());
        }
    }
    compared
}

/// Everything that nobody may see: tokens, keys, the secrets of instances and containers.
async fn secrets(site: &Site) -> Vec<String> {
    let mut secrets = vec![site.root_token.clone(), site.management_token.clone()];
    let lines_of_key = |pem: &str| {
        let lines = pem.lines().filter(|line| !line.starts_with("-----") && line.len() > 8);
        // The head of such a file is the same for all keys.
        lines.skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    secrets.extend(lines_of_key(&site.private_key));
    for instance in std::fs::read_dir(site.state_directory()).into_iter().flatten().flatten() {
        let Ok(state) = std::fs::read(instance.path().join("state.json")) else { continue };
        let state: Value = serde_json::from_slice(&state).unwrap();
        secrets.push(state["tags"]["ArvadosInstanceSecret"].as_str().unwrap().to_owned());
        secrets.extend(lines_of_key(state["host_key"].as_str().unwrap()));
    }
    for record in site.records().await {
        let mut mac = Hmac::<Sha256>::new_from_slice(site.root_token.as_bytes()).unwrap();
        mac.update(record.uuid.to_string().as_bytes());
        secrets.push(hex::encode(mac.finalize().into_bytes()));
    }
    secrets
}

/// Adds each command line that has one of the secrets in it.
fn watch_command_lines(secrets: &[String], seen: &mut BTreeMap<i32, String>) {
    for pid in processes::all() {
        let line = processes::command_line(pid);
        if secrets.iter().any(|secret| line.contains(secret)) {
            seen.insert(pid, line);
        }
    }
}

/// Files below that others can read, and that have one of the secrets in them.
fn open_secrets(directory: &Path, secrets: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let mode = metadata.permissions().mode();
        if metadata.is_dir() && mode & 0o011 != 0 {
            found.extend(open_secrets(&entry.path(), secrets));
        } else if metadata.is_file() && mode & 0o044 != 0 {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            if secrets.iter().any(|secret| text.contains(secret)) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Containers end, are cancelled, cannot run; an instance is held and let go; the dispatcher is killed and
/// started again: most of what there is to log. What is logged, run and written meanwhile is looked at.
#[actix_rt::test]
async fn a_run_logs_what_the_catalogue_says_and_shows_no_secret() {
    let mut site = Site::new();
    site.cloud()["DeployRunnerBinary"] = "/proc/self/exe".into();
    site.cloud()["DriverParameters"]["Instances"] = 1.into();
    site.submit(3).await;
    let mut leaks = BTreeMap::new();
    let mut known = secrets(&site).await;
    let mut first = site.start().await;
    until("three containers run", 2 * SOON, async || {
        if known.len() < secrets(&site).await.len() {
            known = secrets(&site).await;
        }
        watch_command_lines(&known, &mut leaks);
        let records = site.records().await;
        (records.iter().filter(|it| it.state == ContainerState::Running).count() == 3).then_some(())
    })
    .await;
    assert_eq!(open_secrets(&site.path(""), &known), Vec::<PathBuf>::new());

    let (status, list) = first.get(&site, "/arvados/v1/dispatch/instances").await;
    assert_eq!(status, 200, "{list}");
    let instance = list["items"][0]["instance"].as_str().unwrap().to_owned();
    for verb in ["hold", "run"] {
        let path = format!("/arvados/v1/dispatch/instances/{verb}?instance_id={instance}");
        assert_eq!(first.post(&site, &path).await.0, 200);
    }
    assert_eq!(first.get_as("no-token", "/metrics").await, 403);
    let cancelled = site.records().await[0].uuid;
    site.controller.with(move |arvados, now| arvados.cancel_by_user(cancelled, now)).await.unwrap();
    site.reached(1, ContainerState::Cancelled, SOON).await;
    first.logged("crunch-run process ended", SOON).await;
    first.kill().await;

    let unrunnable = dispatch_sim::controller::state::ContainerSpec {
        runtime_constraints: dispatch_core::container::RuntimeConstraints {
            vcpus: 1000,
            ..Default::default()
        },
        ..Default::default()
    };
    let submission = dispatch_sim::controller::Submission::of(unrunnable);
    site.controller.with(|arvados, now| arvados.submit(submission, now)).await.unwrap();
    let mut second = site.start().await;
    site.reached(2, ContainerState::Cancelled, SOON).await;
    until("both processes are detected", SOON, async || {
        watch_command_lines(&known, &mut leaks);
        (second.lines("crunch-run process detected").len() == 2).then_some(())
    })
    .await;
    site.runs.open_gate();
    site.reached(2, ContainerState::Complete, SOON).await;
    site.emptied(RESUMED).await;
    second.logged("instance disappeared in cloud", SOON).await;
    assert_eq!(second.stop().await, 0);

    assert_eq!(leaks, BTreeMap::new(), "no secret is on a command line");
    assert_eq!(open_secrets(&site.path(""), &known), Vec::<PathBuf>::new());
    for service in [&first, &second] {
        assert_in_catalogue(service);
        let text = service.log_text();
        let shown: Vec<_> = known.iter().filter(|secret| text.contains(secret.as_str())).collect();
        assert!(shown.is_empty(), "{shown:?}");
    }
    let lines = [first.log(), second.log()].concat();
    let compared = assert_as_recorded(&lines);
    for message in [
        "listening",
        "adding container to queue",
        "cancel container with no suitable instance type",
        "response",
        "loaded initial instance list",
        "lock succeeded",
        "creating new instance",
        "instance appeared in cloud",
        "boot probe succeeded",
        "probe succeeded",
        "probes succeeded, instance is in service",
        "starting container",
        "crunch-run process started",
        "set idle behavior",
        "killing crunch-run process",
        "sending signal",
        "crunch-run process ended",
        "container finished -- dropping from queue",
        "shutting down",
        "instance disappeared in cloud",
    ] {
        assert!(compared.contains(message), "`{message}` was not logged: {compared:#?}");
    }
}
