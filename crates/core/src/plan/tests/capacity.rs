//! Supervisors, the ceiling, quota, capacity, pauses.

use super::*;
use crate::instance::Market;
use crate::pool::{ObservedCapacity, ObservedScope};
use crate::ports::QuotaScope;
use crate::queue::{Operation, OperationKind};

const QUOTA: Gate = Gate::AtQuota(QuotaReason::Account);
const PAUSED: Gate = Gate::Paused(PauseReason::RateLimit);

fn none_at_all() -> Gate {
    Gate::AtCapacity(at(160))
}

/// A Queued supervisor of a higher priority than all others.
fn add_higher_supervisor(scene: &mut Scene) {
    scene.add_supervisor(50, Queued);
    scene.entries.get_mut(&uuid(50)).unwrap().record.priority = 99;
}

/// Each unlock costs an attempt, and it would be locked again.
#[test]
fn over_quota_no_lock_is_given_back_if_nobody_of_higher_priority_waits() {
    for (priority, unlocks) in [(None, 0), (Some(5), 0), (Some(6), 2)] {
        let mut scene = Scene::new();
        scene.gates(QUOTA);
        for n in 1..=3 {
            scene.add(n, Locked, 5);
        }
        if let Some(priority) = priority {
            scene.add(9, Queued, priority);
        }
        let actions = scene.actions();
        let given_back =
            actions.iter().filter(|it| matches!(it, Action::Queue(QueueAction::UnlockContainer(..))));
        assert_eq!(given_back.count(), unlocks, "{priority:?}");
    }
}

#[test]
fn supervisors_take_their_share_and_block_nobody() {
    let mut scene = Scene::new();
    scene.limits.ceiling = 4;
    scene.worker("w-1", "big", State::Idle);
    for n in 1..=3 {
        scene.add_supervisor(n, Locked);
    }
    scene.add(4, Queued, 1);
    add_higher_supervisor(&mut scene);
    let expected = [start(1, "w-1"), start(2, "w-1"), lock(4), unlock(3, UnlockReason::OverSupervisors)];
    assert_eq!(scene.actions(), expected);
    assert_eq!(scene.reason(3), Some(WaitReason::OverSupervisors { max_supervisors: 2 }));
    assert!(scene.text(3).contains("workflow queue at position 1"), "a counter of its own");
}

#[test]
fn supervisors_that_run_count_first() {
    let mut scene = Scene::new();
    scene.limits.ceiling = 2;
    scene.worker("w-1", "big", State::Idle);
    scene.add_supervisor(5, Running);
    scene.runs("w-1", 5);
    scene.add_supervisor(1, Queued);
    scene.add(2, Queued, 1);
    assert_eq!(scene.actions(), [lock(2)]);
}

#[test]
fn beyond_the_ceiling_nothing_is_touched() {
    let mut scene = Scene::new();
    scene.limits.ceiling = 2;
    scene.policy = Arc::new(Policy { supervisor_fraction: 0.4, ..policy() });
    scene.worker("w-1", "big", State::Idle);
    scene.worker("w-2", "small", State::Idle);
    scene.add(1, Running, 1);
    scene.runs("w-1", 1);
    scene.ended(99, 95, EndedWhy::Exited);
    scene.add_supervisor(2, Locked);
    scene.add(3, Locked, 1);
    scene.add_supervisor(4, Locked);
    scene.add(5, Queued, 1);
    let actions: Vec<_> = scene
        .actions()
        .into_iter()
        .filter(|it| !matches!(it, Action::Pool(PoolAction::ForgetProcess(..))))
        .collect();
    assert_eq!(
        actions,
        [start(2, "w-1")],
        "an ended process counts no more, nobody is unlocked, no room is made"
    );
    assert_eq!(scene.reason(3), Some(WaitReason::Ceiling { ceiling: 2 }));
}

/// It waited for something else when its turn came, and others took the share meanwhile.
#[test]
fn a_supervisor_that_waited_while_later_ones_took_the_share_gives_its_lock_back() {
    for (later, unlocks) in [(1, vec![]), (2, vec![unlock(1, UnlockReason::OverSupervisors)])] {
        let mut scene = Scene::new();
        scene.limits.ceiling = 4;
        scene.gate("big", PAUSED);
        scene.add_sized(1, Locked, 4, false).record.scheduling.supervisor = true;
        for n in 2..2 + later {
            scene.worker(&format!("w-{n}"), "small", State::Idle);
            scene.add_supervisor(n, Locked);
        }
        if later == 2 {
            add_higher_supervisor(&mut scene);
        }
        let others: Vec<_> = scene
            .actions()
            .into_iter()
            .filter(|it| !matches!(it, Action::Pool(PoolAction::StartContainer(..))))
            .collect();
        assert_eq!(others, unlocks, "{later} later ones");
        assert!(matches!(scene.reason(1), Some(WaitReason::Paused { .. })));
    }
}

/// A burst of 503s cuts the ceiling, and with it the supervisors' share, for some seconds.
#[test]
fn beyond_the_ceiling_no_supervisor_gives_its_lock_back() {
    for (ceiling, unlocks) in [(2, vec![]), (3, vec![unlock(3, UnlockReason::OverSupervisors)])] {
        let mut scene = Scene::new();
        scene.limits.ceiling = ceiling;
        scene.policy = Arc::new(Policy { supervisor_fraction: 0.3, ..policy() });
        scene.worker("w-1", "big", State::Idle);
        for n in 1..=2 {
            scene.add(n, Running, 1);
            scene.runs("w-1", n);
        }
        scene.add_supervisor(4, Running);
        if ceiling == 3 {
            scene.entries.remove(&uuid(2));
            scene.change("w-1", |view| view.processes.retain(|it| it.uuid != uuid(2)));
        }
        scene.runs("w-1", 4);
        scene.add_supervisor(3, Locked);
        add_higher_supervisor(&mut scene);
        assert_eq!(scene.actions(), unlocks, "{ceiling}");
    }
}

/// Ten VMs is what the account has: with half of a ceiling of 64 supervisors would fill them all, and wait for
/// steps that can never run.
#[test]
fn at_the_accounts_quota_supervisors_get_a_share_of_what_fits_it() {
    let starts = |limited: &[(&str, ObservedScope)], preemptible: bool| {
        let mut scene = Scene::new();
        scene.limits.ceiling = 64;
        for (name, scope) in limited {
            let width = ObservedCapacity { scope: scope.clone(), instances: 4 };
            scene.pool.supply.observed_capacity.insert(typed(&scene.policy, name).name.clone(), width);
        }
        for n in 1..=8 {
            let name = format!("w-{n}");
            scene.worker(&name, if preemptible { "small.spot" } else { "small" }, State::Idle);
            scene.add_sized(n, Locked, 1, preemptible).record.scheduling.supervisor = true;
        }
        scene.policy = Arc::new(Policy { max_containers_per_instance: 1, ..Policy::clone(&scene.policy) });
        scene.actions().iter().filter(|it| matches!(it, Action::Pool(PoolAction::StartContainer(..)))).count()
    };
    let all = ObservedScope::Quota(QuotaScope::All);
    let [one, other] = ["m", "c"].map(|group| ObservedScope::Group(group.to_owned(), Market::OnDemand));
    assert_eq!(starts(&[], false), 8);
    assert_eq!(starts(&[("small", all.clone()), ("big", all.clone())], false), 2);
    assert_eq!(starts(&[("small", one.clone()), ("big", one.clone())], false), 2, "of one group");
    assert_eq!(starts(&[("small", one.clone()), ("big", other)], false), 4, "of two");
    assert_eq!(starts(&[("small", one)], false), 8, "the other type may be had yet");
    assert_eq!(starts(&[("small.spot", all.clone()), ("big.spot", all.clone())], false), 8, "not theirs");
    assert_eq!(starts(&[("small.spot", all.clone()), ("big.spot", all)], true), 2);
}

#[test]
fn over_quota_all_but_the_first_in_line_give_their_locks_back() {
    for gate in [QUOTA, Gate::AtQuota(QuotaReason::MaxInstances)] {
        let mut scene = Scene::new();
        scene.gates(gate);
        for n in 1..=3 {
            scene.add(n, Locked, 1);
        }
        scene.add(4, Queued, 9);
        let expected = [2, 3].map(|n| unlock(n, UnlockReason::OverQuota));
        assert_eq!(scene.actions(), expected);
        assert_eq!(scene.plan().facts.over_quota, 4);
    }
}

#[test]
fn at_quota_what_fits_existing_instances_still_starts() {
    let mut scene = Scene::new();
    scene.gates(QUOTA);
    scene.worker("w-1", "small", State::Idle);
    scene.add(1, Locked, 2);
    scene.add(2, Queued, 1);
    assert_eq!(scene.actions(), [start(1, "w-1")]);
    assert_eq!(scene.reason(2), Some(WaitReason::AccountQuota));
}

#[test]
fn nobody_overtakes_one_that_is_over_quota() {
    let mut scene = Scene::new();
    scene.gates(QUOTA);
    scene.worker("w-1", "small", State::Booting);
    scene.add_sized(1, Queued, 4, false).record.priority = 9;
    scene.add(2, Queued, 1);
    assert_eq!(scene.actions(), [shut_down("w-1")], "room is made for the one in front");
}

#[test]
fn room_is_made_by_idle_and_booting_instances_without_work_and_by_no_others() {
    let mut scene = Scene::new();
    scene.gates(Gate::AtQuota(QuotaReason::MaxInstances));
    for (name, state) in [
        ("w-idle", State::Idle),
        ("w-booting", State::Booting),
        ("w-held", State::Idle),
        ("w-unknown", State::Unknown),
        ("w-used", State::Idle),
        ("w-shutdown", State::Shutdown),
        ("w-busy", State::Running),
    ] {
        scene.worker(name, "small", state);
    }
    scene.pool.workers[4] = {
        let mut larger = Scene::new();
        larger.worker("w-used", "big", State::Idle);
        larger.pool.workers.remove(0)
    };
    scene.change("w-held", |view| view.behavior = IdleBehavior::Hold);
    scene.add(9, Running, 1);
    scene.runs("w-busy", 9);
    scene.add_sized(1, Locked, 4, false).record.priority = 9;
    scene.add_sized(2, Locked, 4, false);
    let actions = scene.actions();
    assert_eq!(actions, [start(1, "w-used"), shut_down("w-booting"), shut_down("w-idle")]);
}

#[test]
fn only_quota_makes_room() {
    for gate in [PAUSED, none_at_all()] {
        let mut scene = Scene::new();
        scene.gates(gate);
        scene.worker("w-1", "small", State::Idle);
        scene.add_sized(1, Locked, 4, false);
        scene.add_sized(2, Queued, 4, false);
        assert_eq!(scene.actions(), [], "{gate:?}");
    }
}

#[test]
fn what_cannot_be_had_is_skipped_and_later_ones_go_on() {
    let mut scene = Scene::new();
    scene.gate("big", none_at_all());
    scene.add_sized(1, Locked, 4, false);
    scene.add(2, Locked, 1);
    assert_eq!(creates(&scene.actions()), [create_for("small", 2)]);
    assert!(matches!(scene.reason(1), Some(WaitReason::AtCapacity { .. })));
}

#[test]
fn the_next_type_is_taken_when_the_cheapest_cannot_be_had() {
    for gate in [none_at_all(), PAUSED] {
        let mut scene = Scene::new();
        scene.gate("small", gate);
        scene.add(1, Locked, 1);
        assert_eq!(creates(&scene.actions()), [create_for("big", 1)]);
    }
}

#[test]
fn while_paused_locked_ones_wait_and_no_queued_one_is_locked_against_a_create() {
    let mut scene = Scene::new();
    scene.gates(PAUSED);
    scene.worker("w-1", "small", State::Idle);
    scene.add_sized(1, Locked, 4, false);
    scene.add_sized(2, Queued, 4, false);
    scene.add(3, Queued, 1);
    assert_eq!(scene.actions(), [lock(3)], "what fits goes on");
    assert!(scene.text(1).contains("No big instance is created, because the cloud limits the rate of calls"));
}

#[test]
fn a_spot_quota_stops_spot_and_nothing_else() {
    let mut scene = Scene::new();
    for name in ["small.spot", "big.spot"] {
        scene.gate(name, QUOTA);
    }
    scene.worker("w-spot", "small.spot", State::Idle);
    scene.worker("w-demand", "small", State::Idle);
    scene.add_sized(1, Locked, 4, true);
    scene.add_sized(2, Locked, 4, true);
    scene.add_sized(3, Locked, 4, false);
    scene.add_sized(4, Queued, 4, true).record.priority = 2;
    let actions = scene.actions();
    assert_eq!(actions[0], unlock(2, UnlockReason::OverQuota));
    assert_eq!(creates(&actions), [create_for("big", 3)]);
    assert_eq!(actions[2..], [shut_down("w-spot")]);
}

/// Found by chaos (seed 1795982648735914): two instances were made and shut down in turn for hours.
#[test]
fn at_quota_an_instance_is_kept_for_a_container_whose_record_cannot_be_read_for_the_moment() {
    for (unreadable, ended) in [(true, 1), (false, 2)] {
        let mut scene = Scene::new();
        scene.gate("big", QUOTA);
        scene.worker("w-1", "small", State::Booting);
        scene.worker("w-2", "small", State::Booting);
        scene.add_sized(1, Queued, 4, false);
        let entry = scene.add(2, Queued, if unreadable { 1 } else { 0 });
        entry.unreadable = unreadable.then(|| "nonsense".to_owned());
        let actions = scene.actions();
        let gone = actions.iter().filter(|it| **it == shut_down("w-1") || **it == shut_down("w-2")).count();
        assert_eq!(gone, ended, "{actions:?}");
    }
}

/// Until the answer has come it is Locked still, and stands before them.
#[test]
fn nobody_overtakes_one_whose_lock_is_on_its_way_back() {
    for in_flight in [false, true] {
        let mut scene = Scene::new();
        for name in ["small.spot", "big.spot"] {
            scene.gate(name, QUOTA);
        }
        scene.worker("w-1", "big.spot", State::Idle);
        scene.add_sized(9, Running, 1, true);
        scene.runs("w-1", 9);
        scene.add_sized(1, Locked, 4, true);
        scene.add_sized(2, Locked, 2, true);
        if in_flight {
            let unlocking = OperationKind::Unlock(UnlockReason::OverQuota);
            scene.entries.get_mut(&uuid(1)).unwrap().operation = Some(Operation::sent(unlocking));
        }
        let starts =
            scene.actions().into_iter().any(|it| matches!(it, Action::Pool(PoolAction::StartContainer(..))));
        assert!(!starts, "in flight: {in_flight}");
        assert_eq!(scene.reason(2), Some(WaitReason::AccountQuota));
    }
}

#[test]
fn one_type_at_quota_does_not_make_another_over_quota_that_merely_lacks_capacity() {
    let mut scene = Scene::new();
    scene.gate("small", QUOTA);
    scene.gate("big", none_at_all());
    scene.add(1, Locked, 1);
    scene.add_sized(2, Locked, 4, false);
    assert_eq!(scene.actions(), []);
    assert!(matches!(scene.reason(2), Some(WaitReason::AtCapacity { .. })));
}

#[test]
fn no_more_is_locked_or_created_than_the_limits_leave() {
    let near = |scene: &mut Scene, scope| {
        scene.pool.supply.near_quota_left.insert(scope, 1);
    };
    let mut scene = Scene::new();
    for n in 1..=4 {
        scene.add(n, if n < 3 { Locked } else { Queued }, 1);
    }
    let limited = |change: &dyn Fn(&mut Scene)| {
        let mut scene = scene.clone();
        change(&mut scene);
        let actions = scene.actions();
        (
            creates(&actions).len(),
            actions.iter().filter(|it| matches!(it, Action::Queue(QueueAction::LockContainer(_)))).count(),
        )
    };
    assert_eq!(limited(&|_| {}), (2, 2));
    assert_eq!(limited(&|scene| scene.pool.supply.creates_left = Some(3)), (2, 1), "a lock uses a create up");
    assert_eq!(limited(&|scene| scene.pool.supply.creates_left = Some(1)), (1, 0));
    assert_eq!(limited(&|scene| scene.pool.supply.instances_left = Some(3)), (2, 1));
    assert_eq!(limited(&|scene| near(scene, QuotaScope::All)), (1, 0));
    assert_eq!(limited(&|scene| near(scene, QuotaScope::Market(Market::Spot))), (2, 2), "of another market");
    let on_trial = |scene: &mut Scene| {
        scene.gate("big", PAUSED);
        scene.pool.supply.on_trial.insert(typed(&scene.policy, "small").name.clone());
    };
    assert_eq!(limited(&on_trial), (1, 0), "one is tried");
}

#[test]
fn max_instances_reached_within_a_round_ends_it() {
    let mut scene = Scene::new();
    scene.pool.supply.instances_left = Some(1);
    for n in 1..=3 {
        scene.add(n, Locked, 1);
    }
    scene.add(4, Queued, 2);
    let actions = scene.actions();
    assert_eq!(creates(&actions), [create_for("small", 1)]);
    assert_eq!(actions[1..], [unlock(3, UnlockReason::OverQuota)]);
    assert_eq!(scene.reason(2), Some(WaitReason::MaxInstances));
}

#[test]
fn a_lock_that_would_use_the_attempts_up_is_kept() {
    let mut scene = Scene::new();
    scene.gates(QUOTA);
    scene.add(1, Locked, 9);
    scene.add(2, Locked, 1).attempts_nearly_used = true;
    assert_eq!(scene.actions(), []);
}

/// Plans at quota with nothing running, refuses what is created, and says what that was.
fn rounds_of_refusals(scene: &mut Scene, rounds: i64) -> Vec<String> {
    let mut tried = Vec::new();
    for round in 0..rounds {
        scene.pool.supply.near_quota_left = [(QuotaScope::All, 1)].into();
        for (name, _) in creates(&scene.actions()) {
            let refused = typed(&scene.policy, &name).name.clone();
            scene.pool.refused_types.insert(refused, at(1000 + round));
            tried.push(name);
        }
    }
    tried
}

#[test]
fn with_nothing_running_retries_go_round_so_that_one_blocks_nobody() {
    let mut scene = Scene::new();
    scene.add_sized(1, Locked, 4, false);
    scene.add_sized(2, Locked, 4, true);
    assert_eq!(rounds_of_refusals(&mut scene, 5), ["big", "big.spot", "big", "big.spot", "big"]);
    assert_eq!(scene.reason(1), Some(WaitReason::AccountQuota));
}

#[test]
fn a_container_with_several_types_tries_them_in_turn() {
    let mut scene = Scene::new();
    scene.add(1, Locked, 1);
    assert_eq!(rounds_of_refusals(&mut scene, 3), ["small", "big", "small"]);
}

#[test]
fn with_spot_instances_refused_and_on_demand_ones_running_spot_retries_go_round_too() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Running);
    scene.add(9, Running, 1);
    scene.runs("w-1", 9);
    scene.add_sized(1, Locked, 4, true);
    scene.policy = Arc::new(policy());
    let spot = |scene: &mut Scene| {
        scene.pool.supply.near_quota_left = [(QuotaScope::Market(Market::Spot), 1)].into();
        creates(&scene.actions())
    };
    assert_eq!(spot(&mut scene), [create_for("big.spot", 1)]);
    scene.pool.refused_types.insert(typed(&scene.policy, "big.spot").name.clone(), at(95));
    scene.add_sized(2, Locked, 1, true);
    assert_eq!(spot(&mut scene), [create_for("small.spot", 2)]);
}

#[test]
fn while_instances_exist_retries_go_round_too() {
    let mut scene = Scene::new();
    scene.worker("w-1", "big", State::Running);
    scene.add(9, Running, 1);
    scene.runs("w-1", 9);
    scene.add_sized(1, Locked, 4, false);
    scene.add_sized(2, Locked, 4, true);
    assert_eq!(rounds_of_refusals(&mut scene, 4), ["big", "big.spot", "big", "big.spot"]);
}

/// A quota of one market says nothing of the other: its types were never refused.
#[test]
fn retries_of_one_market_do_not_wait_for_the_other_market() {
    for (scope, created) in [
        (QuotaScope::Market(Market::Spot), vec![create_for("big.spot", 1), create_for("big", 2)]),
        (QuotaScope::All, vec![create_for("big", 2)]),
    ] {
        let mut scene = Scene::new();
        scene.add_sized(1, Locked, 4, true);
        scene.add_sized(2, Locked, 4, false);
        scene.pool.supply.near_quota_left = [(scope, 1)].into();
        scene.pool.refused_types.insert(typed(&scene.policy, "big.spot").name.clone(), at(95));
        assert_eq!(creates(&scene.actions()), created);
    }
}

#[test]
fn a_type_that_cannot_be_had_now_does_not_hold_the_turn_of_others() {
    let mut scene = Scene::new();
    scene.add_sized(1, Locked, 4, false);
    scene.add_sized(2, Locked, 4, true).unreadable = Some("sick".to_owned());
    scene.pool.refused_types.insert(typed(&scene.policy, "big").name.clone(), at(95));
    assert_eq!(creates(&scene.actions()), [create_for("big", 1)]);
}

/// It would never use its turn, and the one that runs may wait for just this step.
#[test]
fn a_supervisor_beyond_the_share_does_not_hold_the_turn_of_others() {
    let mut scene = Scene::new();
    scene.limits.ceiling = 3;
    scene.worker("w-1", "small", State::Running);
    scene.add_supervisor(9, Running);
    scene.runs("w-1", 9);
    scene.add_supervisor(8, Queued);
    scene.add_sized(1, Locked, 4, true);
    scene.pool.supply.near_quota_left = [(QuotaScope::All, 1)].into();
    scene.pool.refused_types.insert(typed(&scene.policy, "big.spot").name.clone(), at(95));
    assert_eq!(creates(&scene.actions()), [create_for("big.spot", 1)]);
}

/// Otherwise nobody would ever use its turn, as long as instances of that type do all the work there is.
#[test]
fn a_type_for_which_nothing_is_created_does_not_hold_the_turn_of_others() {
    let holders: [fn(&mut Scene); 3] = [
        |scene| {
            scene.worker("w-1", "small", State::Running);
            scene.add(9, Running, 9);
            scene.runs("w-1", 9);
        },
        |scene| {
            scene.worker("w-1", "small", State::Idle);
            scene.add(9, Locked, 9);
        },
        |scene| {
            scene.worker("w-1", "small", State::Booting);
            scene.add(9, Queued, 9);
        },
    ];
    for hold in holders {
        let mut scene = Scene::new();
        hold(&mut scene);
        scene.add_sized(1, Locked, 4, true);
        scene.pool.supply.near_quota_left = [(QuotaScope::All, 1)].into();
        scene.pool.refused_types.insert(typed(&scene.policy, "big.spot").name.clone(), at(95));
        assert_eq!(creates(&scene.actions()), [create_for("big.spot", 1)]);
    }
}

/// A second type of the same price, size and market as `small.spot`, which comes after it.
fn with_a_twin() -> Scene {
    let mut policy = policy();
    let twin = InstanceType {
        name: "twin.spot".parse().unwrap(),
        ..InstanceType::clone(&typed(&policy, "small.spot"))
    };
    let types: Vec<_> =
        policy.catalog.types().iter().map(|it| InstanceType::clone(it)).chain([twin]).collect();
    policy.catalog = crate::instance::Catalog::new(types);
    let mut scene = Scene::with(policy);
    scene.add_sized(1, Locked, 1, true);
    scene
}

#[test]
fn of_spot_types_of_one_price_the_one_is_created_of_which_the_market_takes_the_fewest() {
    let mut scene = with_a_twin();
    let taken = |scene: &mut Scene, name: &str, rank: u32| {
        scene.pool.interruptions.insert(name.parse().unwrap(), rank);
    };
    assert_eq!(creates(&scene.actions()), [create_for("small.spot", 1)], "in their order");
    taken(&mut scene, "small.spot", 5);
    assert_eq!(creates(&scene.actions()), [create_for("twin.spot", 1)]);
    taken(&mut scene, "twin.spot", 5);
    assert_eq!(creates(&scene.actions()), [create_for("small.spot", 1)], "there is no difference");
    taken(&mut scene, "twin.spot", 9);
    assert_eq!(creates(&scene.actions()), [create_for("small.spot", 1)]);
    taken(&mut scene, "small.spot", 10);
    scene.gate("twin.spot", Gate::AtCapacity(at(200)));
    assert_eq!(creates(&scene.actions()), [create_for("small.spot", 1)], "the other cannot be had");
}

#[test]
fn a_dearer_type_is_not_created_for_the_sake_of_fewer_interruptions() {
    let mut scene = Scene::new();
    scene.add_sized(1, Locked, 1, true);
    scene.pool.interruptions.insert("small.spot".parse().unwrap(), 100);
    assert_eq!(creates(&scene.actions()), [create_for("small.spot", 1)]);
}
