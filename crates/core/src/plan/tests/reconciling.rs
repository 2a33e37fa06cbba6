//! Containers that have, or had, a process: a test for each row of the table.

use super::*;
use crate::queue::LookOutcome;
use crate::worker::KillReason;

/// What is to be done about container 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    None,
    Alive,
    /// Ended before, or after, the last poll began.
    EndedBefore,
    EndedAfter,
}

fn reconcile(state: ContainerState, priority: i64, process: Process) -> Vec<Action> {
    let mut scene = Scene::new();
    scene.gates(Gate::Paused(PauseReason::RateLimit));
    scene.add(1, state, priority);
    match process {
        Process::None => {}
        Process::Alive => {
            scene.worker("w-1", "small", State::Idle);
            scene.runs("w-1", 1);
        }
        Process::EndedBefore => scene.ended(1, 89, EndedWhy::Exited),
        Process::EndedAfter => scene.ended(1, 90, EndedWhy::Exited),
    }
    scene.actions()
}

#[test]
fn every_row_of_the_table() {
    use Process::{Alive, EndedAfter, EndedBefore, None};
    let standing = |state| record(1, state, 1).standing();
    let cancel =
        |reason| vec![Action::Queue(QueueAction::CancelContainer(uuid(1), reason, standing(Running)))];
    let kill = |reason| vec![Action::Pool(PoolAction::KillContainer(uuid(1), reason))];
    let forget = |outcome| vec![Action::Pool(PoolAction::ForgetProcess(uuid(1), outcome))];
    let requeue = || {
        let error = "the container could not be started (once); at the last attempt crunch-run ended on instance \
                     w-gone before the container began to run";
        vec![Action::Queue(QueueAction::RequeueContainer(uuid(1), error.to_owned()))]
    };
    let dropped = || vec![Action::Queue(QueueAction::ForgetContainer(uuid(1)))];
    let cases = [
        (Running, 1, None, cancel(CancelReason::NotOnAnyWorker)),
        (Running, 1, EndedBefore, cancel(CancelReason::ProcessExited)),
        (Running, 1, EndedAfter, vec![]),
        (Running, 1, Alive, vec![]),
        (Running, 0, Alive, kill(KillReason::PriorityZero)),
        (Locked, 0, Alive, kill(KillReason::PriorityZero)),
        (Locked, 1, Alive, vec![]),
        (Complete, 1, Alive, kill(KillReason::Final(Complete))),
        (Cancelled, 0, Alive, kill(KillReason::Final(Cancelled))),
        (Complete, 1, EndedAfter, forget(AttemptOutcome::LeftLocked)),
        (Cancelled, 0, EndedBefore, forget(AttemptOutcome::LeftLocked)),
        (Complete, 1, None, dropped()),
        (Cancelled, 0, None, dropped()),
        (Queued, 1, Alive, kill(KillReason::Requeued)),
        (Queued, 0, Alive, kill(KillReason::Requeued)),
        (Queued, 1, EndedAfter, forget(AttemptOutcome::StillLocked)),
        (Queued, 0, None, dropped()),
        (Queued, 1, None, vec![]),
        (Locked, 1, EndedBefore, requeue()),
        (Locked, 1, EndedAfter, vec![]),
        (Locked, 0, EndedBefore, requeue()),
        (Locked, 0, None, vec![unlock(1, UnlockReason::PriorityZero)]),
        (Locked, 1, None, vec![]),
    ];
    for (state, priority, process, expected) in cases {
        assert_eq!(reconcile(state, priority, process), expected, "{state} {priority} {process:?}");
    }
}

/// A replica that lags shows for a moment that nobody has locked what runs already.
#[test]
fn a_process_is_not_killed_for_a_picture_that_may_be_older_than_its_start() {
    for (began, is_killed) in [(88, true), (89, true), (90, false), (95, false)] {
        let mut scene = Scene::new();
        scene.worker("w-1", "small", State::Idle);
        scene.add(1, Queued, 1);
        scene.runs("w-1", 1);
        scene.change("w-1", |view| view.processes[0].since = at(began));
        let kill = Action::Pool(PoolAction::KillContainer(uuid(1), KillReason::Requeued));
        assert_eq!(scene.actions(), Vec::from_iter(is_killed.then_some(kill)), "it began at {began}");
    }
}

#[test]
fn the_last_attempt_counts_as_one_that_came_to_nothing() {
    let mut scene = Scene::new();
    scene.add(1, Cancelled, 0).cancelled_unstarted = true;
    scene.ended(1, 89, EndedWhy::Exited);
    let forgotten = PoolAction::ForgetProcess(uuid(1), AttemptOutcome::StillLocked);
    assert_eq!(scene.actions(), [Action::Pool(forgotten)]);
}

#[test]
fn a_container_whose_instance_vanished_is_placed_again_without_an_unlock_and_that_counts_as_a_failed_start() {
    let mut scene = Scene::new();
    scene.add(1, Locked, 1);
    scene.ended(1, 89, EndedWhy::InstanceGone);
    assert_eq!(
        scene.actions(),
        [Action::Pool(PoolAction::ForgetProcess(uuid(1), AttemptOutcome::StillLocked))]
    );
    scene.ended(1, 90, EndedWhy::InstanceGone);
    assert_eq!(scene.actions(), [], "a later poll must say that it is still Locked");
    scene.add(1, Running, 1);
    scene.ended(1, 89, EndedWhy::InstanceGone);
    assert!(matches!(
        scene.actions()[..],
        [Action::Queue(QueueAction::CancelContainer(_, CancelReason::ProcessExited, _))]
    ));
}

#[test]
fn absence_from_all_workers_needs_three_listings_after_the_first_poll_and_a_later_poll() {
    let nowhere = |change: fn(&mut Scene)| {
        let mut scene = Scene::new();
        scene.add(1, Running, 1);
        change(&mut scene);
        !scene.actions().is_empty()
    };
    assert!(nowhere(|_| {}));
    assert!(!nowhere(|scene| scene.pool.listings = vec![at(50), at(80)]), "both may omit its VM");
    let with_the_poll = |scene: &mut Scene| scene.pool.listings = vec![at(0), at(50), at(80)];
    assert!(!nowhere(with_the_poll), "one began with the first poll");
    assert!(!nowhere(|scene| scene.queue.polled_at = Some(at(15))), "the picture is older than the lists");
    assert!(!nowhere(|scene| scene.worker("w-1", "small", State::Unknown)), "it may be there");
}

#[test]
fn a_process_on_a_worker_in_shutdown_counts_and_is_not_signalled() {
    for state in [Running, Locked, Queued, Complete] {
        let mut scene = Scene::new();
        scene.add(1, state, 1);
        scene.worker("w-1", "small", State::Shutdown);
        scene.runs("w-1", 1);
        assert_eq!(scene.actions(), [], "{state}");
    }
}

#[test]
fn a_kill_under_way_is_not_asked_for_again() {
    let mut scene = Scene::new();
    scene.add(1, Cancelled, 0);
    scene.worker("w-1", "small", State::Idle);
    scene.runs("w-1", 1);
    scene.change("w-1", |view| view.processes[0].killing = true);
    assert_eq!(scene.actions(), []);
}

#[test]
fn while_a_container_is_being_changed_or_cannot_be_read_its_process_is_left_alone() {
    for change in [
        |entry: &mut Entry| entry.uncertain = true,
        |entry: &mut Entry| entry.unreadable = Some(String::new()),
    ] {
        let mut scene = Scene::new();
        change(scene.add(1, Locked, 0));
        change(scene.add(2, Running, 1));
        scene.worker("w-1", "small", State::Idle);
        scene.runs("w-1", 1);
        assert_eq!(scene.actions(), []);
    }
}

#[test]
fn a_container_without_a_suitable_type_is_cancelled_unless_it_runs() {
    let too_large = |state| {
        let mut scene = Scene::new();
        scene.worker("w-1", "small", State::Idle);
        scene.add_sized(1, state, 99, false);
        if state == Running {
            scene.runs("w-1", 1);
        }
        scene.actions()
    };
    for state in [Queued, Locked] {
        let actions = too_large(state);
        assert!(
            matches!(&actions[..], [Action::Queue(QueueAction::CancelContainer(_, CancelReason::NoSuitableType(text), _))] if text.contains("99 VCPUs")),
            "{actions:?}"
        );
    }
    assert_eq!(too_large(Running), []);
}

/// The poll may have ended long after its first page was asked for.
#[test]
fn an_end_is_acted_upon_by_the_date_of_the_containers_own_picture() {
    for state in [Running, Locked] {
        let mut scene = Scene::new();
        scene.add(1, state, 1);
        scene.ended(1, 95, EndedWhy::Exited);
        scene.queue.polled_at = Some(at(99));
        scene.queue.asked = vec![at(94)];
        assert_eq!(scene.actions(), [], "{state}: its page was asked for before the end");
        scene.queue.asked = vec![at(96)];
        assert_eq!(scene.actions().len(), 1, "{state}");
    }
}

/// A replica may be behind: within a second its picture is no proof that the runner had not told the end.
#[test]
fn a_picture_that_was_asked_for_within_a_second_of_the_end_proves_nothing() {
    for (state, why) in
        [(Running, EndedWhy::Exited), (Locked, EndedWhy::Exited), (Locked, EndedWhy::NotStarted)]
    {
        let mut scene = Scene::new();
        scene.add(1, state, 1);
        scene.ended(1, 95, why);
        for (millis, is_proof) in [(0, false), (1, false), (999, false), (1_000, true)] {
            scene.queue.asked = vec![crate::time::after(at(95), std::time::Duration::from_millis(millis))];
            assert_eq!(!scene.actions().is_empty(), is_proof, "{state} {why:?} {millis}");
        }
    }
}

#[test]
fn the_instance_whose_end_is_announced_to_a_process_is_told_once() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Running);
    scene.runs("w-1", 1);
    scene.add(1, Running, 1).record.preemption_notice = Some("at noon".to_owned());
    let told = [Action::Pool(PoolAction::NoteSpotNotice(uuid(1), "at noon".to_owned()))];
    assert_eq!(scene.actions(), told);
    let mut again = scene.clone();
    again.add(1, Locked, 1).record.preemption_notice = Some("at noon".to_owned());
    assert_eq!(again.actions(), [], "what its last attempt was told");
    let mut input = scene.input();
    let mut fleet = (*input.fleet).clone();
    Arc::make_mut(&mut fleet.hosts[0]).spot_notice = true;
    assert!(!fleet.hosts[0].is_placeable());
    input.fleet = Arc::new(fleet);
    assert_eq!(plan(&input, scene.now).actions, []);
}

fn kills(scene: &Scene) -> usize {
    let actions = scene.actions();
    actions.iter().filter(|it| matches!(it, Action::Pool(PoolAction::KillContainer(..)))).count()
}

#[test]
fn a_process_of_an_unknown_container_is_looked_up_before_anything_is_done_to_it() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Idle);
    scene.runs("w-1", 7);
    assert_eq!(scene.actions(), [Action::Queue(QueueAction::ReadOrphanRecord(uuid(7)))]);
    scene.queue.looked.insert(uuid(7), LookOutcome::Foreign);
    assert_eq!(scene.actions(), [], "another dispatcher's");
    scene.queue.looked.insert(uuid(7), LookOutcome::Doubted);
    assert_eq!(kills(&scene), 0, "that it is deleted is not believed yet");
    scene.queue.looked.insert(uuid(7), LookOutcome::Absent);
    assert_eq!(scene.actions(), [Action::Pool(PoolAction::KillContainer(uuid(7), KillReason::NotInQueue))]);
    scene.queue.looked.clear();
    scene.queue.unreadable.insert(uuid(7), "priority".to_owned());
    assert_eq!(scene.actions(), [], "its record cannot be decoded");
}

#[test]
fn an_ended_process_of_an_unknown_container_is_forgotten() {
    let mut scene = Scene::new();
    scene.ended(7, 95, EndedWhy::Exited);
    assert_eq!(
        scene.actions(),
        [Action::Pool(PoolAction::ForgetProcess(uuid(7), AttemptOutcome::LeftLocked))]
    );
}

#[test]
fn a_container_whose_start_was_not_sent_is_placed_again_without_an_unlock() {
    let mut scene = Scene::new();
    scene.add(1, Locked, 1);
    scene.ended(1, 89, EndedWhy::NotStarted);
    assert_eq!(
        scene.actions(),
        [Action::Pool(PoolAction::ForgetProcess(uuid(1), AttemptOutcome::StillLocked))]
    );
    scene.ended(1, 90, EndedWhy::NotStarted);
    assert_eq!(scene.actions(), [], "a later poll must say that it is still Locked");
}

/// A controller that refuses is not asked again and again.
#[test]
fn a_cancel_that_failed_waits_for_the_next_poll() {
    let cancels = |failed: Option<Setback>| {
        let mut scene = Scene::new();
        scene.add_sized(1, Queued, 99, false).setback = failed.clone();
        scene.add(2, Running, 1).setback = failed.clone();
        scene.ended(2, 85, EndedWhy::Exited);
        scene.add(3, Running, 1).setback = failed;
        scene
            .actions()
            .iter()
            .filter(|it| matches!(it, Action::Queue(QueueAction::CancelContainer(..))))
            .count()
    };
    let failed = |lifted| Setback { cause: SetbackCause::Cancel, ..set_back(lifted) };
    assert_eq!(cancels(None), 3);
    assert_eq!(cancels(Some(failed(true))), 3, "a poll has shown it since");
    assert_eq!(cancels(Some(failed(false))), 0);
}
