use dispatch_core::container::RuntimeConstraints;
use dispatch_core::time::{Timestamp, after};

use super::*;
use crate::samples::instance_type;
use crate::site::{Fate, Job};

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn job(submitted: u64, vcpus: u64, duration: u64) -> Job {
    Job {
        submitted_at: after(Timestamp::UNIX_EPOCH, second(submitted)),
        constraints: RuntimeConstraints { vcpus, ..RuntimeConstraints::default() },
        scratch: 0,
        preemptible: false,
        priority: 1,
        duration: second(duration),
    }
}

fn fate(submitted: u64, run: Option<(u64, u64)>, outcome: Outcome) -> Fate {
    let at = |n| second(n);
    Fate { submitted: at(submitted), started: run.map(|it| at(it.0)), ended: run.map(|it| at(it.1)), outcome }
}

fn life(name: &str, vcpus: u64, [made, booted, ended]: [u64; 3], busy: &[(u64, u64)]) -> Life {
    Life {
        instance_type: instance_type(name, vcpus),
        made: second(made),
        booted: second(booted),
        ended: second(ended),
        busy: busy.iter().map(|(from, to)| (second(*from), second(*to))).collect(),
    }
}

/// Two instances of 2 and 8 CPUs cost 0.2 and 0.8 an hour: the first lives for two hours, the second for one.
fn two_instances() -> (History, Play) {
    let jobs = vec![job(0, 1, 3600), job(0, 1, 1800), job(1800, 8, 1800), job(1900, 99, 5)];
    let play = Play {
        began: Timestamp::UNIX_EPOCH,
        length: second(9000),
        fates: vec![
            fate(0, Some((1800, 5400)), Outcome::Complete),
            fate(0, Some((1800, 3600)), Outcome::Complete),
            fate(1800, Some((1980, 3780)), Outcome::Complete),
            fate(1900, None, Outcome::Cancelled),
        ],
        lives: vec![
            life("small", 2, [0, 1200, 7200], &[(1800, 5400)]),
            life("large", 8, [1800, 1900, 5400], &[(1980, 3780)]),
        ],
    };
    (History::of(jobs).unwrap(), play)
}

#[test]
fn waits_and_money_are_those_that_one_computes_by_hand() {
    let (history, play) = two_instances();
    let figures = Figures::of(&history, &play);
    // 1800, 1800 and 180 s were waited; who was never started does not count.
    assert_eq!(figures.wait_seconds, Waits { p50: 1800.0, p95: 1800.0, max: 1800.0, mean: 1260.0 });
    assert_eq!((figures.containers, figures.completed, figures.cancelled, figures.unfinished), (4, 3, 1, 0));
    assert_eq!(figures.last_end_seconds, 5400.0);
    let Cost { total, busy, booting, idle, wasted_percent, vcpus_used_percent } = figures.cost;
    // Two hours at 0.2 and one at 0.8; busy: one hour at 0.2, half an hour at 0.8; booting: 1200 s and 100 s.
    assert_eq!((total, busy, booting), (1.2, 0.6, 0.0889));
    assert_eq!((idle, wasted_percent), (0.5111, 50.0));
    assert!((figures.wasted() - 0.6).abs() < 1e-9);
    // One CPU for 1.5 hours and eight for half an hour are used, of two for two hours and eight for one.
    assert_eq!(vcpus_used_percent, 45.8);
}

#[test]
fn instances_are_counted_by_type_and_at_their_most() {
    let (history, mut play) = two_instances();
    // Made at the moment at which the first one ends: there are never three.
    play.lives.push(life("small", 2, [7200, 7300, 7400], &[]));
    let instances = Figures::of(&history, &play).instances;
    let by_type: Vec<_> =
        instances.by_type.iter().map(|(name, count)| (name.as_str().to_owned(), *count)).collect();
    assert_eq!((instances.booted, instances.peak), (3, 2));
    assert_eq!(by_type, [("large".to_owned(), 1), ("small".to_owned(), 2)]);
}

#[test]
fn a_percentile_is_a_wait_that_occurred() {
    let jobs = (0..20).map(|_| job(0, 1, 10)).collect();
    let fates = (1..=20).map(|wait| fate(0, Some((wait, wait + 10)), Outcome::Complete)).collect();
    let play = Play { began: Timestamp::UNIX_EPOCH, length: second(40), fates, lives: Vec::new() };
    let waits = Figures::of(&History::of(jobs).unwrap(), &play).wait_seconds;
    assert_eq!((waits.p50, waits.p95, waits.max, waits.mean), (10.0, 19.0, 20.0, 10.5));
}

#[test]
fn where_nothing_was_made_or_started_all_is_zero() {
    let play = Play {
        began: Timestamp::UNIX_EPOCH,
        length: second(60),
        fates: vec![fate(0, None, Outcome::Unfinished)],
        lives: Vec::new(),
    };
    let figures = Figures::of(&History::of(vec![job(0, 1, 1)]).unwrap(), &play);
    assert_eq!((figures.wait_seconds, figures.cost), (Waits::default(), Cost::default()));
    assert_eq!((figures.unfinished, figures.instances), (1, Instances::default()));
}
