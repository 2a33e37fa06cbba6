//! An instance that has proven itself, and cannot any more.

use super::*;

fn unproven(kind: ExecErrorKind) -> Report {
    Report {
        list: Some(Err(failure(Some(kind)))),
        afresh: true,
        reached_verification: true,
        ..Report::default()
    }
}

fn is_told(effects: &[WorkerEffect]) -> bool {
    effects.iter().any(|effect| matches!(effect, WorkerEffect::Tell(WorkerFact::Unproven(_))))
}

#[test]
fn it_is_told_once_gets_nothing_new_and_is_trusted_again_when_it_proves_itself() {
    for kind in [ExecErrorKind::Verification, ExecErrorKind::SecretUnreadable] {
        let mut story = Story::running(&[1]);
        assert!(is_told(&story.probe(10, 11, unproven(kind))));
        assert!(story.view().unproven);
        assert!(!is_told(&story.probe(20, 21, unproven(kind))));
        story.probe(30, 31, silent());
        assert!(story.view().unproven, "nobody has answered");
        story.probe(40, 41, lists(&[1]));
        assert!(!story.view().unproven);
        assert!(is_told(&story.probe(50, 51, unproven(kind))));
    }
}

/// TimeoutProbe is ten minutes here.
#[test]
fn what_may_run_there_is_kept_for_an_hour() {
    let mut story = Story::running(&[1]);
    for second in (10..=3600).step_by(50) {
        story.probe(second, second + 1, unproven(ExecErrorKind::Verification));
        assert_eq!(story.view().silence, None, "{second}");
    }
    story.probe(3620, 3621, unproven(ExecErrorKind::Verification));
    assert!(story.view().silence.is_some(), "an hour after it last proved itself");
}

#[test]
fn it_is_given_up_when_all_records_known_there_are_final() {
    let mut story = Story::running(&[1, 2]);
    let is_final = || KillReason::Final(crate::container::ContainerState::Complete);
    story.probe(10, 11, unproven(ExecErrorKind::Verification));
    story.on(20, Command::Kill(uuid(1), is_final()));
    story.probe(1000, 1001, unproven(ExecErrorKind::Verification));
    assert_eq!(story.view().silence, None, "the other one may live");
    story.on(1010, Command::Kill(uuid(2), is_final()));
    story.probe(1020, 1021, unproven(ExecErrorKind::Verification));
    assert!(story.view().silence.is_some());
}

/// It may still have no secret, or never be ours.
#[test]
fn one_that_has_never_proven_itself_is_not_unproven() {
    for mut story in [Story::booting(), Story::unknown()] {
        assert!(!is_told(&story.probe(10, 11, unproven(ExecErrorKind::SecretUnreadable))));
        assert!(!story.view().unproven);
    }
}
