//! The suite that every driver passes, against a fake that behaves in turn like each Azure that was seen.

use std::time::Duration;

use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::{TagKeys, Tags};
use dispatch_core::ports::CloudDriver as _;
use dispatch_sim::clouds::azure::Knobs;
use dispatch_sim::conformance::{Setup, check_driver};

use super::{World, instance_type};

async fn check(change: impl FnOnce(&mut Knobs) + Send + 'static, set: &str) {
    let world = World::new();
    world.azure.with(|arm| change(&mut arm.knobs));
    let setup = Setup {
        instance_type: instance_type("Standard_D2s_v5"),
        image: "img".to_owned(),
        set: InstanceSetId::new(set).unwrap(),
        other_set: InstanceSetId::new("neighbour").unwrap(),
        tag_keys: TagKeys::new("Arvados"),
        init_command: "true".to_owned(),
        nonce: "0123456789abcdef".to_owned(),
        patience: Duration::from_secs(20),
        interval: Duration::from_millis(10),
    };
    let report = check_driver(&world.driver, &setup).await.unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(report.steps.len(), 12, "{:?}", report.steps);
    assert!(world.driver.list(&Tags::default()).await.unwrap().is_empty(), "it left something behind");
    let left = world.azure.with(|arm| (arm.machines.len(), arm.interfaces.len(), arm.disks.len()));
    assert_eq!(left, (0, 0, 0), "VMs, NICs and disks");
}

#[actix_rt::test]
async fn the_driver_conforms() {
    check(|_| (), "zzzzz-gj3su-0123456789abcde").await;
}

#[actix_rt::test]
async fn it_conforms_where_everything_takes_time_and_lists_come_in_small_pages() {
    let slow = |knobs: &mut Knobs| {
        (knobs.questions, knobs.page) = (5, 1);
    };
    check(slow, "cloudtest-USER@host.example.com").await;
}

#[actix_rt::test]
async fn it_conforms_where_ids_change_their_letters() {
    check(|knobs| knobs.shouts = true, "a").await;
}
