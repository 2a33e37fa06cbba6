//! Records that are absent from a list, or answered with 404.

use super::*;
use crate::container::ContainerState::{Cancelled, Locked, Queued, Running};
use crate::fixtures::{api_error, record};
use crate::ports::ApiErrorKind;

fn running(numbers: impl IntoIterator<Item = u64>) -> Vec<Record> {
    numbers.into_iter().map(|n| record(n, Running, 1)).collect()
}

fn dropped(facts: &[QueueFact]) -> usize {
    facts.iter().filter(|fact| matches!(fact, QueueFact::Dropped { .. })).count()
}

/// A look at a container that the controller does not know.
fn look_in_vain(queue: &mut ContainerQueue, n: u64, second: i64) -> Vec<QueueFact> {
    assert!(queue.begin_look(uuid(n)), "{n} at {second}");
    queue.looked(uuid(n), Err(api_error(ApiErrorKind::NotFound)), at(second), at(second))
}

#[test]
fn three_seconds_of_empty_lists_change_nothing_for_one_or_for_four_that_run() {
    for count in [1, 4] {
        let mut queue = queue();
        let all = running(1..=count);
        poll(&mut queue, &all, 0);
        let before = queue.snapshot();
        let facts = poll(&mut queue, &[], 10);
        assert_eq!(dropped(&facts), 0);
        let snapshot = queue.snapshot();
        assert!(snapshot.entries.iter().all(|entry| entry.is_undecidable()), "nothing is decided meanwhile");
        poll(&mut queue, &all, 13);
        assert_eq!(queue.snapshot().entries, before.entries);
    }
}

#[test]
fn one_record_is_dropped_when_it_is_absent_again_half_a_minute_later() {
    let mut queue = queue();
    poll(&mut queue, &running(1..=9), 0);
    let rest = running(2..=9);
    let facts = poll(&mut queue, &rest, 10);
    assert_eq!(facts, [QueueFact::Doubted { uuid: uuid(1) }]);
    assert_eq!(dropped(&poll(&mut queue, &rest, 39)), 0);
    assert_eq!(dropped(&poll(&mut queue, &rest, 40)), 1);
    // A look at its process needs no second half minute: it is the third question.
    look_in_vain(&mut queue, 1, 41);
    assert_eq!(queue.snapshot().looked[&uuid(1)], LookOutcome::Absent);
}

#[test]
fn a_record_that_is_shown_again_if_only_as_undecodable_is_absent_anew() {
    let mut queue = queue();
    poll(&mut queue, &running(1..=2), 0);
    poll(&mut queue, &running([2]), 10);
    let mut sick = queue.begin_poll(at(30)).unwrap();
    while let Some(question) = sick.question() {
        let answer = match &question {
            ListQuestion::Known { .. } => poison(Some(uuid(1))),
            ListQuestion::Mine { .. } | ListQuestion::Available { .. } => {
                server_answer(&running([2]), &question)
            }
        };
        sick.answer(answer, &queue, &policy()).unwrap();
    }
    queue.merge(sick, at(30));
    assert_eq!(dropped(&poll(&mut queue, &running([2]), 45)), 0);
    assert_eq!(dropped(&poll(&mut queue, &running([2]), 75)), 1);
}

#[test]
fn most_records_at_once_are_believed_absent_after_three_answers_over_two_minutes() {
    let mut queue = queue();
    poll(&mut queue, &running(1..=5), 0);
    let rest = running(4..=5);
    let facts = poll(&mut queue, &rest, 10);
    assert_eq!(facts.last(), Some(&QueueFact::MostAreAbsent { absent: 3, of: 5 }));
    assert_eq!(dropped(&poll(&mut queue, &rest, 60)), 0);
    // One is shown again: now they are not most, but they were.
    let facts = poll(&mut queue, &running(3..=5), 100);
    assert_eq!(facts.last(), Some(&QueueFact::MostAreShown));
    assert_eq!(dropped(&facts), 0);
    assert_eq!(dropped(&poll(&mut queue, &running(3..=5), 129)), 0);
    assert_eq!(dropped(&poll(&mut queue, &running(3..=5), 130)), 2);
}

#[test]
fn after_a_restart_the_records_of_the_processes_that_are_found_are_doubted_together() {
    let mut queue = queue();
    poll(&mut queue, &[], 0);
    let facts: Vec<_> = (1..=4).flat_map(|n| look_in_vain(&mut queue, n, 1)).collect();
    assert!(facts.contains(&QueueFact::MostAreAbsent { absent: 3, of: 3 }), "{facts:?}");
    let absent = |queue: &ContainerQueue| {
        let looked = queue.snapshot().looked;
        looked.values().filter(|outcome| **outcome == LookOutcome::Absent).count()
    };
    let mut believed = None;
    for second in 2..400 {
        poll(&mut queue, &[], second);
        for n in 1..=4 {
            if queue.begin_look(uuid(n)) {
                queue.looked(uuid(n), Err(api_error(ApiErrorKind::NotFound)), at(second), at(second));
            }
        }
        if absent(&queue) == 4 {
            believed = Some(second);
            break;
        }
    }
    assert!(believed.is_some_and(|second| (121..300).contains(&second)), "{believed:?}");
}

#[test]
fn records_that_are_shown_as_cancelled_are_believed_at_once_however_many_they_are() {
    let mut queue = queue();
    poll(&mut queue, &running(1..=40), 0);
    let cancelled: Vec<_> = (1..=40).map(|n| record(n, Cancelled, 0)).collect();
    let facts = poll(&mut queue, &cancelled, 10);
    assert_eq!(facts.len(), 40);
    assert!(queue.snapshot().entries.iter().all(|entry| !entry.is_undecidable()));
}

#[test]
fn one_that_waits_is_dropped_at_once_because_nothing_is_lost_with_it() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 1), record(2, Locked, 1)], 0);
    let facts = poll(&mut queue, &[record(2, Locked, 1)], 1);
    assert_eq!(dropped(&facts), 1);
}
