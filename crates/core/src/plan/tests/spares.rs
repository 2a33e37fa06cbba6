//! Instances that are kept, or created ahead, because the site wants some to be idle.

use super::*;
use crate::ports::QuotaScope;

fn scene_with(types: &[(&str, u32, u32)]) -> Scene {
    Scene::with(Policy { idle_reserve: reserve_of(types), ..policy() })
}

fn spare(type_name: &str) -> Action {
    Action::Pool(PoolAction::CreateSpare(typed(&policy(), type_name)))
}

fn kept(scene: &Scene) -> Vec<String> {
    scene.plan().spares.iter().map(ToString::to_string).collect()
}

#[test]
fn without_a_reserve_nothing_is_kept_and_nothing_is_created() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Idle);
    assert_eq!((scene.actions(), kept(&scene).len()), (vec![], 0));
}

#[test]
fn what_is_missing_is_created() {
    let scene = scene_with(&[("small", 2, 0), ("big", 1, 0)]);
    assert_eq!(scene.actions(), [spare("big"), spare("small"), spare("small")]);
}

#[test]
fn idle_ones_are_kept_up_to_the_number_and_no_more() {
    let mut scene = scene_with(&[("small", 2, 0)]);
    for name in ["w-3", "w-1", "w-2"] {
        scene.worker(name, "small", State::Idle);
    }
    scene.worker("w-4", "big", State::Idle);
    assert_eq!((scene.actions(), kept(&scene)), (vec![], vec!["w-1".to_owned(), "w-2".to_owned()]));
}

#[test]
fn those_that_boot_or_are_being_created_count() {
    let mut scene = scene_with(&[("small", 3, 0)]);
    scene.worker("w-1", "small", State::Booting);
    scene.pending(1, "small");
    assert_eq!(scene.actions(), [spare("small")]);
    assert_eq!(kept(&scene).len(), 0, "only what is in service can be idle");
}

#[test]
fn one_that_boots_for_a_container_is_no_spare() {
    let mut scene = scene_with(&[("small", 1, 0)]);
    scene.worker("w-1", "small", State::Booting);
    scene.add(1, Locked, 1);
    assert_eq!(scene.actions(), [spare("small")]);
}

#[test]
fn a_spare_is_used_by_whoever_comes_and_replaced() {
    let mut scene = scene_with(&[("small", 1, 0)]);
    scene.worker("w-1", "small", State::Idle);
    scene.add(1, Locked, 1);
    assert_eq!(scene.actions(), [start(1, "w-1"), spare("small")]);
    assert_eq!(kept(&scene).len(), 0);
}

#[test]
fn one_that_is_meant_for_a_container_is_no_spare() {
    let mut scene = scene_with(&[("small", 1, 0)]);
    scene.worker("w-1", "small", State::Idle);
    scene.add(1, Queued, 1);
    assert_eq!(scene.actions(), [lock(1), spare("small")]);
    assert_eq!(scene.plan().reserved, Arc::new([id("w-1")].into()));
    assert_eq!(kept(&scene).len(), 0);
}

#[test]
fn a_share_follows_those_that_are_busy() {
    let mut scene = scene_with(&[("small", 0, 50)]);
    assert_eq!(scene.actions(), [], "nothing is busy");
    for n in 1..=3 {
        scene.worker(&format!("w-{n}"), "small", State::Idle);
        scene.add(n, Running, 1);
        scene.runs(&format!("w-{n}"), n);
    }
    assert_eq!(scene.actions(), [spare("small"), spare("small")], "half of three, rounded up");
}

#[test]
fn spares_are_given_back_first_when_somebody_waits_for_a_quota() {
    let mut scene = scene_with(&[("small", 1, 0)]);
    scene.gates(Gate::AtQuota(QuotaReason::MaxInstances));
    scene.worker("w-1", "small", State::Idle);
    assert_eq!(kept(&scene), ["w-1"], "nobody waits");
    scene.add_sized(1, Locked, 4, false);
    assert_eq!((scene.actions(), kept(&scene).len()), (vec![shut_down("w-1")], 0));
}

#[test]
fn a_quota_of_the_spot_market_leaves_the_spares_on_demand() {
    let mut scene = scene_with(&[("small", 1, 0), ("small.spot", 1, 0)]);
    scene.gate("small.spot", Gate::AtQuota(QuotaReason::Account));
    scene.gate("big.spot", Gate::AtQuota(QuotaReason::Account));
    scene.worker("w-1", "small", State::Idle);
    scene.worker("w-2", "small.spot", State::Idle);
    scene.add_sized(1, Locked, 4, true);
    assert_eq!((scene.actions(), kept(&scene)), (vec![shut_down("w-2")], vec!["w-1".to_owned()]));
}

#[test]
fn nothing_is_created_that_would_take_something_from_somebody_or_burn_money() {
    let missing = || scene_with(&[("small", 1, 0)]);
    let none = |change: &dyn Fn(&mut Scene)| {
        let mut scene = missing();
        assert_eq!(scene.actions(), [spare("small")]);
        change(&mut scene);
        assert_eq!(scene.actions(), []);
    };
    none(&|scene| scene.gate("small", Gate::Paused(PauseReason::Operator)));
    none(&|scene| scene.gate("small", Gate::AtCapacity(at(200))));
    none(&|scene| scene.pool.supply.creates_left = Some(0));
    none(&|scene| scene.pool.supply.instances_left = Some(0));
    none(&|scene| scene.pool.supply.on_trial.extend(["small".parse().unwrap()]));
    none(&|scene| scene.pool.supply.near_quota_left.extend([(QuotaScope::All, 3)]));
    none(&|scene| scene.pool.outage = true);
}

#[test]
fn containers_have_their_instances_created_first() {
    let mut scene = scene_with(&[("small", 2, 0)]);
    scene.pool.supply.creates_left = Some(2);
    scene.add_sized(1, Locked, 4, false);
    let actions = scene.actions();
    assert_eq!(creates(&actions), [create_for("big", 1)]);
    assert_eq!(actions[1..], [spare("small")]);
}

/// What is created now would be taken by the container, and one more would be created then.
#[test]
fn while_a_container_is_being_locked_for_a_new_one_none_is_created_for_the_reserve() {
    let mut scene = scene_with(&[("small", 1, 0), ("big", 1, 0), ("big.spot", 1, 0)]);
    scene.add(1, Queued, 1);
    assert_eq!(scene.actions(), [lock(1), spare("big.spot")], "it could use each of the others");
    scene.entries.clear();
    scene.add(1, Locked, 1);
    let actions = scene.actions();
    assert_eq!(creates(&actions), [create_for("small", 1)]);
    assert_eq!(actions[1..], [spare("big"), spare("big.spot"), spare("small")]);
}

#[test]
fn one_that_waits_for_a_worse_instance_would_take_a_better_one() {
    let mut scene = scene_with(&[("small", 1, 0), ("big", 1, 0)]);
    scene.add(1, Locked, 1);
    scene.pending(1, "big");
    assert_eq!(scene.actions(), [spare("big")]);
    scene.pending(2, "small");
    assert_eq!(scene.actions(), [spare("small")], "it waits for the small one now, and the big one is spare");
}

#[test]
fn what_is_held_drained_missing_or_of_a_type_that_is_gone_is_no_spare() {
    let mut scene = scene_with(&[("small", 1, 0), ("gone", 5, 0)]);
    scene.worker("w-1", "small", State::Idle);
    for behavior in [IdleBehavior::Hold, IdleBehavior::Drain] {
        scene.change("w-1", |view| view.behavior = behavior);
        assert_eq!((scene.actions(), kept(&scene).len()), (vec![spare("small")], 0));
    }
    scene.change("w-1", |view| view.behavior = IdleBehavior::Run);
    scene.pool.workers[0].missing = true;
    assert_eq!((scene.actions(), kept(&scene).len()), (vec![spare("small")], 0));
}

/// One that does not answer holds up all placement for a while; the others would end in it.
#[test]
fn after_a_start_spares_are_kept_before_anything_is_placed_and_none_is_created() {
    let mut scene = scene_with(&[("small", 2, 0)]);
    scene.worker_left("w-1", "small", State::Idle);
    scene.worker_left("w-2", "small", State::Unknown);
    scene.now = at(30);
    scene.add(1, Queued, 1);
    assert_eq!(scene.reason(1), Some(WaitReason::StartingUp));
    assert_eq!((scene.actions(), kept(&scene)), (vec![], vec!["w-1".to_owned()]));
    scene.queue.polled_at = None;
    assert_eq!(
        (scene.actions(), kept(&scene)),
        (vec![], vec!["w-1".to_owned()]),
        "nor does a controller that is away end it"
    );
}

#[test]
fn spares_are_planned_once() {
    let mut scene = scene_with(&[("small", 2, 0)]);
    scene.pending(1, "small");
    scene.pending(2, "small");
    assert_eq!(scene.actions(), []);
}
