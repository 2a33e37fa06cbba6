//! The date of a picture: when the question was asked that it answers.

use super::*;
use crate::container::ContainerState::{Locked, Queued, Running};
use crate::fixtures::record;

fn asked(queue: &ContainerQueue, n: u64) -> Option<Timestamp> {
    let snapshot = queue.snapshot();
    snapshot.position(uuid(n)).and_then(|position| snapshot.asked_at(position))
}

/// A poll of three pages, each asked for ten seconds after the one before.
fn slow_poll(queue: &mut ContainerQueue, records: &[Record], began: i64) {
    let mut poll = queue.begin_poll(at(began)).unwrap();
    let mut second = began;
    while let Some(question) = poll.question() {
        poll.asks(queue, at(second));
        poll.answer(server_answer(records, &question), queue, &policy()).unwrap();
        second += 10;
    }
    queue.merge(poll, at(second));
}

#[test]
fn each_container_has_the_date_of_the_page_that_showed_it() {
    let mut queue = queue();
    slow_poll(&mut queue, &[record(1, Running, 1), record(2, Queued, 1)], 100);
    // Mine, and its end; then what is available.
    assert_eq!((asked(&queue, 1), asked(&queue, 2)), (Some(at(100)), Some(at(120))));
}

#[test]
fn a_picture_without_news_has_a_new_date_and_one_that_no_page_shows_keeps_its_own() {
    let mut queue = queue();
    slow_poll(&mut queue, &[record(1, Running, 1), record(2, Running, 1)], 100);
    let before = queue.snapshot();
    slow_poll(&mut queue, &[record(1, Running, 1)], 200);
    assert_eq!((asked(&queue, 1), asked(&queue, 2)), (Some(at(200)), Some(at(100))));
    assert!(
        Arc::ptr_eq(&before.entries[0], &queue.snapshot().entries[0]),
        "it is shared with older snapshots"
    );
}

#[test]
fn a_change_that_ended_after_one_page_and_before_the_next_leaves_only_the_first_out() {
    let mut queue = queue();
    let (first, second) = (record(1, Locked, 1), record(2, Locked, 1));
    poll(&mut queue, &[first.clone(), second.clone()], 0);
    let unlock = OperationKind::Unlock(UnlockReason::ProcessEnded);
    let mut poll = queue.begin_poll(at(100)).unwrap();
    poll.asks(&queue, at(100));
    // The first page shows both as they were before; then both are unlocked; the second page is asked for after that.
    poll.answer(page(vec![first, second]), &queue, &policy()).unwrap();
    for n in [1, 2] {
        queue.begin(uuid(n), unlock.clone()).unwrap();
        queue.answered(uuid(n), Answer::Standing(Ok(record(n, Queued, 1).standing())), at(101));
    }
    while let Some(question) = poll.question() {
        poll.asks(&queue, at(102));
        poll.answer(server_answer(&[record(2, Queued, 7)], &question), &queue, &policy()).unwrap();
    }
    queue.merge(poll, at(103));
    let snapshot = queue.snapshot();
    let priority = |n| snapshot.get(uuid(n)).map(|it| (it.record.state, it.record.priority));
    assert_eq!((priority(1), priority(2)), (Some((Queued, 1)), Some((Queued, 7))));
}
