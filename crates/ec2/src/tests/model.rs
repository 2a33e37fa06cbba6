//! Every call, with all that it can carry, against botocore's model of EC2's API: Amazon's own description of
//! names, types, required parameters and enumerations.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dispatch_core::id::InstanceId;
use dispatch_core::instance::{InstanceType, Tags};
use dispatch_core::ports::CreateOrder;
use dispatch_sim::samples;

use super::{now, params};
use crate::Params;
use crate::request::{self, Action, Request, RunInstances};

fn order(instance_type: &Arc<InstanceType>) -> CreateOrder {
    CreateOrder { image: "ami-1".to_owned(), ..samples::order(instance_type, "set", "0123456789abcdef") }
}

/// The most and the least that an order can say.
fn orders() -> Vec<Request> {
    let most = Params {
        security_group_ids: vec!["sg-1".to_owned(), "sg-2".to_owned()],
        iam_instance_profile: "worker".to_owned(),
        ebs_volume_type: "gp3".to_owned(),
        subnet_ids: vec!["subnet-1".to_owned()],
        ipv6_only_subnet_ids: vec!["subnet-1".to_owned()],
        ..params()
    };
    let real = |it: Arc<InstanceType>| InstanceType {
        provider_type: dispatch_core::id::ProviderType::new("m5.large").unwrap(),
        ..InstanceType::clone(&it)
    };
    let spot = InstanceType { added_scratch: 1, ..real(samples::spot_type("spot", 2)) };
    let plain = real(samples::instance_type("plain", 1));
    let (mut spot, plain) = (order(&Arc::new(spot)), order(&Arc::new(plain)));
    spot.tags.insert("Owner", "lab");
    let least = params();
    vec![
        RunInstances { order: &spot, params: &most, subnet: Some("subnet-1"), key_name: Some("key") }
            .request(),
        RunInstances { order: &plain, params: &least, subnet: None, key_name: None }.request(),
    ]
}

fn every_call() -> Vec<Request> {
    let id = InstanceId::new("i-0123456789abcdef0").unwrap();
    let tags = Tags([("a", "1"), ("b", "*")].map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let types = ["m5.large", "m5.xlarge"].map(str::to_owned);
    let mut calls = orders();
    calls.extend([
        request::describe_instances(&tags, Some("next")),
        request::describe_instances(&Tags::default(), None),
        request::describe_ended(&[id.clone(), id.clone()], Some("next")),
        request::terminate_instances(&id),
        request::create_tags(&id, &tags),
        request::describe_key_pairs(&["a".to_owned(), "b".to_owned()]),
        request::import_key_pair("key", "ssh-ed25519 AAAA"),
        request::describe_spot_price_history(&types, now(), Some("next")),
    ]);
    calls
}

/// What the model has against these calls.
fn objections(calls: &[BTreeMap<&str, &str>]) -> Vec<String> {
    let python = dispatch_sim::moto::python().unwrap_or_else(|error| panic!("{error}"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model.py");
    let mut child =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(calls).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_call_is_as_botocores_model_wants_it() {
    let calls = every_call();
    let actions: std::collections::BTreeSet<_> = calls.iter().map(|call| call.action).collect();
    assert_eq!(actions.len(), ALL.len(), "a call is not tested: {actions:?}");
    let calls: Vec<_> = calls.iter().map(|call| call.parameters().collect()).collect();
    assert_eq!(objections(&calls), Vec::<String>::new());
}

const ALL: [Action; 7] = [
    Action::RunInstances,
    Action::DescribeInstances,
    Action::TerminateInstances,
    Action::CreateTags,
    Action::DescribeKeyPairs,
    Action::ImportKeyPair,
    Action::DescribeSpotPriceHistory,
];

#[test]
fn the_model_has_something_against_wrong_calls() {
    let head = [("Action", "RunInstances"), ("Version", "2016-11-15"), ("MinCount", "1"), ("MaxCount", "1")];
    let with =
        |more: &[(&'static str, &'static str)]| head.iter().chain(more).copied().collect::<BTreeMap<_, _>>();
    let without = with(&[]).into_iter().filter(|(name, _)| *name != "MaxCount").collect();
    let wrong = [
        without,
        with(&[("InstanceTyp", "m5.large")]),
        with(&[("MinCount", "one")]),
        with(&[("InstanceMarketOptions.MarketType", "flea")]),
        with(&[("SecurityGroupId", "sg-1")]),
        with(&[("SecurityGroupId.2", "sg-1")]),
        with(&[("DisableApiTermination", "no")]),
    ];
    let objections = objections(&wrong);
    assert_eq!(objections.len(), wrong.len(), "{objections:?}");
}
