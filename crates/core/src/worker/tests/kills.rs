//! Kills: signals, escalation, giving up.

use super::*;
use crate::container::ContainerState::Complete;

fn kill(story: &mut Story, second: i64) -> Vec<WorkerEffect> {
    story.on(second, Command::Kill(uuid(1), KillReason::PriorityZero))
}

fn failed() -> Completion {
    Completion::KillFinished(uuid(1), KillOutcome::Failed(failure(None)))
}

#[test]
fn a_signal_is_sent_at_once_and_again_until_the_process_is_gone() {
    let mut story = Story::running(&[1]);
    assert!(kill(&mut story, 10).contains(&WorkerEffect::Kill(uuid(1))));
    assert_eq!(story.machine.wakes_at(), None, "one is in flight");
    story.on(11, failed());
    assert_eq!(story.machine.wakes_at(), Some(at(16)));
    assert!(story.on(15, Completion::Tick).is_empty());
    assert!(story.on(16, Completion::Tick).contains(&WorkerEffect::Kill(uuid(1))));
    story.on(17, Completion::KillFinished(uuid(1), KillOutcome::Gone));
    assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), 1);
    assert_eq!(story.state(), State::Idle);
    assert_eq!(story.told(&WorkerFact::Killing(uuid(1), KillReason::PriorityZero)), 1);
}

#[test]
fn asking_twice_sends_one_signal() {
    let mut story = Story::running(&[1]);
    kill(&mut story, 10);
    kill(&mut story, 10);
    assert_eq!(story.did(&WorkerEffect::Kill(uuid(1))), 1);
}

#[test]
fn a_container_without_a_process_here_is_not_killed() {
    let mut story = Story::running(&[2]);
    let (_, answer) = story.try_on(10, Command::Kill(uuid(1), KillReason::NotInQueue));
    assert_eq!(answer, Err(WorkerRefusal::NoSuchProcess));
}

/// Signals until the machine gives up or has had enough time.
fn never_dies(story: &mut Story) -> usize {
    kill(story, 10);
    while story.did(&WorkerEffect::Tell(WorkerFact::GivenUp(uuid(1), true))) == 0
        && story.did(&WorkerEffect::Tell(WorkerFact::GivenUp(uuid(1), false))) == 0
        && story.now < 1000
    {
        let second = story.now + 1;
        story.on(second, failed());
        let next = story.machine.wakes_at().expect("it goes on");
        story.on(crate::time::since(next, at(0)).as_secs() as i64, Completion::Tick);
    }
    story.did(&WorkerEffect::Kill(uuid(1)))
}

#[test]
fn after_timeout_term_it_is_given_up_and_the_worker_drained_and_shut_down() {
    let mut story = Story::running(&[1]);
    assert_eq!(never_dies(&mut story), 20, "every six seconds for two minutes");
    assert_eq!(story.now, 130);
    assert_eq!(story.told(&WorkerFact::Draining(DrainReason::Unkillable)), 1);
    assert_eq!(story.state(), State::Shutdown, "a given-up process does not keep it");
}

#[test]
fn a_given_up_process_does_not_end_a_worker_that_runs_another() {
    let mut story = Story::running(&[1, 2]);
    never_dies(&mut story);
    assert_eq!((story.view().behavior, story.state()), (IdleBehavior::Drain, State::Running));
    let second = story.now;
    story.probe(second + 1, second + 2, lists(&[1]));
    assert_eq!(story.state(), State::Shutdown);
}

#[test]
fn on_hold_a_given_up_process_changes_nothing() {
    let mut story = Story::running(&[1]);
    story.on(5, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    never_dies(&mut story);
    assert_eq!(story.told(&WorkerFact::GivenUp(uuid(1), false)), 1);
    assert_eq!((story.view().behavior, story.state()), (IdleBehavior::Hold, State::Running));
}

#[test]
fn a_process_of_a_complete_container_is_given_a_moment_to_end_by_itself() {
    let mut story = Story::running(&[1]);
    let effects = story.on(10, Command::Kill(uuid(1), KillReason::Final(Complete)));
    assert!(!effects.contains(&WorkerEffect::Kill(uuid(1))));
    assert_eq!(story.wish(), Some((10, true)));
    assert_eq!(story.machine.wakes_at(), Some(at(15)));
    assert!(story.on(15, Completion::Tick).contains(&WorkerEffect::Kill(uuid(1))));
}

#[test]
fn a_process_that_is_being_started_is_signalled_after_that() {
    let mut story = Story::idle();
    story.on(8, start(1));
    assert!(kill(&mut story, 10).is_empty());
    assert_eq!(story.machine.wakes_at(), None);
    story.on(12, Completion::StartFinished(uuid(1), StartOutcome::Started));
    assert!(story.on(12, Completion::Tick).contains(&WorkerEffect::Kill(uuid(1))));
}

#[test]
fn a_start_without_an_answer_may_be_under_way_so_no_signal_calls_it_gone() {
    let mut story = Story::idle();
    story.on(8, start(1));
    story.on(9, Completion::StartFinished(uuid(1), StartOutcome::Unanswered(failure(None))));
    assert!(kill(&mut story, 10).is_empty());
    assert!(story.on(70, Completion::Tick).is_empty());
    assert!(
        story.on(72, Completion::Tick).contains(&WorkerEffect::Kill(uuid(1))),
        "sixty seconds and two later"
    );
    let mut listed = Story::idle();
    listed.on(8, start(1));
    listed.on(9, Completion::StartFinished(uuid(1), StartOutcome::Unanswered(failure(None))));
    kill(&mut listed, 10);
    listed.probe(11, 12, lists(&[1]));
    assert!(listed.on(12, Completion::Tick).contains(&WorkerEffect::Kill(uuid(1))), "a list has shown it");
}

#[test]
fn the_time_to_give_up_runs_from_the_first_signal() {
    let mut policy = policy();
    policy.timeout_term = std::time::Duration::from_secs(3);
    let mut story = Story::with(policy, true);
    story.probe(0, 1, boots());
    story.on(8, start(1));
    kill(&mut story, 10);
    story.on(40, Completion::StartFinished(uuid(1), StartOutcome::Started));
    assert!(
        story.on(40, Completion::Tick).contains(&WorkerEffect::Kill(uuid(1))),
        "it has had no signal yet"
    );
}

#[test]
fn in_shutdown_nothing_is_killed_and_its_processes_count_until_a_list_lacks_them_or_it_is_gone() {
    let mut story = Story::running(&[1]);
    story.on(10, Command::ShutDown(ShutdownReason::Operator("enough".into())));
    let (_, answer) = story.try_on(11, Command::Kill(uuid(1), KillReason::PriorityZero));
    assert_eq!(answer, Err(WorkerRefusal::ShuttingDown));
    story.probe(12, 13, silent());
    assert_eq!(story.view().processes.len(), 1);
    let mut listed = story.machine.clone();
    let report = lists(&[]);
    let effects = listed.on_completion(Completion::ProbeFinished { began: at(73), report }, at(74));
    assert!(effects.contains(&WorkerEffect::Ended(uuid(1))));
    assert!(story.machine.instance_gone().contains(&WorkerEffect::Ended(uuid(1))));
}

/// The list of a VM that lies, or the answer of its `--kill`.
#[test]
fn a_process_that_is_listed_again_after_each_kill_is_given_up_and_the_worker_drained() {
    let mut story = Story::running(&[1]);
    let mut second = 10;
    for _ in 0..10 {
        kill(&mut story, second);
        story.on(second + 1, Completion::KillFinished(uuid(1), KillOutcome::Gone));
        story.probe(second + 2, second + 3, lists(&[1]));
        second += 10;
    }
    assert_eq!(story.did(&WorkerEffect::Kill(uuid(1))), 3);
    assert_eq!(story.told(&WorkerFact::GivenUp(uuid(1), true)), 1);
    assert_eq!(story.told(&WorkerFact::Draining(DrainReason::Unkillable)), 1);
}

/// Only a process that was told to end, and does not, is given up.
#[test]
fn signals_that_cannot_have_reached_it_do_not_use_up_its_time() {
    for (kind, gives_up) in [
        (Some(ExecErrorKind::Local), false),
        (Some(ExecErrorKind::NotSent), false),
        (Some(ExecErrorKind::Verification), false),
        (Some(ExecErrorKind::ConnectTimeout), true),
        (None, true),
    ] {
        let mut story = Story::running(&[1]);
        story.on(10, Command::Kill(uuid(1), KillReason::PriorityZero));
        for second in (11..1000).step_by(10) {
            story.on(second, Completion::KillFinished(uuid(1), KillOutcome::Failed(failure(kind))));
            story.on(second + 6, Completion::Tick);
        }
        let given_up = story.view().processes[0].given_up;
        assert_eq!(given_up, gives_up, "{kind:?}");
    }
}
