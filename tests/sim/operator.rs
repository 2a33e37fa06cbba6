//! Hold, drain and kill.

use dispatch_core::container::ContainerState;
use dispatch_core::instance::IdleBehavior;
use dispatch_sim::world::{WorldKnobs, simulate};

use crate::minutes;

#[test]
fn a_held_vm_stays_gets_nothing_and_is_still_held_after_a_restart() {
    simulate(WorldKnobs::new(1).with_jobs(6, 2, 30).with_instances(2), async |world| {
        world.run_until("two run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        let held = world.own_vms()[0].clone();
        assert!(world.operator_sets(&held, IdleBehavior::Hold).await);
        world.run_for(minutes(1)).await;
        world.restart().await;
        world.run_until("all done", minutes(60), |world| world.settled()).await;
        world.run_for(minutes(60)).await;
        assert_eq!(world.own_vms(), std::slice::from_ref(&held));
        assert!(world.operator_sets(&held, IdleBehavior::Run).await);
        world.drain(minutes(10)).await;
        assert_eq!(world.count(ContainerState::Complete), 6);
    });
}

#[test]
fn a_draining_vm_finishes_what_it_runs_and_goes() {
    simulate(WorldKnobs::new(2).with_jobs(2, 2, 300).with_instances(1), async |world| {
        world.run_until("one runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        let drained = world.own_vms()[0].clone();
        assert!(world.operator_sets(&drained, IdleBehavior::Drain).await);
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 2);
        assert_eq!(world.vms_made(), 2);
    });
}

#[test]
fn a_vm_that_the_operator_kills_takes_its_container_along_and_no_other() {
    simulate(WorldKnobs::new(3).with_jobs(2, 2, 300).with_instances(2), async |world| {
        world.run_until("both run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        let killed = world.own_vms()[0].clone();
        assert!(world.operator_kills(&killed).await);
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 1);
        assert_eq!(world.count(ContainerState::Cancelled), 1);
    });
}
