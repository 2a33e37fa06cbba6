//! Hold, drain and kill.

use dispatch_core::container::ContainerState;
use dispatch_core::instance::IdleBehavior;
use dispatch_sim::chance::Span;
use dispatch_sim::cloud::knobs::{CloudCall, CloudFault};
use dispatch_sim::world::{WorldKnobs, simulate};

use crate::{minutes, seconds};

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

/// The operator said it a moment before the restart: the first listing shows older tags.
#[test]
fn a_hold_outlives_a_restart_although_the_first_listing_does_not_show_it() {
    let mut knobs = WorldKnobs::new(4).with_jobs(1, 2, 5);
    knobs.policy.timeout_idle = minutes(2);
    knobs.cloud.tags_lag = Span::seconds(40);
    simulate(knobs, async |world| {
        world.run_until("it is done", minutes(10), |world| world.count(ContainerState::Complete) == 1).await;
        let vm = world.own_vms()[0].clone();
        assert!(world.operator_sets(&vm, IdleBehavior::Hold).await);
        world.run_for(seconds(2)).await;
        world.restart().await;
        world.run_for(minutes(30)).await;
        assert_eq!(world.own_vms(), std::slice::from_ref(&vm));
        assert!(world.operator_sets(&vm, IdleBehavior::Run).await);
        world.drain(minutes(30)).await;
    });
}

/// It had been locked and started, and was not Running yet: it runs elsewhere, once, when its VM is surely gone.
#[test]
fn a_locked_container_of_a_vm_that_the_operator_kills_runs_elsewhere_when_its_end_is_over() {
    let mut knobs = WorldKnobs::new(5).with_jobs(1, 2, 30).with_instances(2);
    knobs.vms.jobs.running_after = Span::seconds(300);
    knobs.cloud.hides_ending = true;
    knobs.cloud.ends_after = Span::seconds(60);
    simulate(knobs, async |world| {
        world.run_until("a process", minutes(10), |world| !world.busy_vms().is_empty()).await;
        assert_eq!(world.count(ContainerState::Locked), 1);
        let vm = world.own_vms()[0].clone();
        // The call is lost, and two listings leave the VM out.
        world.cloud.borrow_mut().knobs.strike_next(CloudCall::Destroy, CloudFault::LostCall);
        world.cloud.borrow_mut().omit_next(&vm, 2);
        assert!(world.operator_kills(&vm).await);
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 1);
        assert_eq!(world.summary().processes, 2);
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
