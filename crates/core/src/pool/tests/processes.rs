//! Starts, kills, ended processes.

use super::*;

fn ready() -> Story {
    let mut story = Story::new();
    for name in ["i-1", "i-2"] {
        story.listed(name, "big", name, 0);
        story.in_service(name, 1);
    }
    story
}

fn containers(story: &Story, n: usize) -> Vec<ContainerUuid> {
    story.snapshot(9).workers[n].containers().collect()
}

#[test]
fn a_container_counts_from_the_moment_its_start_is_sent_and_is_started_nowhere_else() {
    let mut story = ready();
    let effects = story.pool.start(order(uuid(1)), &id("i-1")).unwrap();
    assert!(matches!(&effects[..], [PoolEffect::Command(to, _, Command::Start(_))] if *to == id("i-1")));
    assert_eq!(containers(&story, 0), [uuid(1)]);
    for name in ["i-1", "i-2"] {
        assert_eq!(story.pool.start(order(uuid(1)), &id(name)), Err(PoolRefusal::AlreadyRunning));
    }
}

#[test]
fn a_view_from_before_the_start_does_not_undo_it() {
    let mut story = ready();
    let before = story.pool.sequence;
    story.pool.start(order(uuid(1)), &id("i-1")).unwrap();
    story.pool.worker_changed(Arc::new(story.view("i-1")), before, &[], at(2));
    assert_eq!(containers(&story, 0), [uuid(1)]);
    let seen = View { processes: vec![process(1)], state: State::Running, ..story.view("i-1") };
    story.show(3, seen);
    assert_eq!(containers(&story, 0), [uuid(1)], "counted once");
    story.show(4, View { processes: vec![], ..story.view("i-1") });
    assert!(containers(&story, 0).is_empty());
}

#[test]
fn a_refused_start_no_longer_counts_and_an_older_refusal_does_not_undo_a_newer_start() {
    let mut story = ready();
    story.pool.start(order(uuid(1)), &id("i-1")).unwrap();
    let number = story.pool.sequence;
    story.pool.start_refused(uuid(1), &id("i-1"), number - 1);
    assert_eq!(containers(&story, 0), [uuid(1)]);
    story.pool.start_refused(uuid(1), &id("i-1"), number);
    assert!(containers(&story, 0).is_empty());
    assert!(story.pool.start(order(uuid(1)), &id("i-2")).is_ok());
}

#[test]
fn only_workers_in_service_that_take_containers_are_sent_any() {
    let mut story = ready();
    assert_eq!(story.pool.start(order(uuid(1)), &id("i-9")), Err(PoolRefusal::NoSuchInstance));
    for (state, behavior) in [
        (State::Unknown, IdleBehavior::Run),
        (State::Booting, IdleBehavior::Run),
        (State::Shutdown, IdleBehavior::Run),
        (State::Idle, IdleBehavior::Hold),
        (State::Running, IdleBehavior::Drain),
    ] {
        story.show(2, View { state, behavior, ..story.view("i-1") });
        assert_eq!(
            story.pool.start(order(uuid(1)), &id("i-1")),
            Err(PoolRefusal::NotPlaceable),
            "{state} {behavior}"
        );
    }
}

#[test]
fn an_ended_process_is_remembered_until_forgotten_and_bars_a_new_start() {
    let mut story = ready();
    story.show(2, View { processes: vec![process(1)], ..story.view("i-1") });
    let without = View { processes: vec![], ..story.view("i-1") };
    story.pool.worker_changed(Arc::new(without), 99, &[uuid(1)], at(7));
    assert_eq!(story.snapshot(8).fleet.ended[&uuid(1)].at, at(7));
    assert_eq!(story.pool.start(order(uuid(1)), &id("i-2")), Err(PoolRefusal::AlreadyRunning));
    let effects = story.pool.forget(uuid(1), AttemptOutcome::StillLocked).unwrap();
    let judged =
        Command::StartJudged { uuid: uuid(1), outcome: AttemptOutcome::StillLocked, failed_elsewhere: false };
    assert!(matches!(&effects[..], [PoolEffect::Command(_, _, command)] if *command == judged));
    assert_eq!(story.snapshot(8).fleet.failed_starts[&uuid(1)].instance, id("i-1"));
    assert!(story.pool.start(order(uuid(1)), &id("i-2")).is_ok());
    assert_eq!(story.pool.forget(uuid(1), AttemptOutcome::LeftLocked), Err(PoolRefusal::NoSuchProcess));
}

#[test]
fn failed_starts_are_counted_until_the_container_is_forgotten() {
    let mut story = ready();
    let outcomes = [AttemptOutcome::StillLocked, AttemptOutcome::LeftLocked, AttemptOutcome::StillLocked];
    for (n, outcome) in (0..).zip(outcomes) {
        story.pool.worker_changed(Arc::new(story.view("i-1")), 99, &[uuid(1)], at(n));
        story.pool.forget(uuid(1), outcome).unwrap();
    }
    let failed = story.snapshot(8).fleet.failed_starts[&uuid(1)].clone();
    assert_eq!((failed.count, failed.at), (2, at(2)), "what has left the state Locked is no failure");
    story.pool.forget_container(uuid(1));
    assert!(story.snapshot(8).fleet.failed_starts.is_empty());
}

#[test]
fn a_failed_start_is_remembered_with_what_its_command_said() {
    let mut story = ready();
    let failed = ProcessView { start_failure: Some("exit status 1: no space".to_owned()), ..process(1) };
    story.show(2, View { processes: vec![failed], ..story.view("i-1") });
    let without = View { processes: vec![], ..story.view("i-1") };
    story.pool.worker_changed(Arc::new(without), 99, &[uuid(1)], at(7));
    story.pool.forget(uuid(1), AttemptOutcome::StillLocked).unwrap();
    let error = story.snapshot(8).fleet.failed_starts[&uuid(1)].error.clone();
    assert_eq!(error, "the start command failed on instance i-1: exit status 1: no space");
}

#[test]
fn a_kill_goes_to_every_worker_that_has_the_process() {
    let mut story = ready();
    story.show(2, View { processes: vec![process(1)], ..story.view("i-2") });
    story.pool.start(order(uuid(2)), &id("i-1")).unwrap();
    for (n, home) in [(1, "i-2"), (2, "i-1")] {
        let effects = story.pool.kill(uuid(n), &KillReason::PriorityZero).unwrap();
        assert!(matches!(&effects[..], [PoolEffect::Command(to, _, Command::Kill(..))] if *to == id(home)));
    }
    assert_eq!(story.pool.kill(uuid(3), &KillReason::PriorityZero), Err(PoolRefusal::NoSuchProcess));
}

#[test]
fn one_that_cannot_prove_itself_any_more_is_sent_nothing() {
    let mut story = ready();
    story.show(2, View { unproven: true, ..story.view("i-1") });
    assert_eq!(story.pool.start(order(uuid(1)), &id("i-1")), Err(PoolRefusal::NotPlaceable));
}

#[test]
fn a_worker_that_was_just_sent_a_container_is_not_shut_down_for_quota() {
    let mut story = ready();
    story.pool.start(order(uuid(1)), &id("i-1")).unwrap();
    assert_eq!(story.pool.shut_down(&id("i-1"), ShutdownReason::OverQuota), Err(PoolRefusal::NotPlaceable));
    assert!(story.pool.shut_down(&id("i-1"), ShutdownReason::Operator("now".into())).is_ok());
    assert!(story.pool.shut_down(&id("i-2"), ShutdownReason::OverQuota).is_ok());
}

#[test]
fn probes_are_granted_within_the_rate_and_the_next_moment_is_never_one_that_loops() {
    let mut story = Story::with(Policy { max_probes_per_second: Some(4), ..policy() });
    for n in 0..10 {
        story.listed(&format!("i-{n}"), "small", "s", 0);
    }
    let (mut now, mut granted, mut wakes) = (at(0), Vec::new(), 0);
    while let Some(when) = story.pool.wakes_at(now) {
        now = now.max(when);
        wakes += 1;
        assert!(wakes < 50, "woken again and again at {now}");
        let effects = story.pool.tick(now);
        granted.extend(
            effects.iter().filter(|it| matches!(it, PoolEffect::Command(_, _, Command::Probe))).map(|_| now),
        );
    }
    assert_eq!(granted.len(), 10);
    assert!(granted.windows(5).all(|five| since(five[4], five[0]).as_millis() >= 1000));
}

#[test]
fn a_granted_worker_is_not_granted_again_before_it_shows_itself() {
    let mut story = Story::new();
    story.listed("i-1", "small", "s", 0);
    let granted =
        |effects: &[PoolEffect]| effects.iter().filter(|it| matches!(it, PoolEffect::Command(..))).count();
    assert_eq!(granted(&story.pool.tick(at(0))), 1);
    assert_eq!(granted(&story.pool.tick(at(50))), 0);
    story.show(51, View { next_probe: Some((at(60), ProbeTurn::InTurn)), ..story.view("i-1") });
    assert_eq!(granted(&story.pool.tick(at(60))), 1);
}

#[test]
fn what_has_ended_is_known_as_not_started_if_its_start_was_not_sent() {
    for (unsent, why) in [(true, EndedWhy::NotStarted), (false, EndedWhy::Exited)] {
        let mut story = ready();
        let process = ProcessView { unsent, unconfirmed: true, ..process(1) };
        story.show(3, View { processes: vec![process], state: State::Running, ..story.view("i-1") });
        let without = View { processes: vec![], state: State::Idle, ..story.view("i-1") };
        let applied = story.pool.sequence;
        story.pool.worker_changed(Arc::new(without), applied, &[uuid(1)], at(4));
        assert_eq!(story.snapshot(5).fleet.ended[&uuid(1)].why, why);
    }
}

#[test]
fn a_worker_is_told_what_it_is_kept_for_and_when_for_nothing_any_more() {
    let mut story = ready();
    let set = |ids: &[&str]| Arc::new(ids.iter().map(|name| id(name)).collect());
    let keep = |story: &mut Story, reserved: &[&str], spares: &[&str]| {
        let told = story.pool.keep(set(reserved), set(spares));
        told.into_iter()
            .map(|effect| match effect {
                PoolEffect::Command(id, _, Command::Keep(why)) => (id.to_string(), why),
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    let told = |id: &str, why: Option<KeptFor>| (id.to_owned(), why);
    let (container, reserve) = (Some(KeptFor::Container), Some(KeptFor::Reserve));
    assert_eq!(keep(&mut story, &["i-1", "i-9"], &[]), [told("i-1", container)], "the other is gone");
    assert_eq!(keep(&mut story, &["i-1"], &[]), [], "no news");
    assert_eq!(keep(&mut story, &["i-2"], &[]), [told("i-1", None), told("i-2", container)]);
    assert_eq!(keep(&mut story, &[], &["i-2"]), [told("i-2", reserve)]);
    assert_eq!(keep(&mut story, &["i-2"], &["i-1"]), [told("i-1", reserve), told("i-2", container)]);
}
