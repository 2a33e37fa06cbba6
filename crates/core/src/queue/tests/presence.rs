//! Who is in the queue at all: neither an older poll nor a late answer decides that.

use super::*;
use crate::container::ContainerState::{Locked, Queued, Running};
use crate::fixtures::{api_error, record, somebody_else};
use crate::ports::ApiErrorKind;

/// A poll that was cut short and does not show that container, which is still known.
fn poll_that_lacks(queue: &ContainerQueue, n: u64) -> Poll {
    let others: Vec<_> = (1..=120).filter(|other| *other != n).map(|n| record(n, Queued, 1)).collect();
    let mut poll = queue.begin_poll(at(10)).unwrap();
    while let Some(question) = poll.question() {
        let mut answer = server_answer(&others, &question);
        answer.items.truncate(100);
        poll.answer(answer, queue, &policy()).unwrap();
    }
    poll
}

#[test]
fn a_container_that_is_being_locked_is_not_dropped_by_a_poll_that_lacks_it() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 1)], 0);
    let older = poll_that_lacks(&queue, 1);
    queue.begin(uuid(1), OperationKind::Lock).unwrap();
    queue.merge(older, at(12));
    assert_eq!(state_of(&queue, 1), Some(Queued), "its lock is on its way");

    let undisturbed = poll_that_lacks(&queue, 1);
    assert!(queue.operation(uuid(1)).is_some());
    queue.merge(undisturbed, at(13));
    assert_eq!(state_of(&queue, 1), Some(Queued), "and still is");
}

#[test]
fn without_a_change_under_way_the_same_poll_drops_it() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 1)], 0);
    let older = poll_that_lacks(&queue, 1);
    queue.merge(older, at(12));
    assert_eq!(state_of(&queue, 1), None);
}

#[test]
fn a_poll_that_proved_it_deleted_yields_to_a_later_change_and_the_next_poll_tells() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Locked, 1)], 0);
    // The poll finds it nowhere; meanwhile an unlock has succeeded, so the controller knows it after all.
    let mut older = queue.begin_poll(at(10)).unwrap();
    ask(&mut older, &queue, &[]);
    queue.begin(uuid(1), OperationKind::Unlock(UnlockReason::ProcessEnded)).unwrap();
    let unlocked = record(1, Queued, 1).standing();
    queue.answered(uuid(1), Answer::Standing(Ok(unlocked)), at(12));
    queue.merge(older, at(13));
    assert_eq!(state_of(&queue, 1), Some(Queued));
    poll(&mut queue, &[], 20);
    assert_eq!(state_of(&queue, 1), None);
}

#[test]
fn no_late_answer_whatever_it_is_creates_an_entry() {
    let answers = [
        Answer::Standing(Ok(record(1, Locked, 1).standing())),
        Answer::Standing(Err(api_error(ApiErrorKind::Timeout))),
        Answer::Record(Ok(record(1, Running, 1))),
        Answer::Record(Err(api_error(ApiErrorKind::NotFound))),
    ];
    for answer in answers {
        let mut queue = queue();
        assert_eq!(queue.answered(uuid(1), answer.clone(), at(1)), None, "{answer:?}");
        assert!(queue.snapshot().entries.is_empty(), "{answer:?}");
    }
}

/// A look is a read of its own: what it found is newer than whatever an earlier poll brings.
#[test]
fn what_a_look_has_added_is_not_overwritten_by_a_poll_that_began_before_it() {
    let mut queue = queue();
    poll(&mut queue, &[], 0);
    let mut older = queue.begin_poll(at(10)).unwrap();
    ask(&mut older, &queue, &[record(1, Queued, 1)]);
    assert!(queue.begin_look(uuid(1)));
    queue.looked(uuid(1), Ok(record(1, Running, 1)), at(11), at(11));
    queue.merge(older, at(12));
    assert_eq!(state_of(&queue, 1), Some(Running));
}

/// A poll that began while the lock was on its way, and was asked before the server had taken it.
#[test]
fn a_poll_that_began_during_a_change_does_not_undo_it_either() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 1)], 0);
    queue.begin(uuid(1), OperationKind::Lock).unwrap();
    let mut older = queue.begin_poll(at(11)).unwrap();
    ask(&mut older, &queue, &[record(1, Queued, 1)]);
    queue.answered(uuid(1), Answer::Standing(Ok(record(1, Locked, 1).standing())), at(12));
    queue.merge(older, at(13));
    assert_eq!(state_of(&queue, 1), Some(Locked));
}

#[test]
fn a_container_that_is_being_locked_is_not_dropped_by_a_poll_that_shows_it_under_another_lock() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 1)], 0);
    let mut older = queue.begin_poll(at(10)).unwrap();
    ask(&mut older, &queue, &[Record { locked_by: Some(somebody_else()), ..record(1, Locked, 1) }]);
    queue.begin(uuid(1), OperationKind::Lock).unwrap();
    queue.merge(older, at(12));
    assert_eq!(state_of(&queue, 1), Some(Queued), "the other has given it back, its lock is on its way");
}

#[test]
fn a_container_that_is_being_changed_is_not_made_unreadable_by_an_older_poll() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 1)], 0);
    let mut older = queue.begin_poll(at(10)).unwrap();
    older.answer(poison(Some(uuid(1))), &queue, &policy()).unwrap();
    ask(&mut older, &queue, &[]);
    queue.begin(uuid(1), OperationKind::Lock).unwrap();
    queue.answered(uuid(1), Answer::Standing(Ok(record(1, Locked, 1).standing())), at(12));
    queue.merge(older, at(13));
    let snapshot = queue.snapshot();
    let entry = snapshot.get(uuid(1)).unwrap();
    assert_eq!((entry.record.state, &entry.unreadable, entry.is_undecidable()), (Locked, &None, false));
}

/// Otherwise it would be read, added and dropped again with each poll.
#[test]
fn what_a_look_has_added_does_not_fall_off_the_end_of_a_list() {
    let mut queue = queue();
    queue.begin_look(uuid(9_999));
    queue.looked(uuid(9_999), Ok(record(9_999, Queued, 1)), at(1), at(1));
    let before: Vec<_> = (1..=150).map(|n| record(n, Queued, 5)).collect();
    let mut poll = queue.begin_poll(at(2)).unwrap();
    let mut asked = Vec::new();
    while let Some(question) = poll.question() {
        let items = match &question {
            ListQuestion::Available { .. } => before.clone(),
            ListQuestion::Mine { .. } => Vec::new(),
            ListQuestion::Known { uuids } => {
                asked.extend(uuids.clone());
                vec![record(9_999, Queued, 1)]
            }
        };
        poll.answer(Page { items, undecodable: Vec::new() }, &queue, &policy()).unwrap();
    }
    queue.merge(poll, at(2));
    assert_eq!((asked, state_of(&queue, 9_999)), (vec![uuid(9_999)], Some(Queued)));
}
