//! Who is watched closely: a process whose record is final, until it is gone or given up, and nobody else.

use super::*;
use crate::container::ContainerState::{Cancelled, Complete};

fn killed(reason: KillReason) -> Story {
    let mut story = Story::running(&[1]);
    story.on(100, Command::Kill(uuid(1), reason));
    story
}

#[test]
fn a_process_of_a_final_record_is_asked_for_at_once_and_again_soon() {
    for state in [Complete, Cancelled] {
        let mut story = killed(KillReason::Final(state));
        assert_eq!(story.wish(), Some((100, true)));
        story.probe(100, 100, lists(&[1]));
        assert_eq!(story.wish(), Some((100, true)), "half a second later");
    }
}

#[test]
fn a_process_that_is_killed_for_another_reason_is_asked_for_in_its_turn() {
    for reason in [KillReason::PriorityZero, KillReason::Requeued, KillReason::NotInQueue] {
        let mut story = killed(reason.clone());
        story.probe(100, 100, lists(&[1]));
        assert_eq!(story.wish(), Some((110, false)), "{reason:?}");
    }
}

#[test]
fn a_process_that_was_given_up_is_asked_for_in_its_turn() {
    let mut story = Story::running(&[1, 2]);
    story.on(100, Command::Kill(uuid(1), KillReason::Final(Cancelled)));
    for second in (100..=220).step_by(5) {
        story.on(second, Completion::KillFinished(uuid(1), KillOutcome::Failed(failure(None))));
        story.on(second + 5, Completion::Tick);
    }
    assert!(story.view().processes[0].given_up);
    story.probe(300, 300, lists(&[1, 2]));
    assert_eq!(story.wish(), Some((310, false)));
}

#[test]
fn when_it_is_gone_the_worker_is_asked_in_its_turn_again() {
    let mut story = killed(KillReason::Final(Complete));
    story.probe(100, 100, lists(&[1]));
    story.probe(101, 101, lists(&[]));
    assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), 1);
    assert_eq!(story.wish(), Some((111, false)));
}

/// An older dispatcher's start that took its time, or another's mistake: whatever runs there keeps the VM.
#[test]
fn a_process_that_appears_on_an_idle_worker_makes_it_busy_and_keeps_it() {
    let mut story = Story::idle();
    story.probe(20, 20, lists(&[7]));
    assert_eq!(story.state(), State::Running);
    story.on(1000, Completion::Tick);
    assert_eq!(story.did(&WorkerEffect::Destroy), 0, "idle for far too long, if it were idle");
    assert_eq!(
        story.try_on(1001, Command::ShutDown(ShutdownReason::OverQuota)).1,
        Err(WorkerRefusal::NotTakingContainers)
    );
    story.probe(1010, 1010, lists(&[]));
    assert_eq!(story.state(), State::Idle);
    story.on(1070, Completion::Tick);
    assert_eq!(story.did(&WorkerEffect::Destroy), 1);
}
