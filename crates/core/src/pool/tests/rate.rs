//! How soon each of many workers is asked (docs/lessons.md, "Lesson 30").

use std::time::Duration;

use super::*;
use crate::time::after;

/// A restart with that many VMs: whom Pool has asked within the first seconds.
fn asked_within(story: &mut Story, workers: usize, seconds: i64) -> usize {
    for n in 0..workers {
        story.listed(&format!("i-{n}"), "small", "of an earlier dispatcher", 0);
    }
    let (mut now, mut asked) = (at(0), BTreeSet::new());
    while now < at(seconds) {
        for effect in story.pool.tick(now) {
            if let PoolEffect::Command(id, _, Command::Probe) = effect {
                asked.insert(id);
            }
        }
        let soon = after(now, Duration::from_millis(1));
        now = story.pool.wakes_at(now).map_or(at(seconds), |at| at.max(soon));
    }
    asked.len()
}

#[test]
fn a_thousand_workers_are_all_asked_within_an_interval() {
    assert_eq!(asked_within(&mut Story::new(), 1000, 10), 1000);
}

#[test]
fn few_workers_are_asked_at_ten_a_second_at_the_most() {
    assert_eq!(asked_within(&mut Story::new(), 30, 1), 10);
    assert_eq!(asked_within(&mut Story::new(), 30, 3), 30);
}

#[test]
fn a_site_that_sets_a_rate_gets_it_whatever_its_size() {
    let mut policy = policy();
    policy.max_probes_per_second = Some(4);
    assert_eq!(asked_within(&mut Story::with(policy), 1000, 10), 40);
}
