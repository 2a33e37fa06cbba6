//! In a closed loop with 503s that have nothing to do with the load.

use std::time::Duration;

use super::Ceiling;
use super::closed_loop::{Burst, Outcome, Story, live};
use super::rules::Reference;
use super::table::burst;

fn outcomes(story: impl Fn(u64) -> Story) -> Vec<Outcome> {
    (101..=110).map(story).map(|story| live(&story, Ceiling::new(story.start))).collect()
}

/// The reference was measured: 256 s, 54 s undisturbed. The goal is 130 s.
#[test]
fn a_hundred_jobs_and_a_minute_of_503s_take_less_than_130_seconds() {
    let hundred = |seed| burst(seed, Some(100), 5);
    for outcome in outcomes(hundred) {
        assert!(outcome.done.unwrap() < 130.0, "{:?}", outcome.done);
    }
    let undisturbed = live(&Story { bursts: vec![], ..hundred(1) }, Ceiling::new(64));
    assert!((50.0..60.0).contains(&undisturbed.done.unwrap()), "{:?}", undisturbed.done);
}

#[test]
fn no_more_calls_are_shed_than_under_the_references_rule() {
    let hundred = |seed| burst(seed, Some(100), 5);
    let ours: f64 = outcomes(hundred).iter().map(Outcome::shed).sum();
    let reference = |seed| live(&hundred(seed), Reference { limit: 64, last: None }).shed();
    let theirs: f64 = (101..=110).map(reference).sum();
    assert!(ours <= theirs, "{ours} and {theirs}");
}

/// Nothing was proven before the burst, ten seconds after the start: nine tenths come back first.
#[test]
fn full_width_is_back_within_a_minute() {
    for job in [5, 60] {
        let outcomes = outcomes(|seed| burst(seed, None, job));
        let waits: Vec<_> = outcomes.iter().map(|it| it.wide_again(70, 10).unwrap()).collect();
        assert!(waits.iter().all(|it| *it <= 60), "{job}: {waits:?}");
        assert!(outcomes.iter().all(|it| it.wide_again(70, 9).unwrap() <= 30));
    }
}

/// Nothing ends and nothing could start in the meantime: it costs nothing.
#[test]
fn with_jobs_of_an_hour_full_width_is_back_before_it_is_needed() {
    for outcome in outcomes(|seed| burst(seed, None, 3600)) {
        assert!(outcome.wide_again(70, 10).unwrap() <= 200);
        assert_eq!(outcome.seconds.last().unwrap().running, 10);
    }
}

/// The burst comes after ten minutes in which ten ran.
#[test]
fn full_width_that_was_proven_is_back_within_25_seconds() {
    let late = |seed| Story {
        bursts: vec![Burst { from: 600_000, until: 660_000, rate: 0.2 }],
        ..burst(seed, None, 5)
    };
    for outcome in outcomes(late) {
        let wide = outcome.wide_again(660, 10).unwrap();
        assert!(wide <= 25, "{wide}");
    }
}

/// Most often after two and a half: the wait is longer when one of the lulls in it was long enough for an approach.
#[test]
fn after_ten_minutes_of_503s_full_width_is_back_within_a_quarter_of_an_hour() {
    let long = |seed| Story {
        places: 100,
        bursts: vec![Burst { from: 600_000, until: 1_200_000, rate: 0.2 }],
        length: Duration::from_secs(3000),
        ..burst(seed, None, 5)
    };
    let mut waits: Vec<_> = outcomes(long).iter().map(|it| it.wide_again(1200, 90).unwrap()).collect();
    waits.sort_unstable();
    assert!(waits[5] <= 180 && waits[9] <= 900, "{waits:?}");
}
