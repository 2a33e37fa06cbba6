//! The exchange with a controller that is played by hand.

use std::time::Duration;

use super::*;
use crate::container::ContainerState::{Locked, Queued};
use crate::fixtures::{api_error, record};
use crate::ports::ApiErrorKind;
use crate::queue::exchange::{CallNumber, Exchange, ExchangeEffect, ExchangeFact, Reply, Request};
use crate::time::after;

/// An exchange, its clock, and a controller that has these records.
struct Story {
    exchange: Exchange,
    now: Timestamp,
    records: Vec<Record>,
    /// Calls that nobody has answered yet.
    calls: Vec<(CallNumber, Request)>,
    done: Vec<ExchangeEffect>,
}

impl Story {
    /// Nothing is polled yet.
    fn new(records: Vec<Record>) -> Self {
        let exchange = Exchange::new(Arc::new(policy()));
        Self { exchange, now: at(0), records, calls: Vec::new(), done: Vec::new() }
    }

    /// Polled once, and all containers are sized.
    fn polled(records: Vec<Record>) -> Self {
        let mut story = Self::new(records);
        story.poll();
        story.answer_all();
        story.done.clear();
        story
    }

    fn did(&mut self, effects: Vec<ExchangeEffect>) {
        for effect in effects {
            if let ExchangeEffect::Call(number, request) = &effect {
                self.calls.push((*number, request.clone()));
            }
            self.done.push(effect);
        }
    }

    fn poll(&mut self) {
        let effects = self.exchange.poll_is_due(self.now);
        self.did(effects);
    }

    fn begin(&mut self, n: u64, kind: OperationKind) -> Result<(), QueueRefusal> {
        let effects = self.exchange.begin(uuid(n), kind, self.now)?;
        self.did(effects);
        Ok(())
    }

    fn read_orphan(&mut self, n: u64) {
        let effects = self.exchange.read_orphan(uuid(n), self.now);
        self.did(effects);
    }

    /// Answers the first call that waits for an answer.
    fn answer(&mut self, reply: Reply) {
        let (number, _) = self.calls.remove(0);
        let effects = self.exchange.answered(number, reply, self.now);
        self.did(effects);
    }

    /// As a controller without faults does.
    fn answer_all(&mut self) {
        while let Some((_, request)) = self.calls.first().cloned() {
            let reply = self.reply(&request);
            self.answer(reply);
        }
    }

    fn reply(&self, request: &Request) -> Reply {
        let known = |uuid: &ContainerUuid| self.records.iter().find(|it| it.uuid == *uuid).cloned();
        let missing = || api_error(ApiErrorKind::NotFound);
        match request {
            Request::CurrentToken => Reply::Token(Ok(me())),
            Request::List(question) => Reply::Page(Ok(server_answer(&self.records, question))),
            Request::Mounts(uuids) => {
                let items = uuids.iter().map(|uuid| (*uuid, MountNeeds::default())).collect();
                Reply::Mounts(Ok(Page { items, undecodable: Vec::new() }))
            }
            Request::Read(uuid) => Reply::Record(known(uuid).ok_or_else(missing)),
            Request::Lock(uuid) | Request::Unlock(uuid) | Request::Cancel(uuid, _) => {
                Reply::Standing(known(uuid).map(|it| it.standing()).ok_or_else(missing))
            }
        }
    }

    /// The names of the calls that wait for an answer.
    fn calls(&self) -> Vec<&'static str> {
        self.calls.iter().map(|(_, request)| request.name()).collect()
    }

    fn nudges(&self) -> usize {
        self.done.iter().filter(|effect| **effect == ExchangeEffect::Changed).count()
    }

    fn next_poll(&self) -> Option<Duration> {
        self.done.iter().rev().find_map(|effect| match effect {
            ExchangeEffect::PollIn(wait) => Some(*wait),
            ExchangeEffect::Call(..)
            | ExchangeEffect::ResumeIn(_)
            | ExchangeEffect::Changed
            | ExchangeEffect::Tell(_) => None,
        })
    }

    fn told(&self, wanted: impl Fn(&ExchangeFact) -> bool) -> usize {
        let is_wanted =
            |effect: &&ExchangeEffect| matches!(effect, ExchangeEffect::Tell(fact) if wanted(fact));
        self.done.iter().filter(is_wanted).count()
    }

    fn set_back(&mut self) -> Vec<ContainerUuid> {
        let snapshot = self.exchange.snapshot();
        let set_back = snapshot.entries.iter().filter(|entry| entry.is_set_back());
        set_back.map(|entry| entry.record.uuid).collect()
    }
}

fn queued(n: u64) -> Record {
    record(n, Queued, 1)
}

// ------------------------------------------------------------------ polls

#[test]
fn the_first_poll_asks_who_we_are_and_its_end_sizes_what_is_new() {
    let mut story = Story::new(vec![queued(1)]);
    story.poll();
    assert_eq!(story.calls(), ["current"]);
    story.answer(Reply::Token(Ok(me())));
    assert_eq!(story.calls(), ["list_mine"]);
    story.answer_all();
    assert_eq!(story.exchange.snapshot().entries.len(), 1);
    assert_eq!(story.told(|fact| matches!(fact, ExchangeFact::Queue(QueueFact::Added(_)))), 1);
    assert_eq!(story.next_poll(), Some(policy().poll_interval));
}

#[test]
fn polls_do_not_overlap() {
    let mut story = Story::new(vec![]);
    story.poll();
    story.poll();
    assert_eq!(story.calls(), ["current"]);
}

#[test]
fn the_next_poll_comes_no_sooner_than_the_last_one_took() {
    let mut story = Story::polled(vec![]);
    story.poll();
    story.now = after(story.now, 3 * policy().poll_interval);
    story.answer_all();
    assert_eq!(story.next_poll(), Some(3 * policy().poll_interval));
}

#[test]
fn a_failed_poll_changes_nothing_and_the_end_of_failing_is_told_once() {
    let mut story = Story::polled(vec![queued(1)]);
    for kind in [ApiErrorKind::Timeout, ApiErrorKind::Connection] {
        story.poll();
        story.answer(Reply::Page(Err(api_error(kind))));
    }
    assert_eq!((story.exchange.snapshot().entries.len(), story.nudges()), (1, 0));
    story.now = after(story.now, Duration::from_secs(5));
    for _ in 0..2 {
        story.poll();
        story.answer_all();
    }
    let lasted = Duration::from_secs(5);
    let kinds = ["connection", "timeout"].into();
    assert_eq!(
        story.told(|fact| *fact == ExchangeFact::PollRecovered { lasted, kinds: Clone::clone(&kinds) }),
        1
    );
}

// ------------------------------------------------------------------ mounts

#[test]
fn an_answer_about_mounts_that_fails_because_of_one_record_is_asked_for_one_by_one() {
    let mut story = Story::new(vec![queued(1), queued(2)]);
    story.poll();
    let mut asked = 0;
    while let Some((_, request)) = story.calls.first().cloned() {
        let reply = match &request {
            Request::Mounts(uuids) if uuids.contains(&uuid(1)) => {
                Reply::Mounts(Err(api_error(ApiErrorKind::Server)))
            }
            other => story.reply(other),
        };
        asked += usize::from(request.name() == "mounts");
        story.answer(reply);
    }
    assert_eq!((asked, story.set_back()), (3, vec![uuid(1)]));
}

#[test]
fn a_container_that_the_answer_lacks_is_not_asked_for_again_before_the_next_poll() {
    let mut story = Story::new(vec![queued(1)]);
    story.poll();
    while story.calls() != ["mounts"] {
        let reply = story.reply(&story.calls[0].1);
        story.answer(reply);
    }
    story.answer(Reply::Mounts(Ok(Page { items: Vec::new(), undecodable: Vec::new() })));
    assert_eq!((story.calls().len(), story.set_back()), (0, vec![uuid(1)]));
    story.now = at(10);
    story.poll();
    story.answer_all();
    assert_eq!(story.set_back(), []);
}

// ------------------------------------------------------------------ the line

#[test]
fn eight_calls_are_in_flight_and_the_others_wait_for_their_turn() {
    let mut story = Story::polled((1..=20).map(queued).collect());
    for n in 1..=20 {
        story.begin(n, OperationKind::Lock).unwrap();
    }
    assert_eq!((story.calls.len(), story.exchange.unfinished_calls()), (8, 20));
    let standing = record(1, Locked, 1).standing();
    story.answer(Reply::Standing(Ok(standing)));
    assert_eq!(story.calls.len(), 9, "its place, and one that was earned");
}

#[test]
fn after_a_503_nothing_is_sent_for_a_second_and_then_what_waits_goes_on() {
    let mut story = Story::polled((1..=20).map(queued).collect());
    for n in 1..=20 {
        story.begin(n, OperationKind::Lock).unwrap();
    }
    for _ in 0..8 {
        story.answer(Reply::Standing(Err(api_error(ApiErrorKind::Overloaded))));
    }
    assert_eq!(story.calls.len(), 0);
    assert_eq!(story.exchange.last_overload(), Some(story.now));
    assert_eq!(story.done.last(), Some(&ExchangeEffect::ResumeIn(Duration::from_secs(1))));
    assert_eq!(story.told(|fact| *fact == ExchangeFact::Overloaded { limit: 4 }), 8);
    story.now = after(story.now, Duration::from_secs(1));
    let effects = story.exchange.resume(story.now);
    story.did(effects);
    assert_eq!(story.calls.len(), 4, "half as many");
}

#[test]
fn told_to_stop_it_begins_nothing_and_no_chain_goes_on() {
    let mut story = Story::polled(vec![queued(1), queued(2)]);
    story.begin(1, OperationKind::Lock).unwrap();
    story.exchange.quiesce();
    assert_eq!(story.begin(2, OperationKind::Lock), Err(QueueRefusal::Busy));
    story.read_orphan(7);
    story.answer(Reply::Standing(Err(api_error(ApiErrorKind::Timeout))));
    story.poll();
    assert_eq!((story.calls().len(), story.exchange.unfinished_calls()), (0, 0));
}

// ------------------------------------------------------------------ orphans

#[test]
fn the_record_of_an_orphan_is_read_once_and_a_failed_read_is_no_news_until_the_next_poll() {
    let mut story = Story::polled(vec![]);
    for _ in 0..2 {
        story.read_orphan(7);
    }
    assert_eq!(story.calls(), ["get"]);
    story.answer(Reply::Record(Err(api_error(ApiErrorKind::Connection))));
    story.read_orphan(7);
    assert_eq!((story.calls().len(), story.nudges()), (0, 0));
    story.poll();
    story.answer_all();
    story.done.clear();
    story.read_orphan(7);
    story.answer_all();
    assert_eq!((story.exchange.snapshot().looked[&uuid(7)], story.nudges()), (LookOutcome::Absent, 1));
}

#[test]
fn the_state_shows_what_is_in_flight_since_when() {
    let mut story = Story::polled(vec![queued(1)]);
    story.begin(1, OperationKind::Lock).unwrap();
    let state = serde_json::to_value(story.exchange.inspect(story.now)).unwrap();
    assert_eq!(state["calls"]["in_flight"][0]["call"], "lock");
    assert_eq!(state["calls"]["in_flight"][0]["since"], story.now.to_string());
    assert_eq!(state["queue"]["entries"][0]["record"]["uuid"], uuid(1).as_str());
    assert!(state["queue"]["entries"][0]["operation"].is_object());
}
