//! Whose the fence is, and what goes out because of it.

use super::super::fence::NotRun;
use super::super::probe::FenceWish;
use super::*;

/// A list that comes with that claim.
fn claimed(answer: &str, running: &[u64]) -> Report {
    Report { claim: Some(claims(answer)), boot: boots().boot, ..lists(running) }
}

fn unfenced(running: &[u64]) -> Report {
    Report { claim: Some(ClaimOutcome::Failed(failure(None))), boot: boots().boot, ..lists(running) }
}

fn wish(story: &mut Story) -> FenceWish {
    let effects = story.on(story.now, Command::Probe);
    let [WorkerEffect::Probe(wanted)] = &effects[..] else { panic!("{effects:?}") };
    wanted.fence
}

#[test]
fn a_found_vm_behind_a_fresh_fence_has_shown_all_with_its_first_list() {
    for (answer, known) in [("1 0 settled", true), ("1 62 settled", false), ("1 0 unsettled", false)] {
        let mut story = Story::unknown();
        story.probe(0, 1, claimed(answer, &[7]));
        assert_eq!(story.view().processes_known, known, "{answer}");
        assert_eq!(story.view().fenced_since, known.then_some(at(1)), "{answer}");
    }
}

#[test]
fn what_may_still_come_without_a_fence_is_waited_for() {
    let mut story = Story::unknown();
    story.probe(0, 1, claimed("1 30 settled", &[]));
    for (second, known) in [(30, false), (31, true)] {
        let report = Report { claim: None, ..lists(&[]) };
        story.probe(second, second, report);
        assert_eq!(story.view().processes_known, known, "{second}");
    }
}

#[test]
fn a_cut_list_shows_nothing_behind_a_fence_either() {
    let mut story = Story::unknown();
    let mut report = claimed("1 0 settled", &[7]);
    report.list.as_mut().unwrap().as_mut().unwrap().is_cut = true;
    story.probe(0, 1, report);
    assert!(!story.view().processes_known && story.view().fenced_since.is_none());
}

#[test]
fn it_is_claimed_once_and_again_while_a_run_lock_has_no_name() {
    let mut story = Story::unknown();
    assert_eq!(wish(&mut story), FenceWish::Claim { overtakes: true, is_new: false });
    story.on(2, Completion::ProbeFinished { began: at(0), report: claimed("1 0 unsettled", &[7]) });
    assert_eq!(wish(&mut story), FenceWish::Claim { overtakes: false, is_new: false });
    story.on(4, Completion::ProbeFinished { began: at(3), report: claimed("1 0 settled", &[7]) });
    assert_eq!(wish(&mut story), FenceWish::Touch);
}

#[test]
fn nothing_is_started_where_the_fence_is_not_ours_and_kills_go_on() {
    let mut story = Story::unknown();
    story.probe(0, 1, unfenced(&[7]));
    assert_eq!((story.state(), story.view().fence), (State::Running, FenceView::Unclaimed));
    assert_eq!(story.try_on(2, start(1)).1, Err(WorkerRefusal::NotFenced));
    let kill = Command::Kill(uuid(7), KillReason::PriorityZero);
    assert!(story.on(3, kill).contains(&WorkerEffect::Kill(uuid(7))));
    assert_eq!(story.machine.held_fence(), None);
}

#[test]
fn an_empty_vm_without_a_fence_does_not_come_into_service_and_is_given_up_like_one_that_never_boots() {
    let mut story = Story::booting();
    story.probe(0, 1, unfenced(&[]));
    assert_eq!(story.state(), State::Booting);
    let late = policy().timeout_booting.as_secs() as i64 + 1;
    story.probe(late, late + 1, unfenced(&[]));
    assert_eq!(story.view().silence.map(|(silence, _)| silence), Some(Silence::NeverReady));
    story.probe(late + 2, late + 3, boots());
    assert_eq!((story.state(), story.view().silence), (State::Idle, None));
}

#[test]
fn another_mark_after_ours_means_that_nothing_is_done_there_any_more() {
    let taken = || StartOutcome::NotRun(NotRun::Taken, failure(None));
    let mut story = Story::running(&[1]);
    story.on(10, start(2));
    story.on(11, Completion::StartFinished(uuid(2), taken()));
    assert_eq!(story.told(&WorkerFact::FencedByAnother), 1);
    assert_eq!(story.view().fence, FenceView::Anothers);
    assert_eq!(story.try_on(12, start(3)).1, Err(WorkerRefusal::NotFenced));
    let kill = Command::Kill(uuid(1), KillReason::PriorityZero);
    assert_eq!(story.try_on(12, kill).1, Err(WorkerRefusal::FencedByAnother));
    assert_eq!(wish(&mut story), FenceWish::LeaveAlone);
    let empty = Report { claim: None, ..lists(&[]) };
    story.on(200, Completion::ProbeFinished { began: at(200), report: empty });
    assert_eq!(story.state(), State::Idle);
    assert!(story.machine.wakes_at().is_none_or(|at_| at_ > at(100_000)));
    story.on(100_000, Completion::Tick);
    assert_eq!(story.did(&WorkerEffect::Destroy), 0, "its idle time is not ours to judge");
    let idle = Command::ShutDown(ShutdownReason::OverQuota);
    assert!(story.try_on(100_001, idle).1.is_err());
}

#[test]
fn a_kill_that_the_fence_has_stopped_ends_nothing() {
    let mut story = Story::running(&[1]);
    story.on(10, Command::Kill(uuid(1), KillReason::PriorityZero));
    let taken = KillOutcome::NotRun(NotRun::Taken, failure(None));
    story.on(11, Completion::KillFinished(uuid(1), taken));
    assert_eq!(story.view().processes.len(), 1);
    assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), 0);
    story.on(500, Completion::Tick);
    assert_eq!(story.did(&WorkerEffect::Kill(uuid(1))), 1, "it is not signalled again");
}

#[test]
fn when_another_has_claimed_it_no_earlier_kill_goes_on() {
    let mut story = Story::running(&[1]);
    story.on(10, Command::Kill(uuid(1), KillReason::PriorityZero));
    story.on(11, Completion::KillFinished(uuid(1), KillOutcome::Failed(failure(None))));
    story.on(12, start(2));
    let taken = StartOutcome::NotRun(NotRun::Taken, failure(None));
    story.on(13, Completion::StartFinished(uuid(2), taken));
    for second in [16, 100, 500] {
        story.on(second, Completion::Tick);
    }
    assert_eq!(story.did(&WorkerEffect::Kill(uuid(1))), 1, "it may be the other one's by now");
}

#[test]
fn a_fence_that_a_kill_did_not_find_is_claimed_again_and_the_kill_goes_on() {
    for reason in [NotRun::Unreadable, NotRun::NoLockFile, NotRun::NoFlock] {
        let mut story = Story::running(&[1]);
        story.on(10, Command::Kill(uuid(1), KillReason::PriorityZero));
        story.on(11, Completion::KillFinished(uuid(1), KillOutcome::NotRun(reason, failure(None))));
        assert!(matches!(wish(&mut story), FenceWish::Claim { .. }), "{reason:?}");
        story.on(100, Completion::Tick);
        assert_eq!(story.did(&WorkerEffect::Kill(uuid(1))), 2, "{reason:?}");
    }
}

#[test]
fn a_start_that_was_not_run_is_over_with_the_next_list_and_a_lost_file_is_claimed_anew() {
    let mut story = Story::idle();
    story.on(10, start(1));
    // Without its directory nothing can be written either.
    let gone = StartOutcome::NotRun(NotRun::NotWritten, failure(None));
    story.on(11, Completion::StartFinished(uuid(1), gone));
    assert!(story.view().processes[0].unsent);
    assert_eq!(wish(&mut story), FenceWish::Claim { overtakes: false, is_new: true });
    story.on(200, Completion::ProbeFinished { began: at(200), report: boots() });
    assert_eq!((story.view().processes.len(), story.view().fence), (0, FenceView::Ours));
}
