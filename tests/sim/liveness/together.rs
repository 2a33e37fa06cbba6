//! What fails together counts once.

use dispatch_core::container::ContainerState;
use dispatch_sim::cloud::knobs::{CloudCall, CloudFault};
use dispatch_sim::controller::faults::{CallKind, Fault};
use dispatch_sim::group::Group;
use dispatch_sim::world::{World, WorldKnobs, job, simulate};

use super::complete;
use crate::{minutes, seconds};

/// How many seconds it takes from the end of the fault until the first job is done.
fn seconds_until_the_first(vms: u32) -> u64 {
    let mut knobs = WorldKnobs::new(1).with_jobs(vms as usize, 2, 30).with_instances(vms);
    knobs.policy.max_concurrent_creates = 0;
    knobs.policy.max_cloud_ops_per_second = 0;
    knobs.policy.timeout_booting = minutes(3);
    simulate(knobs, async |world| {
        let made = |world: &World| world.vms_made() >= vms as usize;
        world.run_until("all VMs are made", minutes(5), made).await;
        world.spoil_boots_together(&Group::Everything);
        let began = dispatch_sim::clock::now();
        world
            .run_until("the first is done", minutes(60), |world| world.count(ContainerState::Complete) > 0)
            .await;
        dispatch_core::time::since(dispatch_sim::clock::now(), began).as_secs()
    })
}

#[test]
fn ten_vms_that_fail_to_boot_together_cost_no_more_time_than_three() {
    let (three, ten) = (seconds_until_the_first(3), seconds_until_the_first(10));
    assert!(ten <= three + 120, "three: {three} s, ten: {ten} s");
    assert!(ten <= 480, "{ten} s");
}

#[test]
fn refusals_of_creates_that_were_in_flight_together_are_one() {
    for fault in [CloudFault::QuotaAll, CloudFault::RateLimited(seconds(10)), CloudFault::Other] {
        let mut knobs = WorldKnobs::new(2).with_jobs(20, 2, 60).with_instances(20);
        knobs.policy.max_concurrent_creates = 0;
        knobs.policy.max_cloud_ops_per_second = 0;
        for _ in 0..20 {
            knobs.cloud.strike_next(CloudCall::Create, fault);
        }
        simulate(knobs, async |world| {
            world
                .run_until("many run", minutes(15), |world| {
                    world.count(ContainerState::Running) + world.count(ContainerState::Complete) >= 10
                })
                .await;
        });
    }
}

#[test]
fn all_vms_that_end_together_are_replaced_together() {
    simulate(many_attempts(3), async |world| {
        let running = |world: &World| world.count(ContainerState::Running) == 10;
        world.run_until("all run", minutes(15), running).await;
        world.end_together(&Group::Everything);
        complete(world, 10, minutes(30)).await;
    });
}

#[test]
fn vms_that_fall_silent_together_and_answer_again_are_kept() {
    let mut knobs = many_attempts(4);
    knobs.network_fails = true;
    simulate(knobs, async |world| {
        let running = |world: &World| world.count(ContainerState::Running) == 10;
        world.run_until("all run", minutes(15), running).await;
        world.silence_together(&Group::Everything, minutes(8));
        complete(world, 10, minutes(60)).await;
        assert_eq!(world.summary().processes, 10);
    });
}

#[test]
fn a_listing_that_omits_all_vms_at_once_loses_none() {
    simulate(many_attempts(5), async |world| {
        let running = |world: &World| world.count(ContainerState::Running) == 10;
        world.run_until("all run", minutes(15), running).await;
        world.omit_together(&Group::Everything);
        complete(world, 10, minutes(60)).await;
        assert_eq!(world.summary().processes, 10);
    });
}

#[test]
fn creates_that_are_refused_together_for_ten_minutes_go_on_soon_afterwards() {
    simulate(many_attempts(6), async |world| {
        world.refuse_together(Group::Everything, CloudFault::Other, minutes(10));
        complete(world, 10, minutes(60)).await;
    });
}

/// Ten jobs of 15 minutes, each on a VM of its own, made at the same time.
fn many_attempts(seed: u64) -> WorldKnobs {
    let mut knobs = WorldKnobs::new(seed).with_jobs(10, 2, 900).with_instances(10);
    knobs.policy.max_concurrent_creates = 0;
    for it in &mut knobs.containers {
        it.max_attempts = 3;
    }
    knobs
}

#[test]
fn a_lone_503_with_two_running_costs_less_than_a_minute() {
    let mut knobs = WorldKnobs::new(7).with_jobs(2, 2, 900).with_instances(30);
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        world.run_until("two run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        world.arvados.borrow_mut().faults.strike_next(CallKind::List, Fault::Overloaded);
        for _ in 0..30 {
            world.submit(job(2, 900));
        }
        let taken =
            |world: &World| world.count(ContainerState::Running) + world.count(ContainerState::Locked);
        world.run_until("twenty were taken on", seconds(60), |world| taken(world) >= 20).await;
    });
}
