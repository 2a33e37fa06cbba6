//! After a start: what an earlier dispatcher left.

use super::*;

/// Unknown workers, and a container of each kind, at that second after the first poll.
fn restarted(second: i64) -> Scene {
    let mut scene = Scene::new();
    scene.now = at(second);
    scene.worker_left("w-1", "big", State::Unknown);
    scene.worker_left("w-2", "big", State::Idle);
    scene.add(1, Locked, 9).locked_before_start = true;
    scene.add(2, Queued, 5);
    scene.add(3, Running, 1);
    scene
}

#[test]
fn nothing_is_decided_before_the_first_poll_and_the_first_listing() {
    for unready in [
        |scene: &mut Scene| scene.queue.first_poll_began = None,
        |scene: &mut Scene| scene.pool.first_listing = None,
    ] {
        let mut scene = restarted(1000);
        scene.add(4, Cancelled, 0);
        unready(&mut scene);
        assert_eq!(scene.actions(), []);
        assert_eq!(scene.reason(1), Some(WaitReason::StartingUp));
    }
}

#[test]
fn placement_waits_for_unknown_workers_until_stale_lock_timeout() {
    let scene = restarted(60);
    assert_eq!(scene.actions(), []);
    assert_eq!(scene.reason(2), Some(WaitReason::StartingUp));
    assert_eq!(restarted(61).actions(), [lock(2)]);
}

#[test]
fn while_it_waits_the_table_applies_to_what_is_known() {
    let mut scene = restarted(10);
    scene.add(4, Cancelled, 0);
    scene.runs("w-2", 4);
    assert_eq!(
        scene.actions(),
        [Action::Pool(PoolAction::KillContainer(uuid(4), KillReason::Final(Cancelled)))]
    );
}

#[test]
fn what_was_locked_before_the_start_is_not_touched_while_any_worker_is_unknown() {
    let mut scene = restarted(10_000);
    scene.gates(Gate::AtQuota(QuotaReason::Account));
    for n in 4..=6 {
        scene.add(n, Locked, 8).locked_before_start = true;
    }
    scene.add(7, Locked, 0).locked_before_start = true;
    scene.add_sized(8, Locked, 99, false).locked_before_start = true;
    assert_eq!(scene.actions(), [lock(2)]);
    assert_eq!(scene.reason(1), Some(WaitReason::PreviousAttempt));
}

/// The same with every worker known, at that second; what is not placed at all is left out.
fn all_known(second: i64) -> Scene {
    let mut scene = restarted(second);
    scene.change("w-1", |view| view.state = State::Idle);
    for name in ["w-1", "w-2"] {
        scene.change(name, |view| view.processes_known = true);
    }
    scene
}

/// Found by chaos (seed 1795950246001026): no room can be kept for a container whose needs are not known, so a VM on
/// which its process may still appear takes nothing, and no other VM is made for what waits for it.
#[test]
fn a_found_worker_takes_nothing_while_a_container_of_unknown_size_may_appear_on_it() {
    let scene = |is_sized: bool, known: bool| {
        let mut scene = restarted(10);
        scene.change("w-1", |view| view.state = State::Idle);
        for name in ["w-1", "w-2"] {
            scene.change(name, |view| view.processes_known = known);
        }
        if !is_sized {
            scene.entries.get_mut(&uuid(1)).unwrap().fit = crate::queue::Fit::Unsized;
        }
        scene.add(4, Locked, 8);
        scene
    };
    let waits = scene(false, false);
    assert_eq!(waits.actions(), [lock(2)]);
    assert!(matches!(waits.reason(4), Some(WaitReason::Booting { .. })), "{:?}", waits.reason(4));
    for (is_sized, known) in [(false, true), (true, false)] {
        let actions = scene(is_sized, known).actions();
        let starts = ["w-1", "w-2"].map(|name| start(4, name));
        assert!(starts.iter().any(|start| actions.contains(start)), "{actions:?}");
    }
}

/// A start that was on its way is listed 62 s after the first listing at the latest, which began at second 1.
#[test]
fn old_locks_are_placed_without_an_unlock_when_no_start_of_the_earlier_dispatcher_can_surface() {
    let scene = all_known(62);
    assert_eq!(scene.actions(), [lock(2)], "others need not wait");
    assert_eq!(scene.reason(1), Some(WaitReason::Allocated), "it keeps its place");
    let actions = all_known(63).actions();
    assert_eq!(
        actions
            .iter()
            .filter(|it| matches!(it, Action::Pool(PoolAction::StartContainer(..))))
            .collect::<Vec<_>>(),
        [&start(1, "w-1")]
    );
}

/// Behind our fences no start of the earlier dispatcher can come any more: three listings, each 5 s after the last, and a
/// poll that began after the lists of all VMs that were found are enough.
#[test]
fn behind_fences_old_locks_are_placed_after_three_listings_and_a_fresh_poll() {
    let fenced = |change: fn(&mut Scene)| {
        let mut scene = all_known(20);
        for (name, since) in [("w-1", 2), ("w-2", 4)] {
            scene.change(name, |view| view.fenced_since = Some(at(since)));
        }
        (scene.pool.listings, scene.queue.polled_at) = (vec![at(1), at(6), at(11)], Some(at(5)));
        change(&mut scene);
        scene.actions().contains(&start(1, "w-1"))
    };
    assert!(fenced(|_| {}));
    assert!(!fenced(|scene| scene.change("w-2", |view| view.fenced_since = None)), "one without a fence");
    assert!(!fenced(|scene| scene.queue.polled_at = Some(at(4))), "its record may have changed since");
    assert!(
        !fenced(|scene| scene.queue.asked = vec![at(4); scene.entries.len()]),
        "the poll did not show it"
    );
    assert!(!fenced(|scene| scene.pool.listings = vec![at(1), at(6)]), "two may have omitted a VM");
    assert!(!fenced(|scene| scene.pool.spaced_listings = 2), "two in one moment");
}

/// Whether a Running container is on no worker is asked for as long as before: its cancel cannot be taken back.
#[test]
fn behind_fences_no_running_container_is_given_up_sooner() {
    for (second, cancelled) in [(20, false), (62, false), (63, true)] {
        let mut scene = all_known(second);
        for name in ["w-1", "w-2"] {
            scene.change(name, |view| view.fenced_since = Some(at(2)));
        }
        scene.queue.first_poll_began = Some(at(0));
        (scene.pool.listings, scene.queue.polled_at) = (vec![at(1), at(6), at(11)], Some(at(15)));
        scene.add(9, Running, 5);
        let is_cancel = |action: &Action| matches!(action, Action::Queue(QueueAction::CancelContainer(it, CancelReason::NotOnAnyWorker, _)) if *it == uuid(9));
        assert_eq!(scene.actions().iter().any(is_cancel), cancelled, "{second}: {:?}", scene.actions());
    }
}

/// The first listing may have omitted the VM on which it is being started, and the second one too.
#[test]
fn old_locks_wait_for_three_listings() {
    for (listings, starts) in [(vec![at(1)], 0), (vec![at(1), at(61)], 0), (vec![at(1), at(31), at(62)], 1)] {
        let mut scene = all_known(100);
        scene.pool.listings = listings;
        let actions = scene.actions();
        let started =
            actions.iter().filter(|it| matches!(it, Action::Pool(PoolAction::StartContainer(..)))).count();
        assert_eq!(started, starts, "{:?}", scene.pool.listings);
    }
}

/// Seed 5333: VMs had answered at once, and were silent when the time had come.
#[test]
fn old_locks_wait_until_each_vm_that_was_found_has_listed_a_start_of_the_earlier_dispatcher() {
    for state in [State::Idle, State::Running, State::Shutdown] {
        let mut scene = all_known(10_000);
        scene.gates(Gate::AtQuota(QuotaReason::Account));
        scene.add(4, Locked, 8).locked_before_start = true;
        scene.change("w-1", |view| view.behavior = IdleBehavior::Drain);
        scene.change("w-2", |view| {
            (view.state, view.processes_known, view.last_success) = (state, false, Some(at(5)));
        });
        let actions = scene.actions();
        let rash = actions.iter().find(|it| {
            matches!(
                it,
                Action::Pool(PoolAction::StartContainer(..))
                    | Action::Queue(QueueAction::UnlockContainer(..))
                    | Action::Queue(QueueAction::CancelContainer(..))
            )
        });
        assert_eq!(rash, None, "{state}");
        scene.change("w-2", |view| view.processes_known = true);
        assert!(!scene.actions().is_empty(), "{state}");
    }
}

#[test]
fn a_planner_without_news_notices_that_the_time_has_come() {
    let input = all_known(62).input();
    let mut planner = Planner::default();
    let mut starts = |second: i64| {
        let plan = planner.plan(&input, at(second));
        plan.actions.iter().filter(|it| matches!(it, Action::Pool(PoolAction::StartContainer(..)))).count()
    };
    assert_eq!([starts(61), starts(62), starts(63)], [0, 0, 1]);
}

#[test]
fn until_then_an_old_lock_is_not_given_back_and_its_container_not_cancelled() {
    for (second, unlocks) in [(62, 0), (63, 3)] {
        let mut scene = all_known(second);
        scene.policy = Arc::new(Policy { max_containers_per_instance: 1, ..Policy::clone(&scene.policy) });
        for worker in ["w-1", "w-2"] {
            scene.change(worker, |view| view.behavior = IdleBehavior::Drain);
        }
        scene.gates(Gate::AtQuota(QuotaReason::Account));
        for n in 4..=6 {
            scene.add(n, Locked, 8).locked_before_start = true;
        }
        scene.add(9, Queued, 10);
        scene.add_sized(8, Locked, 99, false).locked_before_start = true;
        let actions = scene.actions();
        let given_back =
            actions.iter().filter(|it| matches!(it, Action::Queue(QueueAction::UnlockContainer(..)))).count();
        let cancelled = actions
            .iter()
            .any(|it| matches!(it, Action::Queue(QueueAction::CancelContainer(it, ..)) if *it == uuid(8)));
        assert_eq!((given_back, cancelled), (unlocks, second == 63), "{second}: {actions:?}");
    }
}

/// The first listing may have omitted the instance that it is being started on.
#[test]
fn an_old_lock_waits_although_no_instance_is_left_and_none_is_created_meanwhile() {
    for (second, state, wanted) in [
        (62, None, vec![]),
        (
            63,
            None,
            vec![Action::Pool(PoolAction::CreateInstance(typed(&Scene::new().policy, "small"), uuid(1)))],
        ),
        (62, Some(State::Idle), vec![]),
        (63, Some(State::Idle), vec![start(1, "w-1")]),
    ] {
        let mut scene = Scene::new();
        scene.now = at(second);
        scene.add(1, Locked, 9).locked_before_start = true;
        if let Some(state) = state {
            scene.worker("w-1", "small", state);
        }
        assert_eq!(scene.actions(), wanted, "{second}");
    }
}

#[test]
fn a_worker_that_may_be_starting_something_unseen_makes_no_room() {
    for (processes_known, wanted) in [(false, 0), (true, 1)] {
        let mut scene = Scene::new();
        scene.worker_left("w-1", "small", State::Idle);
        scene.change("w-1", |view| view.processes_known = processes_known);
        scene.gates(Gate::AtQuota(QuotaReason::MaxInstances));
        scene.add_sized(1, Locked, 4, false);
        let shut_down = scene
            .actions()
            .into_iter()
            .filter(|it| matches!(it, Action::Pool(PoolAction::ShutdownInstance(..))))
            .count();
        assert_eq!(shut_down, wanted, "{processes_known}");
    }
}

/// All lists of a worker may have been cut since the start: what is Running and nowhere to be seen runs there.
#[test]
fn where_a_running_container_may_be_unseen_nothing_is_placed() {
    for (processes_known, is_shown, is_placed) in
        [(false, false, false), (true, false, true), (false, true, true)]
    {
        let mut scene = Scene::new();
        scene.now = at(10_000);
        scene.worker_left("w-1", "big", State::Idle);
        scene.change("w-1", |view| view.processes_known = processes_known);
        scene.add(3, Running, 1);
        if is_shown {
            scene.runs("w-1", 3);
        }
        scene.add(9, Locked, 8);
        let actions = scene.actions();
        assert_eq!(
            actions.contains(&start(9, "w-1")),
            is_placed,
            "{processes_known} {is_shown}: {actions:?}"
        );
    }
}

/// What an earlier dispatcher had started a moment before may be Running already, and not listed yet.
#[test]
fn nothing_running_is_cancelled_while_a_start_may_surface() {
    let cancelled = |second: i64| {
        let mut scene = all_known(second);
        scene.pool.listings = vec![at(15), at(30), at(45)];
        scene.queue.polled_at = Some(at(50));
        scene
            .actions()
            .iter()
            .any(|it| matches!(it, Action::Queue(QueueAction::CancelContainer(it, ..)) if *it == uuid(3)))
    };
    assert!(!cancelled(62));
    assert!(cancelled(63));
}

#[test]
fn nothing_running_is_cancelled_while_a_worker_has_not_answered() {
    assert!(
        !restarted(10_000)
            .actions()
            .iter()
            .any(|it| matches!(it, Action::Queue(QueueAction::CancelContainer(..))))
    );
}

/// Neither a place nor a reason to make no other: nothing can be started there.
#[test]
fn where_fence_or_runner_or_proof_is_lacking_nothing_is_placed() {
    let actions = |change: fn(&mut crate::worker::View)| {
        let mut scene = Scene::new();
        scene.worker("w-1", "small", State::Idle);
        scene.change("w-1", change);
        scene.add(1, Locked, 1);
        scene.actions()
    };
    assert_eq!(actions(|_| {}), [start(1, "w-1")]);
    for change in [
        (|view| view.lacks_runner = true) as fn(&mut crate::worker::View),
        |view| view.unproven = true,
        |view| view.fence = crate::worker::FenceView::Unclaimed,
        |view| view.fence = crate::worker::FenceView::Anothers,
    ] {
        assert_eq!(creates(&actions(change)), [create_for("small", 1)]);
    }
}
