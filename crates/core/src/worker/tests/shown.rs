//! What is told and shown of starts, signals and tags.

use super::*;

#[test]
fn the_last_container_is_shown_from_its_start_on_and_after_its_end() {
    let mut story = Story::idle();
    assert_eq!(story.view().last_container, None);
    story.on(2, start(1));
    assert_eq!(story.view().last_container, Some(uuid(1)));
    story.on(3, Completion::StartFinished(uuid(1), StartOutcome::Started));
    story.probe(10, 10, lists(&[]));
    assert_eq!(story.view().last_container, Some(uuid(1)));
    story.probe(20, 20, lists(&[2]));
    assert_eq!(story.view().last_container, Some(uuid(2)), "one that was found counts too");
}

#[test]
fn a_start_that_failed_is_told_with_its_output() {
    for outcome in [StartOutcome::Failed, StartOutcome::Unanswered] {
        let mut story = Story::idle();
        story.on(2, start(1));
        story.on(3, Completion::StartFinished(uuid(1), outcome(failure(None))));
        assert_eq!(story.told(&WorkerFact::StartFailed(uuid(1), failure(None))), 1);
    }
}

#[test]
fn each_signal_is_told() {
    let mut story = Story::running(&[1]);
    story.on(100, Command::Kill(uuid(1), KillReason::PriorityZero));
    story.on(101, Completion::KillFinished(uuid(1), KillOutcome::Failed(failure(None))));
    story.on(106, Completion::Tick);
    assert_eq!(
        (story.did(&WorkerEffect::Kill(uuid(1))), story.told(&WorkerFact::Signalling(uuid(1)))),
        (2, 2)
    );
}

#[test]
fn a_retry_of_tags_that_nobody_needs_any_more_wakes_nobody() {
    let mut story = Story::idle();
    story.on(2, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    story.on(3, Completion::TagsSaved(false));
    assert_eq!(story.machine.wakes_at(), Some(at(63)), "tried again an interval later");
    let mut shown = story.machine.instance().clone();
    shown.tags.insert("ArvadosIdleBehavior", "hold");
    story.on(30, Command::InstanceUpdated(shown));
    let effects = story.on(63, Completion::Tick);
    assert!(!effects.iter().any(|effect| matches!(effect, WorkerEffect::SaveTags(_))), "saved after all");
    assert_eq!(story.machine.wakes_at(), None);
}
