//! What is nobody's silence.

use super::*;

fn fails(kind: ExecErrorKind) -> Report {
    Report { list: Some(Err(failure(Some(kind)))), ..Report::default() }
}

/// A probe that begins then, and fails like that a second later.
fn failed_probe(story: &mut Story, began: i64, kind: ExecErrorKind) {
    let asked = story.on(began, Command::Probe);
    let is_afresh = |it: &WorkerEffect| matches!(it, WorkerEffect::Probe(wanted) if wanted.afresh);
    let report = Report { afresh: asked.iter().any(is_afresh), ..fails(kind) };
    story.on(began + 1, Completion::ProbeFinished { began: at(began), report });
}

#[test]
fn failures_of_our_own_side_are_no_silence_and_silence_counts_from_the_last_of_them() {
    let mut story = Story::running(&[1]);
    failed_probe(&mut story, 10_000, ExecErrorKind::Local);
    assert_eq!(story.view().silence, None);
    failed_probe(&mut story, 10_300, ExecErrorKind::Refused);
    assert_eq!(story.view().silence, None);
    failed_probe(&mut story, 10_700, ExecErrorKind::Refused);
    assert!(story.view().silence.is_some());
}

/// A connection that stands may have died unnoticed.
#[test]
fn nobody_is_silent_before_a_probe_has_failed_that_opened_a_connection_for_itself() {
    let mut story = Story::running(&[1]);
    failed_probe(&mut story, 10_000, ExecErrorKind::CommandTimeout);
    assert_eq!(story.view().silence, None);
    failed_probe(&mut story, 10_060, ExecErrorKind::ConnectTimeout);
    assert!(story.view().silence.is_some());
}

#[test]
fn after_a_pause_silence_begins_anew_over_a_new_connection() {
    let mut story = Story::running(&[1]);
    let effects = story.on(10_000, Command::Paused);
    assert!(effects.contains(&WorkerEffect::ForgetConnection), "{effects:?}");
    assert_eq!(story.wish(), Some((10_000, true)));
    failed_probe(&mut story, 10_001, ExecErrorKind::ConnectionLost);
    failed_probe(&mut story, 10_500, ExecErrorKind::ConnectionLost);
    assert_eq!(story.view().silence, None);
    failed_probe(&mut story, 10_700, ExecErrorKind::ConnectionLost);
    assert!(story.view().silence.is_some());
}
