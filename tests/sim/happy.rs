//! Nothing goes wrong.

use dispatch_core::container::ContainerState;
use dispatch_sim::world::{WorldKnobs, simulate};

use crate::{minutes, seconds};

#[test]
fn thirty_containers_run_on_five_vms_and_nothing_stays() {
    let knobs = WorldKnobs::new(1).with_jobs(30, 2, 30).with_instances(5);
    simulate(knobs, async |world| {
        world.drain(minutes(30)).await;
        assert_eq!(world.count(ContainerState::Complete), 30);
        assert_eq!(world.vms_made(), 5);
        let locks: u32 =
            world.containers().iter().map(|it| world.arvados.borrow().history().tally(*it).locks).sum();
        assert_eq!(locks, 30, "each is locked once");
    });
}

#[test]
fn several_containers_share_a_vm() {
    let mut knobs = WorldKnobs::new(2).with_jobs(8, 1, 60);
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        world
            .run_until("two containers run on one VM", minutes(10), |world| {
                world.vms.borrow().hosts().any(|host| host.containers().count() == 2)
            })
            .await;
        world.drain(minutes(30)).await;
        assert_eq!(world.count(ContainerState::Complete), 8);
        assert_eq!(world.vms_made(), 4);
    });
}

#[test]
fn a_container_without_a_fitting_type_is_cancelled_and_holds_nobody_up() {
    let knobs = WorldKnobs::new(3).with_jobs(1, 1000, 10).with_jobs(3, 1, 10);
    simulate(knobs, async |world| {
        world.drain(minutes(30)).await;
        assert_eq!(world.count(ContainerState::Complete), 3);
        assert_eq!(world.count(ContainerState::Cancelled), 1);
    });
}

#[test]
fn an_idle_dispatcher_makes_no_vm() {
    simulate(WorldKnobs::new(4), async |world| {
        world.run_for(minutes(10)).await;
        assert_eq!(world.vms_made(), 0);
    });
}

#[test]
fn another_sets_vm_is_left_alone() {
    let knobs = WorldKnobs::new(5).with_jobs(5, 2, 20).with_instances(2);
    simulate(knobs, async |world| {
        let small = world.knobs.policy.catalog.get("small").unwrap().clone();
        let order = dispatch_sim::samples::order(&small, "another-set", "another-secret");
        let now = dispatch_sim::clock::now();
        let other = world.cloud.borrow_mut().adopt(&order, now);
        world.drain(minutes(30)).await;
        world.run_for(seconds(300)).await;
        let cloud = world.cloud.borrow();
        assert!(cloud.vm(&other.id).unwrap().exists(dispatch_sim::clock::now()));
        let touched = cloud.history().iter().filter(|entry| entry.vm.as_ref() == Some(&other.id));
        assert_eq!(touched.count(), 0);
    });
}
