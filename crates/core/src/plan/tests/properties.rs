//! What holds for any snapshot.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::ports::QuotaScope;
use crate::queue::{Fit, Operation, OperationKind};

#[derive(Debug, Clone)]
struct Job {
    state: ContainerState,
    priority: i64,
    vcpus: u64,
    preemptible: bool,
    supervisor: bool,
    undecidable: bool,
    before_start: bool,
    odd: Odd,
    /// On which worker it has a process, if on any; beyond them: it has ended.
    process: Option<usize>,
}

/// What may be the matter with a container.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Odd {
    Nothing,
    NotSized,
    Unreadable,
    LockInFlight,
    AttemptsNearlyUsed,
    /// Its last attempt failed on the first worker.
    FailedBefore,
    /// The first worker still holds its lock.
    Stale,
}

fn odd() -> impl Strategy<Value = Odd> {
    use Odd::{AttemptsNearlyUsed, FailedBefore, LockInFlight, NotSized, Nothing, Stale, Unreadable};
    let odd = vec![NotSized, Unreadable, LockInFlight, AttemptsNearlyUsed, FailedBefore, Stale];
    prop_oneof![3 => Just(Nothing), 1 => select(odd)]
}

fn job() -> impl Strategy<Value = Job> {
    let state = select(vec![Queued, Queued, Queued, Locked, Locked, Locked, Running, Complete, Cancelled]);
    let process = prop_oneof![3 => Just(None), 1 => (0..8usize).prop_map(Some)];
    let flags = (any::<bool>(), any::<bool>(), 0..8u8, 0..4u8);
    (state, 0..4i64, 0..6u64, flags, process, odd()).prop_map(
        |(state, priority, vcpus, flags, process, odd)| Job {
            odd,
            state,
            priority,
            vcpus,
            preemptible: flags.0,
            supervisor: flags.1,
            undecidable: flags.2 == 0,
            before_start: flags.3 == 0,
            process,
        },
    )
}

fn host() -> impl Strategy<Value = (&'static str, State, IdleBehavior, u8)> {
    let types = select(vec!["small", "big", "small.spot", "big.spot"]);
    let state =
        select(vec![State::Unknown, State::Booting, State::Idle, State::Idle, State::Idle, State::Shutdown]);
    let behavior = select(vec![
        IdleBehavior::Run,
        IdleBehavior::Run,
        IdleBehavior::Run,
        IdleBehavior::Hold,
        IdleBehavior::Drain,
    ]);
    (types, state, behavior, 0..10u8)
}

fn gate() -> impl Strategy<Value = Gate> {
    select(vec![
        Gate::Open,
        Gate::Open,
        Gate::Paused(PauseReason::RateLimit),
        Gate::AtQuota(QuotaReason::Account),
        Gate::AtQuota(QuotaReason::MaxInstances),
        Gate::AtCapacity(at(160)),
    ])
}

const NAMES: [&str; 4] = ["small", "big", "small.spot", "big.spot"];

prop_compose! {
    pub(super) fn scene()(
        jobs in proptest::collection::vec(job(), 0..25),
        hosts in proptest::collection::vec(host(), 0..7),
        gates in proptest::collection::vec(gate(), 4),
        numbers in (0..8u32, 0..4u32, proptest::option::of(0..4usize), proptest::option::of(0..4usize), proptest::option::of(0..3usize)),
        refused in proptest::collection::vec(0..100i64, 0..4),
        pending in proptest::collection::vec((0..4usize, 0..6u8), 0..3),
        reserve in proptest::collection::vec((0..4usize, 0..4u32, 0..150u32), 0..3),
        pack_containers in proptest::bool::ANY,
        now in select(vec![10, 10_000]),
    ) -> Scene {
        let (ceiling, per_instance, creates, instances, near) = numbers;
        let idle_reserve = reserve_of(&reserve.into_iter().map(|(it, n, percent)| (NAMES[it], n, percent)).collect::<Vec<_>>());
        let policy = Policy { max_containers_per_instance: per_instance, idle_reserve, pack_containers, ..policy() };
        let mut scene = Scene::with(policy);
        scene.now = at(now);
        scene.limits.ceiling = ceiling;
        (scene.pool.supply.creates_left, scene.pool.supply.instances_left) = (creates, instances);
        scene.pool.supply.near_quota_left = near.map(|left| (QuotaScope::All, left)).into_iter().collect();
        let names = NAMES;
        for (name, gate) in names.into_iter().zip(gates) {
            scene.gate(name, gate);
        }
        for (name, second) in names.into_iter().zip(refused) {
            scene.pool.refused_types.insert(typed(&scene.policy, name).name.clone(), at(second));
        }
        for (n, (it, luck)) in pending.into_iter().enumerate() {
            scene.pending(n as u64, names[it]);
            if luck == 0 {
                scene.pool.supply.on_trial.insert(typed(&scene.policy, names[3 - it]).name.clone());
            }
        }
        for (n, (type_name, state, behavior, luck)) in hosts.iter().enumerate() {
            scene.worker(&format!("w-{n}"), type_name, *state);
            scene.pool.workers[n].missing = *luck == 0;
            scene.change(&format!("w-{n}"), |view| view.behavior = *behavior);
            if *luck == 1 {
                scene.runs(&format!("w-{n}"), 900 + n as u64);
            }
        }
        for (n, job) in jobs.iter().enumerate() {
            let n = n as u64 + 1;
            let entry = scene.add_sized(n, job.state, job.vcpus, job.preemptible);
            entry.record.priority = job.priority;
            entry.record.scheduling.supervisor = job.supervisor;
            entry.uncertain = job.undecidable;
            entry.locked_before_start = job.before_start;
            match job.odd {
                Odd::NotSized => {
                    (entry.mounts, entry.needs, entry.fit) = (None, Default::default(), Fit::Unsized);
                }
                Odd::Unreadable => entry.unreadable = Some("odd".to_owned()),
                Odd::LockInFlight if job.state == Queued => {
                    entry.operation = Some(Operation::sent(OperationKind::Lock));
                }
                Odd::AttemptsNearlyUsed => entry.attempts_nearly_used = true,
                Odd::FailedBefore => {
                    scene.failed(n, 1 + n as u32 % 3, "w-0");
                }
                Odd::Stale if !hosts.is_empty() => scene.change("w-0", |view| view.stale.push(uuid(n))),
                Odd::Nothing | Odd::LockInFlight | Odd::Stale => {}
            }
            match job.process {
                Some(host) if host < hosts.len() => scene.runs(&format!("w-{host}"), n),
                Some(_) => scene.ended(n, 85 + n as i64 % 10, EndedWhy::Exited),
                None => {}
            }
        }
        scene
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// `Scene::plan` checks each plan against the invariants: one place a container, nothing beyond a
    /// limit, nothing that does not fit, nothing that is not in the snapshot.
    #[test]
    fn no_plan_breaks_an_invariant_and_planning_again_plans_the_same(scene in scene()) {
        prop_assert_eq!(scene.plan(), scene.plan());
    }

    #[test]
    fn the_order_of_workers_and_creates_does_not_matter(
        (scene, workers, pending) in scene().prop_flat_map(|scene| {
            let workers = Just(scene.pool.workers.clone()).prop_shuffle();
            let pending = Just(scene.pool.pending.clone()).prop_shuffle();
            (Just(scene), workers, pending)
        }),
    ) {
        let mut turned = scene.clone();
        (turned.pool.workers, turned.pool.pending) = (workers, pending);
        prop_assert_eq!(scene.plan(), turned.plan());
    }

    #[test]
    fn every_container_that_waits_has_a_reason_and_no_other_has(scene in scene()) {
        let plan = scene.plan();
        for entry in scene.entries.values() {
            let waits = matches!(entry.record.state, Queued | Locked);
            prop_assert_eq!(plan.waiting.contains_key(&entry.record.uuid), waits);
        }
        prop_assert_eq!(plan.order.len(), scene.entries.len());
    }
}
