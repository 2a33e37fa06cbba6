//! What a waiting container's user and operator are told is what held it up.

use super::*;

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
