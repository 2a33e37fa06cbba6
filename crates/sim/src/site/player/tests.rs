use dispatch_core::container::RuntimeConstraints;
use dispatch_core::instance::{Catalog, InstanceType};

use super::*;
use crate::samples::instance_type;
use crate::site::{Figures, Job};

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Types of 2 and 8 CPUs at 0.2 and 0.8 an hour.
fn site(most: u32) -> Site {
    let mut policy = Policy::with_defaults();
    let types = [("small", 2), ("large", 8)].map(|(name, vcpus)| instance_type(name, vcpus));
    policy.catalog = Catalog::new(types.iter().map(|it| InstanceType::clone(it)));
    policy.max_instances = most;
    policy.max_concurrent_creates = 0;
    let pace = Pace { create: second(2), boot: second(60), end: second(30) };
    Site { policy, has_feed: false, pace }
}

fn job(submitted: u64, vcpus: u64, duration: u64) -> Job {
    Job {
        submitted_at: after(Timestamp::UNIX_EPOCH, second(submitted)),
        constraints: RuntimeConstraints { vcpus, ram: 1 << 30, ..RuntimeConstraints::default() },
        scratch: 10_000_000_000,
        preemptible: false,
        priority: 500,
        duration: second(duration),
    }
}

/// Thirty jobs that fill an instance for 100 s each.
fn thirty() -> History {
    History::of((0..30).map(|_| job(1_000_000, 2, 100)).collect()).unwrap()
}

#[track_caller]
fn assert_within(value: f64, from: f64, to: f64) {
    assert!((from..=to).contains(&value), "{value} is not within {from} and {to}");
}

#[test]
fn on_one_instance_thirty_jobs_wait_for_each_other() {
    let history = thirty();
    let play = play(&history, &site(1));
    let figures = Figures::of(&history, &play);
    assert_eq!((figures.completed, figures.instances.booted, figures.instances.peak), (30, 1, 1));
    // The first waits at most 10 s for a poll, 2 s for the create, 60 s for the boot, and 10 s for a probe; each other
    // one 100 s more than the one before, and the moment that it takes to be started. The 15th is the median.
    let waits = figures.wait_seconds;
    assert_within(waits.p50, 62.0 + 1400.0, 82.0 + 14.0 * 101.0);
    assert_within(waits.p95, 62.0 + 2800.0, 82.0 + 28.0 * 101.0);
    assert_within(waits.max - waits.p95, 100.0, 101.0);
    // 3000 s of work and 60 s of boot at 0.2 an hour.
    assert_eq!((figures.cost.busy, figures.cost.booting), (0.1667, 0.0033));
    // Then it was idle for TimeoutIdle: a minute, and at most an interval between probes more.
    assert_within(figures.cost.idle, 0.0033, 0.2 * 110.0 / 3600.0);
    assert_within(figures.last_end_seconds, waits.max + 99.99, waits.max + 100.01);
}

#[test]
fn ten_instances_do_in_five_minutes_what_one_does_in_an_hour_and_boots_cost_more() {
    let history = thirty();
    let figures = |most| Figures::of(&history, &play(&history, &site(most)));
    let (one, ten) = (figures(1), figures(10));
    assert_eq!((ten.completed, ten.instances.booted, ten.instances.peak), (30, 10, 10));
    // Three on each instance: the median is of those that come second.
    assert_within(ten.wait_seconds.p50, 62.0 + 100.0, 82.0 + 101.0);
    assert_within(ten.wait_seconds.max, 62.0 + 200.0, 82.0 + 202.0);
    assert_eq!((ten.cost.busy, ten.cost.booting), (0.1667, 0.0333));
    assert!(ten.cost.total > one.cost.total && ten.wait_seconds.max < one.wait_seconds.max / 10.0);
}

#[test]
fn the_same_history_gives_the_same_play() {
    let jobs = (0..12).map(|n| job(n * 10, 1 + n % 8, 20 + n * 3)).collect();
    let history = History::of(jobs).unwrap();
    for has_feed in [false, true] {
        let site = Site { has_feed, ..site(4) };
        let first = play(&history, &site);
        assert_eq!(first, play(&history, &site));
        assert!(first.fates.iter().all(|fate| fate.outcome == Outcome::Complete), "{first:?}");
        for (fate, job) in first.fates.iter().zip(history.jobs()) {
            assert_eq!(fate.ended.unwrap() - fate.started.unwrap(), job.duration);
        }
    }
}

#[test]
fn what_no_type_suits_is_cancelled_and_what_never_starts_is_given_up() {
    let history = History::of(vec![job(0, 99, 10), job(0, 1, 10)]).unwrap();
    let fates = play(&history, &site(1)).fates.into_iter().map(|fate| fate.outcome).collect::<Vec<_>>();
    assert_eq!(fates, [Outcome::Cancelled, Outcome::Complete]);
}
