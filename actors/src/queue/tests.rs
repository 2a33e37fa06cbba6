//! Queue against a controller of a few records.

mod feed;
mod market;
mod mounts;

use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr};
use dispatch_core::container::ContainerState::{Cancelled, Complete, Locked, Queued, Running};
use dispatch_core::ports::ApiErrorKind::{self, Connection, Overloaded, Unauthorized};
use dispatch_core::queue::{CancelReason, Fit, QueueRefusal, UnlockReason};

use super::*;
use crate::testing::{
    FakeApi, Lines, Meter, Spoil, Stub, elapsed, pass, pass_millis, pause, policy, queued, record, seconds,
    shared, uuid,
};

struct Site {
    api: Rc<FakeApi>,
    queue: Addr<Queue>,
    nudges: Stub<QueueChanged>,
    meter: Meter,
    lines: Lines,
}

/// A queue over that controller; nothing has happened yet.
fn site(api: Rc<FakeApi>) -> Site {
    site_with(api, None)
}

fn site_with(api: Rc<FakeApi>, feed: Option<Rc<dyn EventFeed>>) -> Site {
    let (log, lines) = Lines::new();
    let (nudges, meter) = (Stub::silent(), Meter::new());
    let queue = Queue::new(
        shared(policy()),
        (Rc::clone(&api) as Rc<dyn ArvadosApi>, feed),
        nudges.recipient.clone(),
        Rc::clone(&meter.metrics),
        log,
    );
    Site { api, queue: queue.start(), nudges, meter, lines }
}

/// After the first poll of these.
async fn polled(records: impl IntoIterator<Item = Record>) -> Site {
    pause();
    let site = site(FakeApi::with(records));
    pass(1).await;
    site.api.take_calls();
    site.nudges.take();
    site
}

impl Site {
    async fn view(&self) -> QueueView {
        self.queue.send(GetQueue).await.unwrap()
    }

    async fn state(&self, n: usize) -> Option<dispatch_core::container::ContainerState> {
        self.view().await.snapshot.get(uuid(n)).map(|entry| entry.record.state)
    }

    async fn lock(&self, n: usize) -> Result<(), QueueRefusal> {
        self.queue.send(LockContainer { uuid: uuid(n) }).await.unwrap()
    }

    async fn unlock(&self, n: usize, reason: UnlockReason) -> Result<(), QueueRefusal> {
        self.queue.send(UnlockContainer { uuid: uuid(n), reason }).await.unwrap()
    }

    async fn cancel(&self, n: usize) -> Result<(), QueueRefusal> {
        let expected = self.view().await.snapshot.get(uuid(n)).unwrap().record.standing();
        let cancel = CancelContainer { uuid: uuid(n), reason: CancelReason::ProcessExited, expected };
        self.queue.send(cancel).await.unwrap()
    }

    async fn sized(&self) -> usize {
        let snapshot = self.view().await.snapshot;
        snapshot.entries.iter().filter(|entry| matches!(entry.fit, Fit::Types(_))).count()
    }
}

// ------------------------------------------------------------------ polls

#[actix::test]
async fn it_polls_at_once_and_asks_first_who_we_are() {
    pause();
    let site = site(FakeApi::with([queued(1)]));
    pass_millis(10).await;
    // Mine: nothing. Available: one page and an empty one.
    assert_eq!(site.api.take_names(), ["current", "mine", "available", "available", "mounts"]);
    assert_eq!(site.sized().await, 1);
    assert!(site.nudges.count() >= 1);
    assert_eq!(site.lines.messages(), ["adding container to queue"]);
}

#[actix::test]
async fn polls_begin_an_interval_apart() {
    pause();
    let site = site(FakeApi::with([]));
    pass(35).await;
    assert_eq!(site.api.take_polls(), [0.0, 10.0, 20.0, 30.0]);
}

#[actix::test]
async fn a_poll_never_begins_sooner_than_the_last_one_took() {
    pause();
    let site = site(FakeApi::with([]));
    // Mine and Available: 16 s a poll.
    site.api.takes.set(Duration::from_secs(8));
    pass(70).await;
    let polls = site.api.take_polls();
    let gaps: Vec<_> = polls.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // The first includes the question who we are.
    assert!(gaps.iter().all(|gap| (31.9..=41.0).contains(gap)), "{polls:?}");
}

#[actix::test]
async fn a_failed_poll_keeps_the_picture_and_the_next_comes_in_time() {
    let site = polled([queued(1)]).await;
    site.api.fail("available", 2, Connection);
    let before = site.view().await;
    pass(20).await;
    let after = site.view().await;
    assert!(Arc::ptr_eq(&before.snapshot, &after.snapshot), "nothing has changed");
    assert_eq!(after.last_success, before.last_success);
    assert_eq!(site.nudges.count(), 0);
    pass(10).await;
    assert!(site.view().await.last_success > before.last_success);
    assert_eq!(site.view().await.snapshot.polled_at.map(seconds), Some(30.0));
}

#[actix::test]
async fn an_outage_is_logged_once_a_minute_and_its_end_once() {
    let site = polled([]).await;
    site.lines.take();
    site.api.fail("mine", 8, Connection);
    pass(100).await;
    let messages = site.lines.messages();
    let failures = messages.iter().filter(|it| *it == "error updating queue").count();
    assert_eq!((failures, messages.len()), (2, 3), "{messages:?}");
    assert_eq!(messages[2], "queue is being updated again");
    site.api.fail("mine", 1, Connection);
    pass(10).await;
    assert_eq!(site.lines.messages()[0], "error updating queue", "a new outage is told at once");
}

#[actix::test]
async fn a_401_drops_nothing_and_even_the_first_question_is_asked_again() {
    pause();
    let site = site(FakeApi::with([queued(1)]));
    site.api.fail("current", 2, Unauthorized);
    pass(25).await;
    assert_eq!(site.sized().await, 1);
    site.api.fail("mine", 2, Unauthorized);
    pass(25).await;
    assert_eq!(site.sized().await, 1);
    let calls = "controller_requests_total{call=\"list_mine\",status=\"401\"}";
    assert_eq!(site.meter.value(calls), Some(2.0));
}

#[actix::test]
async fn a_container_that_vanishes_from_the_controller_is_dropped() {
    let site = polled([queued(1), queued(2)]).await;
    site.api.records.borrow_mut().remove(&uuid(1));
    site.lines.take();
    pass(10).await;
    assert_eq!(site.state(1).await, None);
    assert_eq!(site.state(2).await, Some(Queued));
    assert_eq!(site.lines.messages(), ["container not found by controller (deleted?)"]);
}

#[actix::test]
async fn a_snapshot_is_built_anew_only_after_a_change() {
    let site = polled([queued(1)]).await;
    let (first, second) = (site.view().await.snapshot, site.view().await.snapshot);
    assert!(Arc::ptr_eq(&first, &second));
    site.api.takes.set(Duration::from_millis(50));
    site.lock(1).await.unwrap();
    assert!(site.view().await.snapshot.get(uuid(1)).unwrap().operation.is_some(), "not out of date");
}

// ------------------------------------------------------------------ overload

#[actix::test]
async fn a_503_halves_the_width_and_nothing_is_sent_for_a_second() {
    let site = polled((1..=40).map(queued)).await;
    site.api.takes.set(Duration::from_millis(100));
    site.api.fail("lock", 8, Overloaded);
    site.api.widest.set(0);
    for n in 1..=40 {
        site.lock(n).await.unwrap();
    }
    pass_millis(150).await;
    assert_eq!(site.api.widest.get(), 8);
    assert!(site.view().await.last_overload.is_some());
    site.api.take_calls();
    site.api.widest.set(0);
    pass_millis(900).await;
    assert_eq!(site.api.take_names(), [""; 0], "the quiet second");
    pass_millis(60).await;
    assert_eq!(site.api.take_names().len(), 4, "half as many");
    pass(5).await;
    assert_eq!(site.view().await.in_flight, 0, "everyone had a turn");
    // Those that were shed were not executed, and are read; nothing is retried here.
    let locked = site.api.records.borrow().values().filter(|it| it.state == Locked).count();
    assert_eq!(locked, 32);
}

#[actix::test]
async fn a_503_of_a_poll_does_not_stop_polling() {
    let site = polled([]).await;
    site.api.fail("mine", 3, Overloaded);
    pass(60).await;
    let polls = site.api.take_polls();
    assert_eq!(polls, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
}

// ------------------------------------------------------------------ mounts

#[actix::test]
async fn mounts_are_asked_for_fifty_at_a_time() {
    pause();
    let site = site(FakeApi::with((1..=90).map(queued)));
    pass(1).await;
    let mounts: Vec<_> = site.api.take_calls().into_iter().filter(|call| call.1 == "mounts").collect();
    assert_eq!(mounts.iter().map(|call| call.3).collect::<Vec<_>>(), [50, 40]);
    assert_eq!(site.sized().await, 90);
}

#[actix::test]
async fn poison_hurts_only_itself_and_costs_a_call_a_container() {
    pause();
    let site = site(FakeApi::with((1..=60).map(queued)));
    site.api.poison.borrow_mut().extend([uuid(7), uuid(11)]);
    site.api.takes.set(Duration::from_millis(5));
    pass(5).await;
    let mounts = site.api.take_calls().into_iter().filter(|call| call.1 == "mounts").count();
    // 50 at once, 50 singly, and the other 10 at once.
    assert_eq!(mounts, 52);
    assert_eq!(site.sized().await, 58);
    let messages = site.lines.messages();
    assert_eq!(messages.iter().filter(|it| it.starts_with("skipping container whose mounts")).count(), 2);
    assert!(!messages.contains(&"error updating queue".to_owned()), "the controller works");
}

#[actix::test]
async fn who_is_never_shown_does_not_hold_up_the_others() {
    pause();
    let site = site(FakeApi::with((1..=80).map(queued)));
    site.api.hidden.borrow_mut().extend((1..=50).map(uuid));
    pass(1).await;
    assert_eq!(site.sized().await, 30);
    let mounts = site.api.take_calls().into_iter().filter(|call| call.1 == "mounts").count();
    assert_eq!(mounts, 2, "nobody is asked for twice between two polls");
    site.api.hidden.borrow_mut().clear();
    pass(10).await;
    assert_eq!(site.sized().await, 80);
}

#[actix::test]
async fn mounts_that_fail_for_no_fault_of_theirs_wait_for_the_next_poll() {
    pause();
    let site = site(FakeApi::with((1..=3).map(queued)));
    site.api.fail("mounts", 1, ApiErrorKind::Timeout);
    pass(9).await;
    assert_eq!(site.sized().await, 0);
    assert_eq!(site.api.take_names().iter().filter(|name| **name == "mounts").count(), 1);
    pass(2).await;
    assert_eq!(site.sized().await, 3);
}

// ------------------------------------------------------------------ operations

#[actix::test]
async fn a_lock_is_begun_at_once_and_its_end_is_news() {
    let site = polled([queued(1)]).await;
    site.api.takes.set(Duration::from_millis(50));
    assert_eq!(site.lock(1).await, Ok(()));
    assert_eq!(elapsed(), 1.0, "the answer does not wait for the controller");
    assert_eq!(site.lock(1).await, Err(QueueRefusal::Busy));
    assert_eq!(site.nudges.count(), 0);
    pass_millis(60).await;
    assert_eq!(site.state(1).await, Some(Locked));
    assert_eq!(site.nudges.count(), 1);
}

#[actix::test]
async fn an_unlock_is_counted_with_its_reason() {
    let site = polled([record(1, Locked)]).await;
    site.unlock(1, UnlockReason::ProcessEnded).await.unwrap();
    pass_millis(10).await;
    assert_eq!(site.state(1).await, Some(Queued));
    assert_eq!(site.meter.value("unlocks_total{reason=\"crunch_run_exited\"}"), Some(1.0));
}

#[actix::test]
async fn before_a_cancel_the_record_is_read_again() {
    let site = polled([record(1, Running), record(2, Running)]).await;
    site.api.set_state(uuid(2), Complete);
    for n in [1, 2] {
        site.cancel(n).await.unwrap();
    }
    pass_millis(10).await;
    assert_eq!(site.api.take_names(), ["get", "cancel", "get"]);
    assert_eq!(site.api.state(uuid(1)), Cancelled);
    assert_eq!(site.api.state(uuid(2)), Complete, "a finished job's result stays");
    assert_eq!(site.state(2).await, Some(Complete));
}

#[actix::test]
async fn a_lost_answer_is_made_up_for_by_a_read() {
    let site = polled([queued(1)]).await;
    site.api.spoil("lock", 1, Spoil::Lost);
    site.lock(1).await.unwrap();
    pass_millis(10).await;
    assert_eq!(site.api.take_names(), ["lock", "get"]);
    assert_eq!(site.state(1).await, Some(Locked));
}

#[actix::test]
async fn after_a_lost_read_nothing_is_decided_until_a_poll_tells() {
    let site = polled([queued(1)]).await;
    site.api.spoil("lock", 1, Spoil::Lost);
    site.api.fail("get", 1, Connection);
    site.lock(1).await.unwrap();
    pass(1).await;
    assert_eq!(site.lock(1).await, Err(QueueRefusal::Uncertain));
    assert_eq!(site.unlock(1, UnlockReason::ProcessEnded).await, Err(QueueRefusal::Uncertain));
    pass(10).await;
    assert_eq!(site.state(1).await, Some(Locked));
    assert_eq!(site.unlock(1, UnlockReason::ProcessEnded).await, Ok(()));
}

#[actix::test]
async fn a_poll_that_began_before_a_lock_does_not_undo_it() {
    let site = polled([queued(1)]).await;
    site.api.takes.set(Duration::from_millis(500));
    // The poll begins at 10 s and sees the container Queued at 11 s; the lock's answer comes at 10.6 s.
    pass_millis(9100).await;
    site.lock(1).await.unwrap();
    pass(3).await;
    assert_eq!(site.state(1).await, Some(Locked));
}

// ------------------------------------------------------------------ looks

#[actix::test]
async fn a_look_finds_the_record_of_a_process() {
    let site = polled([]).await;
    site.api.put([record(5, Complete)]);
    site.queue.send(ReadOrphanRecord { uuid: uuid(5) }).await.unwrap();
    pass_millis(10).await;
    assert_eq!(site.state(5).await, Some(Complete));
    assert!(site.nudges.count() >= 1);
}

#[actix::test]
async fn a_look_that_fails_is_no_news_and_is_not_repeated_before_the_next_poll() {
    let site = polled([]).await;
    site.api.fail("get", 1, Connection);
    for _ in 0..5 {
        site.queue.send(ReadOrphanRecord { uuid: uuid(5) }).await.unwrap();
        pass(1).await;
    }
    assert_eq!(site.api.take_names(), ["get"]);
    assert_eq!(site.nudges.count(), 0);
    pass(5).await;
    site.queue.send(ReadOrphanRecord { uuid: uuid(5) }).await.unwrap();
    pass_millis(10).await;
    assert!(site.view().await.snapshot.looked.contains_key(&uuid(5)), "the controller does not know it");
}

// ------------------------------------------------------------------ the end

#[actix::test]
async fn told_to_stop_it_begins_nothing_and_what_is_in_flight_ends() {
    let site = polled((1..=20).map(queued)).await;
    site.api.takes.set(Duration::from_secs(1));
    for n in 1..=20 {
        site.lock(n).await.unwrap();
    }
    site.queue.send(Quiesce).await.unwrap();
    assert_eq!(site.view().await.in_flight, 8);
    assert_eq!(site.lock(1).await, Err(QueueRefusal::Busy));
    pass(60).await;
    assert_eq!(site.view().await.in_flight, 0);
    assert_eq!(site.api.take_names(), ["lock"; 8], "no poll either");
}

#[actix::test]
async fn told_to_stop_amid_a_poll_it_asks_for_no_further_page() {
    pause();
    let site = site(FakeApi::with((1..=9).map(queued)));
    site.api.takes.set(Duration::from_secs(1));
    pass_millis(1500).await;
    site.queue.send(Quiesce).await.unwrap();
    pass(60).await;
    assert_eq!(site.api.take_names(), ["current", "mine"]);
    assert_eq!(site.view().await.in_flight, 0);
}

// ------------------------------------------------------------------ the state

#[actix::test]
async fn the_state_shows_containers_and_calls_in_flight() {
    let site = polled([queued(1)]).await;
    site.api.takes.set(Duration::from_secs(1));
    site.lock(1).await.unwrap();
    let state = site.queue.send(GetState).await.unwrap().into_json();
    assert_eq!(state["queue"]["entries"][0]["record"]["uuid"], uuid(1).as_str());
    assert_eq!(state["calls"]["in_flight"][0]["call"], "lock");
    assert_eq!(state["calls"]["in_flight"][0]["since"], clock::now().to_string());
    assert_eq!(state["polls"]["failing_since"], serde_json::Value::Null);
}
