//! The recorded site loads, and what is sent to its VMs equals the recording in meaning, key by key.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod config_support;

use config_support::{TestKey, load_site};
use serde_json::Value;

/// Durations and sizes are equal if they mean the same, whatever their notation; numbers whatever their type.
fn same(ours: &Value, recorded: &Value) -> bool {
    match (ours, recorded) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::Number(b)) => bytes(a) == b.as_f64(),
        (Value::String(a), Value::String(b)) => a == b || (seconds(a).is_some() && seconds(a) == seconds(b)),
        (a, b) => a == b,
    }
}

/// `10m`, `1h30m`: an independent reading, for comparison only.
fn seconds(text: &str) -> Option<f64> {
    let mut total = 0.0;
    for part in text.split_inclusive(|c: char| c.is_ascii_alphabetic()) {
        let (number, unit) = part.split_at(part.len().checked_sub(1)?);
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
    }
    Some(total)
}

fn bytes(text: &str) -> Option<f64> {
    let (number, power) = [("MiB", 20), ("GiB", 30), ("KiB", 10)]
        .iter()
        .find_map(|(unit, power)| Some((text.strip_suffix(unit)?, *power)))?;
    Some(number.parse::<f64>().ok()? * f64::from(1 << power))
}

fn differences(ours: &Value, recorded: &Value, path: &str, found: &mut Vec<String>) {
    match (ours, recorded) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                differences(a, b, &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{path}[{index}]"), found);
            }
        }
        (a, b) if same(a, b) => {}
        (a, b) => found.push(format!("{path}: ours {a}, recorded {b}")),
    }
}

fn assert_same(ours: &Value, recorded: &Value) {
    let mut found = Vec::new();
    differences(ours, recorded, "", &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn recorded() -> Vec<Value> {
    let text = std::fs::read_to_string(config_support::reference("detach-stdin.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The recording has `(private key)` and, after the first entry, `(the same)`.
fn with_key(cluster: &Value, key: &TestKey) -> Value {
    let mut cluster = cluster.clone();
    cluster["Containers"]["DispatchPrivateKey"] = key.pem().into();
    cluster
}

#[test]
fn the_recorded_site_loads_without_a_warning() {
    let loaded = load_site(&TestKey::new());
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.settings.policy.cluster_id, "zzzzz");
    assert_eq!(loaded.settings.policy.catalog.types().len(), 8);
    assert_eq!(loaded.settings.controller.host(), "127.0.0.1:8000");
}

#[test]
fn settings_do_not_print_their_secrets() {
    let key = TestKey::new();
    let settings = load_site(&key).settings;
    let start = arvados_dispatch_cloud::settings::StartConfig::new(&settings);
    let shown = format!("{settings:?} {start:?} {}", settings.dump());
    for secret in ["systemroottoken", "managementtoken", "PRIVATE KEY", "abcdefghijklmnopqrstuvwxyz"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}

#[test]
fn the_cluster_sent_to_the_vms_is_the_recorded_one() {
    let key = TestKey::new();
    let loaded = load_site(&key);
    let expected = with_key(&recorded()[0]["stdin"]["Cluster"], &key);
    assert_same(loaded.settings.cluster_json(), &expected);
}

#[test]
fn each_start_command_gets_the_recorded_stdin() {
    let key = TestKey::new();
    let settings = load_site(&key).settings;
    let start = arvados_dispatch_cloud::settings::StartConfig::new(&settings);
    let entries = recorded();
    let cluster = with_key(&entries[0]["stdin"]["Cluster"], &key);
    for entry in &entries {
        let command = entry["command"].as_str().unwrap();
        let uuid = command.split_whitespace().last().unwrap().trim_matches('\'');
        let mut expected = entry["stdin"].clone();
        expected["Cluster"] = cluster.clone();
        let type_json = expected["Env"]["InstanceType"].as_str().unwrap().to_owned();
        let instance_type = type_of(&settings, &type_json);
        let address = expected["Env"]["GatewayAddress"].as_str().unwrap().trim_end_matches(":0").to_owned();
        let stdin = start.stdin(uuid.parse().unwrap(), &instance_type, &address);
        let stdin: Value = serde_json::from_slice(&stdin).unwrap();
        assert_eq!(stdin["Env"]["InstanceType"], type_json.as_str());
        assert_same(&stdin, &expected);
        let with_port = start.stdin(uuid.parse().unwrap(), &instance_type, &format!("{address}:2222"));
        let with_port: Value = serde_json::from_slice(&with_port).unwrap();
        assert_eq!(with_port["Env"]["GatewayAddress"], expected["Env"]["GatewayAddress"]);
    }
}

/// The configured type that the recording shows.
fn type_of(
    settings: &arvados_dispatch_cloud::settings::Settings,
    type_json: &str,
) -> std::sync::Arc<dispatch_core::instance::InstanceType> {
    let wanted: Value = serde_json::from_str(type_json).unwrap();
    let types = settings.policy.catalog.types();
    types.iter().find(|it| same_type(&serde_json::to_value(it).unwrap(), &wanted)).unwrap().clone()
}

fn same_type(ours: &Value, wanted: &Value) -> bool {
    let mut found = Vec::new();
    differences(ours, wanted, "", &mut found);
    found.is_empty()
}

#[test]
fn without_buffers_no_cluster_is_sent() {
    let key = TestKey::new();
    let text = config_support::site_text(&key)
        .replace("LocalKeepBlobBuffersPerVCPU: 1", "LocalKeepBlobBuffersPerVCPU: 0");
    let settings = config_support::load_text(&text).unwrap().settings;
    let start = arvados_dispatch_cloud::settings::StartConfig::new(&settings);
    let instance_type = settings.policy.catalog.get("m4.large").unwrap();
    let stdin = start.stdin("zzzzz-dz642-000000000000001".parse().unwrap(), instance_type, "10.0.0.1");
    let stdin: Value = serde_json::from_slice(&stdin).unwrap();
    assert_eq!((&stdin["Cluster"], &stdin["KeepBuffers"]), (&Value::Null, &Value::from(0)));
}
