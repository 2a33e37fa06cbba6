//! The spot market takes VMs away: what it announces is drained, and of two types at one price the one is used that lasts.

use dispatch_core::container::ContainerState;
use dispatch_core::instance::{Catalog, InstanceType};
use dispatch_sim::controller::Submission;
use dispatch_sim::samples::spot_type;
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
