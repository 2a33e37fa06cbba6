//! A runner that cannot be copied: nothing new is started, and what runs is not given up.

use super::super::probe::Deployed;
use super::*;

fn not_copied(running: &[u64]) -> Report {
    Report { deployed: Some(Err(failure(None))), boot: boots().boot, ..lists(running) }
}

#[test]
fn where_the_runner_cannot_be_copied_what_runs_goes_on_and_nothing_is_started() {
    let mut story = Story::running(&[7]);
    let begin = story.now + 1;
    // Long beyond its timeout.
    for second in (begin..begin + 1200).step_by(10) {
        story.probe(second, second + 1, not_copied(&[7]));
        assert!(story.view().silence.is_none() && story.state() == State::Running, "{second}");
    }
    assert!(story.view().lacks_runner);
    assert_eq!(story.try_on(begin + 1201, start(1)).1, Err(WorkerRefusal::NoRunner));
    let copied = Report { deployed: Some(Ok(Deployed::Installed)), ..lists(&[7]) };
    story.probe(begin + 1210, begin + 1211, copied);
    assert!(!story.view().lacks_runner);
    assert_eq!(story.try_on(begin + 1212, start(1)).1, Ok(()));
}

/// It has listed what runs there: whatever the copy came to, it is there.
#[test]
fn an_instance_that_lists_is_there_although_the_copy_broke_its_connection() {
    let mut story = Story::running(&[7]);
    let begin = story.now + 1;
    let copy = Some(Err(failure(Some(ExecErrorKind::ConnectionLost))));
    story.probe(begin, begin + 1, Report { deployed: copy, afresh: true, ..lists(&[7]) });
    assert!(!story.view().out_of_reach && story.view().failed_afresh.is_none());
}

#[test]
fn when_nothing_runs_any_more_it_is_shut_down() {
    let mut story = Story::running(&[7]);
    let begin = story.now + 1;
    story.probe(begin, begin + 1, not_copied(&[]));
    assert!(story.view().processes.is_empty());
    story.probe(begin + 1200, begin + 1201, not_copied(&[]));
    assert_eq!(story.state(), State::Shutdown);
}
