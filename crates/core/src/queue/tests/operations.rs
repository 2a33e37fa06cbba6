//! Lock, unlock, cancel: calls, answers, and what they come to.

use super::*;
use crate::container::ContainerState::{Cancelled, Complete, Locked, Queued, Running};
use crate::container::Standing;
use crate::fixtures::{api_error, record, somebody_else};
use crate::ports::{ApiError, ApiErrorKind};

fn standing(state: ContainerState) -> Standing {
    record(1, state, 1).standing()
}

fn with(state: ContainerState) -> ContainerQueue {
    let mut queue = queue();
    poll(&mut queue, &[record(1, state, 1)], 0);
    queue
}

fn says(state: ContainerState) -> Answer {
    Answer::Standing(Ok(standing(state)))
}

fn fails(kind: ApiErrorKind) -> Answer {
    Answer::Standing(Err(api_error(kind)))
}

fn reads(state: ContainerState) -> Answer {
    Answer::Record(Ok(record(1, state, 1)))
}

fn reads_locked(lock_count: Option<u32>) -> Answer {
    Answer::Record(Ok(Record { lock_count, ..record(1, Locked, 1) }))
}

fn reads_foreign(state: ContainerState) -> Answer {
    Answer::Record(Ok(Record { locked_by: Some(somebody_else()), ..record(1, state, 1) }))
}

fn unreadable(kind: ApiErrorKind) -> Answer {
    Answer::Record(Err(api_error(kind)))
}

fn error(kind: ApiErrorKind) -> ApiError {
    api_error(kind)
}

fn cancel_from(state: ContainerState) -> OperationKind {
    OperationKind::Cancel { reason: CancelReason::ProcessExited, expected: standing(state) }
}

const COURTESY: OperationKind = OperationKind::Unlock(UnlockReason::OverQuota);
const ENDED: OperationKind = OperationKind::Unlock(UnlockReason::ProcessEnded);

/// Begins, gives each answer, and says which calls were made and what it came to.
fn carry_out(queue: &mut ContainerQueue, kind: OperationKind, answers: Vec<Answer>) -> (Vec<Call>, Outcome) {
    let mut calls = vec![queue.begin(uuid(1), kind).unwrap()];
    let mut outcome = None;
    for answer in answers {
        assert_eq!(outcome, None, "it was over before");
        match queue.answered(uuid(1), answer, at(11)).unwrap() {
            Step::Call(call) => calls.push(call),
            Step::Finished(finished) => outcome = Some(finished.outcome),
        }
    }
    (calls, outcome.expect("it goes on"))
}

#[test]
fn every_operation_comes_to_what_its_answers_say() {
    use ApiErrorKind::{Forbidden, NotSent, Overloaded, Refused, Timeout};
    use Call::{Cancel, Lock, Read, Unlock};
    let done = |state| Outcome::Done(standing(state));
    let refused = Outcome::Refused;
    let failed = |kind| Outcome::Failed(error(kind));
    type Case = (
        &'static str,
        ContainerState,
        OperationKind,
        Vec<Answer>,
        Vec<Call>,
        Outcome,
        Option<ContainerState>,
    );
    let cases: Vec<Case> = vec![
        ("lock", Queued, OperationKind::Lock, vec![says(Locked)], vec![Lock], done(Locked), Some(Locked)),
        (
            "lock whose answer was lost",
            Queued,
            OperationKind::Lock,
            vec![fails(Timeout), reads(Locked)],
            vec![Lock, Read],
            done(Locked),
            Some(Locked),
        ),
        (
            "lock that was shed",
            Queued,
            OperationKind::Lock,
            vec![fails(Overloaded), reads(Queued)],
            vec![Lock, Read],
            failed(Overloaded),
            Some(Queued),
        ),
        (
            "lost lock race",
            Queued,
            OperationKind::Lock,
            vec![fails(Refused), reads_foreign(Locked)],
            vec![Lock, Read],
            refused(QueueRefusal::Foreign),
            None,
        ),
        (
            "lock of a container that its user cancelled",
            Queued,
            OperationKind::Lock,
            vec![fails(Refused), reads(Cancelled)],
            vec![Lock, Read],
            failed(Refused),
            Some(Cancelled),
        ),
        (
            "nonsense is read after",
            Queued,
            OperationKind::Lock,
            vec![says(Complete), reads(Locked)],
            vec![Lock, Read],
            done(Locked),
            Some(Locked),
        ),
        ("unlock", Locked, ENDED, vec![says(Queued)], vec![Unlock], done(Queued), Some(Queued)),
        (
            "unlock that used the attempts up",
            Locked,
            ENDED,
            vec![says(Cancelled)],
            vec![Unlock],
            done(Cancelled),
            Some(Cancelled),
        ),
        (
            "unlock of what began to run",
            Locked,
            ENDED,
            vec![fails(Refused), reads(Running)],
            vec![Unlock, Read],
            failed(Refused),
            Some(Running),
        ),
        (
            "lock while we may not act",
            Queued,
            OperationKind::Lock,
            vec![fails(NotSent)],
            vec![Lock],
            refused(QueueRefusal::NotSent),
            Some(Queued),
        ),
        (
            "unlock while we may not act",
            Locked,
            ENDED,
            vec![fails(NotSent)],
            vec![Unlock],
            refused(QueueRefusal::NotSent),
            Some(Locked),
        ),
        (
            "unlock of what is another's",
            Locked,
            ENDED,
            vec![fails(Forbidden), reads_foreign(Locked)],
            vec![Unlock, Read],
            refused(QueueRefusal::Foreign),
            None,
        ),
        (
            "optional unlock",
            Locked,
            COURTESY,
            vec![reads_locked(Some(8)), says(Queued)],
            vec![Read, Unlock],
            done(Queued),
            Some(Queued),
        ),
        (
            "optional unlock with one attempt left",
            Locked,
            COURTESY,
            vec![reads_locked(Some(9))],
            vec![Read],
            refused(QueueRefusal::AttemptsNearlyUsed),
            Some(Locked),
        ),
        (
            "optional unlock with unknown attempts",
            Locked,
            COURTESY,
            vec![reads_locked(None)],
            vec![Read],
            refused(QueueRefusal::AttemptsNearlyUsed),
            Some(Locked),
        ),
        (
            "optional unlock of what began to run",
            Locked,
            COURTESY,
            vec![reads(Running)],
            vec![Read],
            refused(QueueRefusal::RecordChanged),
            Some(Running),
        ),
        (
            "optional unlock of another's",
            Locked,
            COURTESY,
            vec![reads_foreign(Locked)],
            vec![Read],
            refused(QueueRefusal::Foreign),
            None,
        ),
        (
            "optional unlock whose answer was lost",
            Locked,
            COURTESY,
            vec![reads_locked(Some(1)), fails(Timeout), reads(Queued)],
            vec![Read, Unlock, Read],
            done(Queued),
            Some(Queued),
        ),
        (
            "cancel",
            Running,
            cancel_from(Running),
            vec![reads(Running), says(Cancelled)],
            vec![Read, Cancel],
            done(Cancelled),
            Some(Cancelled),
        ),
        (
            "cancel of what has become Complete",
            Running,
            cancel_from(Running),
            vec![reads(Complete)],
            vec![Read],
            refused(QueueRefusal::RecordChanged),
            Some(Complete),
        ),
        (
            "cancel of what is another's",
            Running,
            cancel_from(Running),
            vec![reads_foreign(Running)],
            vec![Read],
            refused(QueueRefusal::Foreign),
            None,
        ),
        (
            "cancel that was refused",
            Running,
            cancel_from(Running),
            vec![reads(Running), fails(Refused)],
            vec![Read, Cancel],
            failed(Refused),
            Some(Running),
        ),
        (
            "cancel without an answer",
            Running,
            cancel_from(Running),
            vec![reads(Running), fails(Timeout), reads(Running)],
            vec![Read, Cancel, Read],
            failed(Timeout),
            Some(Running),
        ),
    ];
    for (name, from, kind, answers, calls, outcome, then) in cases {
        let mut queue = with(from);
        assert_eq!(carry_out(&mut queue, kind, answers), (calls, outcome), "{name}");
        assert_eq!(state_of(&queue, 1), then, "{name}");
    }
}

/// What was Queued and has ended is under no lock, as before: its state alone tells.
#[test]
fn a_container_that_was_queued_and_has_ended_is_not_cancelled() {
    for ended in [Cancelled, Complete] {
        let mut queue = with(Queued);
        let came_to = carry_out(&mut queue, cancel_from(Queued), vec![reads(ended)]);
        assert_eq!(came_to, (vec![Call::Read], Outcome::Refused(QueueRefusal::RecordChanged)), "{ended}");
        assert_eq!(state_of(&queue, 1), Some(ended));
    }
}

#[test]
fn no_lock_that_can_as_well_be_kept_is_given_back_with_the_last_attempt() {
    for reason in [UnlockReason::OverQuota, UnlockReason::OverSupervisors] {
        let mut queue = with(Locked);
        let came_to = carry_out(&mut queue, OperationKind::Unlock(reason), vec![reads_locked(Some(9))]);
        let kept = Outcome::Refused(QueueRefusal::AttemptsNearlyUsed);
        assert_eq!(came_to, (vec![Call::Read], kept), "{reason:?}");
        assert!(queue.snapshot().get(uuid(1)).unwrap().attempts_nearly_used);
    }
}

#[test]
fn an_operation_without_any_answer_leaves_the_container_alone_until_a_poll_tells() {
    let mut queue = with(Queued);
    let answers = vec![fails(ApiErrorKind::Timeout), unreadable(ApiErrorKind::Connection)];
    let (_, outcome) = carry_out(&mut queue, OperationKind::Lock, answers);
    assert_eq!(outcome, Outcome::Uncertain(error(ApiErrorKind::Connection)));
    assert!(queue.snapshot().get(uuid(1)).unwrap().is_undecidable());
    assert_eq!(queue.begin(uuid(1), OperationKind::Lock), Err(QueueRefusal::Uncertain));
    poll(&mut queue, &[record(1, Locked, 1)], 61);
    assert!(!queue.snapshot().get(uuid(1)).unwrap().is_undecidable());
    assert_eq!(state_of(&queue, 1), Some(Locked));
}

#[test]
fn the_record_of_another_container_is_no_answer() {
    let mut queue = with(Queued);
    let answers = vec![fails(ApiErrorKind::Timeout), Answer::Record(Ok(record(2, Locked, 1)))];
    let (_, outcome) = carry_out(&mut queue, OperationKind::Lock, answers);
    assert!(matches!(outcome, Outcome::Uncertain(ApiError { kind: ApiErrorKind::Malformed, .. })));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let cases = [
        (Locked, OperationKind::Lock, QueueRefusal::WrongState),
        (Queued, ENDED, QueueRefusal::WrongState),
        (Running, ENDED, QueueRefusal::WrongState),
        (Locked, cancel_from(Running), QueueRefusal::WrongState),
        (Complete, cancel_from(Complete), QueueRefusal::WrongState),
    ];
    for (state, kind, why) in cases {
        let mut queue = with(if state == Complete { Running } else { state });
        poll(&mut queue, &[record(1, state, 1)], 1);
        assert_eq!(queue.begin(uuid(1), kind.clone()), Err(why), "{state} {kind:?}");
    }
    assert_eq!(queue().begin(uuid(1), OperationKind::Lock), Err(QueueRefusal::NotInQueue));
}

#[test]
fn a_container_on_hold_is_not_locked() {
    let mut queue = with(Queued);
    poll(&mut queue, &[record(1, Queued, 0)], 1);
    assert_eq!(queue.begin(uuid(1), OperationKind::Lock), Err(QueueRefusal::WrongState));
}

#[test]
fn one_operation_at_a_time() {
    let mut queue = with(Queued);
    queue.begin(uuid(1), OperationKind::Lock).unwrap();
    assert_eq!(queue.begin(uuid(1), OperationKind::Lock), Err(QueueRefusal::Busy));
    assert_eq!(queue.forget(uuid(1)), None, "nothing in flight is dropped");
}

fn setback_of(queue: &ContainerQueue) -> Setback {
    queue.snapshot().get(uuid(1)).unwrap().setback.clone().unwrap()
}

#[test]
fn after_a_failure_nothing_is_begun_before_a_later_poll_and_the_end_of_the_back_off() {
    let mut queue = with(Queued);
    carry_out(&mut queue, OperationKind::Lock, vec![fails(ApiErrorKind::Refused), reads(Queued)]);
    assert_eq!(queue.begin(uuid(1), OperationKind::Lock), Err(QueueRefusal::SetBack));
    poll(&mut queue, &[record(1, Queued, 1)], 12);
    assert_eq!(queue.begin(uuid(1), OperationKind::Lock), Err(QueueRefusal::SetBack), "it is too soon");
    poll(&mut queue, &[record(1, Queued, 1)], 16);
    let again = carry_out(&mut queue, OperationKind::Lock, vec![fails(ApiErrorKind::Refused), reads(Queued)]);
    assert_eq!(again.0, [Call::Lock, Call::Read], "one try");
    assert_eq!((setback_of(&queue).failures, setback_of(&queue).until), (2, at(21)));
    assert_eq!(setback_of(&queue).error, error(ApiErrorKind::Refused).to_string());
}

/// The lease had run out: nothing is known of the container that was not known before.
#[test]
fn a_call_that_was_not_sent_sets_nothing_back() {
    let mut queue = with(Queued);
    carry_out(&mut queue, OperationKind::Lock, vec![fails(ApiErrorKind::NotSent)]);
    assert_eq!(queue.snapshot().get(uuid(1)).unwrap().setback, None);
    assert!(!queue.snapshot().get(uuid(1)).unwrap().uncertain);
    assert_eq!(queue.begin(uuid(1), OperationKind::Lock), Ok(Call::Lock), "it may be tried at once");
}

#[test]
fn a_success_ends_the_setback() {
    let mut queue = with(Queued);
    carry_out(&mut queue, OperationKind::Lock, vec![fails(ApiErrorKind::Refused), reads(Queued)]);
    poll(&mut queue, &[record(1, Queued, 1)], 20);
    carry_out(&mut queue, OperationKind::Lock, vec![says(Locked)]);
    assert_eq!(queue.snapshot().get(uuid(1)).unwrap().setback, None);
}

#[test]
fn a_record_that_has_changed_costs_no_back_off() {
    let mut queue = with(Locked);
    let changed = carry_out(&mut queue, cancel_from(Locked), vec![reads(Running)]);
    assert_eq!(changed.1, Outcome::Refused(QueueRefusal::RecordChanged));
    assert_eq!((setback_of(&queue).failures, setback_of(&queue).until), (0, at(11)));
}

/// What a read has shown to be otherwise than the last poll had said of one container may be so for others, too.
#[test]
fn a_failure_says_whether_the_picture_was_old() {
    let lock = OperationKind::Lock;
    let cases = [
        (fails(ApiErrorKind::Refused), reads(Queued), false),
        (fails(ApiErrorKind::Refused), reads(Cancelled), true),
        (fails(ApiErrorKind::Refused), reads_foreign(Locked), true),
        (fails(ApiErrorKind::NotFound), unreadable(ApiErrorKind::NotFound), true),
        (fails(ApiErrorKind::Timeout), unreadable(ApiErrorKind::Timeout), false),
        (fails(ApiErrorKind::Timeout), reads(Locked), false),
    ];
    for (first, second, is_old) in cases {
        let mut queue = with(Queued);
        queue.begin(uuid(1), lock.clone()).unwrap();
        queue.answered(uuid(1), first, at(11)).unwrap();
        let Some(Step::Finished(finished)) = queue.answered(uuid(1), second.clone(), at(11)) else {
            panic!("it goes on after {second:?}")
        };
        assert_eq!(finished.picture_is_old, is_old, "{second:?}");
    }
}

#[test]
fn an_operation_that_was_not_sent_can_be_taken_back() {
    let mut queue = with(Queued);
    let mut newer = queue.begin_poll(at(5)).unwrap();
    ask(&mut newer, &queue, &[record(1, Queued, 7)]);
    queue.begin(uuid(1), OperationKind::Lock).unwrap();
    queue.withdraw(uuid(1));
    queue.merge(newer, at(6));
    let snapshot = queue.snapshot();
    let entry = snapshot.get(uuid(1)).unwrap();
    assert_eq!((entry.record.priority, &entry.operation), (7, &None), "the poll's picture holds");
}

/// What was set back for its lock may be cancelled, and so on.
#[test]
fn a_failure_holds_back_only_what_has_failed() {
    let mut queue = with(Queued);
    carry_out(&mut queue, OperationKind::Lock, vec![fails(ApiErrorKind::Refused), reads(Queued)]);
    assert_eq!(queue.begin(uuid(1), OperationKind::Lock), Err(QueueRefusal::SetBack));
    assert_eq!(queue.begin(uuid(1), cancel_from(Queued)), Ok(Call::Read));
}

/// Nothing has happened, and the record is known: one read a try is enough.
#[test]
fn after_a_refusal_the_record_is_not_read_a_second_time() {
    for (kind, calls) in
        [(ApiErrorKind::Refused, 2), (ApiErrorKind::Forbidden, 2), (ApiErrorKind::Timeout, 3)]
    {
        let mut queue = with(Locked);
        let answers = [reads(Locked), fails(kind), reads(Locked)];
        let (made, outcome) = carry_out(&mut queue, cancel_from(Locked), answers[..calls].to_vec());
        assert_eq!((made.len(), outcome), (calls, Outcome::Failed(error(kind))));
    }
}

fn requeue() -> OperationKind {
    OperationKind::Requeue { error: "no space".to_owned() }
}

#[test]
fn a_failed_attempt_gives_the_lock_back_and_the_last_one_cancels() {
    let done = |state| Outcome::Done(standing(state));
    for (count, answer, calls, outcome, unlocks) in [
        (Some(9), says(Queued), [Call::Read, Call::Unlock], done(Queued), 1),
        (None, says(Queued), [Call::Read, Call::Unlock], done(Queued), 1),
        (Some(10), says(Cancelled), [Call::Read, Call::Cancel], done(Cancelled), 0),
    ] {
        let mut queue = with(Locked);
        assert_eq!(
            carry_out(&mut queue, requeue(), vec![reads_locked(count), answer]),
            (calls.into(), outcome)
        );
        let snapshot = queue.snapshot();
        let entry = snapshot.get(uuid(1)).unwrap();
        assert_eq!((entry.unlocks, entry.cancelled_unstarted), (unlocks, count == Some(10)));
    }
    let mut queue = with(Locked);
    let changed = Outcome::Refused(QueueRefusal::RecordChanged);
    assert_eq!(carry_out(&mut queue, requeue(), vec![reads(Running)]), (vec![Call::Read], changed));
}

#[test]
fn a_requeue_whose_answer_was_lost_is_read_after() {
    let mut queue = with(Locked);
    let answers = vec![reads_locked(Some(10)), fails(ApiErrorKind::Timeout), reads(Cancelled)];
    let (calls, outcome) = carry_out(&mut queue, requeue(), answers);
    assert_eq!(calls, [Call::Read, Call::Cancel, Call::Read]);
    assert_eq!(outcome, Outcome::Done(standing(Cancelled)));
}

#[test]
fn an_answer_never_creates_an_entry() {
    let mut queue = queue();
    assert_eq!(queue.answered(uuid(1), says(Locked), at(0)), None);
    assert!(queue.snapshot().entries.is_empty());
}

#[test]
fn unlocks_are_counted() {
    let mut queue = with(Locked);
    carry_out(&mut queue, ENDED, vec![says(Queued)]);
    assert_eq!(queue.snapshot().get(uuid(1)).unwrap().unlocks, 1);
}

#[test]
fn a_lock_of_our_own_is_not_one_of_before_the_start() {
    let mut queue = with(Locked);
    carry_out(&mut queue, ENDED, vec![says(Queued)]);
    carry_out(&mut queue, OperationKind::Lock, vec![says(Locked)]);
    assert!(!queue.snapshot().get(uuid(1)).unwrap().locked_before_start);
}

#[test]
fn a_lost_race_is_not_undone_by_an_older_poll() {
    let mut queue = with(Queued);
    let mut older = queue.begin_poll(at(5)).unwrap();
    ask(&mut older, &queue, &[record(1, Queued, 1)]);
    carry_out(&mut queue, OperationKind::Lock, vec![fails(ApiErrorKind::Refused), reads_foreign(Locked)]);
    queue.merge(older, at(12));
    assert_eq!(state_of(&queue, 1), None);
}
