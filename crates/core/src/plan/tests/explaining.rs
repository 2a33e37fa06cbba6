//! What a waiting container's user and operator are told is what held it up.

use super::*;
use crate::queue::Fit;

fn paused(scene: &Scene, n: u64) -> Option<PauseReason> {
    match scene.reason(n) {
        Some(WaitReason::Paused { cause, .. }) => Some(cause),
        _ => None,
    }
}

#[test]
fn a_pause_is_explained_by_its_cause() {
    for cause in PauseReason::ALL {
        let mut scene = Scene::new();
        scene.gates(Gate::Paused(cause));
        scene.add(1, Queued, 1);
        scene.add(2, Locked, 1);
        assert_eq!((paused(&scene, 1), paused(&scene, 2)), (Some(cause), Some(cause)));
    }
}

#[test]
fn what_a_round_has_used_up_itself_is_explained_too() {
    let with = |limit: fn(&mut Supply)| {
        let mut scene = Scene::new();
        limit(&mut scene.pool.supply);
        for n in 1..=2 {
            scene.add_sized(n, Locked, 4, false);
        }
        scene
    };
    let in_flight = with(|supply| supply.creates_left = Some(1));
    assert_eq!(paused(&in_flight, 2), Some(PauseReason::CreatesInFlight));
    let on_trial = with(|supply| {
        supply.on_trial.insert("big".parse().unwrap());
    });
    assert_eq!(paused(&on_trial, 2), Some(PauseReason::BootsFail));
    let near = with(|supply| {
        supply.near_quota_left.insert(crate::ports::QuotaScope::All, 1);
    });
    assert_eq!(paused(&near, 2), Some(PauseReason::NearQuota));
    let full = with(|supply| supply.instances_left = Some(1));
    assert_eq!(full.reason(2), Some(WaitReason::MaxInstances));
}

#[test]
fn what_an_operator_has_forbidden_is_the_last_reason_that_is_told() {
    let told = |other: Gate| {
        let mut scene = Scene::new();
        scene.pool.supply.gates.insert("small".parse().unwrap(), Gate::Paused(PauseReason::TypeDrained));
        scene.pool.supply.gates.insert("big".parse().unwrap(), other);
        scene.add(1, Queued, 1);
        scene.reason(1)
    };
    assert!(
        matches!(told(Gate::Open), Some(WaitReason::Booting { instance_type }) if instance_type.as_str() == "big")
    );
    let limited = Gate::Paused(PauseReason::RateLimit);
    assert!(matches!(told(limited), Some(WaitReason::Paused { cause: PauseReason::RateLimit, .. })));
    assert_eq!(told(Gate::AtQuota(QuotaReason::MaxInstances)), Some(WaitReason::MaxInstances));
    assert!(matches!(told(Gate::AtCapacity(at(900))), Some(WaitReason::AtCapacity { .. })));
    let paused = Gate::Paused(PauseReason::Operator);
    assert!(matches!(told(paused), Some(WaitReason::Paused { cause: PauseReason::TypeDrained, .. })));
}

#[test]
fn the_end_of_a_pause_is_told_with_it() {
    let mut scene = Scene::new();
    scene.gates(Gate::Paused(PauseReason::Operator));
    scene.pool.supply.ends.insert("small".parse().unwrap(), at(900));
    scene.add(1, Queued, 1);
    let text = scene.text(1);
    assert!(
        text.contains(
            "No small instance is created until 1970-01-12 14:01 UTC, because an operator has paused"
        ),
        "{text}"
    );
}

/// The words of all reasons that some container of a scene has.
fn words(scene: &Scene) -> BTreeSet<String> {
    scene.plan().waiting.values().map(|waiting| waiting.reason.word()).collect()
}

/// A scene for each reason: one that nobody can reach would have no place in the table.
#[test]
fn every_reason_is_reached_by_a_scene() {
    let scene = |make: fn(&mut Scene)| {
        let mut scene = Scene::new();
        make(&mut scene);
        words(&scene)
    };
    let reached: BTreeSet<_> = [
        scene(|it| {
            it.worker("w-1", "small", State::Idle);
            it.worker("w-2", "small", State::Booting);
            it.add(1, Locked, 1);
            it.add(2, Locked, 1);
            it.add(3, Queued, 0);
            it.add(4, Queued, 1);
            it.worker("w-3", "small", State::Idle);
            it.runs("w-3", 4);
            it.add(5, Locked, 9).uncertain = true;
            it.add(6, Locked, 9).fit = Fit::Unsized;
            it.add(7, Queued, 9).fit = Fit::Nowhere(crate::fit::Unsuitable::NoTypes);
            it.add(8, Locked, 9);
            it.failed(8, 2, "w-gone");
            it.add(9, Queued, 9).setback = Some(set_back(false));
        }),
        scene(|it| {
            it.limits.ceiling = 4;
            it.worker("w-1", "big", State::Idle);
            (1..=3).for_each(|n| it.add_supervisor(n, Locked));
        }),
        scene(|it| {
            it.limits.ceiling = 1;
            it.worker("w-1", "big", State::Idle);
            it.add(1, Locked, 2);
            it.add(2, Locked, 1);
        }),
        scene(|it| {
            it.gates(Gate::AtQuota(QuotaReason::Account));
            it.add(1, Queued, 1);
        }),
        scene(|it| {
            it.gates(Gate::AtQuota(QuotaReason::MaxInstances));
            it.add(1, Queued, 1);
        }),
        scene(|it| {
            it.gates(Gate::AtCapacity(at(9_000)));
            it.add(1, Queued, 1);
        }),
        scene(|it| {
            it.gates(Gate::Paused(PauseReason::Operator));
            it.add(1, Queued, 1);
        }),
        scene(|it| {
            it.pool.first_listing = None;
            it.add(1, Queued, 1);
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    let all: BTreeSet<_> = WaitReason::samples().iter().map(WaitReason::word).collect();
    assert_eq!(reached, all);
}

#[test]
fn the_instance_is_told_on_which_a_container_has_its_place() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Booting);
    scene.add(1, Locked, 1);
    scene.add_sized(2, Locked, 4, false);
    let plan = scene.plan();
    assert_eq!(plan.waiting[&uuid(1)].instance, Some(id("w-1")));
    assert_eq!(plan.waiting[&uuid(2)].instance, None, "its instance is still to be made");
}

#[test]
fn every_reason_has_words_and_a_way_out() {
    for reason in WaitReason::samples() {
        assert!(!reason.in_words().is_empty() && !reason.remedy().is_empty() && !reason.word().is_empty());
    }
    let table = WaitReason::markdown();
    assert!(
        table
            .contains("| `paused`, cause `operator` | an instance is wanted, and its creation is paused: an"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 2 + WaitReason::samples().len());
}
