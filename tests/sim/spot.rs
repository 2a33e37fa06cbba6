//! The spot market takes VMs away: what it announces is drained, and of two types at one price the one is used that lasts.

use std::num::NonZeroU32;

use dispatch_core::container::ContainerState;
use dispatch_core::instance::{Catalog, InstanceType};
use dispatch_sim::controller::Submission;
use dispatch_sim::controller::faults::CallKind;
use dispatch_sim::samples::{instance_type, spot_type};
use dispatch_sim::world::{World, WorldKnobs, job, simulate};

use crate::{minutes, seconds};

fn spot_job(seconds: u64) -> Submission {
    let mut submission = job(1, seconds);
    submission.spec.scheduling.preemptible = true;
    submission.max_attempts = 20;
    submission
}

fn site() -> WorldKnobs {
    let mut knobs = WorldKnobs::new(71);
    let named = |name: &str| InstanceType::clone(&spot_type(name, 2));
    knobs.policy.catalog = Catalog::new([named("a.spot"), named("b.spot")]);
    knobs
}

#[test]
fn of_two_types_at_one_price_the_one_is_used_that_the_market_leaves() {
    let mut knobs = site();
    knobs.cloud.spot_taken_rate = 1.0;
    knobs.cloud.spot_taken_after = dispatch_sim::chance::Span::seconds(300);
    knobs.cloud.spot_spared = ["b.spot".parse().unwrap()].into();
    simulate(knobs, async |world| {
        for _ in 0..3 {
            world.submit(spot_job(1200));
            world.run_for(minutes(15)).await;
        }
        world.run_until("all completed", minutes(90), World::settled).await;
        assert_eq!(world.count(ContainerState::Complete), 3);
        let losses = world.count(ContainerState::Cancelled);
        assert!(
            (1..=3).contains(&losses),
            "{losses} attempts were lost: it goes on with what the market takes"
        );
        world.drain(minutes(120)).await;
    });
}

/// The market takes each VM after five minutes, and the job runs for twenty.
fn market_that_takes_all(retries: u32) -> WorldKnobs {
    let mut knobs = site();
    let steady = InstanceType::clone(&instance_type("steady", 2));
    let spot = InstanceType::clone(&spot_type("a.spot", 2));
    knobs.policy.catalog = Catalog::new([steady, spot]);
    knobs.policy.sizing.spot_retries = NonZeroU32::new(retries);
    knobs.cloud.spot_taken_rate = 1.0;
    knobs.cloud.spot_taken_after = dispatch_sim::chance::Span::seconds(300);
    knobs
}

/// Its attempts are containers of their own: what they have in common is their request.
#[test]
fn a_job_from_which_the_market_has_taken_enough_runs_on_demand() {
    for retries in 1..=3 {
        simulate(market_that_takes_all(retries), async move |world| {
            world.submit(spot_job(1200));
            world.run_until("it completed", minutes(120), World::settled).await;
            assert_eq!(world.count(ContainerState::Complete), 1);
            assert_eq!(world.count(ContainerState::Cancelled), retries as usize);
            world.drain(minutes(30)).await;
        });
    }
    simulate(market_that_takes_all(0), async |world| {
        let mut submission = spot_job(1200);
        submission.max_attempts = 4;
        world.submit(submission);
        world.run_until("it was given up", minutes(180), World::settled).await;
        assert_eq!(world.count(ContainerState::Cancelled), 4, "else it never would");
        world.drain(minutes(30)).await;
    });
}

/// A VM that is taken is shut down: what runs there is told to end, and cancels its container. The VM is empty when it goes.
#[test]
fn a_process_that_ends_in_order_when_its_vm_is_taken_has_lost_it_to_the_market() {
    for retries in 1..=2 {
        let mut knobs = market_that_takes_all(retries);
        knobs.vms.announced_rate = 1.0;
        simulate(knobs, async move |world| {
            world.submit(spot_job(1200));
            world.run_until("it completed", minutes(120), World::settled).await;
            assert_eq!(world.count(ContainerState::Complete), 1);
            assert_eq!(world.count(ContainerState::Cancelled), retries as usize);
            world.drain(minutes(30)).await;
        });
    }
}

/// What was lost is known to one process alone; whoever comes next begins to count anew, and no job is stopped for it.
#[test]
fn a_restart_between_two_losses_costs_further_ones_and_the_job_completes() {
    simulate(market_that_takes_all(2), async |world| {
        world.submit(spot_job(1200));
        let lost = |world: &World| world.count(ContainerState::Cancelled) == 1;
        world.run_until("the first is lost", minutes(30), lost).await;
        world.restart().await;
        world.run_until("it completed", minutes(120), World::settled).await;
        assert_eq!((world.count(ContainerState::Complete), world.count(ContainerState::Cancelled)), (1, 3));
        world.drain(minutes(30)).await;
    });
}

/// No job waits for an answer about requests.
#[test]
fn while_requests_cannot_be_read_jobs_run_as_their_users_have_said() {
    let mut knobs = market_that_takes_all(1);
    knobs.cloud.spot_taken_rate = 0.0;
    simulate(knobs, async |world| {
        let first = world.submit(spot_job(60));
        world.arvados.borrow_mut().ailments.answer(first, CallKind::Requests, 403);
        let done = |world: &World| world.state_of(first) == Some(ContainerState::Complete);
        world.run_until("it runs on the market", minutes(15), done).await;
        let second = world.submit(spot_job(60));
        let done = |world: &World| world.state_of(second) == Some(ContainerState::Complete);
        world.run_until("others run, too", minutes(15), done).await;
        world.drain(minutes(30)).await;
    });
}

#[test]
fn a_vm_that_will_be_taken_is_drained_and_ends_as_soon_as_it_is_empty() {
    simulate(site(), async |world| {
        let first = world.submit(spot_job(600));
        let runs = |world: &World| world.state_of(first) == Some(ContainerState::Running);
        world.run_until("it runs", minutes(10), runs).await;
        let before = world.own_vms();
        world.announce_end(first);
        world.run_for(seconds(30)).await;
        assert_eq!(world.tagged_behavior(&before[0]).as_deref(), Some("drain"));
        let second = world.submit(spot_job(60));
        let ended = |world: &World| world.state_of(second) == Some(ContainerState::Complete);
        world.run_until("the next runs elsewhere", minutes(20), ended).await;
        assert_eq!(world.state_of(first), Some(ContainerState::Running), "nothing is ended for a notice");
        world.run_until("the first is done", minutes(20), |world| world.settled()).await;
        // Not after TimeoutIdle.
        world.run_for(seconds(40)).await;
        assert!(!world.own_vms().contains(&before[0]), "nobody pays for it any longer");
        world.drain(minutes(30)).await;
    });
}
