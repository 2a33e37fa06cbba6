//! What the spot market takes, and who goes on demand for that.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::exchange::Story;
use super::*;
use crate::container::ContainerState::{Cancelled, Complete, Locked, Queued, Running};
use crate::fixtures::{api_error, record, request};
use crate::instance::{Catalog, InstanceType, Market};
use crate::policy::Policy;
use crate::ports::ApiErrorKind;
use crate::queue::exchange::{ExchangeFact, Reply, Request};
use crate::time::after;

pub(super) const REQUESTS: &str = "container_requests";

pub(super) fn spot(n: u64, state: ContainerState) -> Record {
    let mut record = record(n, state, 1);
    record.scheduling.preemptible = true;
    record
}

pub(super) fn retries(most: u32) -> Policy {
    let mut policy = policy();
    policy.sizing.spot_retries = NonZeroU32::new(most);
    policy
}

/// Polled once.
pub(super) fn story(most: u32, records: Vec<Record>) -> Story {
    let mut story = Story::new(records);
    reload(&mut story, retries(most));
    story.poll();
    story.answer_all();
    story.done.clear();
    story
}

pub(super) fn reload(story: &mut Story, policy: Policy) {
    let effects = story.exchange.use_policy(Arc::new(policy), story.now);
    story.did(effects);
}

pub(super) fn lose(story: &mut Story, n: u64) {
    let effects = story.exchange.lost_to_market(&[uuid(n)], story.now);
    story.did(effects);
    let effects = story.exchange.go_on(story.now);
    story.did(effects);
}

/// A later poll shows these; its calls wait for their answers from the mounts on.
fn next_poll(story: &mut Story, records: Vec<Record>) {
    story.records = records;
    story.now = after(story.now, Duration::from_secs(10));
    story.poll();
    while story.calls().first().is_some_and(|call| call.starts_with("list")) {
        let reply = story.reply(&story.calls[0].1);
        story.answer(reply);
    }
}

fn names(story: &mut Story, n: u64) -> Vec<String> {
    let snapshot = story.exchange.snapshot();
    let entry = snapshot.get(uuid(n)).expect("it is in the queue");
    entry.types().iter().map(|it| it.name.to_string()).collect()
}

pub(super) fn is_on_demand(story: &mut Story, n: u64) -> bool {
    let names = names(story, n);
    assert!(!names.is_empty(), "it is sized");
    names.iter().all(|name| !name.ends_with(".spot"))
}

fn moved(story: &Story) -> usize {
    story.told(|fact| matches!(fact, ExchangeFact::Queue(QueueFact::MovedOnDemand { .. })))
}

/// Answers a call by name, wherever it stands in the line.
fn answer_first(story: &mut Story, name: &str) {
    let at = story.calls().iter().position(|it| *it == name).expect("it was asked");
    story.calls.swap(0, at);
    let reply = story.reply(&story.calls[0].1);
    story.answer(reply);
}

fn fail_first(story: &mut Story, name: &str, kind: ApiErrorKind) {
    let at = story.calls().iter().position(|it| *it == name).expect("it was asked");
    story.calls.swap(0, at);
    let error = Err(api_error(kind));
    story.answer(if name == REQUESTS { Reply::Requests(error) } else { panic!("{name}") });
}

#[test]
fn the_next_container_of_a_request_that_has_lost_enough_is_placed_on_demand() {
    for most in 1..=3 {
        let mut story = story(most, vec![spot(1, Running)]);
        for n in 1..=u64::from(most) {
            assert!(!is_on_demand(&mut story, n), "{n} of {most}");
            next_poll(&mut story, vec![spot(n, Running)]);
            lose(&mut story, n);
            assert!(!is_on_demand(&mut story, n), "it is over, and is not placed any more");
            next_poll(&mut story, vec![spot(n, Cancelled), spot(n + 1, Queued)]);
            story.answer_all();
        }
        assert!(is_on_demand(&mut story, u64::from(most) + 1), "after {most}");
        assert_eq!(moved(&story), 1);
        let entry = Arc::clone(story.exchange.snapshot().get(uuid(u64::from(most) + 1)).unwrap());
        assert!(entry.is_moved_on_demand() && entry.market_losses == most);
    }
}

#[test]
fn a_site_that_does_not_want_it_has_no_further_calls_and_keeps_to_the_market() {
    let mut story = story(0, vec![spot(1, Running)]);
    lose(&mut story, 1);
    next_poll(&mut story, vec![spot(1, Cancelled), spot(2, Queued)]);
    assert_eq!(story.calls(), ["mounts"]);
    story.answer_all();
    assert!(!is_on_demand(&mut story, 2));
    let told =
        |fact: &ExchangeFact| matches!(fact, ExchangeFact::Queue(QueueFact::LostToMarket { losses: 1, .. }));
    assert_eq!((story.told(told), moved(&story)), (1, 0), "it is told and counted all the same");
}

#[test]
fn only_those_who_want_the_market_are_asked_about() {
    let mut story = story(1, vec![record(1, Queued, 1)]);
    next_poll(&mut story, vec![record(1, Queued, 1), record(2, Queued, 1), spot(3, Queued)]);
    let asked = story.calls.iter().find_map(|(_, request)| match request {
        Request::RequestsOf(uuids) => Some(uuids.clone()),
        _ => None,
    });
    assert_eq!(asked, Some(vec![uuid(3)]));
    story.answer_all();
    next_poll(&mut story, vec![record(1, Queued, 1), record(2, Queued, 1), spot(3, Queued)]);
    assert_eq!(story.calls(), [""; 0], "they are known");
}

/// Else it would be placed on the market before it is known what that has taken.
#[test]
fn a_container_is_sized_when_both_answers_are_there_whichever_comes_first() {
    for order in [["mounts", REQUESTS], [REQUESTS, "mounts"]] {
        let mut story = story(1, vec![spot(1, Running)]);
        lose(&mut story, 1);
        story.done.clear();
        next_poll(&mut story, vec![spot(1, Cancelled), spot(2, Queued)]);
        for name in order {
            assert_eq!(names(&mut story, 2), [""; 0], "{order:?}");
            answer_first(&mut story, name);
        }
        assert!(is_on_demand(&mut story, 2), "{order:?}");
        let added = story.told(|fact| matches!(fact, ExchangeFact::Queue(QueueFact::Added(_))));
        assert_eq!((added, moved(&story)), (1, 1), "{order:?}");
        assert_eq!(story.calls(), [""; 0]);
    }
}

#[test]
fn what_cannot_be_read_stops_nobody_and_is_asked_for_again() {
    let mut story = story(1, vec![spot(1, Running)]);
    lose(&mut story, 1);
    next_poll(&mut story, vec![spot(1, Cancelled), spot(2, Queued)]);
    answer_first(&mut story, "mounts");
    fail_first(&mut story, REQUESTS, ApiErrorKind::Timeout);
    assert!(!is_on_demand(&mut story, 2), "as its user has said");
    assert_eq!(story.told(|fact| matches!(fact, ExchangeFact::RequestsUnread { .. })), 1);
    for _ in 0..5 {
        next_poll(&mut story, vec![spot(2, Queued), spot(3, Queued)]);
        assert!(!story.calls().contains(&REQUESTS), "the controller is left alone for a minute");
        story.answer_all();
        assert!(!is_on_demand(&mut story, 3), "and nobody waits for that");
    }
    next_poll(&mut story, vec![spot(2, Queued), spot(3, Queued)]);
    assert_eq!(story.calls(), [REQUESTS]);
    // As few as in the call that has failed, but all of them.
    story.answer_all();
    assert!(is_on_demand(&mut story, 2) && is_on_demand(&mut story, 3), "the request is the same");
    assert_eq!(moved(&story), 2);
}

/// The deadline of a call is minutes; a job does not wait for one that it does not need, nor does another call.
#[test]
fn a_call_that_is_not_answered_is_waited_for_ten_seconds_and_gives_its_place_back() {
    let mut story = story(1, vec![]);
    next_poll(&mut story, vec![spot(1, Queued)]);
    answer_first(&mut story, "mounts");
    let in_flight = |story: &Story| story.exchange.unfinished_calls();
    let before = in_flight(&story);
    let due = |story: &mut Story, seconds: u64| {
        story.now = after(story.now, Duration::from_secs(seconds));
        let effects = story.exchange.requests_are_due(story.now);
        story.did(effects);
    };
    due(&mut story, 9);
    assert_eq!((names(&mut story, 1).len(), in_flight(&story)), (0, before));
    due(&mut story, 1);
    assert!(!is_on_demand(&mut story, 1));
    assert_eq!(in_flight(&story), before - 1);
    lose(&mut story, 1);
    let sized = names(&mut story, 1);
    story.answer_all();
    assert_eq!(names(&mut story, 1), sized, "what is answered yet tells nobody");
    due(&mut story, 0);
    assert_eq!(story.told(|fact| matches!(fact, ExchangeFact::RequestsUnread { kind: "timeout", .. })), 1);
}

/// Those who wait for the next call, too.
#[test]
fn of_many_fifty_are_asked_for_at_a_time_and_all_are_sized_when_the_controller_does_not_answer() {
    for answers in [true, false] {
        let mut story = story(1, vec![]);
        let all = || (1..=120).map(|n| spot(n, Queued)).collect::<Vec<_>>();
        next_poll(&mut story, all());
        let mut asked = Vec::new();
        while let Some(at) = story.calls().iter().position(|it| answers || *it != REQUESTS) {
            story.calls.swap(0, at);
            if let Request::RequestsOf(uuids) = &story.calls[0].1 {
                asked.push(uuids.len());
            }
            let reply = story.reply(&story.calls[0].1);
            story.answer(reply);
        }
        story.now = after(story.now, Duration::from_secs(10));
        let effects = story.exchange.requests_are_due(story.now);
        story.did(effects);
        assert!((1..=120).all(|n| !is_on_demand(&mut story, n)), "all are sized");
        let expected: &[usize] = if answers { &[50, 50, 20] } else { &[] };
        assert_eq!(
            (asked.iter().sum::<usize>(), asked.len()),
            (expected.iter().sum(), expected.len()),
            "{asked:?}"
        );
        assert!(asked.iter().all(|n| *n <= 50));
    }
}

#[test]
fn who_is_not_told_is_asked_for_three_times_and_who_spoils_an_answer_spoils_no_others() {
    let mut story = story(1, vec![]);
    let records = || (1..=3).map(|n| spot(n, Queued)).collect::<Vec<_>>();
    let mut asked = Vec::new();
    for _ in 0..20 {
        next_poll(&mut story, records());
        while let Some((_, request)) = story.calls.first().cloned() {
            let reply = match &request {
                // The second of them spoils each answer that it is in.
                Request::RequestsOf(uuids) => {
                    asked.push(uuids.len());
                    let spoilt = uuids.contains(&uuid(2));
                    Reply::Requests(if spoilt {
                        Err(api_error(ApiErrorKind::Malformed))
                    } else {
                        Ok(Page::default())
                    })
                }
                other => story.reply(other),
            };
            story.answer(reply);
        }
    }
    assert_eq!(asked.iter().filter(|n| **n == 3).count(), 1, "{asked:?}");
    assert!(asked.len() <= 15, "{asked:?}");
    next_poll(&mut story, records());
    assert_eq!(story.calls(), [""; 0], "they are given up: {asked:?}");
    assert!((1..=3).all(|n| !is_on_demand(&mut story, n)));
    lose(&mut story, 2);
    assert!(is_on_demand(&mut story, 2), "what itself has lost counts");
}

#[test]
fn one_that_was_locked_for_an_instance_that_is_taken_goes_on_demand_itself() {
    let mut story = story(1, vec![spot(1, Locked)]);
    lose(&mut story, 1);
    assert!(is_on_demand(&mut story, 1));
    assert_eq!(moved(&story), 1);
    lose(&mut story, 1);
    assert_eq!(moved(&story), 1, "it is told once");
}

#[test]
fn where_no_on_demand_type_fits_it_stays_on_the_market() {
    let mut policy = retries(1);
    let types = policy.catalog.types().iter().filter(|it| it.preemptible);
    policy.catalog = Catalog::new(types.map(|it| InstanceType::clone(it)));
    let mut story = Story::new(vec![spot(1, Locked)]);
    reload(&mut story, policy);
    story.poll();
    story.answer_all();
    lose(&mut story, 1);
    assert!(!is_on_demand(&mut story, 1));
    assert_eq!(moved(&story), 0);
}

#[test]
fn a_reload_that_wants_it_asks_about_those_that_are_there_and_one_that_does_not_brings_them_back() {
    let mut story = story(0, vec![spot(1, Locked), spot(2, Queued)]);
    lose(&mut story, 1);
    reload(&mut story, retries(1));
    assert!(is_on_demand(&mut story, 1), "what it has lost is known");
    next_poll(&mut story, vec![spot(1, Locked), spot(2, Queued)]);
    assert_eq!(story.calls(), [REQUESTS]);
    story.answer_all();
    assert!(is_on_demand(&mut story, 2), "the request is the same: what was lost before counts for it");
    next_poll(&mut story, vec![spot(1, Locked), spot(2, Queued), spot(3, Queued)]);
    story.answer_all();
    assert!(is_on_demand(&mut story, 3));
    reload(&mut story, retries(0));
    assert!(!is_on_demand(&mut story, 1) && !is_on_demand(&mut story, 3));
}

#[test]
fn an_answer_about_others_than_those_asked_for_tells_nothing_of_them() {
    let mut story = story(1, vec![spot(1, Locked), spot(2, Queued)]);
    next_poll(&mut story, vec![spot(1, Locked), spot(2, Queued), spot(3, Queued)]);
    let at = story.calls().iter().position(|it| *it == REQUESTS).unwrap();
    story.calls.swap(0, at);
    let pairs = [(uuid(1), request(9)), (uuid(3), request(9)), (uuid(3), request(9))];
    story.answer(Reply::Requests(Ok(Page { items: pairs.to_vec(), undecodable: Vec::new() })));
    story.answer_all();
    lose(&mut story, 3);
    assert!(is_on_demand(&mut story, 3) && !is_on_demand(&mut story, 1), "the first is tried for another");
}

/// A container has ended while its requests were being asked for.
#[test]
fn what_has_ended_meanwhile_is_not_sized() {
    let mut story = story(1, vec![]);
    next_poll(&mut story, vec![spot(1, Queued)]);
    answer_first(&mut story, "mounts");
    let waiting = std::mem::take(&mut story.calls);
    story.records = vec![spot(1, Complete)];
    story.now = after(story.now, Duration::from_secs(10));
    story.poll();
    story.answer_all();
    story.calls = waiting;
    story.answer_all();
    assert_eq!(names(&mut story, 1), [""; 0]);
}

#[test]
fn losses_are_forgotten_after_a_week_and_never_fill_the_memory() {
    let mut story = story(1, vec![spot(1, Locked)]);
    lose(&mut story, 1);
    let week = Duration::from_secs(7 * 24 * 3600);
    for (days, expected) in [(6, true), (8, false)] {
        story.now = after(at(0), days * week / 7);
        // Only a further loss looks at the old ones.
        lose(&mut story, 1_000 + u64::from(days));
        next_poll(&mut story, vec![spot(1, Locked), spot(u64::from(days), Queued)]);
        story.answer_all();
        assert_eq!(is_on_demand(&mut story, u64::from(days)), expected, "after {days} days");
    }
    let many: Vec<_> = (2_000..30_000).map(uuid).collect();
    story.exchange.lost_to_market(&many, story.now);
    assert!(story.exchange.remembered_losses() <= 20_000);
}

/// Types of both markets and all sizes, a container, what it has lost, and how much of that is enough.
fn any_loss() -> impl Strategy<Value = (Vec<InstanceType>, Record, u32, u32)> {
    let one = (1..5_u64, proptest::bool::ANY, 1..5_u32);
    let types = proptest::collection::vec(one, 0..6).prop_map(|types| {
        let named = types.into_iter().enumerate().map(|(n, (vcpus, preemptible, price))| InstanceType {
            name: format!("t{n}").parse().unwrap(),
            vcpus,
            preemptible,
            price: crate::instance::Price::new(f64::from(price)).unwrap(),
            ..InstanceType::clone(policy().catalog.get("big").unwrap())
        });
        named.collect()
    });
    (types, 1..5_u64, proptest::bool::ANY, 0..4_u32, 0..4_u32).prop_map(
        |(types, vcpus, spot, lost, enough)| {
            let mut record = record(1, Queued, 1);
            record.runtime_constraints.vcpus = vcpus;
            record.scheduling.preemptible = spot;
            (types, record, lost, enough)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// The rule, read aloud: types of one market only; on demand instead of the spot market exactly if that has taken enough
    /// and something is large enough there.
    #[test]
    fn who_is_placed_on_which_market_is_as_the_rule_says((types, record, lost, enough) in any_loss()) {
        let mut policy = retries(enough);
        policy.catalog = Catalog::new(types.clone());
        let large_enough = |market: Market| {
            types.iter().any(|it| it.market() == market && it.vcpus >= record.runtime_constraints.vcpus)
        };
        let wants_spot = record.scheduling.preemptible;
        let goes = wants_spot && enough > 0 && lost >= enough && large_enough(Market::OnDemand);
        let expected = if wants_spot && !goes { Market::Spot } else { Market::OnDemand };
        let entry = Entry::sized(record.clone(), MountNeeds::default(), &policy, at(0)).after_losses(lost, &policy);
        prop_assert!(entry.types().iter().all(|it| it.market() == expected), "{:?}", entry.types());
        prop_assert_eq!(entry.types().is_empty(), !large_enough(expected));
        prop_assert_eq!(entry.is_moved_on_demand(), goes);
    }
}
