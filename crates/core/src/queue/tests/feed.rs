//! Hints and their answers, with a controller that is played by hand.

use std::time::Duration;

use super::exchange::{Story, queued};
use super::*;
use crate::container::ContainerState::{Cancelled, Complete, Locked, Queued, Running};
use crate::fixtures::{api_error, record};
use crate::ports::{ApiErrorKind, Hint};
use crate::queue::exchange::{ExchangeEffect, ExchangeFact, Reply, Request};
use crate::time::after;

impl Story {
    fn hear(&mut self, hint: Hint) {
        let effects = self.exchange.hear([hint], self.now);
        self.did(effects);
    }

    fn hear_of(&mut self, n: u64, state: ContainerState) {
        self.hear(Hint::Container { uuid: uuid(n), state: Some(state) });
    }

    /// That much later hints are due.
    fn hints_are_due_in(&mut self, millis: u64) {
        self.now = after(self.now, Duration::from_millis(millis));
        let effects = self.exchange.hints_are_due(self.now);
        self.did(effects);
    }

    /// Answers the call that was made last, of that name, before those that have waited longer.
    fn answer_last(&mut self, name: &str) {
        let (number, request) = self.calls.pop().unwrap();
        assert_eq!(request.name(), name);
        let reply = self.reply(&request);
        let effects = self.exchange.answered(number, reply, self.now);
        self.did(effects);
    }

    fn state(&mut self, n: u64) -> Option<ContainerState> {
        self.exchange.snapshot().get(uuid(n)).map(|entry| entry.record.state)
    }

    fn date(&mut self, n: u64) -> Option<Timestamp> {
        let snapshot = self.exchange.snapshot();
        snapshot.position(uuid(n)).and_then(|at| snapshot.asked_at(at))
    }
}

fn polled(mut records: Vec<Record>) -> Story {
    records.iter_mut().filter(|it| it.state != Queued).for_each(|it| it.locked_by = Some(me()));
    Story::polled(records)
}

#[test]
fn a_new_container_is_in_the_queue_and_sized_by_two_calls() {
    let mut story = polled(vec![]);
    story.records.push(queued(1));
    story.hear_of(1, Queued);
    assert_eq!(story.calls(), [""; 0], "hints are collected");
    assert!(story.done.contains(&ExchangeEffect::HintsIn(Duration::from_millis(50))));
    story.hints_are_due_in(50);
    assert_eq!(story.calls(), ["list_available"]);
    story.answer_all();
    assert_eq!(story.told(|fact| matches!(fact, ExchangeFact::Queue(QueueFact::Added(_)))), 1);
    assert_eq!((story.state(1), story.nudges()), (Some(Queued), 2));
}

#[test]
fn an_answer_dates_the_containers_that_it_shows_and_no_others() {
    let mut story = polled(vec![record(1, Running, 1), record(2, Running, 1)]);
    let before = story.date(2);
    story.records[0].state = Cancelled;
    story.hear_of(1, Cancelled);
    story.hints_are_due_in(50);
    assert_eq!(story.calls(), ["list_known"]);
    let asked = story.now;
    story.now = after(asked, Duration::from_secs(3));
    story.answer_all();
    assert_eq!((story.state(1), story.date(1), story.date(2)), (Some(Cancelled), Some(asked), before));
}

/// A feed may lie, and so may a replica that lags.
#[test]
fn what_an_answer_does_not_show_is_neither_dropped_nor_doubted() {
    let mut story = polled(vec![record(1, Running, 1), record(2, Locked, 1), queued(3)]);
    let before = story.exchange.snapshot();
    let records = std::mem::take(&mut story.records);
    for (n, told) in [(1, Cancelled), (2, Cancelled), (3, Locked), (4, Queued)] {
        story.hear_of(n, told);
    }
    for _ in 0..8 {
        story.hints_are_due_in(1_000);
        story.answer_all();
    }
    assert_eq!(story.exchange.snapshot(), before);
    assert_eq!(story.told(|_| true), 0);
    story.records = records;
}

#[test]
fn a_false_hint_changes_nothing() {
    let mut story = polled(vec![record(1, Running, 1)]);
    let before = story.exchange.snapshot();
    story.hear_of(1, Complete);
    for _ in 0..8 {
        story.hints_are_due_in(1_000);
        story.answer_all();
    }
    let after = story.exchange.snapshot();
    assert_eq!((&after.entries, story.nudges()), (&before.entries, 0));
}

/// The poll's page was asked for before, and comes after the answer that has ended the container.
#[test]
fn an_older_poll_in_flight_does_not_bring_back_what_a_newer_answer_has_ended() {
    for is_forgotten in [false, true] {
        let mut story = polled(vec![record(1, Running, 1)]);
        story.hear_of(1, Cancelled);
        let old = story.records.clone();
        story.now = after(story.now, Duration::from_secs(1));
        story.poll();
        assert_eq!(story.calls(), ["list_mine"]);
        story.records[0].state = Cancelled;
        story.hints_are_due_in(50);
        story.answer_last("list_known");
        assert_eq!(story.state(1), Some(Cancelled));
        if is_forgotten {
            let effects = story.exchange.forget(uuid(1));
            story.did(effects);
        }
        story.records = old;
        story.answer_all();
        assert_eq!(story.state(1), (!is_forgotten).then_some(Cancelled), "forgotten: {is_forgotten}");
    }
}

/// The same the other way round: the hinted question was asked first, and a poll has overtaken its answer.
#[test]
fn an_older_answer_does_not_bring_back_what_a_newer_poll_has_ended() {
    let mut story = polled(vec![queued(1)]);
    story.hear(Hint::Requests);
    story.hints_are_due_in(50);
    let (number, request) = story.calls.pop().unwrap();
    let old = story.reply(&request);
    story.records[0] = record(1, Complete, 0);
    story.now = after(story.now, Duration::from_secs(1));
    story.poll();
    story.answer_all();
    assert_eq!(story.state(1), Some(Complete));
    for is_forgotten in [false, true] {
        if is_forgotten {
            let effects = story.exchange.forget(uuid(1));
            story.did(effects);
            story.poll();
            story.answer_all();
        }
        let effects = story.exchange.answered(number, old.clone(), story.now);
        story.did(effects);
        assert_ne!(story.state(1), Some(Queued));
    }
}

/// The poll's question was asked before the answer that shows them, and its page, which lacks them, comes after it.
#[test]
fn an_older_page_neither_drops_nor_doubts_what_a_newer_answer_has_shown() {
    let mut story = polled(vec![record(1, Running, 1), queued(2)]);
    let records = std::mem::take(&mut story.records);
    story.now = after(story.now, Duration::from_secs(10));
    story.poll();
    while story.calls() != ["list_known"] {
        story.answer(Reply::Page(Ok(page(vec![]))));
    }
    story.records = records;
    story.hear_of(1, Cancelled);
    story.hear_of(2, Cancelled);
    story.hints_are_due_in(50);
    story.answer_last("list_known");
    let before = story.exchange.snapshot();
    assert_eq!(story.date(2), Some(story.now));
    story.answer(Reply::Page(Ok(page(vec![]))));
    assert_eq!(story.told(|_| true), 0);
    assert_eq!(story.exchange.snapshot().entries, before.entries);
}

/// The same for a waiting container that is far down the line: the pages of the poll are short of it.
#[test]
fn a_poll_that_began_before_does_not_let_fall_off_what_a_newer_answer_has_shown() {
    for is_shown_later in [true, false] {
        let mut story = polled(vec![queued(1)]);
        story.now = after(story.now, Duration::from_secs(10));
        story.poll();
        if is_shown_later {
            story.hear_of(1, Cancelled);
            story.hints_are_due_in(50);
            story.answer_last("list_known");
        }
        story.records = (2..=130).map(queued).collect();
        story.answer_all();
        assert_eq!(story.state(1), is_shown_later.then_some(Queued));
    }
}

/// The container was deleted before the poll began, and the question is older still.
#[test]
fn an_older_answer_does_not_add_what_a_newer_poll_has_not_shown() {
    for was_known in [true, false] {
        let mut story = polled(if was_known { vec![queued(1)] } else { vec![] });
        story.hear_of(1, if was_known { Cancelled } else { Queued });
        story.hints_are_due_in(50);
        let (number, request) = story.calls.pop().unwrap();
        story.records = vec![queued(1)];
        let old = story.reply(&request);
        story.records.clear();
        story.now = after(story.now, Duration::from_secs(1));
        story.poll();
        story.answer_all();
        assert_eq!(story.state(1), None);
        let effects = story.exchange.answered(number, old, story.now);
        story.did(effects);
        assert_eq!(story.state(1), None, "{}", request.name());
    }
}

/// A replica that lags shows a container as waiting that has just been locked, and its process starts.
#[test]
fn an_answer_that_shows_as_waiting_what_is_held_is_left_to_the_poll() {
    for state in [Locked, Running] {
        let mut story = polled(vec![record(1, state, 1)]);
        story.records[0] = queued(1);
        story.hear_of(1, Queued);
        story.hear(Hint::Requests);
        for _ in 0..4 {
            story.hints_are_due_in(1_000);
            story.answer_all();
        }
        assert_eq!(story.state(1), Some(state));
        story.hints_are_due_in(10_000);
        assert_eq!(story.calls(), ["list_mine"], "brought forward");
        story.answer_all();
        assert_eq!(story.state(1), Some(Queued));
    }
}

/// Its lock was lost to another dispatcher, and a page that was asked for before shows it as waiting.
#[test]
fn an_older_page_does_not_bring_back_what_a_newer_answer_has_shown_as_anothers() {
    let mut story = polled(vec![queued(1)]);
    story.hear_of(1, Cancelled);
    story.now = after(story.now, Duration::from_secs(1));
    story.poll();
    story.answer(Reply::Page(Ok(page(vec![]))));
    assert_eq!(story.calls(), ["list_available"]);
    let old = story.records.clone();
    story.records[0] = record(1, Locked, 1);
    story.records[0].locked_by = Some("zzzzz-gj3su-anotherdispatch".parse().unwrap());
    story.hints_are_due_in(50);
    story.answer_last("list_known");
    assert_eq!(story.state(1), None);
    story.records = old;
    story.answer_all();
    assert_eq!(story.state(1), None);
}

#[test]
fn polls_are_not_rare_while_a_plan_waits_for_a_later_picture() {
    let openings = |awaits_picture| Some(Arc::new(Openings { awaits_picture, ..Openings::default() }));
    let mut story = polled(vec![]);
    story.hear(Hint::Connected);
    story.hear(Hint::Requests);
    for (awaits, seconds) in [(false, 30), (true, 10), (false, 30)] {
        let effects = story.exchange.set_openings(openings(awaits), story.now);
        let is_wanted = effects.iter().any(|it| matches!(it, ExchangeEffect::HintsIn(_)));
        assert!(is_wanted || !awaits, "the poll is brought forward");
        story.poll();
        story.answer_all();
        assert_eq!(story.next_poll().unwrap().as_secs(), seconds, "{awaits}");
    }
}

#[test]
fn a_container_with_a_call_under_way_is_left_to_its_answer() {
    let mut story = polled(vec![queued(1)]);
    story.begin(1, OperationKind::Lock).unwrap();
    story.hear(Hint::Requests);
    story.hints_are_due_in(50);
    story.records[0].priority = 7;
    story.answer_last("list_available");
    assert_eq!(story.exchange.snapshot().entries[0].record.priority, 1);
}

#[test]
fn a_question_that_fails_is_asked_once_more_and_then_left_to_the_poll() {
    let mut story = polled(vec![]);
    story.hear(Hint::Requests);
    for wait in [50, 1_000] {
        story.hints_are_due_in(wait);
        assert_eq!(story.calls(), ["list_available"]);
        story.answer(Reply::Page(Err(api_error(ApiErrorKind::Server))));
    }
    story.hints_are_due_in(5_000);
    assert_eq!((story.calls(), story.told(|_| true)), (vec![], 0));
}

#[test]
fn what_was_not_asked_for_is_not_believed() {
    let mut story = polled(vec![record(1, Running, 1), record(2, Running, 1)]);
    story.hear_of(1, Cancelled);
    story.hints_are_due_in(50);
    let (one, two) = (record(1, Running, 1), record(2, Cancelled, 1));
    story.answer(Reply::Page(Ok(page(vec![two, one]))));
    assert_eq!(story.state(2), Some(Running));

    story.hear(Hint::Requests);
    story.hints_are_due_in(1_000);
    let calls = story.calls();
    assert!(calls.contains(&"list_available"), "{calls:?}");
    story.calls.retain(|(_, request)| matches!(request, Request::List(ListQuestion::Available { .. })));
    let on_hold = Record { priority: 0, ..queued(4) };
    story.answer(Reply::Page(Ok(page(vec![record(3, Complete, 1), on_hold, record(2, Cancelled, 1)]))));
    assert_eq!((story.state(2), story.state(3), story.state(4)), (Some(Running), None, None));
}

#[test]
fn whole_polls_are_rarer_while_the_feed_tells_and_as_before_when_something_waits_for_one() {
    let rest = |story: &mut Story| {
        story.poll();
        story.answer_all();
        story.next_poll().unwrap().as_secs()
    };
    let mut story = polled(vec![queued(1)]);
    story.exchange.set_openings(Some(Arc::default()), story.now);
    story.hear(Hint::Connected);
    assert_eq!(rest(&mut story), 10, "it has told nothing");
    story.hear(Hint::Requests);
    assert_eq!(rest(&mut story), 30);
    // A lock fails, and so does the read after it: only a poll tells how it stands.
    story.done.clear();
    story.begin(1, OperationKind::Lock).unwrap();
    story.answer(Reply::Standing(Err(api_error(ApiErrorKind::Server))));
    story.answer(Reply::Record(Err(api_error(ApiErrorKind::Server))));
    let seconds = (0..=10).find(|_| {
        story.hints_are_due_in(1_000);
        let is_poll = story.calls() == ["list_mine"];
        story.answer_all();
        is_poll
    });
    assert_eq!(seconds, Some(9), "brought forward");
    assert_eq!(rest(&mut story), 10, "and its back-off is not over");
    story.hear(Hint::Lost { reason: "closed".to_owned() });
    assert_eq!(story.told(|fact| matches!(fact, ExchangeFact::FeedLost { .. })), 1);
}

/// A wrong token is not refused, and some sites do not log changes of containers.
#[test]
fn a_connected_feed_that_tells_nothing_while_containers_change_is_told_once() {
    let mut story = polled(vec![record(1, Locked, 1)]);
    story.hear(Hint::Connected);
    let mut told = Vec::new();
    for (minute, state) in [(1, Running), (6, Locked), (11, Running)] {
        story.now = at(60 * minute);
        story.records[0].state = state;
        story.poll();
        story.answer_all();
        told.push(story.told(|fact| *fact == ExchangeFact::FeedSilent));
    }
    assert_eq!(told, [0, 1, 1]);
}

#[test]
fn before_the_first_poll_and_after_the_stop_hints_cause_nothing() {
    let mut story = Story::new(vec![queued(1)]);
    story.hear(Hint::Connected);
    story.hear_of(1, Queued);
    story.hints_are_due_in(1_000);
    assert_eq!(story.calls(), [""; 0]);
    let mut story = polled(vec![]);
    story.exchange.quiesce();
    story.hear(Hint::Requests);
    story.hints_are_due_in(1_000);
    assert_eq!(story.calls(), [""; 0]);
}
