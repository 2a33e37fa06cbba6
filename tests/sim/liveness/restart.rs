//! What a restart may cost: no attempts, and no VMs that nobody can use.

use dispatch_core::container::ContainerState;
use dispatch_sim::group::Group;
use dispatch_sim::vm::knobs::{Crash, Job};
use dispatch_sim::world::{WorldKnobs, job, simulate};

use super::{complete, tally, unlock_calls};
use crate::{minutes, seconds};

#[test]
fn three_kills_at_quota_cost_no_attempt() {
    let mut knobs = WorldKnobs::new(1).with_jobs(24, 2, 240);
    knobs.cloud.quota_all = Some(8);
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        for _ in 0..3 {
            world.run_for(seconds(45)).await;
            world.restart().await;
        }
        complete(world, 24, minutes(60)).await;
        let unlocked = unlock_calls(world);
        assert!(unlocked <= 2, "{unlocked} unlocks");
        let most = world.containers().iter().map(|uuid| tally(world, *uuid).locks).max();
        assert!(most <= Some(2), "one container was locked {most:?} times");
    });
}

/// What was Locked before the restart may run on the VM that nobody can ask: it is not started, and VMs that are
/// made for it would be of no use. After half an hour nobody waits for that VM any more.
#[test]
fn a_silent_vm_on_hold_causes_no_creates_without_end() {
    let mut knobs = WorldKnobs::new(2).with_jobs(1, 2, 7200).with_instances(8);
    knobs.network_fails = true;
    knobs.policy.timeout_idle = seconds(60);
    simulate(knobs, async |world| {
        world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        let silent = world.busy_vms()[0].clone();
        assert!(world.operator_forgets(&silent).await);
        for _ in 0..4 {
            world.submit(job(2, 300));
        }
        world
            .run_until("they are locked", minutes(1), |world| world.count(ContainerState::Locked) >= 3)
            .await;
        let now = dispatch_sim::clock::now();
        world.vms.borrow_mut().silence(&silent, now, dispatch_core::time::after(now, minutes(600)));
        world.restart().await;
        let before = world.vms_made();
        world.run_for(minutes(25)).await;
        assert!(world.vms_made() <= before, "{} VMs after {before}", world.vms_made());
        complete(world, 4, minutes(20)).await;
        assert!(world.vms_made() <= before + 4, "{} VMs after {before}", world.vms_made());
    });
}

/// The cloud acknowledges its destroy and lists it for ever, and it has never answered the new dispatcher.
#[test]
fn a_silent_vm_that_never_goes_keeps_what_was_locked_before_the_restart_waiting_for_an_hour_at_most() {
    let mut knobs = WorldKnobs::new(4).with_jobs(1, 2, 7200).with_instances(3);
    knobs.network_fails = true;
    knobs.policy.timeout_booting = minutes(3);
    knobs.policy.timeout_probe = minutes(3);
    simulate(knobs, async |world| {
        world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        let silent = world.busy_vms()[0].clone();
        world.cloud.borrow_mut().make_immortal(&silent);
        for _ in 0..2 {
            world.submit(job(2, 60));
        }
        world
            .run_until("they are locked", minutes(1), |world| world.count(ContainerState::Locked) == 2)
            .await;
        let now = dispatch_sim::clock::now();
        world.vms.borrow_mut().silence(&silent, now, dispatch_core::time::after(now, minutes(6000)));
        world.restart().await;
        complete(world, 2, minutes(60)).await;
    });
}

/// New containers need not wait for what a silent VM may run.
#[test]
fn new_containers_run_beside_a_silent_vm_on_hold() {
    let mut knobs = WorldKnobs::new(3).with_jobs(1, 2, 7200).with_instances(4);
    knobs.network_fails = true;
    simulate(knobs, async |world| {
        world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        let silent = world.busy_vms()[0].clone();
        assert!(world.operator_forgets(&silent).await);
        world.run_for(seconds(60)).await;
        world.silence_together(&Group::Everything, minutes(600));
        world.restart().await;
        for _ in 0..4 {
            world.submit(job(2, 60));
        }
        complete(world, 4, minutes(20)).await;
    });
}

/// Found by chaos (seed 1795950246001582): it was destroyed as silent, never goes, and answers again. What an earlier
/// dispatcher had started there has ended without a trace: only its list can say so.
#[test]
fn a_destroyed_vm_that_never_goes_and_answers_again_tells_what_it_does_not_run() {
    let mut knobs = WorldKnobs::new(5).with_jobs(1, 2, 1200).with_instances(3);
    knobs.network_fails = true;
    knobs.policy.timeout_booting = minutes(3);
    simulate(knobs, async |world| {
        let uuid = world.containers()[0];
        let crashing = Job { crash: Crash::WhileRunning, lasts: minutes(20), ..Job::default() };
        world.vms.borrow_mut().knobs.job_of.insert(uuid, crashing);
        world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        let silent = world.busy_vms()[0].clone();
        world.cloud.borrow_mut().make_immortal(&silent);
        let now = dispatch_sim::clock::now();
        world.vms.borrow_mut().silence(&silent, now, dispatch_core::time::after(now, minutes(15)));
        world.restart().await;
        world
            .run_until("its loss is seen", minutes(20), |world| world.count(ContainerState::Cancelled) == 1)
            .await;
    });
}
