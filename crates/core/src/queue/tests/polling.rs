//! Paging: which questions are asked, and when a poll ends.

use super::*;
use crate::container::ContainerState::{Locked, Queued, Running};
use crate::fixtures::record;

/// Answers each question in turn with the next page; says which questions were asked.
fn run(queue: &ContainerQueue, pages: Vec<Page<Record>>) -> (Vec<ListQuestion>, Poll) {
    let mut poll = queue.begin_poll(at(0)).unwrap();
    let mut asked = Vec::new();
    for page in pages {
        asked.push(poll.question().expect("the poll ended early"));
        poll.answer(page, queue, &policy()).unwrap();
    }
    assert_eq!(poll.question(), None, "the poll goes on");
    (asked, poll)
}

fn mine(after: Option<u64>) -> ListQuestion {
    ListQuestion::Mine { me: me(), after: after.map(uuid) }
}

fn available(offset: usize) -> ListQuestion {
    ListQuestion::Available { offset }
}

fn known(range: std::ops::RangeInclusive<u64>) -> ListQuestion {
    ListQuestion::Known { uuids: range.map(uuid).collect() }
}

fn supervisor(n: u64) -> Record {
    let mut record = record(n, Queued, 1);
    record.scheduling.supervisor = true;
    record
}

#[test]
fn no_poll_begins_before_we_know_who_we_are() {
    assert!(ContainerQueue::new(10).begin_poll(at(0)).is_none());
}

#[test]
fn short_pages_do_not_end_paging_and_only_empty_ones_do() {
    let (asked, poll) = run(
        &queue(),
        vec![
            page(vec![record(1, Locked, 1), record(2, Running, 1)]),
            page(vec![record(5, Locked, 1)]),
            page(vec![]),
            page(vec![record(7, Queued, 9)]),
            page(vec![record(3, Queued, 8), record(4, Queued, 8)]),
            page(vec![]),
        ],
    );
    assert_eq!(asked, [mine(None), mine(Some(2)), mine(Some(5)), available(0), available(1), available(3)]);
    assert_eq!((poll.seen.len(), poll.look.is_complete()), (6, true));
}

#[test]
fn a_hundred_containers_that_are_not_supervisors_are_enough() {
    let supervisors = (1..=150).map(supervisor).collect();
    let others = |range: std::ops::Range<u64>| range.map(|n| record(n, Queued, 1)).collect();
    let pages = vec![page(vec![]), page(supervisors), page(others(200..299)), page(others(299..310))];
    let (asked, poll) = run(&queue(), pages);
    assert_eq!(asked[1..], [available(0), available(150), available(249)]);
    assert!(!poll.look.is_complete());
}

#[test]
fn what_neither_answer_showed_is_asked_for_by_twenties_until_answered_or_proven_deleted() {
    let mut queue = queue();
    let records: Vec<_> = (1..=25).map(|n| record(n, Running, 1)).collect();
    poll(&mut queue, &records, 0);
    let (asked, poll) = run(
        &queue,
        vec![
            page(vec![]),
            page(vec![]),
            page(records[..15].to_vec()),
            page(records[15..20].to_vec()),
            page(vec![]),
        ],
    );
    assert_eq!(asked[2..], [known(1..=20), known(16..=25), known(21..=25)]);
    assert!(poll.absent.keys().copied().eq((21..=25).map(uuid)));
}

/// The answers before the bad one, and the bad one.
fn answers_with_what_was_not_asked_for() -> Vec<(Vec<Page<Record>>, Record)> {
    let foreign = Record { locked_by: Some(crate::fixtures::somebody_else()), ..record(9, Locked, 1) };
    vec![
        (vec![], foreign),
        (vec![page(vec![record(5, Locked, 1)])], record(4, Locked, 1)),
        (vec![page(vec![])], record(2, Locked, 1)),
        (vec![page(vec![])], record(2, Queued, 0)),
        (vec![page(vec![]), page(vec![])], record(2, Queued, 1)),
    ]
}

#[test]
fn one_item_that_was_not_asked_for_is_set_aside_and_hides_no_other() {
    for (before, bad) in answers_with_what_was_not_asked_for() {
        let mut queue = queue();
        poll(&mut queue, &[record(1, Running, 1)], 0);
        let mut poll = queue.begin_poll(at(1)).unwrap();
        for page in before {
            poll.answer(page, &queue, &policy()).unwrap();
        }
        poll.answer(page(vec![bad.clone()]), &queue, &policy()).unwrap();
        assert!(!poll.seen.contains_key(&bad.uuid), "{bad:?}");
        assert!(poll.unreadable.contains_key(&bad.uuid), "{bad:?}");
        ask(&mut poll, &queue, &[record(1, Running, 1), record(7, Queued, 1)]);
        queue.merge(poll, at(1));
        assert_eq!(state_of(&queue, 1), Some(Running), "{bad:?}");
    }
}

#[test]
fn a_poll_in_which_most_items_were_not_asked_for_is_an_error() {
    let queue = queue();
    let mut poll = queue.begin_poll(at(1)).unwrap();
    poll.answer(page(vec![]), &queue, &policy()).unwrap();
    let odd = (1..=3).map(|n| record(n, Locked, 1));
    let error = poll.answer(page(odd.collect()), &queue, &policy()).unwrap_err();
    assert!(matches!(error, PollError::NotAskedFor { odd: 3, received: 3, .. }), "{error}");
}

/// A page is kept whole, however long it is: its records were transferred already.
#[test]
fn the_page_with_the_hundredth_container_is_kept_whole() {
    let mut queue = queue();
    let waiting: Vec<_> = (1..=150).map(|n| record(n, Queued, 1)).collect();
    let mut poll = queue.begin_poll(at(0)).unwrap();
    for items in [vec![], waiting] {
        poll.answer(page(items), &queue, &policy()).unwrap();
    }
    assert_eq!(poll.question(), None);
    queue.merge(poll, at(0));
    assert_eq!(queue.snapshot().entries.len(), 150);
}

#[test]
fn a_server_without_an_end_is_not_believed() {
    let queue = queue();
    let mut poll = queue.begin_poll(at(0)).unwrap();
    poll.answer(page(vec![]), &queue, &policy()).unwrap();
    let endless = page((0..1000).map(supervisor).collect());
    let error = (0..1000).find_map(|_| poll.answer(endless.clone(), &queue, &policy()).err());
    assert_eq!(error, Some(PollError::Endless));
}

#[test]
fn poison_with_a_name_is_paged_past() {
    let (asked, poll) = run(
        &queue(),
        vec![
            poison(Some(uuid(3))),
            page(vec![record(4, Locked, 1)]),
            page(vec![]),
            poison(Some(uuid(8))),
            page(vec![]),
        ],
    );
    assert_eq!(asked, [mine(None), mine(Some(3)), mine(Some(4)), available(0), available(1)]);
    assert_eq!(poll.unreadable.keys().copied().collect::<Vec<_>>(), [uuid(3), uuid(8)]);
}

#[test]
fn poison_without_a_name_neither_loops_nor_proves_anybody_deleted() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Running, 1), record(2, Running, 1)], 0);
    let answers = vec![poison(None), page(vec![]), page(vec![record(1, Running, 1)]), poison(None)];
    let (asked, poll) = run(&queue, answers);
    assert_eq!(asked[1..], [available(0), known(1..=2), known(2..=2)]);
    assert!(poll.absent.is_empty());
    queue.merge(poll, at(1));
    assert!(queue.snapshot().get(uuid(2)).unwrap().is_undecidable(), "its picture is not good any more");
    assert!(!queue.snapshot().get(uuid(1)).unwrap().is_undecidable());
}
