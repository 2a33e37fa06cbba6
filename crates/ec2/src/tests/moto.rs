//! The driver against moto; what is there is looked at with boto3. Each test keeps to an instance set of its own.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_core::id::{InstanceId, InstanceSetId, ProviderType};
use dispatch_core::instance::{Instance, InstanceType, TagKeys, Tags};
use dispatch_core::ports::{CloudDriver as _, CloudErrorKind, CreateOrder};
use dispatch_sim::conformance::{Setup, check_driver};
use dispatch_sim::moto::Moto;
use dispatch_sim::samples;
use dispatch_sim::stub::{Reply, Stub};
use prometheus::Registry;
use serde_json::{Value, json};

use super::{driver, value};
use crate::{Ec2Cloud, Params};

const PRICES: &str = include_str!("answers/prices.xml");

fn moto() -> &'static Moto {
    Moto::shared().unwrap_or_else(|error| panic!("{error}"))
}

fn params(moto: &Moto) -> Params {
    Params {
        security_group_ids: vec![moto.site.security_group.clone()],
        subnet_ids: moto.site.subnets.clone(),
        ..super::params()
    }
}

async fn cloud() -> (Ec2Cloud, Registry) {
    driver(&moto().site.endpoint, params(moto())).await
}

fn real(it: &Arc<InstanceType>) -> Arc<InstanceType> {
    let provider_type = ProviderType::new("m5.large").unwrap();
    Arc::new(InstanceType { provider_type, ..InstanceType::clone(it) })
}

/// Of a set and a type there is one: the same order makes the same VM.
fn order_of(it: &Arc<InstanceType>, set: &str) -> CreateOrder {
    let secret = format!("{set}-{}-0123456789abcdef", it.name);
    CreateOrder { image: moto().site.image.clone(), ..samples::order(&real(it), set, &secret) }
}

fn order(set: &str) -> CreateOrder {
    order_of(&samples::instance_type("small", 1), set)
}

fn of_set(set: &str) -> Tags {
    Tags([("ArvadosInstanceSetID".to_owned(), set.to_owned())].into())
}

/// The instance as Amazon's client sees it.
fn seen(id: &InstanceId) -> Value {
    let mut answer = moto().call("describe_instances", &json!({"InstanceIds": [id.as_str()]})).unwrap();
    answer["Reservations"][0]["Instances"][0].take()
}

fn ids(listed: &[Instance]) -> Vec<&str> {
    listed.iter().map(|it| it.id.as_str()).collect()
}

#[actix_rt::test]
async fn the_driver_conforms() {
    let setup = Setup {
        instance_type: real(&samples::instance_type("small", 1)),
        image: moto().site.image.clone(),
        set: InstanceSetId::new("conformance").unwrap(),
        other_set: InstanceSetId::new("neighbour").unwrap(),
        tag_keys: TagKeys::new("Arvados"),
        init_command: "true".to_owned(),
        nonce: "0123456789abcdef".to_owned(),
        patience: Duration::from_secs(20),
        interval: Duration::from_millis(20),
    };
    let report =
        check_driver(&cloud().await.0, &setup).await.unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(report.steps.len(), 12, "the suite skipped something: {:?}", report.steps);
}

#[actix_rt::test]
async fn an_order_makes_a_vm_as_ordered() {
    let scratch = InstanceType {
        added_scratch: 500_000_000_000,
        ..InstanceType::clone(&samples::instance_type("s", 1))
    };
    let order = order_of(&Arc::new(scratch), "as-ordered");
    let (cloud, registry) = cloud().await;
    let made = cloud.create(&order).await.unwrap();
    let vm = seen(&made.id);
    assert_eq!(vm["ImageId"], order.image);
    assert_eq!(vm["InstanceType"], "m5.large");
    assert_eq!(vm["SubnetId"], moto().site.subnets[0]);
    assert_eq!(vm["PrivateIpAddress"], made.address);
    assert_eq!(vm["PublicIpAddress"], Value::Null);
    assert_eq!(vm["MetadataOptions"]["HttpTokens"], "required");
    assert_eq!(vm["NetworkInterfaces"][0]["Groups"][0]["GroupId"], moto().site.security_group);
    let has_scratch =
        vm["BlockDeviceMappings"].as_array().unwrap().iter().any(|it| it["DeviceName"] == "/dev/xvdt");
    assert!(has_scratch, "{vm}");
    let data = json!({"InstanceId": made.id.as_str(), "Attribute": "userData"});
    let data = moto().call("describe_instance_attribute", &data).unwrap();
    let script = STANDARD.decode(data["UserData"]["Value"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(script).unwrap(), format!("#!/bin/sh\n{}\n", order.init_command));
    let starts =
        format!("ec2_instance_starts_total{{subnet_id=\"{}\",success=\"1\"}}", moto().site.subnets[0]);
    assert_eq!(value(&registry, &starts), Some(1.0));
    cloud.destroy(&made.id).await.unwrap();
    assert!(matches!(seen(&made.id)["State"]["Name"].as_str(), Some("shutting-down" | "terminated")));
}

#[actix_rt::test]
async fn another_dispatcher_adopts_what_carries_its_tags_and_sees_nothing_else() {
    let (first, _) = cloud().await;
    let made = first.create(&order("adopted")).await.unwrap();
    let other = first.create(&order("adopted-by-nobody")).await.unwrap();
    let (second, registry) = cloud().await;
    let listed = second.list(&of_set("adopted")).await.unwrap();
    assert_eq!(ids(&listed), [made.id.as_str()]);
    assert_eq!(listed[0].tags, order("adopted").tags);
    assert_eq!((&listed[0].address, listed[0].provider_type.as_str()), (&made.address, "m5.large"));
    let count = format!("ec2_instances{{subnet_id=\"{}\"}}", moto().site.subnets[0]);
    assert_eq!(value(&registry, &count), Some(1.0));
    second.destroy(&made.id).await.unwrap();
    assert_eq!(seen(&other.id)["State"]["Name"], "running");
    first.destroy(&other.id).await.unwrap();
}

#[actix_rt::test]
async fn vms_that_the_cloud_calls_terminated_are_left_out() {
    let (cloud, _) = cloud().await;
    let (first, second) = (order("ended"), order_of(&samples::instance_type("another", 1), "ended"));
    let ended = cloud.create(&first).await.unwrap();
    let stays = cloud.create(&second).await.unwrap();
    moto().call("terminate_instances", &json!({"InstanceIds": [ended.id.as_str()]})).unwrap();
    assert_eq!(ids(&cloud.list(&of_set("ended")).await.unwrap()), [stays.id.as_str()]);
    let reason = cloud.end_reason(&ended.id).unwrap();
    assert!(reason.contains("Client.UserInitiatedShutdown"), "{reason}");
    assert_eq!(cloud.end_reason(&stays.id), None);
    moto().call("stop_instances", &json!({"InstanceIds": [stays.id.as_str()]})).unwrap();
    let listed = cloud.list(&of_set("ended")).await.unwrap();
    assert_eq!(ids(&listed), [stays.id.as_str()], "stopped is not gone");
    cloud.destroy(&stays.id).await.unwrap();
}

#[actix_rt::test]
async fn a_public_key_is_imported_once_and_then_found() {
    let key = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCv5sXTkOYJxT3kkpzYa0EJbPXwJ+RdOXsxTbJhKdUalmFht9SV+tB6d4ZZo1H5y4K6tc9JkEAyRKYPd88PyoQ7efJXutkyzYUbTG6m0BfwYa9iV6PyX9YFJRY8TvFPugRNRyUP0UqomHxrJO//yRp/BWCcL7sDcBmfXVfDBw53wQCIqyzEGnYaJgiI0x84ASfH4fQBVW9E01z7xKQWI7dMqTRz90Cv1B+M+Mnu8Neh4537wVtrlqdpTyIy/XogVqSTtYC7OqrSto9am3ygUmFCLSs1mqZhI/+EOlG0AfX851UGflqKELXzcEix2IgWPPw5YtKy8WNAhNhvBdrTQwSH";
    let stub = Stub::start(Some(&moto().site.endpoint)).unwrap();
    let keyed = || CreateOrder { public_key: Some(key.to_owned()), ..order("keyed") };
    let (first, _) = driver(&stub.endpoint, params(moto())).await;
    let made = first.create(&keyed()).await.unwrap();
    let again = CreateOrder {
        public_key: Some(key.to_owned()),
        ..order_of(&samples::instance_type("another", 1), "keyed")
    };
    let again = first.create(&again).await.unwrap();
    assert_ne!(again.id, made.id);
    assert_eq!(stub.actions(), ["DescribeKeyPairs", "ImportKeyPair", "RunInstances", "RunInstances"]);
    let name = seen(&made.id)["KeyName"].as_str().unwrap().to_owned();
    assert!(name.starts_with("arvados-dispatch-keypair-") && name.matches(':').count() == 15, "{name}");
    assert_eq!(seen(&again.id)["KeyName"], name);
    let (second, _) = driver(&stub.endpoint, params(moto())).await;
    second.create(&keyed()).await.unwrap();
    assert_eq!(stub.actions(), ["DescribeKeyPairs", "RunInstances"]);
    // Somebody deletes it: one order fails (moto does not mind, EC2 does), the next imports it again.
    moto().call("delete_key_pair", &json!({"KeyName": name})).unwrap();
    let text = format!("The key pair '{name}' does not exist");
    stub.next("RunInstances", Reply::refusal(400, "InvalidKeyPair.NotFound", &text));
    let error = second.create(&keyed()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Other, "InvalidKeyPair.NotFound"));
    stub.calls();
    second.create(&keyed()).await.unwrap();
    assert_eq!(stub.actions(), ["DescribeKeyPairs", "ImportKeyPair", "RunInstances"]);
}

#[actix_rt::test]
async fn a_listing_asks_for_the_largest_pages_and_for_all_that_have_not_ended() {
    let make = json!({
        "ImageId": moto().site.image, "MinCount": 1, "MaxCount": 1, "InstanceType": "m5.large",
        "TagSpecifications": [{
            "ResourceType": "instance", "Tags": [{"Key": "ArvadosInstanceSetID", "Value": "many"}],
        }],
    });
    // moto's page would be of a hundred, if none were asked for.
    for _ in 0..102 {
        moto().call("run_instances", &make).unwrap();
    }
    let stub = Stub::start(Some(&moto().site.endpoint)).unwrap();
    let (cloud, registry) = driver(&stub.endpoint, params(moto())).await;
    assert_eq!(cloud.list(&of_set("many")).await.unwrap().len(), 102);
    let calls = stub.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["MaxResults"], "1000");
    assert_eq!(
        (calls[0]["Filter.1.Value.1"].as_str(), calls[0]["Filter.2.Name"].as_str()),
        ("many", "instance-state-name")
    );
    let elsewhere: f64 = moto()
        .site
        .subnets
        .iter()
        .map(|subnet| value(&registry, &format!("ec2_instances{{subnet_id=\"{subnet}\"}}")).unwrap())
        .sum();
    assert_eq!(elsewhere, 0.0, "they are in the account's default subnet");
}

#[actix_rt::test]
async fn spot_prices_are_asked_for_once_an_interval_while_there_are_spot_vms() {
    let stub = Stub::start(Some(&moto().site.endpoint)).unwrap();
    let (cloud, _) = driver(&stub.endpoint, params(moto())).await;
    let plain = cloud.create(&order("spotty")).await.unwrap();
    cloud.list(&of_set("spotty")).await.unwrap();
    assert_eq!(stub.actions(), ["RunInstances", "DescribeInstances"], "no spot VM, no question");
    let spot_type = samples::spot_type("spot", 1);
    let spot = cloud.create(&order_of(&spot_type, "spotty")).await.unwrap();
    assert_eq!(seen(&spot.id)["InstanceLifecycle"], "spot");
    stub.next("DescribeSpotPriceHistory", Reply::Xml(200, PRICES.to_owned()));
    for _ in 0..3 {
        cloud.list(&of_set("spotty")).await.unwrap();
    }
    let calls = stub.calls();
    let questions: Vec<_> = calls.iter().filter(|it| it["Action"] == "DescribeSpotPriceHistory").collect();
    assert_eq!(questions.len(), 1);
    // The type that is in use, from three days before `now` on.
    assert_eq!(questions[0]["Filter.1.Value.1"], "m5.large");
    assert_eq!(questions[0]["StartTime"], "2026-11-19T21:09:52.512Z");
    let added = InstanceType { added_scratch: 720 << 30, ..InstanceType::clone(&spot_type) };
    let history = cloud.price_history(&spot, &added);
    let history: Vec<_> = history.iter().map(|it| (it.start_time.to_string(), it.price.per_hour())).collect();
    let expected = [("2026-11-22T20:00:00Z", 0.1405), ("2026-11-22T18:00:00Z", 0.1392)];
    assert_eq!(history, expected.map(|(at, price)| (at.to_owned(), price)));
    assert!(cloud.price_history(&plain, &added).is_empty());
    for vm in [&plain, &spot] {
        cloud.destroy(&vm.id).await.unwrap();
    }
    assert!(cloud.list(&of_set("spotty")).await.unwrap().is_empty());
    assert!(cloud.price_history(&spot, &added).is_empty(), "what is gone has no prices: they are forgotten");
}

#[actix_rt::test]
async fn a_subnet_that_does_not_exist_is_passed_over() {
    let mut params = params(moto());
    params.subnet_ids.insert(0, "subnet-0123456789abcdef0".to_owned());
    let (cloud, registry) = driver(&moto().site.endpoint, params).await;
    let made = cloud.create(&order("passed-over")).await.unwrap();
    assert_eq!(seen(&made.id)["SubnetId"], moto().site.subnets[0]);
    let starts = "ec2_instance_starts_total{subnet_id=\"subnet-0123456789abcdef0\",success=\"0\"}";
    assert_eq!(value(&registry, starts), Some(1.0));
    cloud.destroy(&made.id).await.unwrap();
}
