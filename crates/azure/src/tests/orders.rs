//! What an order sends, and what becomes of it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_core::instance::{InstanceType, Tags};
use dispatch_core::ports::{CapacityScope, CloudDriver as _, CloudErrorKind, CreateOrder, QuotaScope};
use dispatch_core::secret::Secret;
use dispatch_sim::clouds::azure::Call;
use serde_json::{Value, json};

use super::{SECRET, World, instance_type, of_set, order, order_of, params, value};
use crate::Params;

fn sent(world: &World, method: &str) -> Vec<Call> {
    let calls = world.azure.with(|arm| arm.calls());
    calls.into_iter().filter(|it| it.method == method).collect()
}

#[actix_rt::test]
async fn an_order_is_a_nic_and_a_vm_that_takes_it_along() {
    let world = World::new();
    let made = world.driver.create(&order()).await.unwrap();
    let name = made.id.as_str().rsplit('/').next().unwrap();
    let group = "/subscriptions/abcdef01-2345-6789-abcd-ef0123456789/resourceGroups/cluster/providers";
    assert_eq!(made.id.as_str(), format!("{group}/Microsoft.Compute/virtualMachines/{name}"));
    assert_eq!((made.address.as_str(), made.provider_type.as_str()), ("10.1.0.5", "Standard_D2s_v5"));
    assert_eq!(made.tags.get("created-at"), Some("2026-11-22T21:24:52.512Z"));
    let [nic, vm] = &sent(&world, "PUT")[..] else { panic!() };
    assert_eq!(nic.path, format!("{group}/Microsoft.Network/networkInterfaces/{name}-nic"));
    assert_eq!(nic.query["api-version"], "2024-05-01");
    assert_eq!(nic.body["tags"]["ArvadosInstanceSetID"], "zzzzz-gj3su-0123456789abcde");
    assert!(!nic.text.contains(SECRET), "the secret is the VM's alone");
    let subnet =
        group.replace("/cluster/", "/network/") + "/Microsoft.Network/virtualNetworks/net/subnets/sub";
    assert_eq!(nic.body["properties"]["ipConfigurations"][0]["properties"]["subnet"]["id"], subnet);
    assert_eq!((vm.query["api-version"].as_str(), vm.header("if-none-match")), ("2024-07-01", Some("*")));
    let properties = &vm.body["properties"];
    let image = group.replace("/cluster/", "/images/") + "/Microsoft.Compute/images/img";
    assert_eq!(properties["storageProfile"]["imageReference"]["id"], image);
    let disk = &properties["storageProfile"]["osDisk"];
    assert_eq!((&disk["name"], &disk["deleteOption"]), (&json!(format!("{name}-os")), &json!("Delete")));
    let used = &properties["networkProfile"]["networkInterfaces"][0];
    assert_eq!((&used["id"], &used["properties"]["deleteOption"]), (&json!(nic.path), &json!("Delete")));
    let data = STANDARD.decode(properties["osProfile"]["customData"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(data).unwrap(), format!("#!/bin/sh\n{}\n", order().init_command));
    let login = &properties["osProfile"]["linuxConfiguration"];
    assert_eq!(login["disablePasswordAuthentication"], true);
    assert_eq!(login["ssh"]["publicKeys"][0]["path"], "/home/crunch/.ssh/authorized_keys");
    assert!(!login["ssh"]["publicKeys"][0]["keyData"].as_str().unwrap().ends_with('\n'));
    for absent in ["priority", "evictionPolicy", "billingProfile"] {
        assert_eq!(properties[absent], Value::Null, "{absent}: it is not a spot VM");
    }
    assert_eq!(properties["storageProfile"]["dataDisks"], Value::Null);
}

#[actix_rt::test]
async fn spot_scratch_galleries_and_orders_without_a_key_are_told_as_such() {
    let gallery = Params { gallery: "gal".to_owned(), gallery_version: "1.2.3".to_owned(), ..params() };
    let world = World::with(gallery, std::time::Duration::from_secs(30), |_| ());
    let spot = InstanceType {
        preemptible: true,
        added_scratch: 100_000_000_000,
        ..InstanceType::clone(&instance_type("Standard_D2s_v5"))
    };
    let spot = order_of(Arc::new(spot), SECRET);
    world.driver.create(&CreateOrder { public_key: None, ..spot }).await.unwrap();
    let vm = sent(&world, "PUT").pop().unwrap();
    let properties = &vm.body["properties"];
    assert_eq!((&properties["priority"], &properties["evictionPolicy"]), (&json!("Spot"), &json!("Delete")));
    assert_eq!(properties["billingProfile"]["maxPrice"], -1);
    let disk = &properties["storageProfile"]["dataDisks"][0];
    assert_eq!((&disk["lun"], &disk["diskSizeGB"]), (&json!(0), &json!(94)), "no less than was promised");
    assert_eq!((&disk["createOption"], &disk["deleteOption"]), (&json!("Empty"), &json!("Delete")));
    assert_eq!(disk["managedDisk"]["storageAccountType"], "StandardSSD_LRS");
    let image = properties["storageProfile"]["imageReference"]["id"].as_str().unwrap();
    assert!(image.ends_with("/galleries/gal/images/img/versions/1.2.3"), "{image}");
    assert_eq!(properties["osProfile"]["linuxConfiguration"]["ssh"], Value::Null);
}

#[actix_rt::test]
async fn the_same_order_makes_one_vm_and_keeps_the_tags_that_were_set_since() {
    let world = World::new();
    let first = world.driver.create(&order()).await.unwrap();
    let change = Tags([("ArvadosIdleBehavior".to_owned(), "hold".to_owned())].into());
    world.driver.set_tags(&first.id, &change).await.unwrap();
    let second = world.driver.create(&order()).await.unwrap();
    assert_eq!((&second.id, &second.address), (&first.id, &first.address));
    assert_eq!(second.tags.get("ArvadosIdleBehavior"), Some("hold"));
    assert_eq!(world.driver.list(&of_set()).await.unwrap().len(), 1);
    let other = order_of(instance_type("Standard_D2s_v5"), "another secret");
    assert_ne!(world.driver.create(&other).await.unwrap().id, first.id);
    assert_eq!(
        value(
            &world.registry,
            "azure_errors_total{code=\"PreconditionFailed\",operation=\"PutVirtualMachine\"}"
        ),
        None
    );
}

#[actix_rt::test]
async fn a_refused_vm_leaves_no_nic() {
    let world = World::new();
    world.azure.with(|arm| arm.refuse("PUT", "virtualMachines", 409, "SkuNotAvailable", "not here"));
    let error = world.driver.create(&order()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Capacity(CapacityScope::Offering), "{error}");
    assert_eq!(world.azure.with(|arm| (arm.interfaces.len(), arm.machines.len())), (0, 0));
    let called = world.called();
    assert!(called.len() == 3 && called[2].starts_with("DELETE compute-"), "{called:?}");
}

/// Azure has no room: it says so seconds after it has accepted the order, and the VM is there all the same.
#[actix_rt::test]
async fn a_vm_that_fails_after_it_was_accepted_is_deleted_and_told_as_a_shortage() {
    let world = World::new();
    world.azure.with(|arm| {
        arm.knobs.questions = 3;
        arm.knobs.failures.push_back(Some((
            "AllocationFailed".to_owned(),
            format!("Allocation failed. We do not have sufficient capacity; {SECRET}"),
        )));
    });
    let error = world.driver.create(&order()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Capacity(CapacityScope::Offering));
    assert!(error.message.starts_with("PutVirtualMachine: AllocationFailed: Allocation failed."), "{error}");
    assert!(!error.message.contains(SECRET), "{error}");
    assert_eq!(value(&world.registry, "azure_leftovers_deleted_total{kind=\"vm\"}"), Some(1.0));
    for _ in 0..5 {
        world.driver.list(&of_set()).await.unwrap();
    }
    let left = world.azure.with(|arm| (arm.machines.len(), arm.interfaces.len(), arm.disks.len()));
    assert_eq!(left, (0, 0, 0));
}

#[actix_rt::test]
async fn an_operation_that_never_ends_is_left_to_listings() {
    let world = World::new();
    world.azure.with(|arm| arm.knobs.questions = u32::MAX);
    let made = world.driver.create(&order()).await.unwrap();
    let asked = world.called().into_iter().filter(|it| it.starts_with("GET ")).count();
    assert!((1..=10).contains(&asked), "{asked} questions");
    let listed = world.driver.list(&of_set()).await.unwrap();
    assert_eq!(listed[0].id, made.id, "it is listed while it comes into being");
    world.driver.destroy(&made.id).await.unwrap();
    assert_eq!(world.driver.list(&of_set()).await.unwrap().len(), 1, "and while it goes");
}

#[actix_rt::test]
async fn quotas_are_told_by_market_and_family() {
    let spot = |size: &str| {
        Arc::new(InstanceType { preemptible: true, ..InstanceType::clone(&instance_type(size)) })
    };
    let (regional, family) = (
        CloudErrorKind::Quota(QuotaScope::Market(dispatch_core::instance::Market::OnDemand)),
        CloudErrorKind::Capacity(CapacityScope::QuotaGroup),
    );
    let spot_market = CloudErrorKind::Quota(QuotaScope::Market(dispatch_core::instance::Market::Spot));
    for (order, kind) in [
        (order_of(instance_type("Standard_D64s_v5"), "1"), regional),
        (order_of(instance_type("Standard_E8s_v5"), "2"), family),
        (order_of(spot("Standard_D64s_v5"), "3"), spot_market),
    ] {
        let world = World::new();
        world.azure.with(|arm| {
            let limits = &mut arm.knobs.limits;
            (limits.regional, limits.spot) = (Some(32), Some(16));
            limits.families.insert("E".to_owned(), 4);
        });
        let error = world.driver.create(&order).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, "OperationNotAllowed"), "{}", error.message);
    }
}

#[actix_rt::test]
async fn what_azure_would_refuse_for_certain_is_not_sent() {
    let world = World::new();
    let ecdsa = "ecdsa-sha2-nistp256 AAAA".to_owned();
    for (order, code) in [
        (
            CreateOrder { image: "https://acc.blob.core.windows.net/x.vhd".to_owned(), ..order() },
            "unusable_image",
        ),
        (CreateOrder { image: "../x".to_owned(), ..order() }, "unusable_image"),
        (CreateOrder { public_key: Some(ecdsa), ..order() }, "unusable_key"),
        (CreateOrder { tags: Tags::default(), secret: Secret::new("s"), ..order() }, "no_set"),
    ] {
        let error = world.driver.create(&order).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Other, code));
    }
    assert!(world.azure.with(|arm| arm.calls()).is_empty());
}
