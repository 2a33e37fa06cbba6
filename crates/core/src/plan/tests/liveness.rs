//! What keeps failing for one container stops no other, and costs little.

use super::*;
use crate::queue::Fit;

/// One worker with a place for one container.
fn one_place() -> Scene {
    let policy = Policy { max_containers_per_instance: 1, ..policy() };
    let mut scene = Scene::with(policy);
    scene.worker("w-1", "small", State::Idle);
    scene
}

fn reason_of(scene: &Scene, n: u64) -> WaitReason {
    scene.plan().waiting[&uuid(n)].reason.clone()
}

#[test]
fn nothing_is_reserved_for_a_container_whose_lock_failed() {
    let mut scene = one_place();
    scene.add(1, Queued, 9).setback = Some(set_back(false));
    scene.add(2, Queued, 1);
    assert_eq!(scene.actions(), [lock(2)]);
    let WaitReason::SetBack { cause, failures, error } = reason_of(&scene, 1) else { panic!("no reason") };
    assert_eq!((cause, failures, error.as_str()), (SetbackCause::Lock, 3, "422 refused"));
}

#[test]
fn when_its_back_off_is_over_it_has_one_try_at_its_own_rank() {
    let mut scene = one_place();
    scene.add(1, Queued, 9).setback = Some(set_back(true));
    scene.add(2, Queued, 1);
    scene.gates(Gate::Paused(PauseReason::RateLimit));
    assert_eq!(scene.actions(), [lock(1)]);
}

/// Tried for ever, it would keep the worker for ever.
#[test]
fn a_try_keeps_no_worker_from_being_idle() {
    for (has_failed, reserved) in [(true, 0), (false, 1)] {
        let mut scene = one_place();
        scene.add(1, Queued, 9).setback = has_failed.then(|| set_back(true));
        let plan = scene.plan();
        assert_eq!((plan.actions, plan.reserved.len()), (vec![lock(1)], reserved));
    }
}

#[test]
fn a_container_whose_unlock_failed_may_still_be_started() {
    let mut scene = one_place();
    let setback = Setback { cause: SetbackCause::Unlock, ..set_back(false) };
    scene.add(1, Locked, 9).setback = Some(setback);
    assert_eq!(scene.actions(), [start(1, "w-1")]);
}

#[test]
fn a_container_without_sizes_says_why_if_its_mounts_failed() {
    let mut scene = one_place();
    let entry = scene.add(1, Locked, 9);
    entry.fit = Fit::Unsized;
    entry.setback = Some(Setback { cause: SetbackCause::Mounts, ..set_back(false) });
    assert!(matches!(reason_of(&scene, 1), WaitReason::SetBack { cause: SetbackCause::Mounts, .. }));
}

#[test]
fn a_final_container_is_dropped_although_its_record_cannot_be_read() {
    let mut scene = Scene::new();
    scene.add(1, Cancelled, 1).unreadable = Some("odd".to_owned());
    assert_eq!(scene.actions(), [Action::Queue(QueueAction::ForgetContainer(uuid(1)))]);
}

/// The last of two failures was at 95 s, so the next start is made from 105 s on.
#[test]
fn starts_that_failed_twice_wait_and_reserve_nothing() {
    for (second, wanted) in [(104, vec![lock(2)]), (105, vec![start(1, "w-1")])] {
        let mut scene = one_place();
        scene.now = at(second);
        scene.add(1, Locked, 9);
        scene.add(2, Queued, 1);
        scene.failed(1, 2, "w-gone");
        scene.gates(Gate::Paused(PauseReason::RateLimit));
        assert_eq!(scene.actions(), wanted, "{second}");
    }
}

#[test]
fn a_start_that_is_held_back_says_how_the_last_one_failed() {
    let mut scene = one_place();
    scene.add(1, Locked, 9);
    scene.failed(1, 2, "w-gone");
    let WaitReason::StartsFail { failures: 2, error } = reason_of(&scene, 1) else { panic!("no reason") };
    assert_eq!(error, "no space");
}

#[test]
fn the_first_failure_is_tried_again_at_once() {
    let mut scene = one_place();
    scene.add(1, Locked, 9);
    scene.failed(1, 1, "w-gone");
    assert_eq!(
        scene.plan().actions,
        [start_after_failure(1, "w-1")],
        "and it says that it has failed elsewhere"
    );
}

/// The start of a container that has failed on another instance says so.
fn start_after_failure(n: u64, name: &str) -> Action {
    let order = StartOrder { failed_elsewhere: true, ..order(uuid(n)) };
    let order = StartOrder { priority: 9, ..order };
    Action::Pool(PoolAction::StartContainer(order, id(name)))
}

#[test]
fn failed_starts_of_a_container_that_has_left_the_queue_are_forgotten() {
    let mut scene = Scene::new();
    scene.failed(1, 2, "w-1");
    assert_eq!(scene.actions(), [Action::Pool(PoolAction::ForgetAttempts(uuid(1)))]);
}

// ------------------------------------------------------------------ locks of before the start

/// At quota, with five containers that were Locked before the start.
fn at_quota_after_a_restart(second: i64, queued_priority: Option<i64>) -> usize {
    let mut scene = Scene::new();
    scene.now = at(second);
    scene.gates(Gate::AtQuota(QuotaReason::Account));
    for n in 1..=5 {
        scene.add(n, Locked, 5).locked_before_start = true;
    }
    if let Some(priority) = queued_priority {
        scene.add(9, Queued, priority);
    }
    let actions = scene.actions();
    actions.iter().filter(|it| matches!(it, Action::Queue(QueueAction::UnlockContainer(..)))).count()
}

#[test]
fn a_lock_of_before_the_start_is_kept_for_a_minute_and_then_given_up_only_for_a_higher_priority() {
    // The first poll began at 0 s; the scene is settled from 63 s on.
    assert_eq!(at_quota_after_a_restart(59, Some(9)), 0, "it is too soon");
    assert_eq!(at_quota_after_a_restart(100, None), 0, "nobody wants the place");
    assert_eq!(at_quota_after_a_restart(100, Some(5)), 0, "nobody of higher priority does");
    assert_eq!(at_quota_after_a_restart(100, Some(6)), 4, "the first in line keeps its lock");
}

#[test]
fn with_a_long_idle_timeout_it_is_kept_for_longer() {
    for (second, unlocks) in [(599, 0), (600, 1)] {
        let policy = Policy { timeout_idle: std::time::Duration::from_secs(600), ..policy() };
        let mut scene = Scene::with(policy);
        scene.now = at(second);
        scene.gates(Gate::AtQuota(QuotaReason::Account));
        for n in 1..=2 {
            scene.add(n, Locked, 5).locked_before_start = true;
        }
        scene.add(9, Queued, 6);
        let actions = scene.actions();
        let given_back =
            actions.iter().filter(|it| matches!(it, Action::Queue(QueueAction::UnlockContainer(..))));
        assert_eq!(given_back.count(), unlocks, "{second}");
    }
}

/// A worker of an earlier dispatcher that has answered and is silent since: its processes are never known.
#[test]
fn a_container_that_may_run_unseen_reserves_nothing_for_longer_than_a_restart_takes() {
    for (second, wanted) in [(90, vec![]), (400, vec![lock(2)])] {
        let mut scene = one_place();
        scene.now = at(second);
        scene.gates(Gate::Paused(PauseReason::RateLimit));
        scene.worker("w-2", "small", State::Idle);
        scene.change("w-2", |view| {
            (view.ours, view.processes_known, view.behavior) = (false, false, IdleBehavior::Hold);
        });
        scene.add(1, Locked, 9).locked_before_start = true;
        scene.add(2, Queued, 1);
        assert_eq!(scene.actions(), wanted, "{second}");
    }
}

/// All instances that were found are silent, and every container may run on one of them.
#[test]
fn in_an_outage_one_instance_is_made_for_a_container_that_may_run_unseen_to_try_our_route() {
    let scene = |outage| {
        let mut scene = Scene::new();
        scene.now = at(400);
        scene.pool.outage = outage;
        scene.worker("w-1", "small", State::Unknown);
        scene.change("w-1", |view| (view.ours, view.processes_known) = (false, false));
        for n in [1, 2] {
            scene.add(n, Locked, 9).locked_before_start = true;
        }
        scene
    };
    assert_eq!(scene(false).actions(), []);
    assert_eq!(creates(&scene(true).actions()), [create_for("small", 1)]);
    let mut sent = scene(true);
    sent.pending(1, "small");
    assert_eq!(sent.actions(), [], "one at a time");
    let mut booting = scene(true);
    booting.worker("w-2", "small", State::Booting);
    assert_eq!(booting.actions(), []);
    booting.change("w-2", |view| view.behavior = IdleBehavior::Hold);
    assert_eq!(creates(&booting.actions()), [create_for("small", 1)], "a held one may never answer");
    let mut full = scene(true);
    full.gates(Gate::AtQuota(QuotaReason::MaxInstances));
    assert_eq!(full.actions(), []);
    // A start that was sent there and did not get through is a process that only a list would end.
    let mut sent = scene(true);
    sent.entries.clear();
    sent.add(4, Locked, 1);
    sent.runs("w-1", 4);
    assert_eq!(creates(&sent.actions()), [create_for("small", 4)]);
    // One that has a place on a silent instance waits for nothing else.
    for (outage, wanted) in [(false, vec![]), (true, vec![create_for("small", 3)])] {
        let mut placed = scene(outage);
        placed.entries.clear();
        placed.add(3, Locked, 1);
        assert_eq!(creates(&placed.actions()), wanted);
    }
}

/// Otherwise one more would be made for that other.
#[test]
fn what_may_run_unseen_takes_no_instance_that_is_being_made_for_another() {
    let mut scene = Scene::new();
    scene.now = at(62);
    scene.add_sized(1, Locked, 4, false).locked_before_start = true;
    scene.add_sized(2, Locked, 4, false);
    assert_eq!(creates(&scene.actions()), [create_for("big", 2)]);
    scene.pending(1, "big");
    assert_eq!(scene.actions(), [], "it is made for the second");
    assert!(matches!(reason_of(&scene, 2), WaitReason::Booting { .. }));
    assert_eq!(reason_of(&scene, 1), WaitReason::PreviousAttempt);
}

/// It is not believed to run anything, and that is not proven.
#[test]
fn an_instance_that_is_written_off_keeps_no_locked_container_waiting_and_lets_no_running_one_be_given_up() {
    for (written_off, wanted) in [(false, vec![]), (true, vec![start(1, "w-1")])] {
        let mut scene = one_place();
        scene.now = at(4_000);
        scene.worker("w-2", "small", State::Shutdown);
        scene.change("w-2", |view| {
            (view.ours, view.processes_known, view.last_success) = (false, false, None)
        });
        scene.add(1, Locked, 9).locked_before_start = true;
        scene.add(2, Running, 1);
        let mut input = scene.input();
        for host in &mut Arc::make_mut(&mut input.fleet).hosts {
            Arc::make_mut(host).written_off = written_off && host.id == id("w-2");
        }
        let actions = plan(&input, scene.now).actions.into_iter().map(without_record);
        assert_eq!(actions.collect::<Vec<_>>(), wanted, "{written_off}");
    }
}

// ------------------------------------------------------------------ what could still be placed

fn openings(scene: &Scene) -> Openings {
    Openings::clone(scene.plan().openings.as_ref().expect("everything is decided"))
}

#[test]
fn openings_are_open_gates_and_free_places() {
    let mut scene = Scene::new();
    scene.gates(Gate::AtCapacity(at(200)));
    assert!(openings(&scene).are_none());
    scene.worker("w-1", "big", State::Idle);
    scene.add(1, Locked, 1);
    let open = openings(&scene);
    assert_eq!(open.free.keys().map(TypeName::as_str).collect::<Vec<_>>(), ["big"]);
    assert_eq!(open.free.values().next().map(|free| free.vcpus), Some(3), "one is taken in this round");
    scene.gates(Gate::Open);
    assert_eq!(openings(&scene).creatable.len(), 4);
    scene.limits.ceiling = 1;
    assert!(openings(&scene).are_none(), "the ceiling is reached");
}

#[test]
fn openings_name_the_queued_containers_that_got_no_place() {
    let mut scene = Scene::new();
    scene.gates(Gate::AtCapacity(at(200)));
    scene.worker("w-1", "big", State::Idle);
    scene.add_sized(1, Queued, 3, false);
    scene.add_sized(2, Queued, 3, false);
    scene.add(3, Queued, 1).setback = Some(set_back(false));
    let open = openings(&scene);
    assert_eq!(open.unplaced, [uuid(2), uuid(3)].into());
    assert!(open.suit(&scene.entries[&uuid(1)]));
    assert!(!open.suit(&scene.entries[&uuid(2)]), "although one more CPU is free");
    scene.entries.get_mut(&uuid(2)).unwrap().fit = Fit::Unsized;
    assert!(open.suit(&scene.entries[&uuid(2)]), "its mounts are about to be read");
}

#[test]
fn a_place_on_which_nothing_fits_is_no_opening() {
    let mut scene = Scene::new();
    scene.gates(Gate::AtCapacity(at(200)));
    scene.worker("w-1", "small", State::Idle);
    scene.add(1, Locked, 1);
    assert!(openings(&scene).are_none());
}

#[test]
fn a_record_that_is_not_in_the_queue_is_compared_with_what_is_open() {
    let mut scene = Scene::new();
    scene.gates(Gate::AtCapacity(at(200)));
    scene.worker("w-1", "big", State::Idle);
    let open = openings(&scene);
    let mut suits = |open: &Openings, vcpus, preemptible, supervisor| {
        let mut record = scene.add_sized(1, Queued, vcpus, preemptible).record.clone();
        record.scheduling.supervisor = supervisor;
        open.may_suit(&record, &scene.policy)
    };
    assert!(suits(&open, 4, false, false));
    assert!(!suits(&open, 4, true, false), "it wants a spot instance");
    assert!(suits(&open, 99, false, false), "it fits nowhere, and is to be cancelled");
    assert!(suits(&open, 1, false, true));
    assert!(!suits(&Openings { supervisors: false, ..open }, 1, false, true));
}

// ------------------------------------------------------------------ no room in vain

/// A booting instance for one container is not shut down for another whose create would be refused again.
#[test]
fn at_the_limit_nothing_is_ended_for_a_container_whose_types_were_refused_lately() {
    for vain in [false, true] {
        let mut scene = Scene::new();
        scene.gates(Gate::AtQuota(QuotaReason::MaxInstances));
        scene.worker("w-1", "small", State::Booting);
        scene.add_sized(1, Locked, 4, false);
        scene.add(2, Locked, 0);
        scene.add(3, Locked, 1);
        if vain {
            scene.pool.supply.vain.insert(TypeName::new("big").unwrap());
        }
        let ended =
            scene.actions().iter().any(|it| matches!(it, Action::Pool(PoolAction::ShutdownInstance(..))));
        assert_eq!(ended, !vain);
        assert_eq!(matches!(reason_of(&scene, 3), WaitReason::Booting { .. }), vain);
    }
}

/// The type that an operator has drained cannot be had either, and that has no end.
#[test]
fn at_the_limit_nothing_is_ended_for_a_container_whose_types_are_drained_or_were_refused_lately() {
    for vain in [false, true] {
        let mut scene = Scene::new();
        scene.gates(Gate::AtQuota(QuotaReason::MaxInstances));
        scene.gate("small", Gate::Paused(PauseReason::TypeDrained));
        scene.add(1, Locked, 9);
        scene.worker("w-1", "small.spot", State::Idle);
        scene.add_sized(2, Locked, 1, true);
        if vain {
            scene.pool.supply.vain.insert(TypeName::new("big").unwrap());
        }
        let is_placed = matches!(reason_of(&scene, 2), WaitReason::Allocated);
        assert_eq!(is_placed, vain, "those behind it go on");
    }
}
