//! In a closed loop with a controller that serves so many: near that many run, and hardly a call is shed.

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

fn settles(capacity: u32, job: u64) {
    let (near, shed) = second_half(capacity, &[1, 2, 3, 4].map(|seed| limited(capacity, job, seed)));
    assert!((0.8..=1.2).contains(&near), "K = {capacity}, {job} s: {near}");
    assert!(shed < 0.01, "K = {capacity}, {job} s: {shed}");
}

#[test]
fn it_settles_near_five() {
    settles(5, 5);
    settles(5, 60);
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

#[test]
fn how_often_the_queue_is_polled_does_not_matter() {
    for poll in [3, 30] {
        let poll = std::time::Duration::from_secs(poll);
        let stories = [1, 2, 3, 4].map(|seed| Story { poll, ..limited(50, 60, seed) });
        let (near, shed) = second_half(50, &stories);
        assert!((0.8..=1.2).contains(&near) && shed < 0.01, "{poll:?}: {near}, {shed}");
    }
}

/// A burst of a minute every half hour is two thirds of a per cent of all calls, whatever the ceiling does.
#[test]
fn bursts_do_not_unsettle_it() {
    for (capacity, job) in [(5, 5), (5, 60), (50, 60), (500, 60)] {
        let stories = [1, 2, 3, 4].map(|seed| limited_with_bursts(capacity, job, seed));
        let (near, shed) = second_half(capacity, &stories);
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
    let story = Story {
        jobs: Some(200),
        places: 50,
        length: std::time::Duration::from_secs(600),
        ..Story::default()
    };
    let outcome = live(&story, Ceiling::new(story.start));
    assert!(outcome.done.is_some());
    assert!(outcome.seconds.iter().all(|second| second.limit >= story.start));
}
