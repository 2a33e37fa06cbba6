//! The dispatcher and `cloudtest` on EC2's API: moto as the cloud, Debian's sshd as the VMs.
//!
//! ```text
//!   cargo test ─ ip netns exec NAME ─▶ this binary again, in a network of its own (10.1.0.0/16 is local there)
//!                                        ├─ moto ◀── HTTP ── arvados-dispatch-cloud
//!                                        ├─ simulated controller ◀── HTTP ──┤
//!                                        └─ sshd on port 22 of all addresses ◀── ssh ──┘
//!                                             └─ the address tells which VM: it has a /run of its own
//! ```
//! moto boots nothing: [`furnish`] runs the user data of each new instance, as cloud-init would. Tests
//! that are `ignored` are the inner ones; the others run them. Without root there is no such network, and they
//! fail, unless `DISPATCH_SKIP_ROOT_TESTS=1` says that this is known.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_core::container::ContainerState;
use dispatch_sim::moto::{Moto, MotoOptions};
use dispatch_sim::stub::{Reply, Stub};
use serde_json::{Value, json};

use crate::support::network::Network;
use crate::support::service::{command, finish};
use crate::support::vms::{Vms, follow, write};
use crate::support::{DISPATCHER, Metrics, SOON, Service, Site, until};

const LONG: Duration = Duration::from_secs(300);

#[test]
fn containers_run_on_ec2_and_a_restart_adopts_their_vm() {
    in_a_network_of_its_own("ec2::inner_run");
}

#[test]
fn cloudtest_tries_every_subnet_of_ec2() {
    in_a_network_of_its_own("ec2::inner_cloudtest");
}

#[track_caller]
fn in_a_network_of_its_own(test: &str) {
    let Some(network) = Network::new(test.rsplit("::").next().unwrap()) else { return };
    network.ip(&["route", "add", "local", "10.1.0.0/16", "dev", "lo"]);
    network.run(test, &[]);
}

// ---------------------------------------------------------------- the VMs

/// Boots what is new, and takes down what has ended.
fn furnish(vms: &Vms, moto: &Moto) {
    for instance in instances(moto) {
        let Some(address) = instance["PrivateIpAddress"].as_str() else { continue };
        let id = instance["InstanceId"].as_str().unwrap();
        match state(&instance) {
            "running" => vms.boot(address, id, || user_data(moto, id)),
            "terminated" => vms.take_down(address, id),
            _ => {}
        }
    }
}

/// Those that a dispatcher or a cloudtest has made, ended ones too; the neighbour aside.
fn instances(moto: &Moto) -> Vec<Value> {
    let filter = json!({"Filters": [{"Name": "tag-key", "Values": ["ArvadosInstanceSecret"]}]});
    let answer = moto.call("describe_instances", &filter).unwrap();
    let reservations = answer["Reservations"].as_array().unwrap().iter();
    let all = reservations.flat_map(|it| it["Instances"].as_array().unwrap().clone());
    all.filter(|it| tags(it)["ArvadosInstanceSetID"] != NEIGHBOUR).collect()
}

fn tags(instance: &Value) -> BTreeMap<String, String> {
    let tags = instance["Tags"].as_array().unwrap().iter();
    tags.map(|it| (it["Key"].as_str().unwrap().to_owned(), it["Value"].as_str().unwrap().to_owned()))
        .collect()
}

fn state(instance: &Value) -> &str {
    instance["State"]["Name"].as_str().unwrap()
}

fn user_data(moto: &Moto, id: &str) -> String {
    let question = json!({"InstanceId": id, "Attribute": "userData"});
    let answer = moto.call("describe_instance_attribute", &question).unwrap();
    let encoded = answer["UserData"]["Value"].as_str().unwrap();
    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
}

// ---------------------------------------------------------------- the site

struct World {
    site: Site,
    moto: Rc<Moto>,
    vms: Rc<Vms>,
    /// Another dispatcher's, with all that a VM of ours has, on the spot market.
    other: Value,
}

/// The set of another dispatcher that has the same account.
const NEIGHBOUR: &str = "zzzzy-gj3su-000000000000001";
/// What must not be told.
const SECRET_ACCESS_KEY: &str = "a-secret-access-key";

/// Its VM: idle, of a type that we have, and not ours to touch.
fn neighbour(moto: &Moto) -> Value {
    let tags = [
        ("ArvadosInstanceSetID", NEIGHBOUR),
        ("ArvadosInstanceType", "shared"),
        ("ArvadosIdleBehavior", "run"),
        ("ArvadosInstanceSecret", "0123456789abcdef0123456789abcdef01234567"),
    ];
    let tags = tags.map(|(key, value)| json!({"Key": key, "Value": value}));
    let order = json!({
        "ImageId": moto.site.image, "MinCount": 1, "MaxCount": 1, "InstanceType": "m5.large",
        "InstanceMarketOptions": {"MarketType": "spot"},
        "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
    });
    moto.call("run_instances", &order).unwrap()["Instances"][0].take()
}

impl World {
    fn new() -> Self {
        let mut site = Site::new();
        // Otherwise it takes any image's id.
        let prefix = ["env", "MOTO_ENABLE_AMI_VALIDATION=true"].map(str::to_owned).into();
        let options = MotoOptions { prefix, ..MotoOptions::default() };
        let moto = Rc::new(Moto::start(&options).unwrap_or_else(|error| panic!("{error}")));
        let vms = Rc::new(Vms::start(&site));
        let runner = site.path("crunch-run");
        write(&runner, &format!("#!/bin/sh\nexec {DISPATCHER} crunch-run \"$@\"\n"), 0o755);
        let settings = json!({
            "Driver": "ec2",
            "DriverParameters": {
                "AccessKeyID": "testing", "SecretAccessKey": SECRET_ACCESS_KEY, "Region": "us-east-1",
                "SecurityGroupIDs": [moto.site.security_group], "SubnetID": moto.site.subnets,
                "AdminUsername": "root",
            },
            "ImageID": moto.site.image,
            "ProbeInterval": "500ms",
            "DeployRunnerBinary": runner,
            "DeployRunnerDirectory": "/run/arvados-crunch-run",
        });
        let Value::Object(settings) = settings else { unreachable!("it is one") };
        site.cloud().as_object_mut().unwrap().extend(settings);
        site.cluster()["InstanceTypes"]["shared"]["ProviderType"] = json!("m5.large");
        let other = neighbour(&moto);
        follow(&vms, &moto, furnish);
        Self { site, moto, vms, other }
    }

    fn endpoint(&self) -> [(&str, &str); 2] {
        [("AWS_ENDPOINT_URL", &self.moto.site.endpoint), ("USER", "tester")]
    }

    async fn start(&self) -> Service {
        self.site.write_config();
        Service::start(&self.site, &["run"], &self.endpoint()).await
    }

    /// Its VM is in the first subnet; of creates there were that many, and no call has failed.
    async fn assert_counted(&self, service: &Service, creates: f64) {
        let first = self.moto.site.subnets[0].as_str();
        let in_first = [("subnet_id", first)];
        until("its VM is counted", SOON, async || {
            let metrics = Metrics::of(service, &self.site).await;
            (metrics.value("ec2_instances", &in_first)? == 1.0).then_some(())
        })
        .await;
        let metrics = Metrics::of(service, &self.site).await;
        for (success, count) in [("1", creates), ("0", 0.0)] {
            let labels = [("subnet_id", first), ("success", success)];
            assert_eq!(metrics.value("ec2_instance_starts_total", &labels), Some(count), "success {success}");
        }
        let done = |operation| [("error", "0"), ("operation", operation)];
        assert_eq!(metrics.value("driver_operations", &done("Create")), Some(creates));
        assert!(metrics.value("driver_operations", &done("List")) >= Some(1.0));
        assert_eq!(metrics.sum("ec2_errors_total"), 0.0);
        assert_eq!(metrics.sum("cloud_errors_total"), 0.0);
    }

    /// No secret is in what it has logged, not even one of its neighbour's.
    fn assert_discreet(&self, service: &Service) {
        let site = &self.site;
        let key = site.private_key.lines().nth(1).unwrap();
        let mut secrets = vec![SECRET_ACCESS_KEY, &site.management_token, &site.root_token, key];
        let all = instances(&self.moto).into_iter().chain([self.other.clone()]);
        let of_vms: Vec<_> = all.map(|it| tags(&it)["ArvadosInstanceSecret"].clone()).collect();
        assert_eq!(of_vms.len(), 2);
        secrets.extend(of_vms.iter().map(String::as_str));
        let log = service.log_text();
        for secret in secrets {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }

    async fn all_ended(&self) {
        until("every VM is terminated", LONG, async || {
            instances(&self.moto).iter().all(|it| state(it) == "terminated").then_some(())
        })
        .await;
        let question = json!({"InstanceIds": [self.other["InstanceId"]]});
        let answer = self.moto.call("describe_instances", &question).unwrap();
        let other = &answer["Reservations"][0]["Instances"][0];
        assert_eq!(state(other), "running", "another set's VM is none of our business");
        assert_eq!(tags(other), tags(&self.other), "nor are its tags");
    }
}

#[actix_rt::test]
#[ignore = "run by containers_run_on_ec2_and_a_restart_adopts_their_vm, in a network of its own"]
async fn inner_run() {
    let world = World::new();
    let mut service = world.start().await;
    world.site.submit(2).await;
    world.site.reached(2, ContainerState::Running, LONG).await;
    world.site.begun(2).await;
    world.assert_counted(&service, 1.0).await;
    service.kill().await;
    world.assert_discreet(&service);
    let mut service = world.start().await;
    let adopted = service.logged("probes succeeded, instance is in service", SOON).await;
    let made = instances(&world.moto);
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(adopted["Instance"], made[0]["InstanceId"]);
    world.assert_counted(&service, 0.0).await;
    let vm = world.vms.vm(made[0]["PrivateIpAddress"].as_str().unwrap());
    let deployed = std::fs::read_dir(vm.join("run/arvados-crunch-run")).unwrap().flatten();
    let deployed: Vec<_> = deployed.filter_map(|it| it.file_name().into_string().ok()).collect();
    assert!(deployed.len() == 1 && deployed[0].starts_with("crunch-run~"), "{deployed:?}");
    world.site.runs.open_gate();
    world.site.reached(2, ContainerState::Complete, LONG).await;
    world.site.assert_all_ran_once(2).await;
    world.all_ended().await;
    assert_eq!(instances(&world.moto).len(), 1, "nothing else was made");
    assert_eq!(service.stop().await, 0);
    world.assert_discreet(&service);
}

#[actix_rt::test]
#[ignore = "run by cloudtest_tries_every_subnet_of_ec2, in a network of its own"]
async fn inner_cloudtest() {
    let mut world = World::new();
    world.site.write_config();
    // What a new instance meets in a cloud that is slow to know it, busy, and far.
    let stub = Stub::start(Some(&world.moto.site.endpoint)).unwrap();
    let unknown = "The instance ID 'i-1' does not exist";
    stub.next("CreateTags", Reply::refusal(400, "InvalidInstanceID.NotFound", unknown));
    stub.next("CreateTags", Reply::refusal(503, "RequestLimitExceeded", "Request limit exceeded."));
    stub.next("CreateTags", Reply::HangUp);
    let through_stub = [("AWS_ENDPOINT_URL", stub.endpoint.as_str()), ("USER", "tester")];
    let arguments = ["cloudtest", "--json", "--command", "cat /run/arvados-instance-secret; hostname"];
    let ended = finish(&mut command(&world.site, &arguments, &through_stub), LONG).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let actions = stub.actions();
    assert_eq!(
        actions.iter().filter(|it| *it == "CreateTags").count(),
        5,
        "three that had no effect, one a subnet"
    );
    let asks = actions.iter().any(|it| it == "DescribeSpotPriceHistory");
    assert!(!asks, "the prices of the account's other VMs are none of its business");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let trials = report["trials"].as_array().unwrap();
    let subnets: Vec<_> = trials.iter().filter_map(|it| it["subnet"].as_str()).collect();
    assert_eq!(subnets, world.moto.site.subnets);
    for trial in trials {
        assert!(trial["address"].as_str().unwrap().starts_with("10.1."), "{trial}");
        assert!(trial["command"]["stdout"].as_str().unwrap().starts_with("(secret)"), "{trial}");
    }
    assert!(!ended.stdout.contains(SECRET_ACCESS_KEY));
    world.all_ended().await;
    assert_eq!(instances(&world.moto).len(), 2);

    // Nobody listens there.
    world.site.cloud()["SSHPort"] = json!("23");
    world.site.cloud()["TimeoutBooting"] = json!("2s");
    world.site.write_config();
    let ended = finish(&mut command(&world.site, &["cloudtest"], &world.endpoint()), LONG).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "one a subnet: {ended:?}");
    assert!(lines.iter().all(|it| it.contains("log in: not within 2 s") && it.contains("SecurityGroupIDs")));
    world.all_ended().await;
    assert_eq!(instances(&world.moto).len(), 4);
    assert_what_aws_refuses_is_told(&mut world).await;
}

/// Each subnet for itself; with AWS's own words, and what to check.
async fn assert_what_aws_refuses_is_told(world: &mut World) {
    for key in ["SSHPort", "TimeoutBooting"] {
        world.site.cloud().as_object_mut().unwrap().remove(key);
    }
    let (wrong, right) = ("subnet-0123456789abcdef0", world.moto.site.subnets[1].clone());
    world.site.cloud()["DriverParameters"]["SubnetID"] = json!([wrong, right]);
    world.site.write_config();
    let ended = finish(&mut command(&world.site, &["cloudtest", "--json"], &world.endpoint()), LONG).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let [bad, good] = &report["trials"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((&bad["ok"], &good["ok"]), (&json!(false), &json!(true)), "{report}");
    assert_eq!((&bad["subnet"], &good["subnet"]), (&json!(wrong), &json!(right)), "{report}");
    assert_eq!(bad["instance"], Value::Null, "{report}");
    let told = format!(
        "arvados-dispatch-cloud: cloudtest: {wrong}: create: RunInstances: InvalidSubnetID.NotFound: "
    );
    assert!(ended.stderr.starts_with(&told) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("; check: ImageID, the type's ProviderType, SubnetID, "),
        "{}",
        ended.stderr
    );

    let arguments = ["cloudtest", "--image-id", "ami-0123456789abcdef0"];
    let ended = finish(&mut command(&world.site, &arguments, &world.endpoint()), LONG).await;
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!((ended.code, lines.len()), (Some(1), 2), "one a subnet: {ended:?}");
    let said =
        "create: RunInstances: InvalidAMIID.NotFound: The image id '[ami-0123456789abcdef0]' does not exist";
    assert!(lines.iter().all(|it| it.contains(said) && it.contains("; check: ImageID, ")), "{lines:?}");

    let nobody = [("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("USER", "tester")];
    let ended = finish(&mut command(&world.site, &["cloudtest"], &nobody), LONG).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(": list: DescribeInstances: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("(connection); check: the way from this host"), "{}", ended.stderr);
    world.all_ended().await;
    assert_eq!(instances(&world.moto).len(), 5, "one more");
}
