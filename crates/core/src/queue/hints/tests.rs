use super::*;
use crate::container::ContainerState::{Cancelled, Complete, Locked, Queued, Running};
use crate::fixtures::{at, uuid};

fn ms(now: i64, millis: u64) -> Timestamp {
    after(at(now), Duration::from_millis(millis))
}

/// A controller in peace, and a poll that may be made in an hour.
fn peace() -> HintContext {
    HintContext { last_overload: None, poll_from: Some(at(3600)) }
}

fn have(state: ContainerState) -> Option<Believed> {
    Some(Believed { state, is_changing: false })
}

fn known(ns: impl IntoIterator<Item = u64>) -> HintStep {
    HintStep::Ask(Hinted::Known(ns.into_iter().map(uuid).collect()))
}

const AVAILABLE: HintStep = HintStep::Ask(Hinted::Available { again: false });
const AVAILABLE_AGAIN: HintStep = HintStep::Ask(Hinted::Available { again: true });

/// Gives that answer to the question of that step.
fn answer(hints: &mut Hints, step: &HintStep, is_news: bool, now: Timestamp) {
    let HintStep::Ask(question) = step else { panic!("{step:?} is no question") };
    hints.answered(question, |_| is_news, now);
}

#[test]
fn what_a_hint_makes_us_ask() {
    for (told, have, step) in [
        // Not ours, as far as we know.
        (Some(Queued), None, Some(AVAILABLE)),
        (None, None, Some(AVAILABLE)),
        (Some(Locked), None, None),
        (Some(Running), None, None),
        (Some(Complete), None, None),
        // No news, or the echo of what we do.
        (Some(Locked), have(Locked), None),
        (Some(Locked), Some(Believed { state: Queued, is_changing: true }), None),
        (Some(Queued), Some(Believed { state: Locked, is_changing: true }), None),
        // A user was faster than our call.
        (Some(Cancelled), Some(Believed { state: Queued, is_changing: true }), Some(known([1]))),
        // News at once.
        (Some(Cancelled), have(Running), Some(known([1]))),
        (Some(Queued), have(Locked), Some(known([1]))),
        (Some(Locked), have(Queued), Some(known([1]))),
        (None, have(Running), Some(known([1]))),
    ] {
        let mut hints = Hints::default();
        hints.container(uuid(1), told, have, at(0));
        let wait = if step.is_some() { HintStep::Wait(ms(0, 50)) } else { HintStep::Nothing };
        assert_eq!(hints.next(peace(), at(0)), wait, "{told:?} {have:?}");
        assert_eq!(hints.next(peace(), ms(0, 50)), step.unwrap_or(HintStep::Nothing), "{told:?} {have:?}");
    }
}

/// A job of three seconds would cause two questions otherwise, and nothing that we do depends on them.
#[test]
fn what_is_expected_goes_with_the_next_question_or_waits_two_seconds() {
    // Its record may say, while it runs, that the cloud will take its VM.
    for (state, told) in [(Locked, Running), (Locked, Complete), (Running, Complete), (Running, Running)] {
        let mut hints = Hints::default();
        hints.container(uuid(1), Some(told), have(state), at(0));
        assert_eq!(hints.next(peace(), at(1)), HintStep::Wait(at(2)));
        hints.container(uuid(2), Some(Cancelled), have(Running), at(1));
        assert_eq!(hints.next(peace(), ms(1, 50)), known([2, 1]));
    }
}

#[test]
fn one_question_at_a_time_two_a_second_and_twenty_containers_in_one() {
    let mut hints = Hints::default();
    (0..50).for_each(|n| hints.container(uuid(n), None, have(Running), at(0)));
    let first = hints.next(peace(), ms(0, 50));
    assert_eq!(first, known(0..20));
    assert_eq!(hints.next(peace(), at(9)), HintStep::Nothing, "it is not answered");
    answer(&mut hints, &first, true, ms(0, 60));
    assert_eq!(hints.next(peace(), ms(0, 60)), HintStep::Wait(ms(0, 550)));
    assert_eq!(hints.next(peace(), ms(0, 550)), known(20..40));
}

#[test]
fn available_is_asked_in_its_turn() {
    let mut hints = Hints::default();
    hints.container(uuid(1), None, have(Running), at(0));
    hints.requests(ms(0, 10));
    let first = hints.next(peace(), at(1));
    assert_eq!(first, known([1]));
    answer(&mut hints, &first, true, at(1));
    assert_eq!(hints.next(peace(), at(2)), AVAILABLE);
}

/// A replica may lag. After that the poll tells.
#[test]
fn what_shows_nothing_new_is_asked_once_more_after_a_second() {
    let mut hints = Hints::default();
    hints.container(uuid(1), None, have(Running), at(0));
    let first = hints.next(peace(), at(1));
    answer(&mut hints, &first, false, at(1));
    assert_eq!(hints.next(peace(), at(1)), HintStep::Wait(at(2)));
    // Not sooner because another is asked for.
    hints.container(uuid(2), None, have(Running), at(1));
    let other = hints.next(peace(), ms(1, 500));
    assert_eq!(other, known([2]));
    answer(&mut hints, &other, true, ms(1, 500));
    let second = hints.next(peace(), at(2));
    assert_eq!(second, known([1]));
    answer(&mut hints, &second, false, at(2));
    assert_eq!(hints.next(peace(), at(9)), HintStep::Nothing);

    hints.requests(at(10));
    let first = hints.next(peace(), at(11));
    assert_eq!(first, AVAILABLE);
    answer(&mut hints, &first, false, at(11));
    let second = hints.next(peace(), at(12));
    assert_eq!(second, AVAILABLE_AGAIN);
    answer(&mut hints, &second, false, at(12));
    assert_eq!(hints.next(peace(), at(20)), HintStep::Nothing);
}

#[test]
fn what_is_hinted_at_while_it_is_asked_is_asked_anew() {
    let mut hints = Hints::default();
    hints.container(uuid(1), None, have(Running), at(0));
    let first = hints.next(peace(), at(1));
    hints.container(uuid(1), None, have(Running), at(2));
    hints.requests(at(2));
    answer(&mut hints, &first, true, at(3));
    let second = hints.next(peace(), at(3));
    assert!([known([1]), AVAILABLE].contains(&second), "{second:?}");
    answer(&mut hints, &second, true, at(3));
    assert_ne!(hints.next(peace(), at(4)), HintStep::Nothing);
}

#[test]
fn a_poll_fulfils_the_wishes_that_are_older_than_it() {
    let mut hints = Hints::default();
    hints.container(uuid(1), None, have(Running), at(0));
    hints.container(uuid(2), None, have(Running), at(5));
    hints.requests(at(0));
    hints.everything(at(0));
    hints.polled(at(3));
    assert_eq!(hints.waiting(), 1);
    assert_eq!(hints.next(peace(), at(6)), known([2]));
    // A replica may not have shown to the poll what was hinted at a moment before.
    let mut hints = Hints::default();
    hints.container(uuid(1), None, have(Running), at(0));
    hints.everything(at(0));
    hints.polled(ms(0, 20));
    assert_eq!(hints.next(peace(), at(1)), known([1]));
}

/// Ten thousand events a second of as many containers: memory is bounded, and polls are no more than without a feed.
#[test]
fn a_flood_becomes_one_poll_in_each_interval() {
    let mut hints = Hints::default();
    let (mut polls, mut questions, mut last_poll) = (0, 0, at(0));
    for n in 0..100_000 {
        let now = ms(0, n / 10);
        hints.container(uuid(n), None, have(Running), now);
        assert!(hints.waiting() <= MOST_WISHES + 2);
        let context = HintContext { last_overload: None, poll_from: Some(after(last_poll, EXPECTED)) };
        match hints.next(context, now) {
            HintStep::Poll => {
                (polls, last_poll) = (polls + 1, now);
                hints.polled(now);
            }
            step @ HintStep::Ask(_) => {
                questions += 1;
                answer(&mut hints, &step, false, now);
            }
            HintStep::Wait(_) | HintStep::Nothing => {}
        }
    }
    assert!(polls <= 5 && questions <= 21, "{polls} polls of ten seconds, {questions} questions");
}

#[test]
fn a_connection_brings_the_poll_forward_and_so_does_its_loss() {
    let mut hints = Hints::default();
    assert!(hints.connected(true, at(0)));
    let from = |second| HintContext { last_overload: None, poll_from: Some(at(second)) };
    assert_eq!(hints.next(from(0), ms(0, 50)), HintStep::Poll);
    assert_eq!(hints.next(from(7), at(1)), HintStep::Wait(at(7)), "an interval after the last");
    assert_eq!(hints.next(HintContext { last_overload: None, poll_from: None }, at(9)), HintStep::Nothing);
    hints.polled(at(8));
    assert!(hints.connected(false, at(9)) && !hints.connected(false, at(10)));
    assert_eq!(hints.next(from(9), at(10)), HintStep::Poll);
}

#[test]
fn nothing_is_asked_for_ten_seconds_after_the_controller_has_shed_load() {
    let mut hints = Hints::default();
    hints.requests(at(0));
    let context = HintContext { last_overload: Some(at(0)), ..peace() };
    assert_eq!(hints.next(context, at(1)), HintStep::Wait(at(10)));
    assert_eq!(hints.next(context, at(10)), AVAILABLE);
}

/// With a wrong token the feed is connected and silent.
#[test]
fn polls_are_rare_only_while_the_feed_tells_something() {
    let interval = |hints: &Hints, second| hints.poll_interval(Duration::from_secs(10), at(second)).as_secs();
    let mut hints = Hints::default();
    hints.connected(true, at(0));
    assert_eq!(interval(&hints, 1), 10);
    hints.requests(at(1));
    assert_eq!((interval(&hints, 2), interval(&hints, 300), interval(&hints, 301)), (30, 30, 10));
    hints.requests(at(400));
    hints.connected(false, at(401));
    assert_eq!(interval(&hints, 402), 10);
}

#[test]
fn the_rarest_interval_is_a_minute_or_what_the_site_wishes() {
    for (interval, rarest) in [(1, 3), (10, 30), (20, 60), (30, 60), (90, 90)] {
        assert_eq!(rarest_poll_interval(Duration::from_secs(interval)), Duration::from_secs(rarest));
    }
}
