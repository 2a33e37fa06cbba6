//! Calls about container requests: late, lost, wrong, refused, and answered in any order.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::Story;
use super::market::{REQUESTS, is_on_demand, lose, reload, retries, spot, story};
use super::*;
use crate::container::ContainerState::{Cancelled, Complete, Locked, Queued, Running};
use crate::fixtures::{api_error, record, request};
use crate::id::TypeName;
use crate::ports::ApiErrorKind;
use crate::queue::exchange::{ExchangeFact, Reply, Request};
use crate::time::after;

fn is_sized(story: &mut Story, n: u64) -> bool {
    let snapshot = story.exchange.snapshot();
    snapshot.get(uuid(n)).is_some_and(|entry| !entry.types().is_empty())
}

fn later(story: &mut Story, seconds: u64) {
    story.now = after(story.now, Duration::from_secs(seconds));
}

/// A poll, in which all calls but those are answered.
fn poll_without(story: &mut Story, unanswered: &[&str]) {
    later(story, 10);
    let effects = story.exchange.requests_are_due(story.now);
    story.did(effects);
    story.poll();
    answer_but(story, unanswered);
}

fn answer_but(story: &mut Story, unanswered: &[&str]) {
    while let Some(at) = story.calls().iter().position(|it| !unanswered.contains(it)) {
        let call = story.calls.remove(at);
        story.calls.insert(0, call);
        let reply = story.reply(&story.calls[0].1);
        story.answer(reply);
    }
}

fn answer_named(story: &mut Story, name: &str, reply: Option<Reply>) {
    let at = story.calls().iter().position(|it| *it == name).expect("it was asked");
    let call = story.calls.remove(at);
    story.calls.insert(0, call);
    let reply = reply.unwrap_or_else(|| story.reply(&story.calls[0].1));
    story.answer(reply);
}

fn timeout() -> Reply {
    Reply::Requests(Err(api_error(ApiErrorKind::Timeout)))
}

/// crunch-run is told by SIGTERM that its VM ends: it cancels the container itself, a minute before listings lack the VM.
#[test]
fn a_loss_that_is_told_after_the_successor_was_sized_counts_for_that() {
    let mut story = story(1, vec![spot(1, Running)]);
    story.records = vec![spot(1, Cancelled), spot(2, Queued)];
    poll_without(&mut story, &[]);
    assert!(!is_on_demand(&mut story, 2));
    lose(&mut story, 1);
    assert!(is_on_demand(&mut story, 2), "its request has lost one");
}

#[test]
fn calls_that_hang_take_no_places_of_others_when_a_thousand_containers_are_new() {
    let mut story = story(1, vec![]);
    story.records = (1..=1_000).map(|n| spot(n, Queued)).collect();
    poll_without(&mut story, &[REQUESTS]);
    let hanging = story.calls().len();
    let polled = story.exchange.last_success();
    story.records.push(record(5_000, Queued, 9));
    poll_without(&mut story, &[REQUESTS]);
    assert!(story.exchange.last_success() > polled, "no poll: {hanging} calls hang");
    assert!(is_sized(&mut story, 5_000));
}

#[test]
fn calls_that_hang_take_no_places_of_others_after_a_reload() {
    let mut story = story(0, (1..=1_000).map(|n| spot(n, Queued)).collect());
    reload(&mut story, retries(1));
    for n in 0..25 {
        let polled = story.exchange.last_success();
        poll_without(&mut story, &[REQUESTS]);
        let hanging = story.calls().len();
        assert!(story.exchange.last_success() > polled, "poll {n} is not made: {hanging} calls hang");
    }
}

#[test]
fn one_whose_requests_end_in_a_timeout_keeps_no_others_from_being_known() {
    let mut story = story(1, vec![]);
    story.records = (1..=3).map(|n| spot(n, Queued)).collect();
    for _ in 0..120 {
        later(&mut story, 10);
        story.poll();
        while let Some((_, call)) = story.calls.first().cloned() {
            let reply = match &call {
                Request::RequestsOf(uuids) if uuids.contains(&uuid(1)) => timeout(),
                other => story.reply(other),
            };
            story.answer(reply);
        }
    }
    lose(&mut story, 3);
    story.records.push(spot(4, Queued));
    poll_without(&mut story, &[]);
    assert!(is_on_demand(&mut story, 4), "the request of 3 was never asked for again");
}

#[test]
fn who_is_sized_late_after_a_failed_answer_is_asked_for_again() {
    let mut story = story(1, vec![spot(1, Running)]);
    lose(&mut story, 1);
    story.records = vec![spot(1, Cancelled), spot(2, Queued)];
    poll_without(&mut story, &["mounts", REQUESTS]);
    answer_named(&mut story, REQUESTS, Some(timeout()));
    // A poll, while the answer about mounts is late.
    poll_without(&mut story, &["mounts"]);
    answer_named(&mut story, "mounts", None);
    for _ in 0..10 {
        poll_without(&mut story, &[]);
    }
    assert!(is_on_demand(&mut story, 2), "its request is asked for no more");
}

#[test]
fn who_is_sized_late_after_a_reload_is_asked_for() {
    let mut story = story(0, vec![spot(1, Running)]);
    story.records = vec![spot(1, Running), spot(2, Queued)];
    poll_without(&mut story, &["mounts"]);
    reload(&mut story, retries(1));
    for _ in 0..2 {
        poll_without(&mut story, &["mounts"]);
    }
    answer_named(&mut story, "mounts", None);
    for _ in 0..10 {
        poll_without(&mut story, &[]);
    }
    lose(&mut story, 2);
    story.records.push(spot(3, Queued));
    poll_without(&mut story, &[]);
    assert!(is_on_demand(&mut story, 3), "the request of 2 is asked for no more");
}

/// One page of a hundred.
fn paged_poll(story: &mut Story, open: &str, asked: &mut Vec<(String, usize)>) {
    later(story, 10);
    story.poll();
    while let Some((_, call)) = story.calls.first().cloned() {
        let mut reply = story.reply(&call);
        if let (Request::List(ListQuestion::Available { .. }), Reply::Page(Ok(page))) = (&call, &mut reply) {
            page.items.truncate(100);
        }
        let of = match &call {
            Request::Mounts(uuids) | Request::RequestsOf(uuids) => uuids.len(),
            _ => 0,
        };
        asked.push((call.name().to_owned(), of));
        story.answer(reply);
    }
    while story.done.contains(&crate::queue::exchange::ExchangeEffect::GoOn) {
        story.done.clear();
        let effects = story.exchange.go_on(story.now);
        story.did(effects);
        while let Some((_, call)) = story.calls.first().cloned() {
            let of = match &call {
                Request::Mounts(uuids) | Request::RequestsOf(uuids) => uuids.len(),
                _ => 0,
            };
            asked.push((call.name().to_owned(), of));
            let reply = story.reply(&call);
            story.answer(reply);
        }
    }
    let snapshot = story.exchange.snapshot();
    let is_placed = |entry: &Entry| entry.types().iter().any(|it| it.name.as_str() == open);
    let unplaced = snapshot.entries.iter().filter(|entry| !is_placed(entry));
    let openings = Openings {
        creatable: [TypeName::new(open).unwrap()].into(),
        supervisors: true,
        unplaced: unplaced.map(|entry| entry.record.uuid).collect(),
        ..Openings::default()
    };
    let effects = story.exchange.set_openings(Some(Arc::new(openings)), story.now);
    story.did(effects);
}

#[test]
fn one_loss_somewhere_makes_few_of_them_be_looked_at() {
    let without = polls_until_seen_after(0, 120, 0);
    let with = polls_until_seen_after(1, 120, 1);
    assert_eq!(with.0, without.0, "polls until seen, mounts asked, requests asked: {without:?} {with:?}");
}

fn polls_until_seen_after(most: u32, polls: usize, lost: u64) -> (Option<usize>, usize, usize) {
    let mut story = story(most, vec![]);
    story.records = (1..=4_000).map(|n| spot(n, Queued)).chain([record(9_999, Queued, 1)]).collect();
    for n in 0..lost {
        lose(&mut story, 70_000 + n);
    }
    let (mut seen, mut asked) = (None, Vec::new());
    for n in 0..polls {
        paged_poll(&mut story, "small", &mut asked);
        if seen.is_none() && story.exchange.snapshot().get(uuid(9_999)).is_some() {
            seen = Some(n + 1);
        }
    }
    let of = |name: &str| asked.iter().filter(|it| it.0 == name).map(|it| it.1).sum::<usize>();
    (seen, of("mounts"), of(REQUESTS))
}

#[test]
fn what_waits_for_a_full_spot_market_hides_nothing_and_is_not_asked_for_again_and_again() {
    let without = polls_until_seen_after(0, 120, 0);
    let with = polls_until_seen_after(1, 120, 0);
    assert_eq!(with.0, without.0, "polls until seen, mounts asked, requests asked: {without:?} {with:?}");
}

#[test]
fn what_was_lost_before_the_requests_were_known_counts_for_them() {
    let mut story = story(0, vec![spot(1, Locked)]);
    reload(&mut story, retries(2));
    poll_without(&mut story, &[REQUESTS]);
    lose(&mut story, 1);
    answer_but(&mut story, &[]);
    story.records = vec![spot(1, Running)];
    poll_without(&mut story, &[]);
    lose(&mut story, 1);
    story.records = vec![spot(1, Cancelled), spot(2, Queued)];
    poll_without(&mut story, &[]);
    assert!(is_on_demand(&mut story, 2), "the market has taken two");
}

#[test]
fn a_loss_is_forgotten_after_a_week_although_nothing_else_is_lost() {
    let mut story = story(1, vec![spot(1, Running)]);
    lose(&mut story, 1);
    later(&mut story, 30 * 24 * 3600);
    story.records = vec![spot(1, Cancelled), spot(2, Queued)];
    poll_without(&mut story, &[]);
    assert!(!is_on_demand(&mut story, 2), "a month ago");
}

#[test]
fn a_reload_that_does_not_want_it_any_more_sizes_those_that_wait_for_it() {
    let mut story = story(1, vec![]);
    story.records = vec![spot(1, Queued)];
    poll_without(&mut story, &[REQUESTS]);
    reload(&mut story, retries(0));
    poll_without(&mut story, &[REQUESTS]);
    assert!(is_sized(&mut story, 1));
}

#[test]
fn one_that_runs_is_sized_without_waiting() {
    let mut story = story(1, vec![]);
    story.records = vec![spot(1, Running)];
    poll_without(&mut story, &[REQUESTS]);
    assert!(is_sized(&mut story, 1), "else its VM counts as full, until the deadline of the call");
}

#[test]
fn one_that_wants_to_be_on_demand_now_waits_for_no_requests() {
    let mut story = story(1, vec![]);
    story.records = vec![spot(1, Queued)];
    poll_without(&mut story, &[REQUESTS]);
    story.records = vec![record(1, Queued, 1)];
    for _ in 0..3 {
        poll_without(&mut story, &[REQUESTS]);
    }
    assert!(is_sized(&mut story, 1));
}

#[test]
fn a_request_that_is_told_twice_has_lost_once() {
    let mut story = story(2, vec![]);
    story.records = vec![spot(1, Queued)];
    poll_without(&mut story, &[REQUESTS]);
    let items = vec![(uuid(1), request(1)), (uuid(1), request(1))];
    answer_named(&mut story, REQUESTS, Some(Reply::Requests(Ok(Page { items, undecodable: Vec::new() }))));
    lose(&mut story, 1);
    assert!(!is_on_demand(&mut story, 1));
}

#[test]
fn a_reload_that_moves_a_container_tells_it() {
    let mut story = story(0, vec![spot(1, Running), spot(2, Queued)]);
    lose(&mut story, 2);
    story.done.clear();
    reload(&mut story, retries(1));
    assert!(is_on_demand(&mut story, 2));
    let told = story.told(|fact| matches!(fact, ExchangeFact::Queue(QueueFact::MovedOnDemand { .. })));
    assert_eq!(told, 1);
}

/// A controller that refuses this one call for its load.
#[test]
fn a_controller_that_sheds_this_call_is_asked_more_and_more_rarely() {
    let mut story = story(1, vec![]);
    story.records = vec![spot(1, Queued)];
    let mut refused = 0;
    for _ in 0..360 {
        later(&mut story, 10);
        story.poll();
        while let Some((_, call)) = story.calls.first().cloned() {
            let reply = match &call {
                Request::RequestsOf(_) => {
                    refused += 1;
                    Reply::Requests(Err(api_error(ApiErrorKind::Overloaded)))
                }
                other => story.reply(other),
            };
            story.answer(reply);
            let effects = story.exchange.resume(story.now);
            story.did(effects);
        }
    }
    let overload = story.exchange.last_overload();
    assert!(
        refused < 30,
        "{refused} in an hour; the last overload was at {overload:?}, now it is {}",
        story.now
    );
}

/// The horizon and back: it is told and counted each time.
#[test]
fn one_that_is_moved_and_comes_again_is_told_once() {
    let mut story = story(1, vec![spot(1, Running)]);
    lose(&mut story, 1);
    story.records = vec![spot(1, Cancelled), spot(2, Queued)];
    story.done.clear();
    poll_without(&mut story, &[]);
    for n in 0..4 {
        story.records = vec![Record { priority: 0, ..spot(2, Queued) }];
        poll_without(&mut story, &[]);
        let effects = story.exchange.forget(uuid(2));
        story.did(effects);
        later(&mut story, 10 * n);
        story.records = vec![spot(2, Queued)];
        poll_without(&mut story, &[]);
    }
    let told = story.told(|fact| matches!(fact, ExchangeFact::Queue(QueueFact::MovedOnDemand { .. })));
    assert_eq!(told, 1);
}

/// A job runs on the market while the site reloads.
#[test]
fn one_that_runs_on_the_market_is_not_said_to_be_placed_on_demand() {
    let mut story = story(0, vec![spot(1, Locked)]);
    lose(&mut story, 1);
    story.records = vec![spot(1, Running)];
    poll_without(&mut story, &[]);
    reload(&mut story, retries(1));
    let snapshot = story.exchange.snapshot();
    assert!(!snapshot.get(uuid(1)).unwrap().is_moved_on_demand(), "it runs where it runs");
}

#[test]
fn nobody_waits_longer_than_ten_seconds_while_each_answer_takes_nine() {
    let mut story = story(1, vec![]);
    story.records = (1..=500).map(|n| spot(n, Queued)).collect();
    poll_without(&mut story, &[REQUESTS]);
    for _ in 0..2 {
        later(&mut story, 9);
        answer_named(&mut story, REQUESTS, None);
        let effects = story.exchange.requests_are_due(story.now);
        story.did(effects);
    }
    let waiting = (1..=500).filter(|n| !is_sized(&mut story, *n)).count();
    assert_eq!(waiting, 0, "wait after 18 s, and the last of them for 90 s");
}

/// As one that ends in a timeout, but no answer comes at all.
#[test]
fn one_whose_requests_are_never_answered_keeps_no_others_from_being_known() {
    let mut story = story(1, vec![]);
    story.records = (1..=3).map(|n| spot(n, Queued)).collect();
    for _ in 0..360 {
        later(&mut story, 10);
        let effects = story.exchange.requests_are_due(story.now);
        story.did(effects);
        story.poll();
        let hangs = |call: &Request| matches!(call, Request::RequestsOf(uuids) if uuids.contains(&uuid(1)));
        while let Some(at) = story.calls.iter().position(|(_, call)| !hangs(call)) {
            let call = story.calls.remove(at);
            story.calls.insert(0, call);
            let reply = story.reply(&story.calls[0].1);
            story.answer(reply);
        }
    }
    story.calls.clear();
    lose(&mut story, 3);
    story.records.push(spot(4, Queued));
    for _ in 0..8 {
        poll_without(&mut story, &[]);
    }
    assert!(is_on_demand(&mut story, 4), "in an hour the request of 3 was never read");
}

/// While the controller is left alone for a minute, whoever is new is placed on the market although its request has lost enough.
#[test]
fn after_a_refusal_for_load_new_ones_are_asked_for() {
    let mut story = story(1, vec![spot(1, Running)]);
    lose(&mut story, 1);
    story.records = vec![spot(1, Cancelled), spot(2, Queued)];
    poll_without(&mut story, &[REQUESTS]);
    answer_named(&mut story, REQUESTS, Some(Reply::Requests(Err(api_error(ApiErrorKind::Overloaded)))));
    for _ in 0..7 {
        poll_without(&mut story, &[]);
        let effects = story.exchange.resume(story.now);
        story.did(effects);
    }
    answer_but(&mut story, &[]);
    assert!(is_on_demand(&mut story, 2));
}

/// The dispatcher's token may not read requests.
#[test]
fn a_site_that_refuses_all_is_not_asked_about_each_container_three_times() {
    let mut story = story(1, vec![]);
    story.records = (1..=1_000).map(|n| spot(n, Queued)).collect();
    let mut calls = Vec::new();
    for _ in 0..6 {
        later(&mut story, 10);
        story.poll();
        let mut now = 0;
        while let Some((_, call)) = story.calls.first().cloned() {
            let reply = match &call {
                Request::RequestsOf(_) => {
                    now += 1;
                    Reply::Requests(Err(api_error(ApiErrorKind::Forbidden)))
                }
                other => story.reply(other),
            };
            story.answer(reply);
        }
        calls.push(now);
    }
    assert!(calls.iter().sum::<usize>() < 100, "calls after each poll: {calls:?}");
}

/// One of fifty spoils the answer: the others are placed on the market although their request has lost enough.
#[test]
fn who_spoils_an_answer_does_not_have_others_sized_without() {
    let mut story = story(1, vec![spot(1, Running)]);
    lose(&mut story, 1);
    story.records = (1..=10).map(|n| spot(n, if n == 1 { Cancelled } else { Queued })).collect();
    later(&mut story, 10);
    story.poll();
    while let Some((_, call)) = story.calls.first().cloned() {
        let reply = match &call {
            Request::RequestsOf(uuids) if uuids.contains(&uuid(5)) => {
                Reply::Requests(Err(api_error(ApiErrorKind::Server)))
            }
            other => story.reply(other),
        };
        story.answer(reply);
    }
    let wrong: Vec<_> = (2..=10).filter(|n| *n != 5 && !is_on_demand(&mut story, *n)).collect();
    assert!(wrong.is_empty(), "on the market until a later poll: {wrong:?}");
}

/// As after any failed answer; the failure is one of its own record.
#[test]
fn who_is_sized_late_after_its_own_failed_answer_is_asked_for_again() {
    let mut story = story(1, vec![spot(1, Running)]);
    lose(&mut story, 1);
    story.records = vec![spot(1, Cancelled), spot(2, Queued)];
    poll_without(&mut story, &["mounts", REQUESTS]);
    answer_named(&mut story, REQUESTS, Some(Reply::Requests(Err(api_error(ApiErrorKind::Server)))));
    poll_without(&mut story, &["mounts"]);
    answer_named(&mut story, "mounts", None);
    for _ in 0..20 {
        poll_without(&mut story, &[]);
    }
    assert!(is_on_demand(&mut story, 2), "its request is asked for no more");
}

/// What runs there is told to end when its instance is shut down, and says so: the instance is empty when it goes.
#[test]
fn a_process_that_cancels_its_container_after_a_notice_is_a_loss_and_is_counted_once() {
    let running = || Record { preemption_notice: Some("in two minutes".to_owned()), ..spot(1, Running) };
    let mut story = story(1, vec![spot(1, Running)]);
    story.records = vec![running()];
    poll_without(&mut story, &[]);
    // The controller sets its priority to 0 when another container is tried for the request.
    let cancelled = Record { state: Cancelled, priority: 0, ..running() };
    story.records = vec![cancelled, spot(2, Queued)];
    poll_without(&mut story, &[]);
    assert!(is_on_demand(&mut story, 2));
    lose(&mut story, 1);
    let told = |fact: &ExchangeFact| matches!(fact, ExchangeFact::Queue(QueueFact::LostToMarket { .. }));
    assert_eq!(story.told(told), 1, "Pool has seen it go, too");
}

#[test]
fn who_has_ended_otherwise_has_lost_nothing_to_the_market() {
    let notice = || Some("in two minutes".to_owned());
    for (before, after) in [
        // Without a notice; ended well; not wanted any more.
        (spot(1, Running), spot(1, Cancelled)),
        (Record { preemption_notice: notice(), ..spot(1, Running) }, spot(1, Complete)),
        (Record { preemption_notice: notice(), priority: 0, ..spot(1, Running) }, spot(1, Cancelled)),
    ] {
        let is_well = after.state == Complete;
        let mut story = story(1, vec![before]);
        story.records = vec![after, spot(2, Queued)];
        poll_without(&mut story, &[]);
        assert!(!is_on_demand(&mut story, 2));
        if is_well {
            lose(&mut story, 1);
            assert!(!is_on_demand(&mut story, 2), "its instance has gone after its end");
        }
    }
}
