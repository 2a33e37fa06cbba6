//! Starts: answered, failed, unanswered, and the lists before and after.

use super::*;

fn starting() -> Story {
    let mut story = Story::idle();
    story.on(10, start(1));
    story
}

#[test]
fn only_a_worker_in_service_that_takes_containers_starts_any() {
    let mut shutdown = Story::idle();
    shutdown.on(2, Command::ShutDown(ShutdownReason::OverQuota));
    let mut held = Story::idle();
    held.on(2, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    let mut draining = Story::running(&[9]);
    draining.on(4, Command::SetIdleBehavior(IdleBehavior::Drain, None));
    let cases = [
        (Story::unknown(), Err(WorkerRefusal::NotInService)),
        (Story::booting(), Err(WorkerRefusal::NotInService)),
        (Story::idle(), Ok(())),
        (Story::running(&[9]), Ok(())),
        (held, Err(WorkerRefusal::NotTakingContainers)),
        (draining, Err(WorkerRefusal::NotTakingContainers)),
        (shutdown, Err(WorkerRefusal::ShuttingDown)),
    ];
    for (mut story, expected) in cases {
        let state = story.state();
        let (effects, answer) = story.try_on(10, start(1));
        assert_eq!(answer, expected, "{state}");
        assert_eq!(effects.contains(&WorkerEffect::Start(uuid(1))), expected.is_ok(), "{state}");
    }
}

#[test]
fn a_container_counts_from_the_moment_its_start_was_accepted_and_is_not_started_twice() {
    let mut story = starting();
    assert_eq!(story.state(), State::Running);
    assert!(story.view().processes[0].unconfirmed);
    assert_eq!(story.try_on(11, start(1)).1, Err(WorkerRefusal::AlreadyHere));
    story.on(12, Completion::StartFinished(uuid(1), StartOutcome::Started));
    assert!(!story.view().processes[0].unconfirmed);
}

#[test]
fn no_list_ends_a_process_whose_start_is_in_flight() {
    let mut story = starting();
    story.probe(20, 21, lists(&[]));
    assert_eq!((story.view().processes.len(), story.state()), (1, State::Running));
    story.probe(30, 31, lists(&[1]));
    assert!(story.view().processes[0].unconfirmed, "the answer is news of its own");
}

#[test]
fn a_failed_start_is_no_proof_and_the_next_list_tells() {
    for (listed, ended) in [(vec![], 1), (vec![1], 0)] {
        let mut story = starting();
        story.on(12, Completion::StartFinished(uuid(1), StartOutcome::Failed(failure(None))));
        assert_eq!(story.view().processes.len(), 1, "it still counts");
        story.probe(13, 14, lists(&listed));
        assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), ended);
    }
}

#[test]
fn a_list_begun_before_a_start_failed_proves_nothing() {
    let mut story = starting();
    story.on(11, Command::Probe);
    story.on(12, Completion::StartFinished(uuid(1), StartOutcome::Failed(failure(None))));
    story.on(13, Completion::ProbeFinished { began: at(11), report: lists(&[]) });
    assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), 0);
}

#[test]
fn an_unanswered_start_is_ended_only_by_a_list_a_deadline_and_two_seconds_after_we_gave_up() {
    let mut story = starting();
    let unanswered = StartOutcome::Unanswered(failure(Some(ExecErrorKind::ConnectionLost)));
    story.on(12, Completion::StartFinished(uuid(1), unanswered));
    for second in [13, 40, 74] {
        story.probe(second, second, lists(&[]));
        assert_eq!(
            story.did(&WorkerEffect::Ended(uuid(1))),
            0,
            "at {second} the command may still be under way"
        );
    }
    story.probe(75, 76, lists(&[]));
    assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), 1);
}

#[test]
fn an_unanswered_start_that_a_list_shows_is_a_process() {
    let mut story = starting();
    story.on(12, Completion::StartFinished(uuid(1), StartOutcome::Unanswered(failure(None))));
    story.probe(13, 14, lists(&[1]));
    assert!(!story.view().processes[0].unconfirmed);
    story.probe(20, 21, lists(&[]));
    assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), 1, "and ends like any other");
}

fn failed_start(story: &mut Story, n: u64) {
    let second = story.now;
    story.on(second + 1, start(n));
    story.on(second + 2, Completion::StartFinished(uuid(n), StartOutcome::Failed(failure(None))));
    story.probe(second + 3, second + 4, lists(&[]));
}

fn judged(story: &mut Story, n: u64, outcome: AttemptOutcome) {
    story.on(story.now, Command::StartJudged { uuid: uuid(n), outcome, failed_elsewhere: false });
}

#[test]
fn three_failed_starts_in_a_row_drain_and_each_is_counted_once() {
    let mut story = Story::idle();
    for n in 1..=2 {
        failed_start(&mut story, n);
        judged(&mut story, n, AttemptOutcome::StillLocked);
    }
    assert_eq!(story.view().behavior, IdleBehavior::Run, "two are not three");
    failed_start(&mut story, 3);
    assert_eq!(story.told(&WorkerFact::Draining(DrainReason::StartsFail)), 1);
    assert_eq!(story.state(), State::Shutdown);
}

#[test]
fn starts_that_end_with_the_record_still_locked_count_as_well() {
    let mut story = Story::idle();
    for n in 1..=3 {
        assert_eq!(story.view().behavior, IdleBehavior::Run);
        let second = story.now;
        story.on(second + 1, start(n));
        story.on(second + 2, Completion::StartFinished(uuid(n), StartOutcome::Started));
        story.probe(second + 3, second + 4, lists(&[]));
        judged(&mut story, n, AttemptOutcome::StillLocked);
    }
    assert_eq!((story.view().behavior, story.state()), (IdleBehavior::Drain, State::Shutdown));
}

#[test]
fn a_start_that_left_locked_makes_the_failures_before_it_good() {
    let mut story = Story::idle();
    for n in 1..=6 {
        failed_start(&mut story, n);
        let outcome = if n % 2 == 0 { AttemptOutcome::LeftLocked } else { AttemptOutcome::StillLocked };
        judged(&mut story, n, outcome);
    }
    assert_eq!(story.view().behavior, IdleBehavior::Run);
}

#[test]
fn the_operators_word_starts_the_count_anew() {
    let mut story = Story::idle();
    for n in 1..=2 {
        failed_start(&mut story, n);
    }
    story.on(story.now, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    story.on(story.now, Command::SetIdleBehavior(IdleBehavior::Run, None));
    failed_start(&mut story, 3);
    assert_eq!(story.view().behavior, IdleBehavior::Run);
}

/// A hiccup of sshd must not cost the container an attempt: the pool is told that nothing was sent.
#[test]
fn a_start_that_was_not_sent_is_shown_as_that_and_a_list_ends_it() {
    for (kind, unsent) in [
        (Some(ExecErrorKind::Refused), true),
        (Some(ExecErrorKind::ConnectTimeout), true),
        (Some(ExecErrorKind::Authentication), true),
        // Our own side's fault is no attempt of the container's either.
        (Some(ExecErrorKind::Local), true),
        (None, false),
    ] {
        let mut story = starting();
        story.on(12, Completion::StartFinished(uuid(1), StartOutcome::Failed(failure(kind))));
        assert_eq!(story.view().processes[0].unsent, unsent, "{kind:?}");
        assert!(story.view().processes[0].unconfirmed);
        story.probe(12, 13, lists(&[]));
        assert_eq!(
            story.did(&WorkerEffect::Ended(uuid(1))),
            0,
            "{kind:?}: a list that is no later proves nothing"
        );
        story.probe(13, 14, lists(&[]));
        assert_eq!(story.did(&WorkerEffect::Ended(uuid(1))), 1, "{kind:?}");
    }
}

/// Neither the container's attempts nor the worker's name pay for it; and it may still be under way, because nobody
/// knows when the fault struck.
#[test]
fn our_own_sides_fault_counts_against_nobody_and_is_waited_for_like_a_lost_answer() {
    let mut story = Story::idle();
    for n in 1..=4 {
        let second = story.now;
        story.on(second + 1, start(n));
        let answer = StartOutcome::of(
            &crate::ports::ShellCommand::new("start", std::time::Duration::from_secs(60)),
            Err(crate::ports::ExecError { kind: ExecErrorKind::Local, message: "EMFILE".to_owned() }),
        );
        assert!(matches!(answer, StartOutcome::Unanswered(_)), "{answer:?}");
        story.on(second + 2, Completion::StartFinished(uuid(n), answer));
        story.probe(second + 60, second + 61, lists(&[]));
        assert_eq!(story.did(&WorkerEffect::Ended(uuid(n))), 0, "it may be under way");
        let shown = story.view().processes.iter().any(|it| it.uuid == uuid(n) && it.unsent);
        assert!(shown, "no attempt");
        story.probe(second + 70, second + 71, lists(&[]));
        assert_eq!(story.did(&WorkerEffect::Ended(uuid(n))), 1);
        judged(&mut story, n, AttemptOutcome::StillLocked);
    }
    assert_eq!(story.view().behavior, IdleBehavior::Run);
}

#[test]
fn a_process_that_is_listed_was_sent_whatever_the_executor_says() {
    let mut story = starting();
    let refused = failure(Some(ExecErrorKind::Refused));
    story.on(12, Completion::StartFinished(uuid(1), StartOutcome::Failed(refused)));
    story.probe(13, 14, lists(&[1]));
    assert!(!story.view().processes[0].unsent && !story.view().processes[0].unconfirmed);
}

/// Users who change their minds say nothing about the instance.
#[test]
fn processes_that_were_told_to_end_are_no_failed_starts() {
    let mut story = Story::idle();
    for n in 1..=4 {
        let second = story.now;
        story.on(second + 1, start(n));
        story.on(second + 2, Completion::StartFinished(uuid(n), StartOutcome::Started));
        story.on(second + 3, Command::Kill(uuid(n), KillReason::PriorityZero));
        story.on(second + 4, Completion::KillFinished(uuid(n), KillOutcome::Gone));
        judged(&mut story, n, AttemptOutcome::StillLocked);
    }
    assert_eq!(story.view().behavior, IdleBehavior::Run);
}

#[test]
fn a_start_is_told_with_its_order_and_how_long_it_took() {
    let mut story = Story::idle();
    let order = StartOrder {
        uuid: uuid(1),
        priority: 5,
        created_at: Some(at(-60)),
        locked_at: None,
        failed_elsewhere: false,
    };
    story.on(10, Command::Start(order));
    assert_eq!(story.told(&WorkerFact::Starting(order)), 1);
    story.on(13, Completion::StartFinished(uuid(1), StartOutcome::Started));
    assert_eq!(story.told(&WorkerFact::Started { order, took: std::time::Duration::from_secs(3) }), 1);
}
