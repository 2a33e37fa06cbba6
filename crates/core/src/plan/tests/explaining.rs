//! What a waiting container's user and operator are told is what held it up.

use super::*;

const CAUSES: [PauseReason; 7] = [
    PauseReason::RateLimit,
    PauseReason::CreatesInFlight,
    PauseReason::RunnerUnreadable,
    PauseReason::OwnSide,
    PauseReason::BootsFail,
    PauseReason::CreateFailed,
    PauseReason::NearQuota,
];

fn paused(scene: &Scene, n: u64) -> Option<PauseReason> {
    match scene.reason(n) {
        Some(WaitReason::Paused { cause, .. }) => Some(cause),
        _ => None,
    }
}

#[test]
fn a_pause_is_explained_by_its_cause() {
    for cause in CAUSES {
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
