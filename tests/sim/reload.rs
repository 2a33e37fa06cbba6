//! The dispatcher reads its configuration anew while it works.

use dispatch_core::container::ContainerState;
use dispatch_core::instance::{Catalog, InstanceType};
use dispatch_core::policy::Policy;
use dispatch_sim::world::{World, WorldKnobs, simulate};

use crate::{minutes, seconds};

fn running(world: &World) -> usize {
    world.count(ContainerState::Running)
}

/// The configured types but one.
fn without(policy: &Policy, name: &str) -> Catalog {
    let kept = policy.catalog.types().iter().filter(|it| it.name.as_str() != name);
    Catalog::new(kept.map(|it| InstanceType::clone(it)).collect::<Vec<_>>())
}

#[test]
fn a_higher_limit_is_used_at_once_and_a_lower_one_ends_nothing() {
    simulate(WorldKnobs::new(31).with_jobs(12, 2, 900).with_instances(3), async |world| {
        world.run_until("three run", minutes(10), |world| running(world) == 3).await;
        world.run_for(minutes(1)).await;
        assert_eq!(world.own_vms().len(), 3);
        world.reload(|policy| policy.max_instances = 6);
        world.run_until("six run", minutes(3), |world| running(world) == 6).await;
        world.reload(|policy| policy.max_instances = 2);
        world.run_for(seconds(30)).await;
        assert_eq!(running(world), 6, "what runs goes on");
        world.drain(minutes(180)).await;
        assert_eq!((world.count(ContainerState::Complete), world.summary().processes), (12, 12));
    });
}

/// Nothing is cancelled for it: what runs goes on, and what waits takes another type.
#[test]
fn a_type_that_is_configured_no_longer_is_drained_and_its_containers_go_elsewhere() {
    simulate(WorldKnobs::new(32).with_jobs(8, 2, 600).with_instances(4), async |world| {
        world.run_until("four run", minutes(10), |world| running(world) == 4).await;
        let small = world.knobs.policy.catalog.types()[0].name.clone();
        assert_eq!(world.vms_of_type(&small).len(), 4);
        world.reload(|policy| policy.catalog = without(policy, small.as_str()));
        world.run_for(minutes(2)).await;
        assert_eq!(running(world), 4, "what runs goes on");
        world.drain(minutes(180)).await;
        assert_eq!((world.count(ContainerState::Complete), world.summary().processes), (8, 8));
        assert_eq!(world.summary().unlocks, 0);
    });
}

/// As if it had never been left out; a dispatcher that begins later finds the same.
#[test]
fn a_type_that_comes_back_is_created_again_over_a_restart_too() {
    simulate(WorldKnobs::new(33).with_instances(4), async |world| {
        let all = world.knobs.policy.catalog.clone();
        let small = all.types()[0].name.clone();
        world.reload(|policy| policy.catalog = without(policy, small.as_str()));
        world.run_for(seconds(30)).await;
        let meanwhile = world.submit(dispatch_sim::world::job(1, 60));
        let runs = Some(ContainerState::Running);
        world.run_until("it runs", minutes(10), |world| world.state_of(meanwhile) == runs).await;
        assert_eq!(world.vms_of_type(&small), [], "it has another type");
        world.drain(minutes(60)).await;
        world.reload(|policy| policy.catalog = all);
        let job = world.submit(dispatch_sim::world::job(1, 60));
        world
            .run_until("it runs", minutes(10), |world| world.state_of(job) == Some(ContainerState::Running))
            .await;
        assert_eq!(world.vms_of_type(&small).len(), 1);
        world.restart().await;
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 2);
    });
}

#[test]
fn a_shorter_timeout_ends_what_has_been_idle_for_longer() {
    let mut knobs = WorldKnobs::new(34).with_jobs(1, 1, 30);
    knobs.policy.timeout_idle = minutes(60);
    simulate(knobs, async |world| {
        world.run_until("it is done", minutes(10), World::settled).await;
        world.run_for(minutes(5)).await;
        assert_eq!(world.own_vms().len(), 1);
        world.reload(|policy| policy.timeout_idle = minutes(1));
        world.run_until("all VMs gone", minutes(2), World::all_vms_are_gone).await;
    });
}

/// A file that was cut and is mended within five minutes has cancelled nobody; one that stays has, then.
#[test]
fn a_container_that_loses_its_type_is_cancelled_after_five_minutes_and_not_before() {
    for is_mended in [true, false] {
        simulate(WorldKnobs::new(35).with_instances(1).with_jobs(1, 8, 600), async |world| {
            world.run_until("it runs", minutes(10), |world| running(world) == 1).await;
            let waits = world.submit(dispatch_sim::world::job(8, 60));
            world.run_for(seconds(30)).await;
            let all = world.knobs.policy.catalog.clone();
            world.reload(|policy| policy.catalog = without(policy, "large"));
            world.run_for(seconds(280)).await;
            assert_ne!(world.state_of(waits), Some(ContainerState::Cancelled));
            if is_mended {
                world.reload(|policy| policy.catalog = all);
            }
            world.drain(minutes(60)).await;
            let expected = if is_mended { ContainerState::Complete } else { ContainerState::Cancelled };
            assert_eq!(world.state_of(waits), Some(expected));
        });
    }
}
