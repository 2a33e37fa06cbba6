//! Hold, drain and kill.

use dispatch_core::container::ContainerState;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::pool::CordonScope;
use dispatch_sim::chance::Span;
use dispatch_sim::cloud::knobs::{CloudCall, CloudFault};
use dispatch_sim::world::{WorldKnobs, job, simulate};

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

#[test]
fn while_creates_are_paused_what_exists_goes_on_and_nothing_is_created_over_a_restart() {
    simulate(WorldKnobs::new(8).with_jobs(12, 2, 60).with_instances(8), async |world| {
        world.run_until("one runs", minutes(10), |world| world.count(ContainerState::Running) >= 1).await;
        assert!(world.operator_pauses(CordonScope::All, minutes(30)).await);
        world.run_for(seconds(70)).await;
        let (vms, complete) = (world.own_vms().len(), world.count(ContainerState::Complete));
        world.run_for(minutes(10)).await;
        world.restart().await;
        world.run_for(minutes(10)).await;
        assert!(world.own_vms().len() <= vms, "VMs that are idle end, and none comes");
        assert!(world.count(ContainerState::Complete) > complete, "what exists fills up");
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 12);
    });
}

#[test]
fn a_drained_type_ends_its_jobs_in_peace_and_others_take_the_rest_until_it_is_used_again() {
    let mut knobs = WorldKnobs::new(9).with_jobs(8, 1, 120).with_instances(4);
    knobs.policy.timeout_idle = minutes(2);
    knobs.policy.sizing.maximum_price_factor = 10.0;
    simulate(knobs, async |world| {
        world.run_until("some run", minutes(10), |world| world.count(ContainerState::Running) >= 2).await;
        let types = world.knobs.policy.catalog.types().to_vec();
        let first = types.iter().find(|it| !world.vms_of_type(&it.name).is_empty()).unwrap().name.clone();
        let cancelled = world.count(ContainerState::Cancelled);
        assert!(world.operator_drains_type(&first).await);
        world.run_until("its VMs are gone", minutes(30), |world| world.vms_of_type(&first).is_empty()).await;
        world.run_until("others have taken the rest", minutes(60), |world| world.settled()).await;
        assert_eq!(
            (world.count(ContainerState::Complete), world.count(ContainerState::Cancelled)),
            (8, cancelled)
        );
        world.run_until("all VMs are gone", minutes(30), |world| world.own_vms().is_empty()).await;
        world.restart().await;
        world.operator_uses_all_types().await;
        world.submit(job(1, 30));
        world.run_until("it is used again", minutes(10), |world| !world.vms_of_type(&first).is_empty()).await;
        world.drain(minutes(60)).await;
    });
}
