//! The exchange with a controller that is played by hand.

use std::time::Duration;

use super::*;
use crate::container::ContainerState::{Complete, Locked, Queued, Running};
use crate::container::Standing;
use crate::fixtures::{self, api_error, record};
use crate::ports::ApiErrorKind;
use crate::queue::exchange::{
    CallNumber, Exchange, ExchangeEffect, ExchangeFact, Reply, Request, SnapshotAnswer,
};
use crate::time::after;

/// An exchange, its clock, and a controller that has these records.
pub(super) struct Story {
    pub(super) exchange: Exchange,
    pub(super) now: Timestamp,
    pub(super) records: Vec<Record>,
    /// Calls that nobody has answered yet.
    pub(super) calls: Vec<(CallNumber, Request)>,
    pub(super) done: Vec<ExchangeEffect>,
}

impl Story {
    /// Nothing is polled yet.
    pub(super) fn new(records: Vec<Record>) -> Self {
        let exchange = Exchange::new(Arc::new(policy()));
        Self { exchange, now: at(0), records, calls: Vec::new(), done: Vec::new() }
    }

    /// Polled once, and all containers are sized.
    pub(super) fn polled(records: Vec<Record>) -> Self {
        let mut story = Self::new(records);
        story.poll();
        story.answer_all();
        story.done.clear();
        story
    }

    pub(super) fn did(&mut self, effects: Vec<ExchangeEffect>) {
        for effect in effects {
            if let ExchangeEffect::Call(number, request) = &effect {
                self.calls.push((*number, request.clone()));
            }
            self.done.push(effect);
        }
    }

    pub(super) fn poll(&mut self) {
        let effects = self.exchange.poll_is_due(self.now);
        self.did(effects);
    }

    pub(super) fn begin(&mut self, n: u64, kind: OperationKind) -> Result<(), QueueRefusal> {
        let effects = self.exchange.begin(uuid(n), kind, self.now)?;
        self.did(effects);
        Ok(())
    }

    fn read_orphan(&mut self, n: u64) {
        let effects = self.exchange.read_orphan(uuid(n), self.now);
        self.did(effects);
    }

    /// Answers the first call that waits for an answer.
    pub(super) fn answer(&mut self, reply: Reply) {
        let (number, _) = self.calls.remove(0);
        let effects = self.exchange.answered(number, reply, self.now);
        self.did(effects);
    }

    /// As a controller without faults does.
    pub(super) fn answer_all(&mut self) {
        while let Some((_, request)) = self.calls.first().cloned() {
            let reply = self.reply(&request);
            self.answer(reply);
        }
    }

    pub(super) fn reply(&self, request: &Request) -> Reply {
        let known = |uuid: &ContainerUuid| self.records.iter().find(|it| it.uuid == *uuid).cloned();
        let missing = || api_error(ApiErrorKind::NotFound);
        match request {
            Request::CurrentToken => Reply::Token(Ok(me())),
            Request::List(question) => Reply::Page(Ok(server_answer(&self.records, question))),
            Request::Mounts(uuids) => {
                let items = uuids.iter().map(|uuid| (*uuid, MountNeeds::default())).collect();
                Reply::Mounts(Ok(Page { items, undecodable: Vec::new() }))
            }
            // One request, for which all of these are tried.
            Request::RequestsOf(uuids) => {
                let items = uuids.iter().map(|uuid| (*uuid, fixtures::request(1))).collect();
                Reply::Requests(Ok(Page { items, undecodable: Vec::new() }))
            }
            Request::Read(uuid) => Reply::Record(known(uuid).ok_or_else(missing)),
            Request::Lock(uuid) | Request::Unlock(uuid) | Request::Cancel(uuid, _) => {
                Reply::Standing(known(uuid).map(|it| it.standing()).ok_or_else(missing))
            }
        }
    }

    /// The names of the calls that wait for an answer.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        self.calls.iter().map(|(_, request)| request.name()).collect()
    }

    pub(super) fn nudges(&self) -> usize {
        self.done.iter().filter(|effect| **effect == ExchangeEffect::Changed).count()
    }

    pub(super) fn next_poll(&self) -> Option<Duration> {
        self.done.iter().rev().find_map(|effect| match effect {
            ExchangeEffect::PollIn(wait) => Some(*wait),
            ExchangeEffect::Call(..)
            | ExchangeEffect::ResumeIn(_)
            | ExchangeEffect::HintsIn(_)
            | ExchangeEffect::RequestsIn(_)
            | ExchangeEffect::GoOn
            | ExchangeEffect::Copied(..)
            | ExchangeEffect::Changed
            | ExchangeEffect::Tell(_) => None,
        })
    }

    pub(super) fn told(&self, wanted: impl Fn(&ExchangeFact) -> bool) -> usize {
        let is_wanted =
            |effect: &&ExchangeEffect| matches!(effect, ExchangeEffect::Tell(fact) if wanted(fact));
        self.done.iter().filter(is_wanted).count()
    }

    fn set_back(&mut self) -> Vec<ContainerUuid> {
        let snapshot = self.exchange.snapshot();
        let set_back =
            snapshot.entries.iter().filter(|entry| entry.setback.as_ref().is_some_and(Setback::is_active));
        set_back.map(|entry| entry.record.uuid).collect()
    }
}

pub(super) fn queued(n: u64) -> Record {
    record(n, Queued, 1)
}

// ------------------------------------------------------------------ polls

/// The same after an unlock, and after an end that a hint has shown.
#[test]
fn what_a_replica_shows_of_the_time_before_an_unlock_or_an_end_is_not_believed() {
    for (millis, is_believed) in [(0, false), (999, false), (1_000, true)] {
        let locked = Record { locked_by: Some(me()), ..record(1, Locked, 1) };
        let mut story = Story::polled(vec![locked]);
        story.begin(1, OperationKind::Unlock(UnlockReason::PriorityZero)).unwrap();
        story.answer(Reply::Standing(Ok(queued(1).standing())));
        story.now = after(story.now, Duration::from_millis(millis));
        story.poll();
        story.answer_all();
        let shown = if is_believed { Locked } else { Queued };
        assert_eq!(story.exchange.snapshot().entries[0].record.state, shown, "after {millis} ms");

        let running = Record { locked_by: Some(me()), ..record(1, Running, 1) };
        let complete = Record { state: Complete, ..running.clone() };
        let mut story = Story::polled(vec![running.clone()]);
        story.records = vec![complete];
        story.now = after(story.now, Duration::from_secs(10));
        story.poll();
        story.answer_all();
        story.records = vec![running];
        story.now = after(story.now, Duration::from_millis(millis));
        story.poll();
        story.answer_all();
        let shown = if is_believed { Running } else { Complete };
        assert_eq!(story.exchange.snapshot().entries[0].record.state, shown, "after {millis} ms");
    }
}

/// A replica that lags shows as waiting what we have just locked.
#[test]
fn a_poll_soon_after_our_lock_that_shows_the_time_before_it_is_not_believed() {
    for (millis, is_believed) in [(0, false), (999, false), (1_000, true)] {
        let mut story = Story::polled(vec![queued(1)]);
        story.begin(1, OperationKind::Lock).unwrap();
        story.answer(Reply::Standing(Ok(record(1, Locked, 1).standing())));
        story.now = after(story.now, Duration::from_millis(millis));
        story.poll();
        story.answer_all();
        let shown = if is_believed { Queued } else { Locked };
        assert_eq!(story.exchange.snapshot().entries[0].record.state, shown, "after {millis} ms");
    }
}

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

/// All who ask while it is made are given the same; it is kept only if nothing has changed meanwhile.
#[test]
fn a_snapshot_of_a_large_queue_is_made_piece_by_piece() {
    let many = 10_000;
    let mut story = Story::polled((1..=many).map(queued).collect());
    while story.exchange.go_on(story.now).contains(&ExchangeEffect::GoOn) {}
    let later = |story: &mut Story| match story.exchange.ask_snapshot() {
        SnapshotAnswer::Later(number, effects) => (number, effects),
        SnapshotAnswer::Ready(_) => panic!("it is large"),
    };
    assert_eq!(later(&mut story), (1, vec![ExchangeEffect::GoOn]));
    assert_eq!(later(&mut story), (1, vec![]), "under way");
    story.begin(1, OperationKind::Lock).unwrap();
    assert_eq!(later(&mut story), (2, vec![]), "who asks now must see what has just begun");
    let mut copies = Vec::new();
    for _ in 0..5 {
        let effects = story.exchange.go_on(story.now);
        copies.extend(effects.into_iter().filter_map(|it| match it {
            ExchangeEffect::Copied(number, snapshot) => Some((number, snapshot)),
            _ => None,
        }));
    }
    let [(1, first), (2, second)] = &copies[..] else { panic!("{copies:?}") };
    assert_eq!((first.entries.len() as u64, second.entries.len()), (many, second.asked.len()));
    assert!(second.get(uuid(1)).unwrap().operation.is_some());
    let SnapshotAnswer::Ready(again) = story.exchange.ask_snapshot() else { panic!("it is there") };
    assert!(Arc::ptr_eq(&again, second), "nothing has changed since");
}

/// While the rest of a poll is taken in, everything else goes on.
#[test]
fn a_poll_of_a_large_queue_is_taken_in_piece_by_piece() {
    let many = 10_000;
    let mut story = Story::new((1..=many).map(queued).collect());
    story.poll();
    story.answer_all();
    let mut pieces = 1;
    assert_eq!(story.begin(1, OperationKind::Lock), Err(QueueRefusal::Busy), "the next plan decides anew");
    while story.done.contains(&ExchangeEffect::GoOn) {
        assert_eq!((story.nudges(), story.next_poll()), (0, None), "it has not ended");
        story.done.clear();
        story.poll();
        assert_eq!(story.calls(), [""; 0], "no other poll begins");
        let effects = story.exchange.go_on(story.now);
        story.did(effects);
        pieces += 1;
    }
    assert_eq!(pieces, 3, "4,000 records each");
    assert_eq!((story.nudges(), story.next_poll()), (1, Some(policy().poll_interval)));
    assert_eq!(story.calls(), ["mounts"]);
    let snapshot = story.exchange.snapshot();
    assert_eq!(snapshot.entries.len() as u64, many);
    assert!(snapshot.entries.iter().all(|it| it.first_seen == snapshot.entries[0].first_seen));
    assert_eq!(story.exchange.go_on(story.now), [], "nothing is left to go on with");
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
    story.now = at(10);
    story.poll();
    story.answer_all();
    story.done.clear();
    story.read_orphan(7);
    story.answer_all();
    assert_eq!((story.exchange.snapshot().looked[&uuid(7)], story.nudges()), (LookOutcome::Doubted, 1));
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

#[test]
fn a_container_whose_mounts_make_the_controller_hang_is_found_and_the_others_are_sized() {
    let mut story = Story::new((1..=60).map(queued).collect());
    let hangs = |uuids: &[ContainerUuid]| uuids.contains(&uuid(33));
    for _ in 0..10 {
        story.poll();
        while let Some((_, request)) = story.calls.first().cloned() {
            let reply = match &request {
                Request::Mounts(uuids) if hangs(uuids) => {
                    Reply::Mounts(Err(api_error(ApiErrorKind::Timeout)))
                }
                other => story.reply(other),
            };
            story.answer(reply);
        }
        story.now = after(story.now, Duration::from_secs(10));
    }
    let snapshot = story.exchange.snapshot();
    let unsized_ones = snapshot.entries.iter().filter(|entry| entry.fit == Fit::Unsized);
    assert_eq!(unsized_ones.map(|entry| entry.record.uuid).collect::<Vec<_>>(), [uuid(33)]);
}

// ------------------------------------------------------------------ operations

impl Story {
    /// Answers all calls, locks with this error; says how many locks were sent.
    fn answer_all_but_locks(&mut self, kind: ApiErrorKind) -> usize {
        let mut locks = 0;
        while let Some((_, request)) = self.calls.first().cloned() {
            let reply = match &request {
                Request::Lock(_) => Reply::Standing(Err(api_error(kind))),
                other => self.reply(other),
            };
            locks += usize::from(request.name() == "lock");
            self.answer(reply);
        }
        locks
    }

    fn lock_all(&mut self, containers: u64) {
        for n in 1..=containers {
            let _ = self.begin(n, OperationKind::Lock);
        }
    }
}

#[test]
fn after_a_mass_cancel_a_poll_is_made_before_the_others_are_tried() {
    let mut story = Story::polled((1..=100).map(queued).collect());
    story.now = at(3);
    for record in &mut story.records {
        record.priority = 0;
    }
    story.lock_all(100);
    assert_eq!(story.calls().len(), 8);
    let locks = story.answer_all_but_locks(ApiErrorKind::Refused);
    assert!(locks <= 16, "as many as are in flight: {locks}");
    assert!(story.exchange.snapshot().entries.iter().all(|entry| entry.record.priority == 0));
}

#[test]
fn at_most_one_poll_an_interval_is_made_for_that() {
    let mut story = Story::polled((1..=100).map(queued).collect());
    let mut polls = 0;
    for second in 3..=22 {
        story.now = at(second);
        // The server shows another priority than the poll before, whenever it is read.
        story.records.iter_mut().for_each(|record| record.priority += 1);
        story.done.clear();
        if second % 5 == 0 {
            story.poll();
        }
        story.lock_all(100);
        story.answer_all_but_locks(ApiErrorKind::Refused);
        let is_poll = |effect: &&ExchangeEffect| matches!(effect, ExchangeEffect::Call(_, request) if request.name() == "list_mine");
        polls += story.done.iter().filter(is_poll).count();
    }
    // Four were due.
    assert!((5..=6).contains(&polls), "{polls} in twenty seconds");
}

#[test]
fn while_locks_fail_for_everybody_few_are_tried() {
    let mut story = Story::polled((1..=100).map(queued).collect());
    let mut locks = 0;
    for second in 1..=60 {
        story.now = at(second);
        if second % 10 == 0 {
            story.poll();
        }
        let resumed = story.exchange.resume(story.now);
        story.did(resumed);
        story.lock_all(100);
        locks += story.answer_all_but_locks(ApiErrorKind::Server);
    }
    assert!(locks <= 120, "{locks} locks in a minute");
}

#[test]
fn one_whose_lock_always_fails_slows_no_other() {
    let mut story = Story::polled((1..=100).map(queued).collect());
    story.now = at(1);
    story.lock_all(100);
    while let Some((_, request)) = story.calls.first().cloned() {
        let reply = match &request {
            Request::Lock(it) if *it == uuid(1) => Reply::Standing(Err(api_error(ApiErrorKind::Server))),
            Request::Lock(it) => {
                let locked = story.records.iter_mut().find(|record| record.uuid == *it).unwrap();
                (locked.state, locked.locked_by) = (Locked, Some(me()));
                Reply::Standing(Ok(locked.standing()))
            }
            other => story.reply(other),
        };
        story.answer(reply);
    }
    let snapshot = story.exchange.snapshot();
    assert_eq!(snapshot.entries.iter().filter(|entry| entry.record.state == Locked).count(), 99);
    assert_eq!(story.set_back(), [uuid(1)]);
}

#[test]
fn a_poll_takes_back_the_operations_that_were_not_sent() {
    let mut story = Story::polled((1..=20).map(queued).collect());
    story.now = at(1);
    story.lock_all(20);
    story.poll();
    let locked = Standing { state: Locked, locked_by: Some(me()), ..story.records[0].standing() };
    story.answer(Reply::Standing(Ok(locked)));
    // Its place is the poll's, before all locks that wait.
    while let Some(at) = story.calls.iter().position(|(_, request)| request.name().starts_with("list")) {
        let (number, request) = story.calls.remove(at);
        let reply = story.reply(&request);
        let effects = story.exchange.answered(number, reply, story.now);
        story.did(effects);
    }
    let snapshot = story.exchange.snapshot();
    let in_flight = snapshot.entries.iter().filter(|entry| entry.operation.is_some()).count();
    assert_eq!(in_flight, story.calls().len(), "those that were sent");
    assert!(in_flight < 19, "{in_flight}");
}

/// While the controller is in trouble few are tried: those that never failed have their turn.
#[test]
fn those_for_which_something_has_failed_come_after_all_others_in_the_line() {
    let mut story = Story::polled((1..=40).map(queued).collect());
    story.now = at(1);
    for n in 1..=8 {
        story.begin(n, OperationKind::Lock).unwrap();
    }
    story.answer_all_but_locks(ApiErrorKind::Refused);
    story.now = at(20);
    story.poll();
    story.answer_all();
    // As many as may be in flight, then those that have failed, then others.
    for n in (9..=24).chain(1..=8).chain(25..=40) {
        story.begin(n, OperationKind::Lock).unwrap();
    }
    let mut has_failed = Vec::new();
    while let Some((_, request)) = story.calls.first().cloned() {
        if let Request::Lock(locked) = request {
            has_failed.push((1..=8).any(|n| uuid(n) == locked));
            let record = story.records.iter_mut().find(|it| it.uuid == locked).unwrap();
            (record.state, record.locked_by) = (Locked, Some(me()));
        }
        let reply = story.reply(&request);
        story.answer(reply);
    }
    assert!(has_failed.len() == 40 && has_failed.is_sorted(), "{has_failed:?}");
}

// ------------------------------------------------------------------ suspects

/// A controller that cannot list these containers.
fn reply_without(story: &Story, bad: &[ContainerUuid], kind: ApiErrorKind, request: &Request) -> Reply {
    match request {
        Request::List(ListQuestion::Known { uuids }) if uuids.iter().any(|uuid| bad.contains(uuid)) => {
            Reply::Page(Err(api_error(kind)))
        }
        _ => story.reply(request),
    }
}

/// Polls once; returns how many questions about known containers that took.
fn poll_without(story: &mut Story, bad: &[ContainerUuid], kind: ApiErrorKind) -> usize {
    let mut known = 0;
    story.poll();
    while let Some((_, request)) = story.calls.first().cloned() {
        known += usize::from(matches!(request, Request::List(ListQuestion::Known { .. })));
        let reply = reply_without(story, bad, kind, &request);
        story.answer(reply);
    }
    known
}

/// Forty containers were queued and are on hold now, so that only the question about known ones shows them.
fn on_hold() -> Story {
    let mut story = Story::polled((1..=40).map(queued).collect());
    for record in &mut story.records {
        record.priority = 0;
    }
    story
}

fn priorities(story: &mut Story) -> Vec<i64> {
    story.exchange.snapshot().entries.iter().map(|entry| entry.record.priority).collect()
}

#[test]
fn a_known_container_that_cannot_be_listed_is_left_alone_and_hides_no_other() {
    for kind in
        [ApiErrorKind::Server, ApiErrorKind::Refused, ApiErrorKind::Forbidden, ApiErrorKind::Malformed]
    {
        let mut story = on_hold();
        story.now = at(10);
        let asked = poll_without(&mut story, &[uuid(7), uuid(33)], kind);
        assert!(asked <= 20, "{asked} questions");
        assert_eq!(priorities(&mut story).iter().filter(|it| **it == 1).count(), 2);
        let snapshot = story.exchange.snapshot();
        assert_eq!(snapshot.unreadable.keys().copied().collect::<Vec<_>>(), [uuid(7), uuid(33)]);
        assert!(snapshot.unreadable[&uuid(7)].starts_with("the controller cannot list it: "));
        story.now = at(15);
        assert_eq!(poll_without(&mut story, &[uuid(7), uuid(33)], kind), 2, "they are not asked for yet");
        assert_eq!(story.exchange.snapshot().unreadable.len(), 2);
        story.now = at(30);
        poll_without(&mut story, &[], kind);
        assert_eq!(story.exchange.snapshot().unreadable.len(), 0, "the controller can list them again");
        assert_eq!(priorities(&mut story), [0; 40]);
    }
}

/// Each poll that meets it fails, until it has been found.
#[test]
fn a_known_container_that_makes_the_controller_hang_is_found_within_six_polls_and_then_asked_for_rarely() {
    let mut story = on_hold();
    for n in 1..=5 {
        story.now = at(10 * n);
        poll_without(&mut story, &[uuid(7)], ApiErrorKind::Timeout);
    }
    let failed = |fact: &ExchangeFact| matches!(fact, ExchangeFact::PollFailed { .. });
    story.done.clear();
    for n in 6..=66 {
        story.now = at(10 * n);
        poll_without(&mut story, &[uuid(7)], ApiErrorKind::Timeout);
    }
    assert_eq!(priorities(&mut story).iter().filter(|it| **it == 1).count(), 1);
    assert_eq!(story.told(failed), 0, "it is asked for alone");
}

#[test]
fn a_controller_that_can_list_no_known_container_fails_the_poll_after_a_bounded_number_of_questions() {
    let all: Vec<_> = (1..=40).map(uuid).collect();
    let mut story = on_hold();
    story.now = at(10);
    let asked = poll_without(&mut story, &all, ApiErrorKind::Server);
    assert!(asked <= 30, "{asked} questions");
    assert_eq!(story.told(|fact| matches!(fact, ExchangeFact::PollFailed { .. })), 1);
}

#[test]
fn a_poll_that_fails_for_want_of_a_connection_or_of_rights_blames_no_container() {
    for kind in [ApiErrorKind::Connection, ApiErrorKind::Unauthorized, ApiErrorKind::Overloaded] {
        let mut story = on_hold();
        for n in 1..=8 {
            story.now = at(10 * n);
            poll_without(&mut story, &[uuid(7)], kind);
        }
        assert_eq!(story.exchange.snapshot().unreadable.len(), 0, "{kind:?}");
    }
}
