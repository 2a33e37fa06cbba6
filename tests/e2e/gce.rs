//! The dispatcher and `cloudtest` on Compute Engine's API: the fake of `dispatch-sim` as the cloud, Debian's sshd as the VMs.
//!
//! ```text
//!   cargo test ─ ip netns exec NAME ─▶ this binary again, in a network of its own (10.128.0.0/16 is local there)
//!                                        ├─ GceServer: API, metadata server ◀── HTTP ── arvados-dispatch-cloud
//!                                        ├─ simulated controller ◀── HTTP ───────────────┤
//!                                        └─ sshd on port 22 of all addresses ◀── ssh ────┘
//! ```
//! The fake boots nothing: [`furnish`] runs the startup script of each new VM and publishes its host key, as Google's guest
//! agent would. Tests that are `ignored` are the inner ones; the others run them. Without root there is no such network, and
//! they fail, unless `DISPATCH_SKIP_ROOT_TESTS=1` says that this is known.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_sim::clouds::gce::{GceServer, Vm};
use serde_json::{Value, json};

use crate::support::network::Network;
use crate::support::service::{command, finish};
use crate::support::vms::{Vms, follow, write};
use crate::support::{DISPATCHER, Metrics, SOON, Service, Site, until};

const LONG: Duration = Duration::from_secs(300);
const ZONES: [&str; 2] = ["us-central1-a", "us-central1-b"];

#[test]
fn containers_run_on_gce_and_a_restart_adopts_their_vm() {
    in_a_network_of_its_own("gce::inner_run");
}

#[test]
fn cloudtest_tries_every_zone_of_gce_and_tells_a_forged_host_key() {
    in_a_network_of_its_own("gce::inner_cloudtest");
}

#[track_caller]
fn in_a_network_of_its_own(test: &str) {
    let Some(network) = Network::new(&test.replace("::", "-")) else { return };
    network.ip(&["route", "add", "local", "10.128.0.0/16", "dev", "lo"]);
    network.run(test, &[]);
}

// ---------------------------------------------------------------- the VMs

/// Boots what is new and publishes its host key, and takes down what is gone.
fn furnish(vms: &Vms, server: &GceServer, host_key: &str) {
    let all = server.with(|fake| fake.vms());
    let of_dispatchers = all.iter().filter(|vm| !vm.metadata("startup-script").is_empty());
    let running: BTreeMap<_, _> =
        of_dispatchers.filter(|vm| vm.status == "RUNNING").map(|vm| (vm.address.clone(), vm)).collect();
    for (address, vm) in &running {
        // What would be on the VM's disk is in its /run here: nothing of it may be on this host's.
        let script = || vm.metadata("startup-script").replace("/var/lib/arvados-init", "/run/arvados-init");
        vms.boot(address, &vm.name, script);
        publish(server, vm, host_key);
    }
    for (address, id) in vms.all() {
        if running.get(&address).is_none_or(|vm| vm.name != id) {
            vms.take_down(&address, &id);
        }
    }
}

fn publish(server: &GceServer, vm: &Vm, host_key: &str) {
    let (algorithm, key) = host_key.split_once(' ').expect("an OpenSSH public key");
    let (algorithm, key) = (algorithm.to_owned(), key.split(' ').next().unwrap().to_owned());
    let (zone, name) = (vm.zone.clone(), vm.name.clone());
    server.with(move |fake| {
        let is_there = fake.vms().iter().any(|vm| (vm.zone.as_str(), vm.name.as_str()) == (&zone, &name));
        if is_there {
            fake.vm(&zone, &name).host_keys.insert(algorithm, key);
        }
    });
}

// ---------------------------------------------------------------- the site

struct World {
    site: Site,
    server: Rc<GceServer>,
    vms: Rc<Vms>,
}

/// The set of another dispatcher that has the same project.
const NEIGHBOUR: &str = "zzzzy-gj3su-000000000000001";
const NEIGHBOURS_SECRET: &str = "0123456789abcdef0123456789abcdef01234567";

/// Its VM: idle, of a type that we have, and not ours to touch; it has stopped, and is not ours to delete either.
fn neighbour() -> Value {
    let tags = json!({
        "ArvadosInstanceSetID": NEIGHBOUR, "ArvadosInstanceType": "shared", "ArvadosIdleBehavior": "run",
        "ArvadosInstanceSecret": NEIGHBOURS_SECRET,
    });
    json!({
        "name": "neighbour", "machineType": "zones/us-central1-a/machineTypes/n2-standard-4",
        "labels": {"arvados-instance-set": NEIGHBOUR},
        "metadata": {"items": [{"key": "arvados-tags", "value": tags.to_string()}]},
    })
}

impl World {
    /// `host_key`: what VMs publish; `None` = what they have.
    fn new(host_key: Option<&str>) -> Self {
        let mut site = Site::new();
        let server = Rc::new(GceServer::start().unwrap());
        server.with(|fake| {
            fake.knobs.looks = 1;
            fake.put(ZONES[0], &neighbour());
            fake.vm(ZONES[0], "neighbour").status = "TERMINATED".to_owned();
        });
        let vms = Rc::new(Vms::start(&site));
        let runner = site.path("crunch-run");
        write(&runner, &format!("#!/bin/sh\nexec {DISPATCHER} crunch-run \"$@\"\n"), 0o755);
        let settings = json!({
            "Driver": "gce",
            "DriverParameters": {"Zones": ZONES, "AdminUsername": "root"},
            "ImageID": "family/worker",
            "ResourceTags": {"owner": "lab"},
            "ProbeInterval": "500ms",
            "DeployRunnerBinary": runner,
            "DeployRunnerDirectory": "/run/arvados-crunch-run",
        });
        let Value::Object(settings) = settings else { unreachable!("it is one") };
        site.cloud().as_object_mut().unwrap().extend(settings);
        site.cluster()["InstanceTypes"]["shared"]["ProviderType"] = json!("n2-standard-4");
        let host_key = host_key.unwrap_or(&vms.host_key).to_owned();
        follow(&vms, &server, move |vms, server| furnish(vms, server, &host_key));
        Self { site, server, vms }
    }

    fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE".to_owned(), self.server.endpoint()),
            ("GCE_METADATA_HOST".to_owned(), self.server.metadata_host().to_owned()),
            ("USER".to_owned(), "tester".to_owned()),
        ]
    }

    async fn start(&self) -> Service {
        self.site.write_config();
        let environment = self.environment();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Service::start(&self.site, &["run"], &environment).await
    }

    async fn cloudtest(&self, arguments: &[&str]) -> crate::support::Ended {
        self.site.write_config();
        let environment = self.environment();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let arguments = [&["cloudtest"], arguments].concat();
        finish(&mut command(&self.site, &arguments, &environment), LONG).await
    }

    /// Those that a dispatcher or a cloudtest has made; the neighbour aside.
    fn made(&self) -> Vec<Vm> {
        self.server.with(|fake| fake.vms()).into_iter().filter(|vm| vm.name != "neighbour").collect()
    }

    /// How many orders there were.
    fn orders(&self) -> usize {
        self.server.with(|fake| fake.calls().iter().filter(|call| call.name == "instances.insert").count())
    }

    /// No secret is in what it has logged, not even one of its neighbour's, and no token.
    fn assert_discreet(&self, service: &Service, secrets: &[String]) {
        let site = &self.site;
        let key = site.private_key.lines().nth(1).unwrap();
        let of_site = [NEIGHBOURS_SECRET, "ya29.", &site.management_token, &site.root_token, key];
        let log = service.log_text();
        for secret in of_site.into_iter().chain(secrets.iter().map(String::as_str)) {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }

    async fn all_gone(&self) {
        until("every VM is gone", LONG, async || self.made().is_empty().then_some(())).await;
        let other = self.server.with(|fake| fake.vm(ZONES[0], "neighbour").clone());
        assert_eq!(other.status, "TERMINATED", "another set's VM is none of our business");
        assert_eq!(other.instance, neighbour(), "nor are its tags");
    }
}

fn secret(vm: &Vm) -> String {
    let tags: BTreeMap<String, String> = serde_json::from_str(vm.metadata("arvados-tags")).unwrap();
    tags["ArvadosInstanceSecret"].clone()
}

#[actix_rt::test]
#[ignore = "run by containers_run_on_gce_and_a_restart_adopts_their_vm, in a network of its own"]
async fn inner_run() {
    let world = World::new(None);
    let mut service = world.start().await;
    world.site.submit(2).await;
    world.site.reached(2, ContainerState::Running, LONG).await;
    world.site.begun(2).await;
    let made = world.made();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!((made[0].zone.as_str(), made[0].label("owner")), (ZONES[0], "lab"));
    let secrets = [secret(&made[0])];
    let in_first = [("zone", ZONES[0])];
    until("its VM is counted", SOON, async || {
        let metrics = Metrics::of(&service, &world.site).await;
        (metrics.value("gce_instances", &in_first)? == 1.0).then_some(())
    })
    .await;
    let metrics = Metrics::of(&service, &world.site).await;
    assert_eq!(metrics.sum("cloud_errors_total"), 0.0);
    service.kill().await;
    world.assert_discreet(&service, &secrets);

    let mut service = world.start().await;
    let adopted = service.logged("probes succeeded, instance is in service", SOON).await;
    assert_eq!(adopted["Instance"], json!(format!("{}/{}", made[0].zone, made[0].name)));
    let vm = world.vms.vm(&made[0].address);
    let deployed = std::fs::read_dir(vm.join("run/arvados-crunch-run")).unwrap().flatten();
    let deployed: Vec<_> = deployed.filter_map(|it| it.file_name().into_string().ok()).collect();
    assert!(deployed.len() == 1 && deployed[0].starts_with("crunch-run~"), "{deployed:?}");
    world.site.runs.open_gate();
    world.site.reached(2, ContainerState::Complete, LONG).await;
    world.site.assert_all_ran_once(2).await;
    world.all_gone().await;
    assert_eq!(world.orders(), 1, "nothing else was made");
    assert_eq!(service.stop().await, 0);
    world.assert_discreet(&service, &secrets);
}

#[actix_rt::test]
#[ignore = "run by cloudtest_tries_every_zone_of_gce_and_tells_a_forged_host_key, in a network of its own"]
async fn inner_cloudtest() {
    let mut world = World::new(None);
    let ended = world.cloudtest(&["--json", "--command", "cat /run/arvados-instance-secret; hostname"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let trials = report["trials"].as_array().unwrap();
    let zones: Vec<_> = trials.iter().filter_map(|it| it["subnet"].as_str()).collect();
    assert_eq!(zones, ZONES);
    for trial in trials {
        assert!(trial["address"].as_str().unwrap().starts_with("10.128."), "{trial}");
        assert!(trial["command"]["stdout"].as_str().unwrap().starts_with("(secret)"), "{trial}");
    }
    let asked = world
        .server
        .with(|fake| fake.calls().iter().filter(|it| it.name.ends_with("getGuestAttributes")).count());
    assert!(asked >= 2, "host keys are asked for: {asked}");
    world.all_gone().await;

    // A zone that has no more, and one that does not exist: each for itself, with Google's own words.
    world
        .server
        .with(|fake| fake.knobs.exhausted = [(ZONES[0].to_owned(), "n2-standard-4".to_owned())].into());
    world.site.cloud()["DriverParameters"]["Zones"] = json!([ZONES[0], "us-central1-z"]);
    let ended = world.cloudtest(&[]).await;
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!((ended.code, lines.len()), (Some(1), 2), "one a zone: {ended:?}");
    assert!(
        lines[0].contains("us-central1-a: create: ") && lines[0].contains("ZONE_RESOURCE_POOL_EXHAUSTED")
    );
    assert!(lines[0].contains("; check: whether the zone has this type now"), "{}", lines[0]);
    assert!(
        lines[1].contains("us-central1-z: create: ") && lines[1].contains("Unknown zone"),
        "{}",
        lines[1]
    );
    world.all_gone().await;
    drop(world);

    // Whoever answers there is not the VM that the cloud knows.
    let forged = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUsyyuCL52eZXqpTmT1qk1Tnzr2bmbQbDgLxpWAE";
    let mut world = World::new(Some(forged));
    world.site.cloud()["TimeoutBooting"] = json!("5s");
    world.site.cloud()["DriverParameters"]["Zones"] = json!([ZONES[0]]);
    let ended = world.cloudtest(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("its host key is not the one that the cloud knows"), "{ended:?}");
    world.all_gone().await;
}
