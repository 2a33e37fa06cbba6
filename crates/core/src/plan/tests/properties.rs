//! What holds for any snapshot.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::bins::{Bins, Place};
use super::*;
use crate::fit::{Free, Resources};
use crate::ports::QuotaScope;

#[derive(Debug, Clone)]
struct Job {
    state: ContainerState,
    priority: i64,
    vcpus: u64,
    preemptible: bool,
    supervisor: bool,
    hands_off: bool,
    before_start: bool,
    /// On which worker it has a process, if on any; beyond them: it has ended.
    process: Option<usize>,
}

fn job() -> impl Strategy<Value = Job> {
    let state = select(vec![Queued, Queued, Queued, Locked, Locked, Locked, Running, Complete, Cancelled]);
    let process = prop_oneof![3 => Just(None), 1 => (0..8usize).prop_map(Some)];
    let flags = (any::<bool>(), any::<bool>(), 0..8u8, 0..4u8);
    (state, 0..4i64, 0..6u64, flags, process).prop_map(|(state, priority, vcpus, flags, process)| Job {
        state,
        priority,
        vcpus,
        preemptible: flags.0,
        supervisor: flags.1,
        hands_off: flags.2 == 0,
        before_start: flags.3 == 0,
        process,
    })
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

prop_compose! {
    fn scene()(
        jobs in proptest::collection::vec(job(), 0..25),
        hosts in proptest::collection::vec(host(), 0..7),
        gates in proptest::collection::vec(gate(), 4),
        numbers in (0..8u32, 0..4u32, proptest::option::of(0..4usize), proptest::option::of(0..4usize), proptest::option::of(0..3usize)),
        refused in proptest::collection::vec(0..100i64, 0..4),
        now in select(vec![10, 10_000]),
    ) -> Scene {
        let (ceiling, per_instance, creates, instances, near) = numbers;
        let mut scene = Scene::with(Policy { max_containers_per_instance: per_instance, ..policy() });
        scene.now = at(now);
        scene.limits.ceiling = ceiling;
        (scene.pool.creates_left, scene.pool.instances_left) = (creates, instances);
        scene.pool.near_quota_left = near.map(|left| (QuotaScope::All, left)).into_iter().collect();
        let names = ["small", "big", "small.spot", "big.spot"];
        for (name, gate) in names.into_iter().zip(gates) {
            scene.gate(name, gate);
        }
        for (name, second) in names.into_iter().zip(refused) {
            scene.pool.refused_types.insert(typed(&scene.policy, name).name.clone(), at(second));
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
            entry.uncertain = job.hands_off;
            entry.locked_before_start = job.before_start;
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
    fn the_order_of_the_workers_does_not_matter(scene in scene(), turn in 0..7usize) {
        let mut turned = scene.clone();
        if !turned.pool.workers.is_empty() {
            let by = turn % turned.pool.workers.len();
            turned.pool.workers.rotate_left(by);
            turned.pool.workers.reverse();
        }
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

    /// What is sent is in the next snapshot; then nothing more is sent but what follows from it.
    #[test]
    fn after_starts_and_creates_are_taken_nothing_is_started_or_created_twice(scene in scene()) {
        let mut next = scene.clone();
        let mut touched = std::collections::BTreeSet::new();
        for action in scene.actions() {
            match action {
                Action::Start(uuid, id) => {
                    let worker = next.pool.workers.iter_mut().find(|it| it.view.id == id).unwrap();
                    worker.sent.push(uuid);
                    worker.sent.sort();
                    touched.insert(uuid);
                }
                Action::Create(it, uuid) => {
                    let n = next.pool.pending.len() as u64;
                    next.pending(n, it.name.as_str());
                    let left = |left: &mut usize| *left = left.saturating_sub(1);
                    next.pool.creates_left.iter_mut().for_each(left);
                    next.pool.instances_left.iter_mut().for_each(left);
                    next.pool.near_quota_left.values_mut().for_each(left);
                    touched.insert(uuid);
                }
                _ => {}
            }
        }
        for action in next.actions() {
            if let Action::Start(uuid, _) | Action::Create(_, uuid) = action {
                prop_assert!(!touched.contains(&uuid), "{:?} again", uuid);
            }
        }
    }

    #[test]
    fn the_best_place_is_the_one_that_looking_at_each_finds(
        hosts in proptest::collection::vec((0..4usize, any::<bool>(), proptest::collection::vec(0..4u64, 0..4)), 0..12),
        asked in proptest::collection::vec((0..6u64, 1..20u64, proptest::collection::btree_set(0..12usize, 0..3)), 1..30),
        most in 0..4usize,
    ) {
        let policy = policy();
        let types = policy.catalog.types();
        let mut bins = Bins::new(most);
        let mut naive: Vec<Place> = Vec::new();
        for (it, ready, containers) in hosts {
            let mut free = Free::all_of(&types[it]);
            containers.iter().for_each(|vcpus| free.take(&needs(*vcpus, 1)));
            let place = Place {
                instance_type: Arc::clone(&types[it]), ready, containers: containers.len(), free, used: false,
            };
            bins.add(place.clone());
            naive.push(place);
        }
        for (vcpus, ram, avoided) in asked {
            let need = needs(vcpus, ram);
            let unwanted: Vec<_> = avoided.iter().map(|n| *n as u32).collect();
            let best = bins.best(&need, types, &unwanted).map(|n| n as usize);
            let fits = |(n, place): &(usize, &Place)| {
                !avoided.contains(n) && (most == 0 || place.containers < most) && place.free.fits(&need)
            };
            let score = |(n, place): &(usize, &Place)| {
                let it = &place.instance_type;
                let size = (u64::MAX - it.vcpus, u64::MAX - it.ram, u64::MAX - it.scratch());
                (!place.ready, usize::MAX - place.containers, it.price, size, *n)
            };
            let expected = naive.iter().enumerate().filter(fits).min_by_key(score).map(|(n, _)| n);
            prop_assert_eq!(best, expected);
            if let Some(n) = best {
                bins.take(n as u32, &need);
                naive[n].free.take(&need);
                naive[n].containers += 1;
            }
        }
    }
}

fn needs(vcpus: u64, gib: u64) -> Resources {
    Resources { vcpus, ram: gib << 30, ..Resources::default() }
}
