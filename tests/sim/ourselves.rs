//! What befalls our own process, its machine, and the lock that it acts under, is nobody else's silence.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::time::{after, since};
use dispatch_sim::clock::{epoch, now};
use dispatch_sim::cloud::knobs::CloudCall;
use dispatch_sim::world::{World, WorldKnobs, simulate};

use crate::{minutes, seconds};

fn all_run(world: &World) -> bool {
    world.count(ContainerState::Running) == world.containers().len()
}

/// Everything is Complete, and nothing had to be run twice.
async fn nothing_is_lost(world: &mut World) {
    world.drain(minutes(180)).await;
    let jobs = world.containers().len();
    assert_eq!((world.count(ContainerState::Complete), world.summary().processes), (jobs, jobs as u64));
}

/// Servers drop the sessions meanwhile, and every deadline passes.
#[test]
fn a_process_that_is_paused_for_longer_than_every_deadline_loses_nothing() {
    for jobs in [1, 2, 6] {
        let mut knobs = WorldKnobs::new(21).with_jobs(jobs, 2, 1800);
        knobs.policy.timeout_probe = seconds(20);
        simulate(knobs, async |world| {
            world.run_until("all run", minutes(10), all_run).await;
            world.pause_dispatcher(seconds(90)).await;
            nothing_is_lost(world).await;
        });
    }
}

/// What it was about to do when it was stopped is done when the lock was confirmed again, and not before.
#[test]
fn a_process_that_is_stopped_in_the_middle_of_its_work_acts_only_with_a_lease() {
    for stopped_at in [1, 20, 40, 60, 80, 100] {
        let knobs = WorldKnobs::new(22).with_jobs(20, 2, 60).with_instances(10);
        simulate(knobs, async |world| {
            world.run_for(seconds(stopped_at)).await;
            world.pause_dispatcher(seconds(40)).await;
            world.drain(minutes(180)).await;
            assert_eq!(world.count(ContainerState::Complete), 20);
        });
    }
}

#[test]
fn while_the_database_is_silent_nothing_is_handed_over() {
    simulate(WorldKnobs::new(23), async |world| {
        world.run_for(seconds(30)).await;
        world.silence_database(seconds(120));
        world.run_for(seconds(15)).await;
        for _ in 0..5 {
            world.submit(dispatch_sim::world::job(2, 60));
        }
        let (from, until) = (now(), after(now(), seconds(100)));
        world.drain(minutes(60)).await;
        let cloud = world.cloud.borrow();
        let creates = cloud.history().iter().filter(|entry| entry.call == CloudCall::Create);
        let first = creates.map(|entry| entry.at).min().expect("all are done in the end");
        assert!(first > until, "{:?} after the start", since(first, epoch()));
        assert!(since(first, from) < Duration::from_secs(180), "it goes on soon afterwards");
    });
}

/// No descriptor, no process, a full disk: for longer than every VM may be silent.
#[test]
fn what_fails_on_our_own_side_ends_no_vm_however_long_it_lasts() {
    for jobs in [1, 2, 6] {
        let mut knobs = WorldKnobs::new(24).with_jobs(jobs, 2, 3600);
        knobs.policy.timeout_probe = minutes(2);
        simulate(knobs, async |world| {
            world.run_until("all run", minutes(10), all_run).await;
            world.fail_own_side(minutes(30));
            nothing_is_lost(world).await;
        });
    }
}
