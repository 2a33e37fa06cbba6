//! After a start: what an earlier dispatcher left.

use super::*;

/// Unknown workers, and a container of each kind, at that second after the first poll.
fn restarted(second: i64) -> Scene {
    let mut scene = Scene::new();
    scene.now = at(second);
    scene.worker("w-1", "big", State::Unknown);
    scene.worker("w-2", "big", State::Idle);
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
    assert_eq!(scene.actions(), [Action::Kill(uuid(4), KillReason::Final(Cancelled))]);
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

#[test]
fn with_every_worker_known_old_locks_are_placed_at_once_and_without_an_unlock() {
    let mut scene = restarted(1);
    scene.change("w-1", |view| view.state = State::Idle);
    let actions: Vec<_> =
        scene.actions().into_iter().filter(|it| !matches!(it, Action::Cancel(..))).collect();
    assert_eq!(actions, [start(1, "w-1"), lock(2)]);
}

#[test]
fn nothing_running_is_cancelled_while_a_worker_has_not_answered() {
    assert!(!restarted(10_000).actions().iter().any(|it| matches!(it, Action::Cancel(..))));
}
