//! Two dispatchers with tokens and instance sets of their own: one cloud account, one queue.

use dispatch_core::container::ContainerState;
use dispatch_core::id::InstanceSetId;
use dispatch_core::policy::Policy;
use dispatch_sim::world::{World, WorldKnobs, simulate};

use crate::{minutes, seconds};

const OTHER_SET: &str = "zzzzz-other-set";

fn other(knobs: &WorldKnobs) -> Policy {
    let mut policy = knobs.policy.clone();
    policy.instance_set_id = InstanceSetId::new(OTHER_SET).unwrap();
    policy
}

fn vms_of_the_other(world: &World) -> usize {
    let key = &world.knobs.policy.tag_keys.instance_set_id;
    let now = dispatch_sim::clock::now();
    let cloud = world.cloud.borrow();
    cloud.vms().filter(|vm| vm.exists(now) && vm.tags.get(key) == Some(OTHER_SET)).count()
}

#[test]
fn two_sets_share_an_account_and_a_queue_and_nothing_runs_twice() {
    let knobs = WorldKnobs::new(1).with_jobs(40, 2, 60).with_instances(4);
    let policy = other(&knobs);
    simulate(knobs, async |world| {
        world.start_beside(&policy);
        world.run_until("both have VMs", minutes(5), |world| vms_of_the_other(world) == 4).await;
        world.run_until("ours too", minutes(5), |world| world.own_vms().len() == 4).await;
        world.drain(minutes(60)).await;
        world.run_until("theirs are gone", minutes(10), |world| vms_of_the_other(world) == 0).await;
        assert_eq!(world.count(ContainerState::Complete), 40);
        assert_eq!(world.summary().processes, 40, "each ran once, for one of the two");
    });
}

#[test]
fn a_dispatcher_that_is_restarted_again_and_again_never_touches_the_other_ones_containers_or_vms() {
    let knobs = WorldKnobs::new(2).with_jobs(40, 2, 120).with_instances(3);
    let policy = other(&knobs);
    simulate(knobs, async |world| {
        world.start_beside(&policy);
        for _ in 0..20 {
            world.run_for(seconds(45)).await;
            world.restart().await;
        }
        world.drain(minutes(120)).await;
        world.run_until("theirs are gone", minutes(10), |world| vms_of_the_other(world) == 0).await;
        assert_eq!(world.count(ContainerState::Complete), 40);
        assert_eq!(world.summary().processes, 40);
    });
}
