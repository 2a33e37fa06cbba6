//! What a silent instance shows between the decision to end it and the call to the cloud.

use super::*;

/// Silent for so long that Pool has ordered its end.
fn condemned() -> Story {
    let mut story = Story::running(&[1]);
    story.probe(20, 21, silent());
    story.probe(700, 701, silent());
    story.on(702, Command::ShutDown(ShutdownReason::Unresponsive));
    assert_eq!(story.state(), State::Shutdown);
    story
}

#[test]
fn a_living_process_that_shows_before_the_call_is_sent_takes_the_shutdown_back() {
    let mut story = condemned();
    story.probe(703, 704, lists(&[1]));
    assert_eq!((story.state(), story.told(&WorkerFact::Reprieved)), (State::Running, 1));
    assert!(!story.call_begins(), "the call is not sent");
    assert_eq!((story.view().silence, story.view().ending_since), (None, None));
    story.on(705, start(2));
    story.on(710, Command::StillListed(at(709)));
    assert_eq!(story.did(&WorkerEffect::Destroy), 1, "and not repeated");
}

/// After a restart it is the only one that knows what it runs.
#[test]
fn one_that_was_found_and_never_ready_is_kept_too() {
    let mut story = Story::unknown();
    story.probe(700, 701, silent());
    story.on(702, Command::ShutDown(ShutdownReason::BootTimeout));
    story.probe(703, 704, boot_fails_but_lists(&[7]));
    assert_eq!((story.state(), story.call_begins()), (State::Running, false));
    assert!(story.view().processes.iter().any(|it| it.uuid == uuid(7)));
}

#[test]
fn after_the_call_was_sent_there_is_no_way_back() {
    let mut story = condemned();
    assert!(story.call_begins());
    story.probe(703, 704, lists(&[1]));
    assert_eq!((story.state(), story.told(&WorkerFact::Reprieved)), (State::Shutdown, 0));
}

#[test]
fn one_that_answers_and_runs_nothing_is_not_spared() {
    let mut story = condemned();
    story.probe(703, 704, lists(&[]));
    assert_eq!(story.state(), State::Shutdown);
    assert!(story.call_begins());
}

/// Whatever it runs: somebody has decided that, or nothing that it still shows was its reason.
#[test]
fn an_end_for_another_reason_than_silence_is_not_taken_back() {
    let mut asked_twice = condemned();
    asked_twice.on(703, Command::ShutDown(ShutdownReason::Operator("enough".into())));
    let mut asked = Story::running(&[1]);
    asked.on(702, Command::ShutDown(ShutdownReason::Operator("enough".into())));
    for mut story in [asked_twice, asked] {
        story.probe(704, 705, lists(&[1]));
        assert_eq!(story.state(), State::Shutdown);
        assert!(story.call_begins());
    }
}

/// What comes while its end is waited for must not be lost: it may live on.
#[test]
fn after_that_it_is_as_if_its_end_had_never_been_decided() {
    let mut story = Story::running(&[1]);
    story.probe(20, 21, silent());
    story.on(690, Command::Kill(uuid(1), KillReason::PriorityZero));
    story.on(691, Command::SetIdleBehavior(IdleBehavior::Drain, None));
    story.on(692, Command::SetIdleBehavior(IdleBehavior::Run, None));
    story.on(692, Command::Keep(Some(KeptFor::Container)));
    story.probe(700, 701, silent());
    story.on(702, Command::ShutDown(ShutdownReason::Unresponsive));
    story.on(703, Completion::KillFinished(uuid(1), KillOutcome::Failed(failure(None))));
    story.on(703, Completion::TagsSaved(true));
    story.on(703, Command::Keep(None));
    story.done.clear();
    story.probe(704, 705, lists(&[1]));
    assert_eq!(story.state(), State::Running);
    assert!(story.machine.wakes_at() <= Some(at(705)));
    story.on(705, Completion::Tick);
    assert_eq!(story.did(&WorkerEffect::Kill(uuid(1))), 1, "the signal is sent again");
    let saves =
        |story: &Story| story.done.iter().filter(|it| matches!(it, WorkerEffect::SaveTags(_))).count();
    assert_eq!(saves(&story), 1, "its tags say drain, and it is to run");
    story.on(706, Completion::TagsSaved(true));
    story.on(707, Completion::KillFinished(uuid(1), KillOutcome::Gone));
    story.probe(708, 709, lists(&[]));
    assert!(story.machine.wakes_at().is_some(), "it is idle, and nothing is reserved there");
}

#[test]
fn the_operators_hold_takes_it_back_if_the_call_was_not_sent() {
    for (is_sent, state) in [(false, State::Running), (true, State::Shutdown)] {
        let mut story = condemned();
        if is_sent {
            assert!(story.call_begins());
        }
        story.on(703, Command::SetIdleBehavior(IdleBehavior::Hold, None));
        assert_eq!((story.state(), story.view().behavior), (state, IdleBehavior::Hold));
    }
}

/// A rack of a hundred is throttled: nothing was ended by a call that was refused.
#[test]
fn a_refused_call_leaves_the_way_back_open_and_one_without_an_answer_does_not() {
    for (outcome, state) in [
        (DestroyOutcome::Refused, State::Running),
        (DestroyOutcome::Unknown, State::Shutdown),
        (DestroyOutcome::Acknowledged, State::Shutdown),
    ] {
        let mut story = condemned();
        assert!(story.call_begins());
        story.on(703, Completion::DestroyFinished { sent: at(703), outcome });
        story.probe(704, 705, lists(&[1]));
        assert_eq!(story.state(), state, "{outcome:?}");
    }
}

#[test]
fn a_second_silence_ends_it_as_the_first() {
    let mut story = condemned();
    story.probe(703, 704, lists(&[1]));
    story.probe(710, 711, silent());
    story.probe(1400, 1401, silent());
    story.on(1402, Command::ShutDown(ShutdownReason::Unresponsive));
    assert_eq!((story.state(), story.did(&WorkerEffect::Destroy)), (State::Shutdown, 2));
    assert!(story.call_begins());
}

/// We had no lease when the slot came, so the worker was not asked any more whether the call may begin.
#[test]
fn a_call_that_has_not_begun_leaves_the_way_back_open() {
    let mut story = condemned();
    story.on(707, Completion::DestroyFinished { sent: at(702), outcome: DestroyOutcome::Refused });
    story.probe(760, 761, lists(&[1]));
    assert_eq!((story.state(), story.told(&WorkerFact::Reprieved)), (State::Running, 1));
}

/// The call was not sent, because we had no lease; when the next is due, the instance has long been back.
#[test]
fn a_call_that_was_refused_is_repeated_only_if_the_silence_lasts() {
    let refused = || {
        let mut story = condemned();
        assert!(story.call_begins());
        story.on(703, Completion::DestroyFinished { sent: at(703), outcome: DestroyOutcome::Refused });
        story.done.clear();
        story.on(820, Command::StillListed(at(819)));
        assert_eq!(story.did(&WorkerEffect::Destroy), 0, "it is looked at first");
        let (due, _) = story.view().next_probe.expect("at once");
        assert!(due <= at(820));
        story
    };
    let mut back = refused();
    back.probe(821, 822, lists(&[1]));
    assert_eq!(back.state(), State::Running);
    for report in [silent(), lists(&[])] {
        let mut gone = refused();
        gone.probe(821, 822, report);
        gone.on(880, Command::StillListed(at(879)));
        assert_eq!((gone.state(), gone.did(&WorkerEffect::Destroy)), (State::Shutdown, 1));
    }
    // The answer of a look may be on its way.
    let mut looked_at = refused();
    looked_at.probe(821, 822, silent());
    looked_at.on(879, Command::Probe);
    looked_at.on(880, Command::StillListed(at(879)));
    assert_eq!(looked_at.did(&WorkerEffect::Destroy), 0);
    let mut omitted = refused();
    omitted.on(823, Command::Missing);
    assert_eq!(omitted.did(&WorkerEffect::Destroy), 0);
    omitted.probe(824, 825, silent());
    omitted.on(826, Command::Missing);
    assert_eq!(omitted.did(&WorkerEffect::Destroy), 1);
}
