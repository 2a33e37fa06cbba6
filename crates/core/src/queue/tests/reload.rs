//! The site's configuration was read anew.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Story, queued};
use super::*;
use crate::instance::Catalog;
use crate::policy::Policy;
use crate::queue::exchange::{ExchangeEffect, ExchangeFact};
use crate::time::after;

/// Only that type is left.
fn with_only(name: &str) -> Policy {
    let mut policy = policy();
    policy.catalog = Catalog::new([crate::instance::InstanceType::clone(policy.catalog.get(name).unwrap())]);
    policy
}

/// The names of the types of each container.
fn types(story: &mut Story) -> Vec<Vec<String>> {
    let snapshot = story.exchange.snapshot();
    let names = |entry: &Arc<Entry>| entry.types().iter().map(|it| it.name.to_string()).collect();
    snapshot.entries.iter().map(names).collect()
}

fn reload(story: &mut Story, policy: Policy) {
    let effects = story.exchange.use_policy(Arc::new(policy), story.now);
    story.did(effects);
}

#[test]
fn containers_get_the_types_that_fit_now_and_the_scheduler_looks_again() {
    let mut story = Story::polled((1..=3).map(queued).collect());
    assert_eq!(types(&mut story)[0][0], "small");
    reload(&mut story, with_only("big"));
    assert_eq!(types(&mut story), vec![vec!["big"]; 3]);
    assert_eq!(story.nudges(), 1);
    assert!(story.calls().is_empty(), "their mounts are known");
    reload(&mut story, with_only("big.spot"));
    assert_eq!(types(&mut story), vec![Vec::<String>::new(); 3], "they do not want the spot market");
}

/// A cancel cannot be taken back, and a file that was cut can be mended.
#[test]
fn a_container_that_no_type_suits_since_a_reload_is_spared_for_five_minutes() {
    let mut story = Story::polled(vec![queued(1)]);
    reload(&mut story, with_only("big.spot"));
    let told = |story: &Story| {
        story.told(|fact| matches!(fact, ExchangeFact::NoTypeSinceReload { containers: 1, .. }))
    };
    assert_eq!(told(&story), 1);
    let cancel = || {
        let reason = CancelReason::NoSuitableType("no type".to_owned());
        OperationKind::Cancel { reason, expected: queued(1).standing() }
    };
    assert_eq!(story.begin(1, cancel()), Err(QueueRefusal::Spared));
    story.now = after(story.now, SPARED_FOR / 2);
    story.poll();
    story.answer_all();
    assert!(story.exchange.snapshot().entries[0].spared_until.is_some());
    story.now = after(story.now, SPARED_FOR / 2);
    story.poll();
    story.answer_all();
    assert!(story.exchange.snapshot().entries[0].spared_until.is_none());
    assert_eq!(story.begin(1, cancel()), Ok(()));
}

#[test]
fn many_are_sized_a_piece_at_a_time_and_all_are_in_the_end() {
    let mut story = Story::polled((1..=5).map(queued).collect());
    let mut policy = with_only("big");
    policy.pieces.entries = 2;
    reload(&mut story, policy);
    let mut turns = 0;
    while story.done.contains(&ExchangeEffect::GoOn) {
        story.done.clear();
        let effects = story.exchange.go_on(story.now);
        story.did(effects);
        turns += 1;
    }
    assert_eq!(turns, 2);
    assert_eq!(types(&mut story), vec![vec!["big"]; 5]);
}

#[test]
fn the_next_poll_comes_no_later_than_the_new_interval_says_and_nothing_else_changes_without_need() {
    let mut story = Story::polled(vec![queued(1)]);
    let interval = policy().poll_interval;
    reload(&mut story, Policy { poll_interval: 10 * interval, ..policy() });
    assert_eq!((story.next_poll(), story.nudges()), (None, 0), "it stays as it was");
    reload(&mut story, Policy { poll_interval: Duration::from_secs(1), ..policy() });
    assert_eq!(story.next_poll(), Some(Duration::from_secs(1)));
}

/// SIGHUP with a file that lacks a type, SIGHUP again with the right one: what has not been sent must not be cancelled.
#[test]
fn cancels_that_a_mended_configuration_makes_wrong_are_not_sent() {
    use crate::container::ContainerState;
    use crate::queue::exchange::Request;
    let mut story = Story::polled((1..=200).map(queued).collect());
    reload(&mut story, with_only("big.spot"));
    story.now = after(story.now, SPARED_FOR);
    story.poll();
    story.answer_all();
    story.done.clear();
    let why = || CancelReason::NoSuitableType("no type".to_owned());
    for n in 1..=200 {
        let standing = queued(n).standing();
        story.begin(n, OperationKind::Cancel { reason: why(), expected: standing }).unwrap();
    }
    let sent_before = story.calls.len();
    assert!(sent_before < 200, "{sent_before} are sent at once: the rest waits in the line");
    reload(&mut story, policy());
    assert_eq!(types(&mut story)[199][0], "small", "the last one fits again");
    let mut cancelled = std::collections::BTreeSet::new();
    while let Some((_, request)) = story.calls.first().cloned() {
        if let Request::Cancel(uuid, _) = request {
            cancelled.insert(uuid);
            story
                .records
                .iter_mut()
                .filter(|it| it.uuid == uuid)
                .for_each(|it| it.state = ContainerState::Cancelled);
        }
        let reply = story.reply(&request);
        story.answer(reply);
    }
    assert!(
        cancelled.len() <= sent_before,
        "{} were cancelled, {sent_before} were sent before the mend",
        cancelled.len()
    );
}

/// The same, if the second SIGHUP comes while the plan is being made that has decided it.
#[test]
fn a_cancel_that_was_planned_before_the_configuration_was_mended_is_refused() {
    let mut story = Story::polled(vec![queued(1)]);
    reload(&mut story, with_only("big.spot"));
    assert!(types(&mut story)[0].is_empty(), "a plan of this picture cancels it");
    reload(&mut story, policy());
    let reason = CancelReason::NoSuitableType("no type".to_owned());
    let begun = story.begin(1, OperationKind::Cancel { reason, expected: queued(1).standing() });
    assert_eq!(begun, Err(QueueRefusal::Spared), "{:?} was sent, although it fits", story.calls());
}
