//! What is cleaned up beside listings, and what is not.

use std::time::Duration;

use dispatch_core::instance::Tags;
use dispatch_core::ports::CloudDriver as _;
use dispatch_sim::clouds::azure::{Arm, Disk, Interface};
use dispatch_sim::stub::Reply;
use serde_json::json;

use super::{SET, World, instance_type, now, of_set, order, order_of, params, value};
use crate::Params;

/// Enough for the calls of a round to come in, and far less than five minutes.
const SOON: Duration = Duration::from_secs(10);

fn add_nic(arm: &mut Arm, name: &str, set: &str, created: &str) {
    let subnet =
        "/subscriptions/s/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/n/subnets/s";
    let body = json!({
        "location": "centralus", "tags": {"ArvadosInstanceSetID": set, "created-at": created},
        "properties": {"ipConfigurations": [{"properties": {"subnet": {"id": subnet}}}]},
    });
    let address = arm.address();
    arm.interfaces.insert(name.to_lowercase(), Interface::new(name, &body, address, None));
}

fn add_disk(arm: &mut Arm, name: &str, created: &str) {
    let disk = Disk { name: name.to_owned(), user: None, created: created.parse().unwrap() };
    arm.disks.insert(name.to_lowercase(), disk);
}

const OLD: &str = "2026-11-22T21:00:00.123456789Z";
const YOUNG: &str = "2026-11-22T21:23:00Z";

fn ours(ending: &str) -> String {
    format!("compute-{SET}-{ending}")
}

async fn until(world: &World, what: &str, holds: impl Fn(&mut Arm) -> bool + Send + Copy + 'static) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !world.azure.with(move |arm| holds(arm)) {
        assert!(tokio::time::Instant::now() < deadline, "{what}: {:?}", world.called());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[actix_rt::test]
async fn old_nics_and_disks_of_the_set_that_nobody_has_are_deleted_and_no_others() {
    let world = World::new();
    let made = world.driver.create(&order()).await.unwrap();
    let other = order_of(instance_type("Standard_D2s_v5"), "another secret");
    let bare = world.driver.create(&other).await.unwrap();
    let bare = bare.id.as_str().rsplit('/').next().unwrap().to_owned();
    let own = made.id.as_str().rsplit('/').next().unwrap().to_owned();
    let kept = [
        ours("bbbbbbbbbbbbbbb-nic"),
        ours("ccccccccccccccc-nic"),
        ours("x-ddddddddddddddd-nic"),
        ours("eeeeeeeeeeeeeee-nic"),
        ours("fffffffffffffff-os"),
        ours("x-ggggggggggggggg-os"),
        ours("hhhhhhhhhhhhhhh"),
        ours("jjjjjjjjjjjjjjj-nic"),
        ours("kkkkkkkkkkkkkkk-os"),
        format!("{own}-nic"),
        format!("{own}-os"),
        format!("{own}-scratch"),
        format!("{bare}-nic"),
    ];
    let names = kept.clone();
    world.azure.with(move |arm| {
        arm.knobs.shouts = true;
        // Theirs, not ours, has 20 s: Azure keeps a NIC for three minutes.
        add_nic(arm, &ours("aaaaaaaaaaaaaaa-nic"), SET, OLD);
        add_nic(arm, &names[0], SET, YOUNG);
        add_nic(arm, &names[1], "another set", OLD);
        add_nic(arm, &names[2], SET, OLD);
        add_nic(arm, &names[3], SET, "some day");
        add_disk(arm, &ours("aaaaaaaaaaaaaaa-os"), OLD);
        add_disk(arm, &ours("iiiiiiiiiiiiiii-scratch"), OLD);
        add_disk(arm, &names[4], YOUNG);
        add_disk(arm, &names[5], OLD);
        add_disk(arm, &names[6], OLD);
        // Somebody's, as they say themselves.
        add_nic(arm, &names[7], SET, OLD);
        arm.interfaces.get_mut(&names[7]).unwrap().user = Some("somebody".to_owned());
        add_disk(arm, &names[8], OLD);
        arm.disks.get_mut(&names[8]).unwrap().user = Some("somebody".to_owned());
        // As the VM says that has them, or its name.
        add_nic(arm, &names[9], SET, OLD);
        add_disk(arm, &names[10], OLD);
        add_disk(arm, &names[11], OLD);
        // Of a VM that does not say so yet.
        add_nic(arm, &names[12], SET, OLD);
        for machine in arm.machines.values_mut().filter(|it| names[12].starts_with(&it.name)) {
            machine.interfaces.clear();
        }
        arm.calls();
    });
    assert_eq!(world.driver.list(&of_set()).await.unwrap().len(), 2);
    until(&world, "two disks are deleted", |arm| arm.disks.len() == 4 + 3).await;
    for name in kept {
        let at = name.clone();
        let is_there =
            world.azure.with(move |arm| arm.interfaces.contains_key(&at) || arm.disks.contains_key(&at));
        assert!(is_there, "{name}");
    }
    let deleted: Vec<_> = world
        .called()
        .into_iter()
        .filter_map(|it| it.strip_prefix("DELETE ").map(str::to_uppercase))
        .collect();
    let wanted = ["aaaaaaaaaaaaaaa-nic", "aaaaaaaaaaaaaaa-os", "iiiiiiiiiiiiiii-scratch"];
    assert_eq!(deleted, wanted.map(|it| ours(it).to_uppercase()), "and none was even tried");
    assert_eq!(value(&world.registry, "azure_leftovers_deleted_total{kind=\"nic\"}"), Some(1.0));
    assert_eq!(value(&world.registry, "azure_leftovers_deleted_total{kind=\"disk\"}"), Some(2.0));
}

#[actix_rt::test]
async fn what_is_younger_than_the_site_wants_is_kept() {
    let hour = Params { delete_dangling_resources_after: Duration::from_secs(3600), ..params() };
    let world = World::with(hour, Duration::from_secs(30), |_| ());
    world.azure.with(|arm| {
        add_nic(arm, &ours("aaaaaaaaaaaaaaa-nic"), SET, OLD);
        add_nic(arm, &ours("bbbbbbbbbbbbbbb-nic"), SET, "2026-11-22T20:20:00Z");
    });
    world.driver.list(&of_set()).await.unwrap();
    until(&world, "the older one is deleted", |arm| arm.interfaces.len() == 1).await;
    let left = world.azure.with(|arm| arm.interfaces.keys().next().cloned());
    assert_eq!(left, Some(ours("aaaaaaaaaaaaaaa-nic")));
}

#[actix_rt::test]
async fn a_listing_waits_for_no_clean_up_and_the_next_round_is_five_minutes_later() {
    let world = World::new();
    world.azure.with(|arm| {
        add_nic(arm, &ours("aaaaaaaaaaaaaaa-nic"), SET, OLD);
        arm.next("DELETE", "networkInterfaces", Reply::Silence);
    });
    tokio::time::timeout(SOON, world.driver.list(&of_set())).await.unwrap().unwrap();
    until(&world, "the round has begun", |arm| arm.calls().iter().any(|it| it.method == "DELETE")).await;
    tokio::time::timeout(SOON, world.driver.list(&of_set())).await.unwrap().unwrap();
    // Without VMs and without a round, nobody wants NICs.
    assert_eq!(world.called(), ["GET virtualMachines"], "another round beside the first");
}

#[actix_rt::test]
async fn a_round_that_is_over_is_followed_by_none_for_five_minutes() {
    let world = World::new();
    world.driver.list(&of_set()).await.unwrap();
    until(&world, "disks are looked for last", |arm| {
        arm.calls().iter().any(|it| it.path.ends_with("/disks"))
    })
    .await;
    for _ in 0..3 {
        world.driver.list(&of_set()).await.unwrap();
    }
    assert_eq!(world.called(), ["GET virtualMachines"; 3]);
}

#[actix_rt::test]
async fn listings_at_the_same_time_begin_one_round() {
    let world = World::new();
    world.azure.with(|arm| add_nic(arm, &ours("aaaaaaaaaaaaaaa-nic"), SET, OLD));
    let set = of_set();
    let (one, other) = tokio::join!(world.driver.list(&set), world.driver.list(&set));
    one.and(other).unwrap();
    until(&world, "the NIC is deleted", |arm| arm.interfaces.is_empty()).await;
    world.driver.list(&Tags::default()).await.unwrap();
    let called = world.called();
    assert_eq!(called.iter().filter(|it| it.starts_with("DELETE")).count(), 1, "{called:?}");
}

#[actix_rt::test]
async fn a_round_ends_when_the_subscriptions_calls_are_used_up() {
    let world = World::new();
    world.azure.with(|arm| {
        for number in 10..13 {
            add_nic(arm, &ours(&format!("aaaaaaaaaaaaa{number}-nic")), SET, OLD);
        }
        arm.refuse("DELETE", "networkInterfaces", 429, "TooManyRequests", "later");
    });
    world.driver.list(&of_set()).await.unwrap();
    let refused = "azure_errors_total{code=\"TooManyRequests\",operation=\"DeleteNetworkInterface\"}";
    let deadline = tokio::time::Instant::now() + SOON;
    while value(&world.registry, refused) != Some(1.0) {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", world.called());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // If the round went on, it would call before this does.
    world.driver.list(&Tags::default()).await.unwrap();
    let called = world.called();
    assert_eq!(called.iter().filter(|it| it.starts_with("DELETE")).count(), 1, "{called:?}");
    assert!(!called.contains(&"GET disks".to_owned()), "{called:?}");
}

#[actix_rt::test]
async fn few_are_deleted_in_a_round_and_one_that_azure_keeps_stops_no_other() {
    let world = World::new();
    world.azure.with(|arm| {
        for number in 10..30 {
            add_nic(arm, &ours(&format!("aaaaaaaaaaaaa{number}-nic")), SET, OLD);
        }
        arm.refuse("DELETE", "networkInterfaces", 400, "NicReservedForAnotherVm", "for 180 seconds");
    });
    world.driver.list(&of_set()).await.unwrap();
    until(&world, "seven are deleted", |arm| arm.interfaces.len() <= 13).await;
    until(&world, "disks are looked for after them", |arm| {
        arm.calls().iter().any(|it| it.path.ends_with("/disks"))
    })
    .await;
    assert_eq!(world.azure.with(|arm| arm.interfaces.len()), 13);
    let kept = "azure_errors_total{code=\"NicReservedForAnotherVm\",operation=\"DeleteNetworkInterface\"}";
    assert_eq!(value(&world.registry, kept), Some(1.0));
}

/// A listing of everybody's VMs is a look, and no time to tidy up.
#[actix_rt::test]
async fn nothing_is_deleted_beside_a_listing_that_names_no_set() {
    let world = World::new();
    world.azure.with(|arm| add_nic(arm, &ours("aaaaaaaaaaaaaaa-nic"), SET, OLD));
    // A round of the first would call before the second does.
    world.driver.list(&Tags::default()).await.unwrap();
    world.driver.list(&Tags::default()).await.unwrap();
    assert_eq!(world.called(), ["GET virtualMachines"; 2]);
    assert!(now() > OLD.parse().unwrap());
}
