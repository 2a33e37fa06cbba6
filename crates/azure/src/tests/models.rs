//! Microsoft's own word: its models of each version of Azure's API hold what the driver sends, and its own clients believe
//! the fake. They need packages of 330 MB, so `tests/long/azure-clients` installs these and runs the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dispatch_core::instance::{InstanceType, Tags};
use dispatch_core::ports::{CloudDriver as _, CreateOrder};
use dispatch_sim::clouds::azure::{CLIENT, CLIENT_SECRET, Call, FakeAzure, SUBSCRIPTION, TENANT};
use serde_json::{Value, json};

use super::{SECRET, World, instance_type, of_set, order, order_of, params};
use crate::Params;

/// Models of all versions, by azure-mgmt-compute 30.6.0.
const MODELS: (&str, &str) = ("DISPATCH_AZURE_MODELS_VENV", "azure-models-venv");
/// Clients of today, with the models of one version each.
const CLIENTS: (&str, &str) = ("DISPATCH_AZURE_CLIENTS_VENV", "azure-clients-venv");

/// From this version on a VM takes NIC and disks along.
const SINCE: &str = "2021-03-01";

/// Microsoft's own list of sizes ends with these; all others are as good.
const OLD_SIZE: &str = "Standard_D2s_v3";

fn python((variable, folder): (&str, &str)) -> PathBuf {
    let here = || format!("{}/../../target/{folder}", env!("CARGO_MANIFEST_DIR"));
    let venv = std::env::var(variable).unwrap_or_else(|_| here());
    let python = PathBuf::from(venv).join("bin/python");
    assert!(python.exists(), "{} is missing: run tests/long/azure-clients once", python.display());
    python
}

fn run(venv: (&str, &str), script: &str, arguments: &[&str], input: &str) -> Value {
    let script = format!("{}/tests/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python(venv));
    command.arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// All calls of a driver that is made to send all that it can.
async fn every_call() -> Vec<Call> {
    let gallery = Params { gallery: "gal".to_owned(), gallery_version: "1.0.0".to_owned(), ..params() };
    let most = InstanceType {
        preemptible: true,
        added_scratch: 100_000_000_000,
        ..InstanceType::clone(&instance_type(OLD_SIZE))
    };
    let least = CreateOrder { public_key: None, ..order_of(instance_type(OLD_SIZE), "another") };
    let mut calls = Vec::new();
    for (params, order) in [
        (gallery, order_of(Arc::new(most), SECRET)),
        (params(), order_of(instance_type(OLD_SIZE), SECRET)),
        (params(), least),
    ] {
        let world = World::with(params, std::time::Duration::from_secs(30), |_| ());
        let made = world.driver.create(&order).await.unwrap();
        world.driver.create(&order).await.unwrap();
        let tags = Tags([("a".to_owned(), "b".to_owned())].into());
        world.driver.set_tags(&made.id, &tags).await.unwrap();
        world.driver.list(&of_set()).await.unwrap();
        world.driver.destroy(&made.id).await.unwrap();
        calls.extend(world.azure.with(|arm| arm.calls()));
    }
    calls
}

fn bodies(calls: &[Call]) -> Vec<Value> {
    let kind = |call: &Call| match (call.method.as_str(), &call.path) {
        ("PUT", path) if path.contains("/virtualMachines/") => Some("virtualMachine"),
        ("PUT", path) if path.contains("/networkInterfaces/") => Some("networkInterface"),
        ("PATCH", _) => Some("tags"),
        _ => None,
    };
    calls.iter().filter_map(|call| Some(json!({"kind": kind(call)?, "body": call.body}))).collect()
}

/// What the models have against each body, by version and the body's number.
type Objections = BTreeMap<String, BTreeMap<String, Vec<String>>>;

fn objections(venv: (&str, &str), bodies: &[Value]) -> Objections {
    serde_json::from_value(run(venv, "models.py", &[], &json!(bodies).to_string())).unwrap()
}

#[actix_rt::test]
#[ignore = "tests/long/azure-clients"]
async fn every_body_is_as_microsofts_models_of_all_versions_want_it() {
    let bodies = bodies(&every_call().await);
    let kinds: BTreeSet<_> = bodies.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    let older = objections(MODELS, &bodies);
    assert!(older.len() >= 20, "{:?}", older.keys());
    for (version, found) in &older {
        let all: Vec<_> = found.values().flatten().collect();
        if version.as_str() >= SINCE {
            assert_eq!(all, Vec::<&String>::new(), "{version}");
        } else {
            // So the walk finds what is wrong.
            assert!(all.iter().any(|it| it.ends_with("osDisk.deleteOption: unknown")), "{version}: {all:?}");
        }
    }
    let newer = objections(CLIENTS, &bodies);
    assert!(newer.contains_key("now") && newer.contains_key("2021-04-01"), "{:?}", newer.keys());
    for (version, found) in &newer {
        // Tags are those of the version that we call; this package has a model of each.
        let all: Vec<_> = found.values().flatten().collect();
        assert_eq!(all, Vec::<&String>::new(), "{version}");
    }
}

#[test]
#[ignore = "tests/long/azure-clients"]
fn the_models_have_something_against_wrong_bodies() {
    let vm = |properties: Value| json!({"kind": "virtualMachine", "body": {"location": "x", "properties": properties}});
    let wrong = [
        vm(json!({"hardwareProfil": {}})),
        vm(json!({"hardwareProfile": {"vmSize": 7}})),
        vm(json!({"networkProfile": {"networkInterfaces": {}}})),
        vm(json!({"storageProfile": {"dataDisks": [{"lun": "0", "createOption": "Empty"}]}})),
        vm(json!({"provisioningState": "Succeeded"})),
    ];
    for (version, found) in
        objections(MODELS, &wrong).into_iter().filter(|(version, _)| version.as_str() >= SINCE)
    {
        assert!(found.len() == wrong.len() && found.values().all(|it| it.len() == 1), "{version}: {found:?}");
    }
    let enumeration = vm(json!({"priority": "Cheap"}));
    let nic = json!({"kind": "networkInterface", "body": {"properties": {"ipConfigurations": [{"propertees": {}}]}}});
    let tags = json!({"kind": "tags", "body": {"operation": 1}});
    let all = [&wrong[..], &[enumeration, nic, tags]].concat();
    let found = objections(CLIENTS, &all);
    let now = &found["now"];
    assert!(now.len() == all.len() - 1 && now.values().all(|it| it.len() == 1), "{now:?}");
    assert_eq!(found["2021-04-01"].values().flatten().count(), 1, "{found:?}");
}

/// Method and path, as ARM compares them.
fn what(calls: &[Call]) -> BTreeSet<String> {
    let calls = calls.iter().filter(|it| !it.path.contains("/operations/"));
    calls.map(|it| format!("{} {}", it.method, it.path.to_lowercase())).collect()
}

#[actix_rt::test]
#[ignore = "tests/long/azure-clients"]
async fn microsofts_own_clients_believe_the_fake_and_call_what_we_call() {
    let world = World::new();
    let made = world.driver.create(&order()).await.unwrap();
    let tags = Tags([("a".to_owned(), "b".to_owned())].into());
    world.driver.set_tags(&made.id, &tags).await.unwrap();
    world.driver.list(&of_set()).await.unwrap();
    world.driver.destroy(&made.id).await.unwrap();
    let ours = what(&world.azure.with(|arm| arm.calls()));
    let name = made.id.as_str().rsplit('/').next().unwrap();

    let azure = FakeAzure::start().unwrap();
    azure.with(|arm| {
        (arm.knobs.questions, arm.knobs.page) = (2, 1);
        let text =
            "Allocation failed. We do not have sufficient capacity for the requested VM size in this region.";
        arm.knobs.failures.extend([None, Some(("AllocationFailed".to_owned(), text.to_owned()))]);
    });
    let arguments = [azure.endpoint.as_str(), TENANT, CLIENT, SUBSCRIPTION, name];
    let told = run(CLIENTS, "clients.py", &arguments, CLIENT_SECRET);
    let theirs = what(&azure.with(|arm| arm.calls()));
    let missing: Vec<_> = ours.difference(&theirs).collect();
    assert_eq!(missing, Vec::<&String>::new(), "{theirs:#?}");
    assert_eq!(told["made"], json!([name, "Succeeded", "Standard_D2s_v5", {"a": "b"}]), "{told}");
    assert_eq!((&told["address"], &told["created"]), (&json!("10.1.0.5"), &json!(true)));
    assert_eq!(told["listed"], json!([name]));
    assert_eq!(told["nics"], json!([[format!("{name}-nic"), true]]));
    assert_eq!(told["disks"], json!([[format!("{name}-os"), "Attached"]]));
    assert_eq!(told["tags"], json!({"a": "c", "d": "e"}));
    assert_eq!(told["used"], json!([400, "NicInUse"]));
    assert_eq!(told["changed"], json!([409, "PropertyChangeNotAllowed"]));
    assert_eq!(told["left"], json!([]));
    assert_eq!(told["gone"], json!([404, "ResourceNotFound"]));
    assert_eq!(told["failed"][1], "AllocationFailed");
    assert_eq!(told["failed state"], "Failed");
}
