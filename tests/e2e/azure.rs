//! The dispatcher and `cloudtest` on Azure's API: a fake of it in this process, Debian's sshd as the VMs.
//!
//! ```text
//!   cargo test ─ ip netns exec NAME ─▶ this binary again, in a network of its own (10.1.0.0/16 is local there)
//!                                        ├─ fake Azure ◀── HTTP ── arvados-dispatch-cloud
//!                                        ├─ simulated controller ◀── HTTP ──┤
//!                                        └─ sshd on port 22 of all addresses ◀── ssh ──┘
//! ```
//! The fake takes its time, spells ids in capitals and gives lists in pages of one. Tests that are `ignored` are the inner
//! ones; the others run them. Without root there is no such network, and they fail, unless `DISPATCH_SKIP_ROOT_TESTS=1`
//! says that this is known.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_core::container::ContainerState;
use dispatch_sim::clouds::azure::{
    Arm, CLIENT, CLIENT_SECRET, FakeAzure, Interface, Machine, SUBSCRIPTION, TENANT,
};
use serde_json::{Value, json};

use crate::support::network::Network;
use crate::support::service::{command, finish};
use crate::support::vms::{Vms, follow, write};
use crate::support::{DISPATCHER, Metrics, SOON, Service, Site, until};

const LONG: Duration = Duration::from_secs(300);

#[test]
fn containers_run_on_azure_and_a_restart_adopts_their_vm_and_tidies_up() {
    in_a_network_of_its_own("azure::inner_run");
}

#[test]
fn cloudtest_tries_azure_and_tells_what_it_refuses() {
    in_a_network_of_its_own("azure::inner_cloudtest");
}

#[track_caller]
fn in_a_network_of_its_own(test: &str) {
    // The network's name is this process's and the last part: ec2's tests have the same.
    let Some(network) = Network::new(&test.replace("::inner_", "-")) else { return };
    network.ip(&["route", "add", "local", "10.1.0.0/16", "dev", "lo"]);
    network.run(test, &[]);
}

struct World {
    site: Site,
    azure: Rc<FakeAzure>,
    vms: Rc<Vms>,
    environment: PathBuf,
}

fn address_of(arm: &Arm, machine: &Machine) -> Option<String> {
    Some(arm.interfaces.get(machine.interfaces.first()?)?.address.clone())
}

/// Boots what has come into being, and takes down what is no more.
fn furnish(vms: &Vms, azure: &FakeAzure) {
    let there: Vec<(String, String, String, bool)> = azure.with(|arm| {
        let all = arm.machines.values().filter_map(|it| {
            let is_up = format!("{:?}", it.state) == "Succeeded";
            Some((address_of(arm, it)?, it.name.clone(), it.custom_data.clone(), is_up))
        });
        all.collect()
    });
    for (address, id, told, _) in there.iter().filter(|it| it.3) {
        vms.boot(address, id, || String::from_utf8(STANDARD.decode(told).unwrap()).unwrap());
    }
    for (address, id) in vms.all() {
        if !there.iter().any(|it| it.1 == id) {
            vms.take_down(&address, &id);
        }
    }
}

impl World {
    fn new() -> Self {
        let mut site = Site::new();
        let azure = Rc::new(FakeAzure::start().unwrap());
        let now = dispatch_actors::clock::now();
        azure.with(move |arm| {
            let knobs = &mut arm.knobs;
            (knobs.now, knobs.questions, knobs.page, knobs.shouts) = (now, 3, 1, true);
        });
        let environment = azure.environment_file(&site.path("")).unwrap();
        let vms = Rc::new(Vms::start(&site));
        let runner = site.path("crunch-run");
        write(&runner, &format!("#!/bin/sh\nexec {DISPATCHER} crunch-run \"$@\"\n"), 0o755);
        let settings = json!({
            "Driver": "azure",
            "DriverParameters": {
                "ClientId": CLIENT, "ClientSecret": CLIENT_SECRET, "TenantId": TENANT,
                "SubscriptionID": SUBSCRIPTION, "CloudEnvironment": "AzureStackCloud", "ResourceGroup": "cluster",
                "ImageResourceGroup": "images", "NetworkResourceGroup": "network", "Network": "net", "Subnet": "sub",
                "AdminUsername": "root",
            },
            "ImageID": "arvados-compute",
            "ProbeInterval": "500ms",
            "DeployRunnerBinary": runner,
            "DeployRunnerDirectory": "/run/arvados-crunch-run",
        });
        let Value::Object(settings) = settings else { unreachable!("it is one") };
        site.cloud().as_object_mut().unwrap().extend(settings);
        site.cluster()["InstanceTypes"]["shared"]["ProviderType"] = json!("Standard_D2s_v5");
        follow(&vms, &azure, furnish);
        Self { site, azure, vms, environment }
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [("AZURE_ENVIRONMENT_FILEPATH", self.environment.to_str().unwrap()), ("USER", "tester")]
    }

    async fn start(&self) -> Service {
        self.site.write_config();
        Service::start(&self.site, &["run"], &self.environment()).await
    }

    /// The VMs that there are.
    fn machines(&self) -> Vec<Machine> {
        self.azure.with(|arm| arm.machines.values().cloned().collect())
    }

    /// How many VMs were ordered since the last time that it was asked.
    fn ordered(&self) -> usize {
        let calls = self.azure.with(|arm| arm.calls());
        calls.iter().filter(|it| it.method == "PUT" && it.path.contains("/virtualMachines/")).count()
    }

    async fn all_ended(&self) {
        until("nothing is left in the cloud", LONG, async || {
            let left = self.azure.with(|arm| arm.machines.len() + arm.interfaces.len() + arm.disks.len());
            // A VM that is on its way out goes a step further with each listing.
            (left == 0).then_some(())
        })
        .await;
    }

    fn assert_discreet(&self, log: &str) {
        let key = self.site.private_key.lines().nth(1).unwrap();
        let of_vms: Vec<_> = self
            .machines()
            .into_iter()
            .map(|mut it| it.tags.remove("ArvadosInstanceSecret").unwrap())
            .collect();
        let secrets = [CLIENT_SECRET, &self.site.management_token, &self.site.root_token, key, "token-1"];
        for secret in secrets.into_iter().chain(of_vms.iter().map(String::as_str)) {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }
}

#[actix_rt::test]
#[ignore = "run by containers_run_on_azure_and_a_restart_adopts_their_vm_and_tidies_up, in a network of its own"]
async fn inner_run() {
    let world = World::new();
    let mut service = world.start().await;
    world.site.submit(2).await;
    world.site.reached(2, ContainerState::Running, LONG).await;
    world.site.begun(2).await;
    service.kill().await;
    world.assert_discreet(&service.log_text());
    assert_eq!(world.ordered(), 1);
    let [machine] = &world.machines()[..] else { panic!("{:?}", world.machines()) };
    let set = machine.tags["ArvadosInstanceSetID"].clone();
    // What an order of before the restart has left.
    world.azure.with(move |arm| {
        let body = json!({
            "location": "centralus",
            "tags": {"ArvadosInstanceSetID": set, "created-at": "2026-01-01T00:00:00Z"},
            "properties": {"ipConfigurations": [{"properties": {}}]},
        });
        let name = format!("compute-{set}-0123456789abcde-nic");
        let address = arm.address();
        arm.interfaces.insert(name.clone(), Interface::new(&name, &body, address, None));
    });
    let mut service = world.start().await;
    let adopted = service.logged("probes succeeded, instance is in service", SOON).await;
    let id = adopted["Instance"].as_str().unwrap();
    assert!(id.ends_with(&machine.name), "{id} is not {}", machine.name);
    let tidied = service.logged("left-over resource deleted", SOON).await;
    assert_eq!(tidied["Kind"], "nic");
    let metrics = Metrics::of(&service, &world.site).await;
    assert_eq!(metrics.value("azure_leftovers_deleted_total", &[("kind", "nic")]), Some(1.0));
    assert_eq!(metrics.sum("azure_errors_total"), 0.0);
    assert_eq!(metrics.sum("cloud_errors_total"), 0.0);
    world.site.runs.open_gate();
    world.site.reached(2, ContainerState::Complete, LONG).await;
    world.site.assert_all_ran_once(2).await;
    world.all_ended().await;
    assert_eq!(world.ordered(), 0, "nothing else was made");
    assert_eq!(service.stop().await, 0);
    world.assert_discreet(&service.log_text());
}

#[actix_rt::test]
#[ignore = "run by cloudtest_tries_azure_and_tells_what_it_refuses, in a network of its own"]
async fn inner_cloudtest() {
    let world = World::new();
    world.site.write_config();
    let arguments = ["cloudtest", "--json", "--command", "cat /run/arvados-instance-secret; hostname"];
    let ended = finish(&mut command(&world.site, &arguments, &world.environment()), LONG).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let [trial] = &report["trials"].as_array().unwrap()[..] else { panic!("{report}") };
    assert!(trial["address"].as_str().unwrap().starts_with("10.1."), "{trial}");
    assert!(trial["command"]["stdout"].as_str().unwrap().starts_with("(secret)"), "{trial}");
    assert!(!ended.stdout.contains(CLIENT_SECRET));
    world.all_ended().await;
    assert!(world.vms.all().len() <= 1, "it is taken down soon");

    world.azure.with(|arm| arm.knobs.limits.families.insert("D".to_owned(), 1));
    let ended = finish(&mut command(&world.site, &["cloudtest"], &world.environment()), LONG).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = "create: PutVirtualMachine: OperationNotAllowed: Operation could not be completed as it results in \
                exceeding approved standardDFamily Cores quota";
    assert!(ended.stderr.contains(told) && ended.stderr.contains("quota of cores"), "{}", ended.stderr);
    world.all_ended().await;

    let arguments = ["cloudtest", "--image-id", "https://acc.blob.core.windows.net/system/x.vhd"];
    let ended = finish(&mut command(&world.site, &arguments, &world.environment()), LONG).await;
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("az image create"), "{}", ended.stderr);

    let nobody = [("USER", "tester")];
    let ended = finish(&mut command(&world.site, &["cloudtest"], &nobody), LONG).await;
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("AZURE_ENVIRONMENT_FILEPATH must name"), "{}", ended.stderr);
}
