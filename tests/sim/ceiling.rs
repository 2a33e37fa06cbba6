//! The ceiling in the whole dispatcher: a burst of 503s, and a controller that serves so many containers.
//!
//! Ten VMs stand ready (their boot is no part of the story), a job is Running 0.2 s after its start, a call takes
//! 20 ms. What strikes the dispatcher's calls strikes those of crunch-run too, which makes each again after
//! 2, 4, 8 … 60 s.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::time::{Timestamp, after, since};
use dispatch_sim::chance::Span;
use dispatch_sim::clock::now;
use dispatch_sim::controller::facts::{Fact, Origin};
use dispatch_sim::controller::faults::{Burst, CallKind, Fault};
use dispatch_sim::world::{World, WorldKnobs, job, simulate};

use crate::{minutes, seconds};

/// As many VMs, each with room for one job, idle after a job each.
fn ready(seed: u64, vms: usize) -> WorldKnobs {
    let mut knobs = WorldKnobs::new(seed).with_jobs(vms, 2, 1).with_instances(vms as u32);
    knobs.policy.max_concurrent_creates = 0;
    knobs.policy.timeout_idle = minutes(30);
    knobs.vms.jobs.running_after = Span::millis(200);
    knobs
}

fn overloaded(world: &World) -> u64 {
    world.arvados.borrow().history().faults().get(&Fault::Overloaded).copied().unwrap_or(0)
}

/// How long 100 jobs of 5 s take on ten VMs, and how many 503s there were.
fn hundred_jobs(seed: u64, burst: bool) -> (Duration, u64) {
    let mut knobs = ready(seed, 10);
    // What ends is seen within a second: jobs of 5 s would spend as long again waiting for a poll.
    knobs.policy.poll_interval = seconds(1);
    knobs.policy.probe_interval = seconds(1);
    simulate(knobs, async |world| {
        world.run_until("ready", minutes(5), |world| world.count(ContainerState::Complete) == 10).await;
        world.run_for(seconds(60)).await;
        let began = now();
        for _ in 0..100 {
            world.submit(job(2, 5));
        }
        if burst {
            let from = after(began, seconds(10));
            let burst = Burst {
                from,
                until: after(from, seconds(60)),
                only: None,
                fault: Fault::Overloaded,
                rate: 0.2,
            };
            world.arvados.borrow_mut().faults.bursts.push(burst);
        }
        world.run_until("done", minutes(15), |world| world.count(ContainerState::Complete) == 110).await;
        (since(now(), began), overloaded(world))
    })
}

#[test]
fn a_minute_of_503s_costs_little_more_than_a_minute() {
    let mut all_shed = 0;
    for seed in 1..=10 {
        let (took, shed) = hundred_jobs(seed, true);
        assert!(took < seconds(130), "seed {seed}: {took:?}");
        all_shed += shed;
    }
    // The reference's rule, put here in place of ours, took 163 to 171 s and caused 454; ours caused as many when
    // this was written. A twentieth for chance: another order of calls draws other faults.
    assert!(all_shed <= 476, "{all_shed}");
}

#[test]
fn undisturbed_it_takes_less_than_that_minute() {
    let (took, shed) = hundred_jobs(1, false);
    assert!((seconds(54)..seconds(60)).contains(&took), "{took:?}");
    assert_eq!(shed, 0);
}

/// All calls so far: the dispatcher's, and those of crunch-run.
fn calls(world: &World) -> u64 {
    let arvados = world.arvados.borrow();
    let history = arvados.history();
    let by_process = |fact: &Fact| match fact {
        Fact::Changed { origin, .. } => *origin == Origin::Process,
        Fact::Struck { call, .. } => *call == CallKind::Update,
        _ => false,
    };
    let processes = history.entries().iter().filter(|entry| by_process(&entry.fact)).count() as u64;
    history.calls().values().sum::<u64>() + processes
}

/// The mean number of Running containers until then.
async fn mean_running(world: &mut World, until: Timestamp) -> f64 {
    let (mut sum, mut looks) = (0, 0);
    while now() < until {
        world.run_for(seconds(1)).await;
        sum += world.arvados.borrow().running();
        looks += 1;
    }
    sum as f64 / f64::from(looks)
}

/// The share of the calls that the controller sheds in the second half of an hour, which is not always the same: a
/// 503 that strikes none of our calls is not seen.
fn shed_by_one_that_serves_twenty_five(seed: u64) -> f64 {
    let mut knobs = ready(seed, 100).with_jobs(1700, 2, 60);
    knobs.faults.served_running = Some(25);
    knobs.step = seconds(1);
    simulate(knobs, async |world| {
        world.run_for(minutes(30)).await;
        let (calls_before, shed_before) = (calls(world), overloaded(world));
        let until = after(now(), minutes(30));
        let mean = mean_running(world, until).await;
        assert!((20.0..=30.0).contains(&mean), "seed {seed}: {mean}");
        (overloaded(world) - shed_before) as f64 / (calls(world) - calls_before) as f64
    })
}

#[test]
fn a_controller_that_serves_twenty_five_is_asked_to_serve_about_as_many() {
    let mut shares: Vec<_> = (1..=11).map(shed_by_one_that_serves_twenty_five).collect();
    shares.sort_by(f64::total_cmp);
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!(shares[5] < 0.01 && mean < 0.01, "{shares:?}");
}
