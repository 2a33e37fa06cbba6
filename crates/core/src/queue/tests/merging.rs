//! What finished polls mean.

use super::*;
use crate::container::ContainerState::{Cancelled, Complete, Locked, Queued, Running};
use crate::fixtures::{api_error, record, somebody_else};
use crate::ports::ApiErrorKind;
use crate::queue::poll::Sighting;

fn dropped(facts: &[QueueFact]) -> Vec<(ContainerUuid, DropReason)> {
    let reason = |fact: &QueueFact| match fact {
        QueueFact::Dropped { uuid, reason, .. } => Some((*uuid, *reason)),
        _ => None,
    };
    facts.iter().filter_map(reason).collect()
}

#[test]
fn a_new_container_is_sized_and_then_reported() {
    let mut queue = queue();
    let facts = poll(&mut queue, &[record(1, Queued, 5)], 7);
    assert!(matches!(&facts[..], [QueueFact::Added(entry)] if entry.record.uuid == uuid(1)));
    let snapshot = queue.snapshot();
    assert_eq!(snapshot.get(uuid(1)).unwrap().types().len(), 2);
    assert_eq!((snapshot.polled_at, snapshot.first_poll_began), (Some(at(7)), Some(at(7))));
}

#[test]
fn state_and_priority_follow_the_polls() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 5)], 0);
    let facts = poll(&mut queue, &[record(1, Running, 6)], 1);
    assert_eq!(facts, [QueueFact::StateChanged { uuid: uuid(1), state: Running }]);
    assert_eq!(queue.snapshot().get(uuid(1)).unwrap().record.priority, 6);
}

#[test]
fn what_is_absent_for_long_or_foreign_is_dropped_and_final_records_stay_until_forgotten() {
    let mut queue = queue();
    let all: Vec<_> = (1..=3).map(|n| record(n, Running, 1)).collect();
    poll(&mut queue, &all, 0);
    let foreign = Record { locked_by: Some(somebody_else()), ..record(2, Running, 1) };
    let facts = poll(&mut queue, &[foreign, record(3, Complete, 1)], 1);
    assert_eq!(dropped(&facts), [(uuid(2), DropReason::Foreign)]);
    let facts = poll(&mut queue, &[], 31);
    assert_eq!(dropped(&facts), [(uuid(1), DropReason::Deleted)]);
    assert_eq!(state_of(&queue, 3), Some(Complete), "nobody asks for what has ended");
    assert!(queue.forget(uuid(3)).is_some());
    assert_eq!(state_of(&queue, 3), None);
}

#[test]
fn a_foreign_container_is_never_taken_in() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 1)], 0);
    poll(&mut queue, &[Record { locked_by: Some(somebody_else()), ..record(1, Locked, 1) }], 1);
    assert!(queue.snapshot().entries.is_empty());
}

#[test]
fn a_queued_container_that_fell_off_a_shortened_answer_is_dropped_without_asking() {
    let mut queue = queue();
    let many: Vec<_> = (1..=120).map(|n| record(n, Queued, 1)).collect();
    poll(&mut queue, &many[..1], 0);
    let mut shortened = queue.begin_poll(at(1)).unwrap();
    shortened.answer(page(vec![]), &queue, &policy()).unwrap();
    shortened.answer(page(many[1..].to_vec()), &queue, &policy()).unwrap();
    assert_eq!(shortened.question(), None);
    assert_eq!(dropped(&queue.merge(shortened, at(1))), [(uuid(1), DropReason::BeyondHorizon)]);
}

#[test]
fn a_failed_poll_leaves_no_trace() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 5)], 0);
    let before = format!("{queue:?}");
    let mut poll = queue.begin_poll(at(1)).unwrap();
    poll.answer(page(vec![]), &queue, &policy()).unwrap();
    drop(poll);
    assert_eq!(format!("{queue:?}"), before);
}

#[test]
fn an_unreadable_record_keeps_its_last_good_picture_and_nothing_is_decided_until_it_can_be_read() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Running, 5)], 0);
    let mut sick = queue.begin_poll(at(1)).unwrap();
    sick.answer(poison(Some(uuid(1))), &queue, &policy()).unwrap();
    ask(&mut sick, &queue, &[]);
    queue.merge(sick, at(1));
    assert_eq!(state_of(&queue, 1), Some(Running));
    assert!(queue.snapshot().get(uuid(1)).unwrap().is_undecidable());
    assert!(queue.snapshot().unreadable.contains_key(&uuid(1)));
    poll(&mut queue, &[record(1, Running, 5)], 2);
    assert!(!queue.snapshot().get(uuid(1)).unwrap().is_undecidable());
    assert!(queue.snapshot().unreadable.is_empty());
}

#[test]
fn poison_hurts_only_itself() {
    let mut queue = queue();
    let mut sick = queue.begin_poll(at(0)).unwrap();
    sick.answer(poison(Some(uuid(1))), &queue, &policy()).unwrap();
    ask(&mut sick, &queue, &[record(2, Locked, 1), record(3, Queued, 1)]);
    let facts = queue.merge(sick, at(0));
    assert_eq!(facts.len(), 1);
    assert_eq!(queue.snapshot().entries.len(), 2);
}

#[test]
fn unreadable_mounts_hurt_only_their_container_and_are_asked_for_again_after_a_back_off() {
    let mut queue = queue();
    let records = [record(1, Queued, 1), record(2, Queued, 1)];
    let mut first = queue.begin_poll(at(0)).unwrap();
    ask(&mut first, &queue, &records);
    queue.merge(first, at(0));
    assert_eq!(queue.unsized_containers(usize::MAX), [uuid(1), uuid(2)]);
    let answers = [(uuid(1), Err("mounts: null".to_owned())), (uuid(2), Ok(MountNeeds::default()))];
    queue.take_mounts(&answers.into(), &policy(), at(0));
    assert!(queue.snapshot().get(uuid(1)).unwrap().is_set_back(SetbackCause::Mounts));
    assert!(!queue.snapshot().get(uuid(2)).unwrap().types().is_empty());
    assert!(queue.unsized_containers(usize::MAX).is_empty());
    assert_eq!(poll(&mut queue, &records, 1), [], "its back-off is not over");
    let facts = poll(&mut queue, &records, 6);
    assert!(matches!(&facts[..], [QueueFact::Added(entry)] if entry.record.uuid == uuid(1)));
}

#[test]
fn unreadable_mounts_do_not_keep_a_container_that_has_ended() {
    let mut queue = queue();
    let mut first = queue.begin_poll(at(0)).unwrap();
    ask(&mut first, &queue, &[record(1, Running, 1)]);
    queue.merge(first, at(0));
    let mut second = queue.begin_poll(at(1)).unwrap();
    ask(&mut second, &queue, &[record(1, Complete, 1)]);
    queue.merge(second, at(1));
    assert!(queue.unsized_containers(usize::MAX).is_empty());
    queue.take_mounts(&[(uuid(1), Err("mounts: null".to_owned()))].into(), &policy(), at(0));
    assert!(!queue.snapshot().get(uuid(1)).unwrap().is_undecidable());
}

#[test]
fn a_lock_that_is_not_of_this_process_was_there_before_it_whichever_poll_shows_it_first() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Locked, 1), record(2, Running, 1)], 0);
    poll(&mut queue, &[record(1, Locked, 1), record(2, Running, 1), record(3, Locked, 1)], 1);
    let before: Vec<_> = queue.snapshot().entries.iter().map(|entry| entry.locked_before_start).collect();
    assert_eq!(before, [true, false, true]);
}

#[test]
fn a_record_of_another_size_is_sized_anew() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Queued, 1)], 0);
    let mut grown = record(1, Queued, 1);
    grown.runtime_constraints.vcpus = 4;
    poll(&mut queue, &[grown], 1);
    let snapshot = queue.snapshot();
    let types: Vec<_> = snapshot.get(uuid(1)).unwrap().types().iter().map(|it| it.name.as_str()).collect();
    assert_eq!(types, ["big"]);
}

#[test]
fn a_look_adds_ours_doubts_absence_remembers_foreign_and_believes_no_other_record() {
    let mut queue = queue();
    poll(&mut queue, &[], 0);
    for n in 1..=4 {
        assert!(queue.begin_look(uuid(n)));
        assert!(!queue.begin_look(uuid(n)), "one look at a time");
    }
    queue.looked(uuid(1), Ok(record(1, Running, 1)), at(1), at(1));
    queue.looked(uuid(2), Err(api_error(ApiErrorKind::NotFound)), at(1), at(1));
    queue.looked(
        uuid(3),
        Ok(Record { locked_by: Some(somebody_else()), ..record(3, Running, 1) }),
        at(1),
        at(1),
    );
    let facts = queue.looked(uuid(4), Ok(record(99, Running, 1)), at(1), at(1));
    assert!(matches!(facts[..], [QueueFact::Unreadable { .. }]));
    let snapshot = queue.snapshot();
    assert_eq!(snapshot.entries.len(), 1);
    assert_eq!(snapshot.looked, [(uuid(2), LookOutcome::Doubted), (uuid(3), LookOutcome::Foreign)].into());
    assert!(!queue.begin_look(uuid(1)) && !queue.begin_look(uuid(2)), "known already");
}

/// A VM may list for ever what the controller does not know, or whose record nobody can read.
#[test]
fn a_look_that_adds_nothing_is_repeated_by_polls_after_five_seconds_doubling_to_five_minutes() {
    let foreign = || Ok(Record { locked_by: Some(somebody_else()), ..record(1, Running, 1) });
    let fails = |kind| move || Err(api_error(kind));
    let answers: [&dyn Fn() -> Result<Record, ApiError>; 4] = [
        &foreign,
        &fails(ApiErrorKind::NotFound),
        &fails(ApiErrorKind::Overloaded),
        &fails(ApiErrorKind::Malformed),
    ];
    for answer in answers {
        let mut queue = queue();
        let mut looks = Vec::new();
        for second in (0..1_000).step_by(2) {
            poll(&mut queue, &[], second);
            assert!(queue.snapshot().looked.is_empty() || !queue.begin_look(uuid(1)));
            if queue.begin_look(uuid(1)) {
                looks.push(second);
                queue.looked(uuid(1), answer(), at(second), at(second));
                assert!(!queue.begin_look(uuid(1)));
            }
        }
        assert_eq!(looks, [0, 6, 16, 36, 76, 156, 316, 616, 916]);
    }
}

#[test]
fn an_orphan_whose_record_cannot_be_read_is_shown_until_the_next_look() {
    let mut queue = queue();
    queue.begin_look(uuid(1));
    queue.looked(uuid(1), Err(api_error(ApiErrorKind::Malformed)), at(1), at(1));
    poll(&mut queue, &[], 2);
    assert!(queue.snapshot().unreadable.contains_key(&uuid(1)));
    poll(&mut queue, &[], 10);
    assert!(!queue.snapshot().unreadable.contains_key(&uuid(1)) && queue.begin_look(uuid(1)));
}

#[test]
fn an_older_poll_does_not_bring_back_what_was_dropped_meanwhile() {
    let mut queue = queue();
    poll(&mut queue, &[record(1, Locked, 1)], 0);
    let mut older = queue.begin_poll(at(1)).unwrap();
    ask(&mut older, &queue, &[record(1, Locked, 1)]);
    queue.begin(uuid(1), OperationKind::Unlock(UnlockReason::ProcessEnded)).unwrap();
    let used_up = crate::container::Standing { state: Cancelled, priority: 1, locked_by: None };
    queue.answered(uuid(1), Answer::Standing(Ok(used_up)), at(2));
    queue.forget(uuid(1));
    queue.merge(older, at(3));
    assert_eq!(state_of(&queue, 1), None, "it would be started although it is cancelled");
}

#[test]
fn a_poll_that_finishes_after_a_later_one_is_no_news() {
    let mut queue = queue();
    let mut older = queue.begin_poll(at(1)).unwrap();
    ask(&mut older, &queue, &[record(1, Queued, 1)]);
    poll(&mut queue, &[record(1, Running, 1)], 2);
    queue.merge(older, at(3));
    assert_eq!((state_of(&queue, 1), queue.snapshot().polled_at), (Some(Running), Some(at(2))));
}

#[test]
fn a_search_for_mounts_to_be_read_goes_on_where_it_has_ended_and_leaves_nothing_out() {
    let mut queue = queue();
    let poll_of = |queue: &mut ContainerQueue, numbers: std::ops::RangeInclusive<u64>, began: i64| {
        let records: Vec<_> = numbers.map(|n| record(n, Queued, 1)).collect();
        let mut poll = queue.begin_poll(at(began)).unwrap();
        ask(&mut poll, queue, &records);
        queue.merge(poll, at(began));
    };
    poll_of(&mut queue, 2..=8, 0);
    let numbers =
        |uuids: Vec<ContainerUuid>| -> Vec<_> { (1..=8).filter(|n| uuids.contains(&uuid(*n))).collect() };
    let size = |queue: &mut ContainerQueue| {
        let asked = queue.unsized_containers(3);
        assert!(asked.is_sorted());
        let mounts = asked.iter().map(|uuid| (*uuid, Ok(MountNeeds::default()))).collect();
        queue.take_mounts(&mounts, &policy(), at(1));
        numbers(asked)
    };
    assert_eq!(size(&mut queue), [2, 3, 4]);
    // One comes in front of those that have been looked at.
    poll_of(&mut queue, 1..=8, 2);
    assert_eq!(size(&mut queue), [5, 6, 7]);
    assert_eq!(size(&mut queue), [1, 8]);
    assert_eq!(size(&mut queue), [0; 0]);
}

/// Between the pieces of a poll the answer to an older question takes the doubt back, or shows a lock.
#[test]
fn what_was_doubted_is_not_dropped_after_an_older_answer_between_two_pieces() {
    for state in [Running, Queued] {
        let mut queue = queue();
        poll(&mut queue, &[record(1, state, 1)], 0);
        let old = queue.asks(at(5));
        let mut later = queue.begin_poll(at(5)).unwrap();
        ask(&mut later, &queue, &[]);
        let merging = queue.begin_merge(later, at(6)).unwrap();
        let mut facts = Vec::new();
        let merging = queue.go_on_merging(merging, 1, &mut facts).unwrap();
        let shown = Record { locked_by: Some(me()), ..record(1, Running, 1) };
        queue.take_record(Sighting { record: shown, asked: old }, at(6), &mut facts);
        assert!(queue.go_on_merging(merging, usize::MAX, &mut facts).is_none());
        assert_eq!((state_of(&queue, 1), dropped(&facts)), (Some(Running), vec![]), "it was {state}");
    }
}

/// Three were absent, and the poll that is being taken in shows them again.
#[test]
fn a_look_between_two_pieces_does_not_count_what_the_poll_shows_as_absent() {
    let records: Vec<_> =
        (1..=3).map(|n| Record { locked_by: Some(me()), ..record(n, Running, 1) }).collect();
    let mut queue = queue();
    poll(&mut queue, &records, 0);
    poll(&mut queue, &records[..1], 10);
    let mut later = queue.begin_poll(at(20)).unwrap();
    ask(&mut later, &queue, &records);
    let merging = queue.begin_merge(later, at(20)).unwrap();
    let mut facts = Vec::new();
    let merging = queue.go_on_merging(merging, 1, &mut facts).unwrap();
    assert!(queue.begin_look(uuid(9)));
    let looked = queue.looked(uuid(9), Err(api_error(ApiErrorKind::NotFound)), at(20), at(20));
    assert_eq!(looked, [QueueFact::Doubted { uuid: uuid(9) }]);
    assert!(queue.go_on_merging(merging, usize::MAX, &mut facts).is_none());
    assert!(facts.iter().all(|it| !matches!(it, QueueFact::MostAreAbsent { .. })), "{facts:?}");
}
