//! For the same orders the same parameters as in a recording of the dispatcher that this one replaces, and what we add
//! to them: a hop limit, the site's tags on what comes with a VM, and the size and states of a listing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_core::id::{InstanceId, ProviderType, TypeName};
use dispatch_core::instance::{InstanceType, Price, Tags};
use dispatch_core::ports::CreateOrder;
use dispatch_core::secret::Secret;
use dispatch_sim::samples;

use super::now;
use crate::keys;
use crate::request::{self, Request, RunInstances};
use crate::{Params, spot};

type Call = BTreeMap<String, String>;

fn recorded() -> Vec<Call> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/reference/ec2-requests.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn recorded_one(action: &str) -> Call {
    recorded().into_iter().find(|call| call["Action"] == action).unwrap()
}

fn sent(request: &Request) -> Call {
    request.parameters().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A call without what is random: the order of its tags, and the token of an order.
fn comparable(mut call: Call, tags: &str) -> (Call, BTreeSet<(String, String)>) {
    let numbers: Vec<_> =
        (1..).take_while(|number| call.contains_key(&format!("{tags}.{number}.Key"))).collect();
    let mut take = |name: String| call.remove(&name).unwrap();
    let set = numbers
        .iter()
        .map(|number| (take(format!("{tags}.{number}.Key")), take(format!("{tags}.{number}.Value"))))
        .collect();
    if call["Action"] == "RunInstances" {
        call.remove("ClientToken").unwrap();
    }
    (call, set)
}

fn tags_of(call: &Call, tags: &str) -> Tags {
    Tags(comparable(call.clone(), tags).1.into_iter().collect())
}

fn params() -> Params {
    Params {
        ebs_volume_type: "gp3".to_owned(),
        security_group_ids: vec!["sg-92f411661b3f8ed70".to_owned()],
        subnet_ids: ["subnet-6980615926d609325", "subnet-8d6d6780a96b5b25e"].map(str::to_owned).into(),
        spot_price_update_interval: Duration::from_secs(3600),
        ..super::params()
    }
}

/// The site's types that the recording shows, by the tag that names them.
fn instance_type(name: &str) -> Arc<InstanceType> {
    let (provider_type, price, preemptible, added_scratch) = match name {
        "m4.large.scratch" => ("m4.large", 0.15, false, 500_000_000_000),
        "m4.large.spot" => ("m4.large", 0.04, true, 0),
        "g5.xlarge" => ("g5.xlarge", 1.006, false, 0),
        other => panic!("no type {other} in this test"),
    };
    Arc::new(InstanceType {
        name: TypeName::new(name).unwrap(),
        provider_type: ProviderType::new(provider_type).unwrap(),
        price: Price::new(price).unwrap(),
        preemptible,
        added_scratch,
        ..InstanceType::clone(&samples::instance_type(name, 2))
    })
}

fn order(call: &Call) -> CreateOrder {
    let tags = tags_of(call, "TagSpecification.1.Tag");
    let secret = Secret::new(tags.get("ArvadosInstanceSecret").unwrap());
    let write = format!("umask 0177 && echo -n \"{}\" >/var/run/arvados-instance-secret", secret.expose());
    CreateOrder {
        instance_type: instance_type(tags.get("ArvadosInstanceType").unwrap()),
        image: "ami-03cf127a".to_owned(),
        tags,
        init_command: format!("{write}\ntouch /var/run/lab-init"),
        secret,
        public_key: Some(public_key()),
    }
}

fn public_key() -> String {
    let material = STANDARD.decode(&recorded_one("ImportKeyPair")["PublicKeyMaterial"]).unwrap();
    String::from_utf8(material).unwrap().trim_end().to_owned()
}

#[test]
fn orders_have_the_same_parameters() {
    let calls: Vec<_> = recorded().into_iter().filter(|call| call["Action"] == "RunInstances").collect();
    assert_eq!(calls.len(), 3, "scratch, spot, GPU");
    let params = params();
    let key_name = format!("arvados-dispatch-keypair-{}", keys::fingerprints(&public_key()).unwrap()[0]);
    for call in calls {
        let order = order(&call);
        let subnet = params.subnet_ids.first().map(String::as_str);
        let run = RunInstances { order: &order, params: &params, subnet, key_name: Some(&key_name) };
        let tags = "TagSpecification.1.Tag";
        let mut added = added(&sent(&run.request()), &call);
        assert_eq!(added.remove("MetadataOptions.HttpPutResponseHopLimit").as_deref(), Some("1"));
        let kinds = ["volume", "network-interface", "spot-instances-request"];
        let is_spot = usize::from(call.contains_key("InstanceMarketOptions.MarketType"));
        for (kind, number) in kinds[..2 + is_spot].iter().zip(2..) {
            let mut take = |name: &str| added.remove(&format!("TagSpecification.{number}.{name}")).unwrap();
            assert_eq!(
                [take("ResourceType"), take("Tag.1.Key"), take("Tag.1.Value")],
                [*kind, "Owner", "lab"].map(str::to_owned)
            );
        }
        assert_eq!(added, Call::new());
        let mut ours = sent(&run.request());
        ours.retain(|name, _| call.contains_key(name));
        assert_eq!(comparable(ours, tags), comparable(call, tags));
    }
}

/// What is in our call and not in the recorded one.
fn added(ours: &Call, recorded: &Call) -> Call {
    let added = ours.iter().filter(|(name, _)| !recorded.contains_key(*name));
    added.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn listings_have_the_same_parameters() {
    let call = recorded_one("DescribeInstances");
    let mut filter = Tags::default();
    filter.insert("ArvadosInstanceSetID", "5c8e59453d539c76ea05f36214fa696c");
    let mut ours = sent(&request::describe_instances(&filter, None));
    let added = added(&ours, &call);
    let values: Vec<_> = added.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        values,
        [
            ("Filter.2.Name", "instance-state-name"),
            ("Filter.2.Value.1", "pending"),
            ("Filter.2.Value.2", "running"),
            ("Filter.2.Value.3", "stopping"),
            ("Filter.2.Value.4", "stopped"),
            ("MaxResults", "1000"),
        ]
    );
    ours.retain(|name, _| !added.contains_key(name));
    assert_eq!(ours, call);
}

#[test]
fn key_pairs_have_the_same_fingerprints_name_and_material() {
    let fingerprints = keys::fingerprints(&public_key()).unwrap();
    assert_eq!(sent(&request::describe_key_pairs(&fingerprints)), recorded_one("DescribeKeyPairs"));
    let name = format!("arvados-dispatch-keypair-{}", fingerprints[0]);
    assert_eq!(sent(&request::import_key_pair(&name, &public_key())), recorded_one("ImportKeyPair"));
}

#[test]
fn tags_are_set_with_the_same_parameters() {
    let call = recorded_one("CreateTags");
    let id = InstanceId::new(&call["ResourceId.1"]).unwrap();
    let request = request::create_tags(&id, &tags_of(&call, "Tag"));
    assert_eq!(comparable(sent(&request), "Tag"), comparable(call, "Tag"));
}

#[test]
fn instances_are_ended_with_the_same_parameters() {
    let call = recorded_one("TerminateInstances");
    let id = InstanceId::new(&call["InstanceId.1"]).unwrap();
    assert_eq!(sent(&request::terminate_instances(&id)), call);
}

#[test]
fn spot_prices_are_asked_for_from_three_intervals_back() {
    let prices = spot::SpotPrices::new(params().spot_price_update_interval);
    prices.saw(&[spot::tests::listed("i-1", "m4.large", "us-east-1a", true)]);
    let question = prices.due(now()).unwrap();
    let request = request::describe_spot_price_history(&question.types, question.since, None);
    assert_eq!(sent(&request), recorded_one("DescribeSpotPriceHistory"));
}
