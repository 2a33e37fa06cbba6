//! Containers are let past one that waits for a quota, onto instances in use, and it waits no longer than was promised.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::time::since;
use dispatch_sim::clock;
use dispatch_sim::controller::Submission;
use dispatch_sim::world::{World, WorldKnobs, job, simulate};

use crate::{minutes, seconds};

/// How long each of the small ones runs.
const SMALL: u64 = 300;
/// How long those run that leave a part of their instances free.
const BEFORE: u64 = 700;

/// What a day like this has come to.
#[derive(Debug)]
struct Day {
    /// How long the large one has waited.
    waited: Duration,
    /// How many small ones had ended when it started.
    ended_before: usize,
    /// How many small ones had ended after an hour.
    ended: usize,
}

/// Two instances of eight CPUs, each with a job that leaves three free. One that needs all eight is first in line, and
/// small ones keep coming behind it, for an hour.
fn day(patience: Duration) -> Day {
    let mut knobs = WorldKnobs::new(51).with_jobs(2, 5, BEFORE).with_instances(2);
    knobs.policy.max_concurrent_creates = 0;
    knobs.policy.initial_quota_estimate = 100;
    knobs.policy.sizing.maximum_price_factor = 10.0;
    knobs.policy.backfill_patience = patience;
    simulate(knobs, async |world| {
        world.run_until("both run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        let begin = clock::now();
        let large = world.submit(Submission { priority: 900, ..job(8, 60) });
        let (mut waited, mut ended_before) = (None, 0);
        for _ in 0..120 {
            world.submit(Submission { priority: 1, ..job(2, SMALL) });
            world.run_for(seconds(30)).await;
            if waited.is_none()
                && world.state_of(large) != Some(ContainerState::Queued)
                && has_run(world, large)
            {
                waited = Some(since(clock::now(), begin));
                ended_before = world.count(ContainerState::Complete).saturating_sub(2);
            }
        }
        let ended = world.count(ContainerState::Complete).saturating_sub(3);
        world.drain(minutes(600)).await;
        Day { waited: waited.expect("the large one has run within the hour"), ended_before, ended }
    })
}

fn has_run(world: &World, uuid: dispatch_core::id::ContainerUuid) -> bool {
    matches!(world.state_of(uuid), Some(ContainerState::Running | ContainerState::Complete))
}

#[test]
fn instances_in_use_fill_up_and_the_first_waits_no_longer_than_was_promised() {
    let never = day(Duration::ZERO);
    assert_eq!(never.ended_before, 0, "without patience nobody is let past: {never:?}");
    for patience in [seconds(120), seconds(600)] {
        let let_past = day(patience);
        assert!(let_past.ended_before > 0 && let_past.ended > never.ended, "{let_past:?} against {never:?}");
        // A look is made every half minute, and an instance has to boot.
        let most = patience + never.waited + seconds(SMALL) + minutes(1);
        assert!(let_past.waited <= most, "{let_past:?} against {most:?}");
    }
}
