//! What probes mean: booting, adoption, silence, stale, broken, and which results are dropped.

use super::*;

#[test]
fn a_new_instance_is_in_service_once_its_boot_probe_and_list_succeed() {
    let mut story = Story::booting();
    assert_eq!(story.wish(), Some((0, true)), "probed at once");
    story.probe(0, 1, boot_fails());
    assert_eq!(story.state(), State::Booting);
    story.probe(10, 11, boots());
    assert_eq!(story.state(), State::Idle);
    assert_eq!(story.told(&WorkerFact::BootOutcome(BootOutcome::Success)), 1);
}

#[test]
fn a_passed_boot_probe_alone_is_not_enough() {
    let mut story = Story::booting();
    let report = Report { boot: boots().boot, ..silent() };
    story.probe(0, 1, report);
    assert_eq!(story.state(), State::Booting);
    let asked = story.on(10, Command::Probe);
    assert!(matches!(&asked[..], [WorkerEffect::Probe(wanted)] if !wanted.boot), "it is not asked twice");
}

#[test]
fn what_a_probe_has_to_find_out() {
    let wanted = |story: &mut Story| match &story.on(100, Command::Probe)[..] {
        [WorkerEffect::Probe(wanted)] => (wanted.boot, wanted.list_anyway, wanted.deploy),
        other => panic!("{other:?}"),
    };
    assert_eq!(wanted(&mut Story::booting()), (true, false, true));
    assert_eq!(wanted(&mut Story::unknown()), (true, true, true), "a busy one must not look dead");
    assert_eq!(wanted(&mut Story::idle()), (false, true, true));
    let mut deployed = Story::idle();
    deployed.probe_now(Report { deployed: Some(Ok(probe::Deployed::Already)), ..lists(&[]) });
    assert_eq!(wanted(&mut deployed), (false, true, false));
}

#[test]
fn one_probe_at_a_time() {
    let mut story = Story::idle();
    assert_eq!(story.on(11, Command::Probe).len(), 1);
    assert_eq!(story.wish(), None);
    assert!(story.on(12, Command::Probe).is_empty());
}

#[test]
fn a_busy_worker_found_after_a_restart_is_alive_although_its_boot_probe_fails() {
    let mut story = Story::unknown();
    story.probe(0, 1, boot_fails_but_lists(&[7, 8]));
    assert_eq!(story.state(), State::Running);
    assert_eq!(story.view().processes.len(), 2);
    assert_eq!(story.told(&WorkerFact::Detected(uuid(7))), 1);
    for second in (10..4000).step_by(10) {
        story.probe(second, second + 1, boot_fails_but_lists(&[7, 8]));
    }
    assert_eq!(story.view().silence, None);
    assert_eq!(story.did(&WorkerEffect::Destroy), 0);
}

#[test]
fn an_unknown_worker_whose_boot_probe_fails_and_that_runs_nothing_is_not_in_service() {
    let mut story = Story::unknown();
    for second in (0..590).step_by(10) {
        story.probe(second, second + 1, boot_fails_but_lists(&[]));
    }
    assert_eq!((story.state(), story.view().silence), (State::Unknown, None));
    story.probe(601, 602, boot_fails_but_lists(&[]));
    assert_eq!(story.view().silence, Some((Silence::NeverReady, at(601))));
}

#[test]
fn silence_is_measured_at_the_start_of_the_failing_probe() {
    let mut story = Story::running(&[1]);
    story.probe(600, 700, silent());
    assert_eq!(story.view().silence, None, "it began within the ten minutes");
    story.probe(701, 702, silent());
    assert_eq!(story.view().silence, Some((Silence::Unresponsive, at(701))));
    story.probe(710, 711, lists(&[1]));
    assert_eq!(story.view().silence, None, "it answers again");
}

#[test]
fn a_booting_worker_has_the_boot_timeout_and_no_other() {
    let mut policy = policy();
    policy.timeout_booting = std::time::Duration::from_secs(100);
    policy.timeout_probe = std::time::Duration::from_secs(5);
    let mut story = Story::with(policy, true);
    story.probe(100, 101, boot_fails());
    assert_eq!(story.view().silence, None);
    story.probe(102, 103, boot_fails());
    assert_eq!(story.view().silence, Some((Silence::NeverReady, at(102))));
}

#[test]
fn a_shutdown_for_silence_tells_the_last_failure_and_counts_as_a_failed_boot() {
    let mut story = Story::booting();
    story.probe(601, 602, boot_fails());
    let (effects, answer) = story.try_on(603, Command::ShutDown(ShutdownReason::BootTimeout));
    assert_eq!(answer, Ok(()));
    assert!(effects.contains(&WorkerEffect::Tell(WorkerFact::BootFailed(Some(failure(None))))));
    assert!(effects.contains(&WorkerEffect::Tell(WorkerFact::BootOutcome(BootOutcome::Failure))));
    assert!(effects.contains(&WorkerEffect::Destroy));
}

#[test]
fn a_worker_that_answers_again_refuses_to_be_shut_down_for_silence() {
    let mut story = Story::running(&[1]);
    story.probe(700, 701, silent());
    story.probe(702, 703, lists(&[1]));
    let (effects, answer) = story.try_on(704, Command::ShutDown(ShutdownReason::Unresponsive));
    assert_eq!((effects, answer), (vec![], Err(WorkerRefusal::NotTakingContainers)));
}

#[test]
fn probe_results_older_than_a_change_are_dropped() {
    let mut story = Story::idle();
    story.on(10, Command::Probe);
    story.on(11, start(1));
    story.on(12, Completion::StartFinished(uuid(1), StartOutcome::Started));
    story.on(13, Completion::ProbeFinished { began: at(10), report: lists(&[]) });
    assert_eq!(story.view().processes.len(), 1, "the list was older than the process");
    assert_eq!(story.wish(), Some((13, true)), "asked again at once");
    story.probe(14, 15, lists(&[]));
    assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), 1);
}

#[test]
fn a_list_that_began_in_the_same_instant_as_a_change_is_dropped_too() {
    let mut story = Story::idle();
    story.on(10, start(1));
    story.on(12, Command::Probe);
    story.on(12, Completion::StartFinished(uuid(1), StartOutcome::Started));
    story.on(12, Completion::ProbeFinished { began: at(12), report: lists(&[]) });
    assert_eq!(story.view().processes.len(), 1);
}

#[test]
fn an_older_list_does_not_bring_a_killed_process_back() {
    let mut story = Story::running(&[1]);
    story.on(10, Command::Kill(uuid(1), KillReason::PriorityZero));
    story.on(11, Command::Probe);
    story.on(12, Completion::KillFinished(uuid(1), KillOutcome::Gone));
    story.on(13, Completion::ProbeFinished { began: at(11), report: lists(&[1]) });
    assert!(story.view().processes.is_empty());
}

#[test]
fn processes_that_we_did_not_start_are_adopted_and_missing_ones_have_ended() {
    let mut story = Story::running(&[1]);
    let effects = story.probe(10, 11, lists(&[2]));
    assert!(effects.contains(&WorkerEffect::Ended(uuid(1))));
    assert!(effects.contains(&WorkerEffect::Tell(WorkerFact::Detected(uuid(2)))));
    assert_eq!(story.state(), State::Running);
    story.probe(20, 21, lists(&[]));
    assert_eq!(story.state(), State::Idle);
}

#[test]
fn a_stale_lock_is_no_process_starts_nothing_and_drains_in_the_end() {
    let mut story = Story::running(&[1]);
    story.probe(10, 11, stale(1));
    assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), 1);
    assert_eq!(story.told(&WorkerFact::StaleRunLock(uuid(1))), 1);
    let (_, again) = story.try_on(12, start(1));
    assert_eq!(again, Err(WorkerRefusal::AlreadyHere), "its lock is still held there");
    story.probe(15, 16, stale(1));
    assert_eq!(story.view().behavior, IdleBehavior::Run, "five seconds are tolerated");
    story.probe(17, 18, stale(1));
    assert_eq!(story.told(&WorkerFact::Draining(DrainReason::StaleRunLock)), 1);
    assert_eq!(story.state(), State::Shutdown, "draining, and empty");
}

#[test]
fn a_stale_lock_that_goes_away_is_forgotten() {
    let mut story = Story::running(&[1]);
    story.probe(10, 11, stale(1));
    story.probe(13, 14, lists(&[]));
    story.probe(20, 21, stale(1));
    assert_eq!(story.view().behavior, IdleBehavior::Run);
    assert!(story.try_on(22, start(2)).1.is_ok(), "others are welcome");
}

#[test]
fn a_broken_worker_is_drained_at_the_first_evidence() {
    let mut story = Story::running(&[1]);
    let both = Report {
        list: Some(Ok(ProcessList { running: vec![uuid(1)], broken: true, ..ProcessList::default() })),
        ..lists(&[])
    };
    story.probe(10, 11, both);
    assert_eq!(story.told(&WorkerFact::Draining(DrainReason::Broken)), 1);
    assert_eq!(story.state(), State::Running, "what runs is left to end");
    story.probe(20, 21, broken());
    assert_eq!((story.state(), story.did(&WorkerEffect::Destroy)), (State::Shutdown, 1));
}

#[test]
fn a_broken_new_worker_is_a_failed_boot_and_is_not_used() {
    let mut story = Story::booting();
    story.probe(0, 1, Report { boot: boots().boot, ..broken() });
    assert_eq!(story.told(&WorkerFact::BootOutcome(BootOutcome::Failure)), 1);
    assert_eq!(story.told(&WorkerFact::BootOutcome(BootOutcome::Success)), 0);
    assert_eq!(story.state(), State::Shutdown);
}

#[test]
fn a_broken_worker_on_hold_stays_on_hold() {
    let mut story = Story::idle();
    story.on(2, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    story.probe(10, 11, broken());
    assert_eq!((story.view().behavior, story.state()), (IdleBehavior::Hold, State::Idle));
}

#[test]
fn a_probe_is_made_at_once_when_there_is_reason_to() {
    let reasons: [(&str, Vec<Input>); 4] = [
        ("the connection broke", vec![Completion::ConnectionBroke.into()]),
        ("a listing lacks it", vec![Command::Missing.into()]),
        (
            "a start failed",
            vec![
                start(5).into(),
                Completion::StartFinished(uuid(5), StartOutcome::Failed(failure(None))).into(),
            ],
        ),
        (
            "a kill failed",
            vec![
                Command::Kill(uuid(1), KillReason::PriorityZero).into(),
                Completion::KillFinished(uuid(1), KillOutcome::Failed(failure(None))).into(),
            ],
        ),
    ];
    for (why, events) in reasons {
        let mut story = Story::running(&[1]);
        story.probe(10, 11, lists(&[1]));
        assert_eq!(story.wish(), Some((20, false)), "in its turn");
        for event in events {
            story.on(12, event);
        }
        assert_eq!(story.wish(), Some((12, true)), "{why}");
    }
}

#[test]
fn after_a_final_record_probes_follow_each_other_less_and_less_often() {
    use crate::container::ContainerState::{Cancelled, Complete};
    for state in [Complete, Cancelled] {
        let mut machine = Story::running(&[1]).machine;
        let millis = |n: i64| crate::time::after(at(100), std::time::Duration::from_millis(n as u64));
        machine.on_command(Command::Kill(uuid(1), KillReason::Final(state)), millis(0)).unwrap();
        let mut seen = Vec::new();
        while let Some((when, ProbeTurn::OutOfTurn)) = machine.view().next_probe {
            seen.push(crate::time::since(when, at(100)).as_millis());
            machine.on_command(Command::Probe, when).unwrap();
            machine.on_completion(Completion::ProbeFinished { began: when, report: lists(&[1]) }, when);
        }
        assert_eq!(seen, [0, 500, 1500, 3500, 7500], "{state}");
    }
}

#[test]
fn a_reason_counts_although_the_worker_is_overdue_for_its_turn() {
    let mut story = Story::running(&[1]);
    assert_eq!(story.wish(), Some((10, false)));
    story.on(100, Completion::ConnectionBroke);
    assert_eq!(story.wish(), Some((100, true)), "else it would wait behind everybody else");
}

#[test]
fn a_vanished_runner_is_deployed_again() {
    let mut story = Story::idle();
    story.probe(10, 11, Report { deployed: Some(Ok(probe::Deployed::Installed)), ..lists(&[]) });
    story.probe(20, 21, Report { list: Some(Err(failure(None))), ..Report::default() });
    let asked = story.on(30, Command::Probe);
    assert!(matches!(&asked[..], [WorkerEffect::Probe(wanted)] if wanted.deploy));
}

/// Found by chaos (seed 1795953554000284): a list had broken off, but a kill and a start had succeeded since.
#[test]
fn a_start_or_a_kill_that_has_succeeded_is_a_sign_of_life() {
    let start_succeeds = |story: &mut Story, second: i64| {
        story.on(second, start(2));
        story.on(second, Completion::StartFinished(uuid(2), StartOutcome::Started));
    };
    let kill_succeeds = |story: &mut Story, second: i64| {
        story.on(second, Command::Kill(uuid(1), KillReason::PriorityZero));
        story.on(second, Completion::Tick);
        story.on(second, Completion::KillFinished(uuid(1), KillOutcome::Gone));
    };
    for succeeds in [start_succeeds as fn(&mut Story, i64), kill_succeeds] {
        let mut story = Story::running(&[1, 3]);
        story.probe(10, 11, lists(&[1, 3]));
        let timeout = story.machine.policy.timeout_probe.as_secs() as i64;
        succeeds(&mut story, 10 + timeout);
        story.probe(12 + timeout, 13 + timeout, silent());
        assert_eq!(story.view().silence, None);
        story.probe(11 + 2 * timeout, 12 + 2 * timeout, silent());
        assert!(story.view().silence.is_some(), "and from then on it is silent again");
    }
}
