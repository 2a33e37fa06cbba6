//! Containers that are let past one that waits for a quota, onto instances in use.

use std::time::Duration;

use super::*;

/// Nothing can be created.
fn at_quota(patience: u64) -> Scene {
    let mut policy = policy();
    policy.backfill_patience = Duration::from_secs(patience);
    let mut scene = Scene::with(policy);
    scene.gates(Gate::AtQuota(QuotaReason::MaxInstances));
    scene
}

fn input_with(scene: &Scene, firsts: &Firsts) -> PlanInput {
    PlanInput { firsts: Arc::new(firsts.clone()), ..scene.input() }
}

fn planned(scene: &Scene, firsts: &Firsts) -> Plan {
    let input = input_with(scene, firsts);
    let summary = input.summary();
    let clocked = scene.clocked(&input, &summary);
    plan_clocked(&input, &summary, &clocked)
}

fn placed(plan: &Plan, n: u64) -> bool {
    plan.waiting[&uuid(n)].reason == WaitReason::Allocated
}

/// An instance has three VCPUs left. The first in line wants four, those behind it two each.
fn half_empty(patience: u64) -> Scene {
    let mut scene = at_quota(patience);
    scene.worker("w-big", "big", State::Idle);
    scene.add(1, Running, 1);
    scene.runs("w-big", 1);
    scene.add_sized(2, Queued, 4, false);
    scene.add_sized(3, Queued, 2, false);
    scene.add_sized(4, Queued, 2, false);
    scene
}

#[test]
fn without_patience_nobody_is_let_past() {
    let scene = half_empty(0);
    let plan = planned(&scene, &Firsts::default());
    assert_eq!((plan.actions, plan.backfilled.len()), (vec![], 0));
}

#[test]
fn while_the_first_has_patience_others_fill_what_is_in_use() {
    let scene = half_empty(600);
    let plan = planned(&scene, &Firsts::default());
    // Three VCPUs are left: one of two fits, the next does not.
    assert_eq!(plan.actions, [lock(3)]);
    assert_eq!(plan.backfilled, [uuid(3)].into());
    assert_eq!(plan.first_at_quota, [(uuid(2), None)].into());
    assert!(placed(&plan, 3) && !placed(&plan, 4) && !placed(&plan, 2));
    assert_eq!(plan.waiting[&uuid(3)].instance, Some(id("w-big")));
}

/// An idle one makes room for the first; it is not kept for others.
#[test]
fn what_is_empty_is_given_back_for_the_first() {
    let mut scene = half_empty(600);
    scene.worker("w-small", "small", State::Idle);
    scene.entries.remove(&uuid(3));
    scene.entries.remove(&uuid(4));
    // It fits the small one only: the big one is full.
    scene.add_sized(6, Running, 3, false);
    scene.runs("w-big", 6);
    scene.add(5, Queued, 1);
    let plan = planned(&scene, &Firsts::default());
    assert_eq!(plan.actions, [shut_down("w-small")]);
}

#[test]
fn when_its_patience_is_over_nothing_is_put_before_it() {
    let scene = half_empty(60);
    let first = planned(&scene, &Firsts::default());
    let firsts = Firsts::default().after(&first, at(30));
    for (now, expected) in [(89, 1), (90, 0), (400, 0)] {
        let mut later = scene.clone();
        later.now = at(now);
        assert_eq!(planned(&later, &firsts).backfilled.len(), expected, "{now}");
    }
    // It counts from the first time on, whoever came before it meanwhile.
    let mut overtaken = scene.clone();
    overtaken.add(9, Queued, 1000);
    overtaken.entries.get_mut(&uuid(9)).unwrap().needs.vcpus = 4;
    let firsts = firsts.after(&planned(&overtaken, &firsts), at(60));
    assert_eq!(firsts.after(&first, at(70)), firsts.after(&first, at(80)));
    let mut later = scene;
    later.now = at(95);
    assert!(planned(&later, &firsts).backfilled.is_empty());
}

/// What has got its place begins anew.
#[test]
fn a_container_that_has_got_a_place_is_forgotten() {
    let scene = half_empty(60);
    let firsts = Firsts::default().after(&planned(&scene, &Firsts::default()), at(30));
    let mut free = scene;
    free.gates(Gate::Open);
    free.worker("w-2", "big", State::Idle);
    assert_eq!(firsts.after(&planned(&free, &firsts), at(40)), Firsts::default());
}

/// The quota of the spot market is not that of the other.
#[test]
fn a_quota_of_one_market_closes_only_its_own_instances() {
    let mut scene = at_quota(60);
    scene.gates(Gate::Open);
    for name in ["small.spot", "big.spot"] {
        scene.gate(name, Gate::AtQuota(QuotaReason::Account));
    }
    scene.worker("w-spot", "big.spot", State::Idle);
    scene.add_sized(1, Running, 1, true);
    scene.runs("w-spot", 1);
    scene.add_sized(2, Queued, 4, true);
    scene.add_sized(3, Queued, 2, true);
    let first = planned(&scene, &Firsts::default());
    assert_eq!((first.actions.clone(), first.first_at_quota.len()), (vec![lock(3)], 1));
    let firsts = Firsts::default().after(&first, at(0));
    let late = planned(&scene, &firsts);
    assert_eq!(late.actions, [], "100 s later nobody is let past");
    scene.add_sized(4, Queued, 2, false);
    let late = planned(&scene, &firsts);
    assert_eq!(late.actions, [lock(4)], "the other market goes on as ever");
}

#[test]
fn beyond_the_ceiling_nobody_is_let_past() {
    let mut scene = half_empty(600);
    scene.limits.ceiling = 1;
    assert_eq!(planned(&scene, &Firsts::default()).backfilled.len(), 0);
}

/// A cloud that refuses the create that it lets be tried now and then must not give others the patience anew.
#[test]
fn a_create_that_is_tried_is_no_place_yet() {
    let mut scene = half_empty(60);
    let firsts = Firsts::default().after(&planned(&scene, &Firsts::default()), at(30));
    scene.gates(Gate::Open);
    scene.entries.get_mut(&uuid(2)).unwrap().record.state = Locked;
    let tried = planned(&scene, &firsts);
    assert!(matches!(tried.waiting[&uuid(2)].reason, WaitReason::Booting { .. }));
    assert_eq!(firsts.after(&tried, at(90)).since(uuid(2)), Some(at(30)));
}

/// Whoever becomes first later, and has patience, does not bring back what the other has lost.
#[test]
fn a_newer_first_does_not_open_what_is_closed() {
    let mut scene = half_empty(60);
    let firsts = Firsts::default().after(&planned(&scene, &Firsts::default()), at(30));
    scene.add_sized(9, Queued, 4, false).record.priority = 1000;
    let plan = planned(&scene, &firsts);
    assert_eq!(plan.first_at_quota, [(uuid(9), None)].into());
    assert_eq!((plan.actions, plan.backfilled.len()), (vec![], 0), "at 100 s the other has waited for 70");
}

/// What was locked while there was patience is started.
#[test]
fn who_was_let_past_in_time_keeps_its_place() {
    let mut scene = half_empty(60);
    let firsts = Firsts::default().after(&planned(&scene, &Firsts::default()), at(30));
    scene.entries.get_mut(&uuid(3)).unwrap().record.state = Locked;
    let plan = planned(&scene, &firsts);
    assert_eq!(plan.actions.into_iter().map(without_record).collect::<Vec<_>>(), [start(3, "w-big")]);
    assert!(plan.backfilled.is_empty());
}

/// Each is told once, as long as it keeps its place, and until when that goes on is known to whoever asks.
#[test]
fn who_was_let_past_is_named_once_and_until_when_is_known() {
    let scene = half_empty(60);
    let (mut memory, rules) = (Memory::default(), PlanRules::from(&*scene.policy));
    let first = planned(&scene, &memory.firsts());
    assert_eq!(memory.take_in(&first, &rules, at(100)), [(uuid(3), Some(&id("w-big")))]);
    let again = planned(&scene, &memory.firsts());
    assert_eq!(memory.take_in(&again, &rules, at(101)), []);
    assert_eq!(again.first_at_quota, [(uuid(2), Some(at(160)))].into());
    // Its place is gone, and it is let past once more.
    let mut full = scene.clone();
    full.pool.workers.clear();
    assert_eq!(memory.take_in(&planned(&full, &memory.firsts()), &rules, at(102)), []);
    assert_eq!(memory.take_in(&first, &rules, at(103)).len(), 1);
    // Nothing is remembered when it is off.
    let off = PlanRules { backfill_patience: Duration::ZERO, ..rules };
    memory.take_in(&planned(&half_empty(0), &memory.firsts()), &off, at(104));
    assert_eq!(*memory.firsts(), Firsts::default());
}
