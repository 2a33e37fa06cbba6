//! The files of `config/`: every key that is read is in default.yml, every default there is the code's.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod config_support;

use arvados_dispatch_cloud::settings::Settings;
use dispatch_azure::Params as Azure;
use dispatch_ec2::Params as Ec2;

use config_support::{TestKey, load_text, minimal, yaml_to_json};
use serde_json::Value;

/// Where the examples of clouds have the key.
const SITES_KEY: &str = "/etc/arvados/dispatch-key";

fn config(name: &str) -> String {
    std::fs::read_to_string(format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// `path → value` of everything that is no map.
fn leaves(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(value, &format!("{path}.{key}"), found);
            }
        }
        value => found.push((path.to_owned(), value.clone())),
    }
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    // The keys of these files have no dots, except those of InternalURLs, which are not asked for.
    path.split('.').skip(1).try_fold(value, |value, key| value.get(key))
}

fn documented() -> Value {
    yaml_to_json(&config("default.yml"))["Clusters"]["xxxxx"].clone()
}

/// The values in force for a site that says as little as it can.
fn in_force() -> Value {
    let dump = load_text(&minimal(&TestKey::new(), "")).unwrap().settings.dump();
    dump["Clusters"]["zzzzz"].clone()
}

#[test]
fn every_key_that_is_read_is_documented_with_the_default_in_force() {
    let documented = documented();
    let mut read = Vec::new();
    leaves(&in_force(), "", &mut read);
    // Required, or without a fixed value.
    let own = [
        "ManagementToken",
        "SystemRootToken",
        "DispatchPrivateKey",
        "ImageID",
        "ExternalURL",
        "InternalURLs",
        "Connection",
    ];
    for (path, value) in read {
        if own.iter().any(|key| path.contains(key)) {
            continue;
        }
        let shown = at(&documented, &path).unwrap_or_else(|| panic!("{path} is not in default.yml"));
        assert!(is_same(shown, &value, &path), "{path}: documented {shown}, in force {value}");
    }
}

fn is_same(documented: &Value, value: &Value, path: &str) -> bool {
    match path {
        ".Containers.ReserveExtraRAM" => documented == "550MiB" && *value == 550 * 1024 * 1024,
        // Lists in force; a map and a text as they are documented.
        ".Containers.CloudVMs.DriverParameters.SecurityGroupIDs" => *value == Value::Array(vec![]),
        ".Containers.CloudVMs.DriverParameters.SubnetID" => {
            *documented == "" && *value == Value::Array(vec![])
        }
        ".Containers.CloudVMs.ResourceTags" | ".InstanceTypes" => *value == serde_json::json!({}),
        _ => match (documented.as_f64(), value.as_f64()) {
            (Some(documented), Some(value)) => documented == value,
            _ => documented == value || go(documented).is_some_and(|it| Some(it) == go(value)),
        },
    }
}

/// Seconds of `24h`, `1m`, `0s`: one number and one unit.
fn go(value: &Value) -> Option<u64> {
    let text = value.as_str()?;
    let unit = text.chars().last()?;
    let factor = match unit {
        'h' => 3600,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    Some(text[..text.len() - 1].parse::<u64>().ok()? * factor)
}

#[test]
fn every_documented_key_is_read() {
    let mut documented_leaves = Vec::new();
    leaves(&documented(), "", &mut documented_leaves);
    let in_force = in_force();
    // Read, but without a value that could be in force: entries of maps, keywords of a connection that is
    // not configured, and a rate that follows the number of workers.
    let elsewhere = ["SAMPLE", "Connection", "MaxProbesPerSecond"];
    for (path, _) in documented_leaves {
        let known = elsewhere.iter().any(|key| path.contains(key)) || at(&in_force, &path).is_some();
        assert!(known, "{path} is documented, but not read");
    }
}

#[test]
fn the_defaults_are_those_of_the_sites_other_services() {
    let text = std::fs::read_to_string(config_support::reference("cluster-defaults.json")).unwrap();
    let theirs: Value = serde_json::from_str(&text).unwrap();
    let mut ours = Vec::new();
    leaves(&documented(), "", &mut ours);
    for (path, value) in ours {
        // The site's other services make no connections to VMs and create none; the Go program leaves the last two to the
        // image, to the account and to IPv4.
        let own_keys = [
            "SSHKex",
            "SSHClient",
            "BackfillPatience",
            "IdleReserve",
            "PackContainers",
            "SpotRetries",
            "MaxInstanceAge",
            "DriftBudget",
            "MetadataHopLimit",
            "IPv6OnlySubnetIDs",
        ];
        let is_ours = own_keys.iter().any(|key| path.ends_with(key));
        if is_ours || path.contains("SAMPLE") || path.ends_with("DeployRunnerBinary") {
            continue;
        }
        let their = at(&theirs, &path).unwrap_or_else(|| panic!("{path} is unknown to the site's services"));
        let reserve = path == ".Containers.ReserveExtraRAM" && *their == 550 * 1024 * 1024;
        assert!(
            reserve || is_same(&value, their, &path) || *their == value,
            "{path}: {value}, theirs {their}"
        );
    }
}

#[test]
fn the_embedded_defaults_are_the_recorded_ones() {
    let recorded = std::fs::read(config_support::reference("cluster-defaults.json")).unwrap();
    let embedded =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings/cluster-defaults.json")).unwrap();
    assert!(recorded == embedded);
}

#[test]
fn the_entries_of_instance_types_are_documented_completely() {
    let more = "    InstanceTypes: {a: {VCPUs: 1, RAM: 1, GPU: {Stack: ''}}}\n";
    let settings = load_text(&minimal(&TestKey::new(), more)).unwrap().settings;
    let mut read = Vec::new();
    leaves(&settings.cluster_json()["InstanceTypes"]["a"], "", &mut read);
    let sample = &documented()["InstanceTypes"]["SAMPLE"];
    for (path, _) in read {
        assert!(at(sample, &path).is_some(), "{path} is not documented");
    }
}

/// An example with a key in place of the site's own: its text, and its settings, which have no warning.
fn usable(name: &str, key_of_site: &str) -> (String, Settings) {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, TestKey::new().pem()).unwrap();
    let text = config(name).replace(&format!("{key_of_site}\n"), &format!("{}\n", key.display()));
    let loaded = load_text(&text).unwrap();
    assert_eq!(loaded.warnings, []);
    (text, loaded.settings)
}

fn parameters(tree: &Value) -> Value {
    tree["Clusters"]["zzzzz"]["Containers"]["CloudVMs"]["DriverParameters"].clone()
}

#[test]
fn the_loopback_example_is_usable_without_a_warning_and_shows_every_parameter() {
    let (text, settings) = usable("loopback.yml", "/tmp/dispatch-key");
    assert_eq!(parameters(&settings.dump()), parameters(&yaml_to_json(&text)));
}

#[test]
fn the_gce_example_is_usable_without_a_warning_and_shows_every_parameter() {
    let (text, settings) = usable("gce.example.yml", SITES_KEY);
    assert_eq!(parameters(&settings.dump()), parameters(&yaml_to_json(&text)));
}

#[test]
fn the_ec2_example_is_usable_without_a_warning() {
    let (_, settings) = usable("ec2.example.yml", SITES_KEY);
    let ec2 = Ec2::new(&settings.driver.parameters);
    assert_eq!((ec2.subnet_ids.len(), ec2.security_group_ids.len(), ec2.ebs_price), (2, 1, 0.08));
}

#[test]
fn the_azure_example_is_usable_without_a_warning_and_shows_every_parameter() {
    let (text, settings) = usable("azure.example.yml", SITES_KEY);
    let azure = Azure::new(&settings.driver.parameters);
    assert_eq!((azure.location.as_str(), azure.gallery_version.as_str()), ("westeurope", "1.0.0"));
    let names = |tree: &Value| parameters(tree).as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&yaml_to_json(&text)), names(&settings.dump()));
    let theirs: Value = serde_json::from_str(
        &std::fs::read_to_string(config_support::reference("cluster-defaults.json")).unwrap(),
    )
    .unwrap();
    let theirs = &theirs["Containers"]["CloudVMs"]["DriverParameters"];
    // Those of the Go program have its defaults, but groups of quotas, which are EC2's there.
    for (name, value) in settings.driver.description.parameters().into_iter().map(|it| (it.name, it.default))
    {
        let dispatch_core::driver::ParameterValue::Text(text) = value else { continue };
        assert!(theirs.get(name).is_none_or(|it| *it == text.as_str()), "{name}: {text}");
    }
}

#[test]
fn the_ec2_driver_has_the_same_defaults() {
    let driver = load_text(&minimal(&TestKey::new(), "")).unwrap().settings.driver;
    assert_eq!(driver.name(), "ec2", "it is the default driver");
    assert_eq!(Ec2::new(&driver.parameters), Ec2::default());
}

#[test]
fn the_core_has_the_same_defaults() {
    let ours = load_text(&minimal(&TestKey::new(), "")).unwrap().settings.policy;
    let mut cores = dispatch_core::policy::Policy::with_defaults();
    cores.instance_set_id = ours.instance_set_id.clone();
    // It is made from the site's image, which has no default.
    cores.blueprint = ours.blueprint.clone();
    assert_eq!(format!("{ours:?}"), format!("{cores:?}"));
}

/// `systemd-analyze security` on the unit: the whole text, and the exposure from 0 (safe) to 10.
fn exposure(unit: &std::path::Path) -> (String, f64) {
    let output = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit)
        .env("NO_COLOR", "1")
        .output()
        .expect("systemd-analyze is missing: run scripts/test once, it installs Debian's package systemd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, rest) = text.split_once("Overall exposure level for ").unwrap_or_else(|| panic!("{output:?}"));
    let number = rest.split_whitespace().nth(1).unwrap().parse().unwrap();
    (text, number)
}

#[test]
fn the_service_unit_is_hardened() {
    let unit =
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/arvados-dispatch-cloud.service"));
    let (text, number) = exposure(unit);
    assert!(number <= 2.5, "{text}");
    let directory = tempfile::tempdir().unwrap();
    let bare = directory.path().join("arvados-dispatch-cloud.service");
    std::fs::write(&bare, "[Service]\nExecStart=/usr/bin/arvados-dispatch-cloud\n").unwrap();
    assert!(exposure(&bare).1 > 9.0, "a unit without protection is judged otherwise");
    for line in [
        "LimitCORE=0",
        "NoNewPrivileges=yes",
        "PrivateDevices=yes",
        "RestrictNamespaces=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
        "SystemCallArchitectures=native",
        "ProtectHostname=yes",
        "ProtectProc=invisible",
        "MemoryDenyWriteExecute=yes",
    ] {
        assert!(config("arvados-dispatch-cloud.service").lines().any(|it| it == line), "{line}");
    }
}

#[test]
fn the_images_that_ours_is_made_from_are_named_exactly() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Dockerfile")).unwrap();
    let argument = |name: &str| {
        let start = format!("ARG {name}=");
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{name}"))
    };
    let date = argument("DEBIAN_TAG").trim_start_matches("bookworm-").trim_end_matches("-slim");
    assert!(date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()), "{date}");
    assert_eq!(argument("RUST_VERSION").split('.').count(), 3);
    let toolchain = include_str!("../rust-toolchain.toml");
    assert!(toolchain.contains(&format!("channel = \"{}\"", argument("RUST_VERSION"))), "{toolchain}");
    let bases: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(bases, ["rust:${RUST_VERSION}-slim-bookworm AS build", "debian:${DEBIAN_TAG}"]);
}

#[test]
fn the_service_unit_starts_this_program_and_never_again_after_wrong_usage() {
    let unit = config("arvados-dispatch-cloud.service");
    for line in ["Type=notify", "Restart=always", "RestartPreventExitStatus=2"] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
    assert!(unit.contains("ExecStart=/usr/bin/arvados-dispatch-cloud $EXTRA_OPTS"));
}
