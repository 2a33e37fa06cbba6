//! In a closed loop with a controller that serves so many: near that many run, and hardly a call is shed.
//!
//! Seeds from 101 on: the numbers were tuned on lower ones.

use std::time::Duration;

use super::Ceiling;
use super::closed_loop::{Outcome, Story, live};
use super::table::{limited, limited_with_bursts};

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean share of the capacity, and share of calls that were shed, in the second half of these stories.
fn second_half(capacity: u32, stories: &[Story]) -> (f64, f64) {
    let outcomes: Vec<Outcome> = stories.iter().map(|it| live(it, Ceiling::new(it.start))).collect();
    let half = |it: &Outcome| it.seconds.len() / 2;
    let near = mean(outcomes.iter().map(|it| it.mean_running(half(it)))) / f64::from(capacity);
    (near, mean(outcomes.iter().map(|it| it.shed_share(half(it)))))
}

/// The fewer run, the more it is left to chance.
fn seeds(capacity: u32) -> std::ops::RangeInclusive<u64> {
    if capacity < 10 { 101..=104 } else { 101..=102 }
}

fn settles(capacity: u32, job: u64) {
    let (near, shed) =
        second_half(capacity, &seeds(capacity).map(|seed| limited(capacity, job, seed)).collect::<Vec<_>>());
    assert!((0.8..=1.2).contains(&near), "K = {capacity}, {job} s: {near}");
    assert!(shed < 0.01, "K = {capacity}, {job} s: {shed}");
}

#[test]
fn it_settles_near_five() {
    settles(5, 5);
}

/// One too many of five is a sixth of all calls: some seeds miss the goal of one per cent.
#[test]
fn near_five_jobs_of_a_minute_cost_more_503s() {
    let stories: Vec<Story> = (101..=120).map(|seed| limited(5, 60, seed)).collect();
    let (near, shed) = second_half(5, &stories);
    assert!((0.8..=1.2).contains(&near), "{near}");
    assert!(shed < 0.01, "{shed}");
}

#[test]
fn it_settles_near_fifty() {
    settles(50, 5);
    settles(50, 60);
}

#[test]
fn it_settles_near_five_hundred() {
    settles(500, 5);
    settles(500, 60);
}

#[test]
fn it_settles_with_jobs_of_an_hour() {
    for capacity in [5, 50, 500] {
        settles(capacity, 3600);
    }
}

/// The fewer calls of ours, the later we see that others' are shed: with a poll in 30 s the goal of one per cent
/// is missed.
#[test]
fn it_settles_however_often_the_queue_is_polled() {
    for (poll, most_shed) in [(3, 0.01), (30, 0.02)] {
        let poll = Duration::from_secs(poll);
        let stories = [101, 102, 103, 104].map(|seed| Story { poll, ..limited(50, 60, seed) });
        let (near, shed) = second_half(50, &stories);
        assert!((0.8..=1.2).contains(&near) && shed < most_shed, "{poll:?}: {near}, {shed}");
    }
}

/// They start and end in waves: while one ends, all is quiet.
#[test]
fn jobs_that_come_in_waves_do_not_unsettle_the_ceiling() {
    for capacity in [25, 500] {
        let stories = [101, 102, 103, 104].map(|seed| Story { spread: 0.0, ..limited(capacity, 60, seed) });
        let (near, shed) = second_half(capacity, &stories);
        assert!((0.8..=1.2).contains(&near) && shed < 0.01, "K = {capacity}: {near}, {shed}");
        let settled = stories.map(|it| live(&it, Ceiling::new(it.start)).settles(capacity, 300));
        assert!(settled.iter().all(|it| it.is_some_and(|second| second <= 1800)), "{settled:?}");
    }
}

/// A burst of a minute every half hour is two thirds of a per cent of all calls, whatever the ceiling does.
#[test]
fn bursts_of_503s_do_not_unsettle_the_ceiling() {
    for (capacity, job) in [(5, 5), (50, 5), (50, 60), (500, 60)] {
        let stories = seeds(capacity).map(|seed| limited_with_bursts(capacity, job, seed));
        let (near, shed) = second_half(capacity, &stories.collect::<Vec<_>>());
        assert!((0.8..=1.2).contains(&near), "K = {capacity}, {job} s: {near}");
        assert!(shed < 0.01, "K = {capacity}, {job} s: {shed}");
    }
}

/// The reference's rule, and the one before, fail where the chosen one is held to succeed: the loop can tell.
#[test]
fn the_loop_tells_rules_apart() {
    for name in ["reference", "Reno", "CUBIC", "former"] {
        let story = limited(50, 3600, 1);
        let outcome = live(&story, super::table::rule(name, story.start));
        let half = outcome.seconds.len() / 2;
        let (near, shed) = (outcome.mean_running(half) / 50.0, outcome.shed_share(half));
        assert!(shed > 0.03, "{name}: {near}, {shed}");
    }
}

#[test]
fn jobs_that_end_do_not_lower_it() {
    let story = Story { jobs: Some(200), places: 50, length: Duration::from_secs(600), ..Story::default() };
    let outcome = live(&story, Ceiling::new(story.start));
    assert!(outcome.done.is_some());
    assert!(outcome.seconds.iter().all(|second| second.limit >= story.start));
}
