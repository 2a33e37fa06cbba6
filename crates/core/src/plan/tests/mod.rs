//! Planning rounds over snapshots built by hand. Each plan made here is checked against the invariants.

mod backfilling;
mod best_place;
mod capacity;
mod explaining;
mod foreseeing;
mod input;
mod line;
mod liveness;
mod packing;
mod placement;
mod planning_again;
mod properties;
mod reconciling;
mod recorded;
mod spares;
mod starting;

use super::*;
use crate::container::ContainerState::{self, Cancelled, Complete, Locked, Queued, Running};
use crate::container::MountNeeds;
use crate::fixtures::{at, id, instance, me, order, policy, record, typed, uuid};
use crate::id::TypeName;
use crate::instance::{IdleBehavior, InstanceType};
use crate::invariants::check_supplied;
use crate::policy::{PlanRules, Policy};
use crate::pool::{
    CreateId, CreateInFlight, EndedProcess, EndedWhy, FailedStarts, Fleet, Gate, Holds, Host, PauseReason,
    PendingCreate, QuotaReason, WorkerSnapshot,
};
use crate::queue::{CancelReason, Entry, QueueSnapshot, Setback, SetbackCause, UnlockReason};
use crate::reserve::{Calendar, IdleReserve, ReserveRule, Spares};
use crate::secret::Secret;
use crate::worker::{AttemptOutcome, KillReason, Machine, ProcessView, ShutdownReason, StartOrder, State};

/// The pool of a scene. What may be created is said by hand, whatever the holds are that would say so.
#[derive(Debug, Clone)]
struct ScenePool {
    workers: Vec<WorkerSnapshot>,
    pending: Vec<(CreateId, PendingCreate)>,
    ended: BTreeMap<ContainerUuid, EndedProcess>,
    failed_starts: BTreeMap<ContainerUuid, FailedStarts>,
    supply: Supply,
    refused_types: BTreeMap<TypeName, Timestamp>,
    interruptions: BTreeMap<TypeName, u32>,
    first_listing: Option<Timestamp>,
    listings: Vec<Timestamp>,
    spaced_listings: usize,
    runner_readable: bool,
    outage: bool,
}

impl ScenePool {
    fn fleet(&self) -> Fleet {
        let host = |it: &WorkerSnapshot| Arc::new(Host::new(&it.view, it.sent.clone(), it.missing));
        let create = |it: &PendingCreate| CreateInFlight::new(&it.instance_type, it.doubtful.is_some());
        Fleet {
            shown_before_answer: 0,
            hosts: self.workers.iter().map(host).collect(),
            creates: self.pending.iter().map(|(_, it)| create(it)).collect(),
            ended: self.ended.clone(),
            failed_starts: self.failed_starts.clone(),
            holds: Holds::with_refused_types(self.refused_types.clone(), self.supply.near_quota_left.keys()),
            first_listing: self.first_listing,
            listings: self.listings.clone(),
            spaced_listings: self.spaced_listings,
            runner_readable: self.runner_readable,
            outage: self.outage,
            own_side_fails: false,
            cordons: Arc::default(),
            interruptions: Arc::new(self.interruptions.clone()),
        }
    }
}

/// A moment long after the start: polled and listed more than once, all gates open, no ceiling.
#[derive(Debug, Clone)]
struct Scene {
    policy: Arc<Policy>,
    limits: Limits,
    entries: BTreeMap<ContainerUuid, Entry>,
    queue: QueueSnapshot,
    pool: ScenePool,
    now: Timestamp,
}

impl Scene {
    fn new() -> Self {
        Self::with(policy())
    }

    fn with(policy: Policy) -> Self {
        let gates = policy.catalog.types().iter().map(|it| (it.name.clone(), Gate::Open)).collect();
        let queue = QueueSnapshot {
            me: Some(me()),
            first_poll_began: Some(at(0)),
            polled_at: Some(at(90)),
            ..Default::default()
        };
        let pool = ScenePool {
            workers: vec![],
            pending: vec![],
            ended: BTreeMap::new(),
            failed_starts: BTreeMap::new(),
            supply: Supply { gates, ..Supply::default() },
            refused_types: BTreeMap::new(),
            interruptions: BTreeMap::new(),
            first_listing: Some(at(1)),
            listings: vec![at(20), at(50), at(80)],
            spaced_listings: 3,
            runner_readable: true,
            outage: false,
        };
        Self {
            policy: Arc::new(policy),
            limits: Limits::default(),
            entries: BTreeMap::new(),
            queue,
            pool,
            now: at(100),
        }
    }

    fn input(&self) -> PlanInput {
        PlanInput {
            rules: Arc::new(PlanRules::from(&*self.policy)),
            queue: Arc::new(self.queue()),
            fleet: Arc::new(self.pool.fleet()),
            limits: self.limits,
            firsts: Arc::default(),
        }
    }

    fn clocked(&self, input: &PlanInput, summary: &InputSummary) -> Clocked {
        let supply = Arc::new(self.pool.supply.clone());
        Clocked { supply, ..input.clocked(summary, self.now) }
    }

    fn plan_by(&self, planner: &mut Planner) -> Arc<Plan> {
        let input = self.input();
        planner.plan_clocked_by(&input, |summary| self.clocked(&input, summary))
    }

    /// One VCPU, 1 GiB: fits `small` and `big`. First seen in the order of its number.
    fn add(&mut self, n: u64, state: ContainerState, priority: i64) -> &mut Entry {
        let entry =
            Entry::sized(record(n, state, priority), MountNeeds::default(), &self.policy, at(n as i64));
        self.entries.insert(uuid(n), entry);
        self.entries.get_mut(&uuid(n)).unwrap()
    }

    /// The same, of another size or market.
    fn add_sized(&mut self, n: u64, state: ContainerState, vcpus: u64, preemptible: bool) -> &mut Entry {
        let mut record = record(n, state, 1);
        record.runtime_constraints.vcpus = vcpus;
        record.scheduling.preemptible = preemptible;
        let entry = Entry::sized(record, MountNeeds::default(), &self.policy, at(n as i64));
        self.entries.insert(uuid(n), entry);
        self.entries.get_mut(&uuid(n)).unwrap()
    }

    fn add_supervisor(&mut self, n: u64, state: ContainerState) {
        self.add(n, state, 1).record.scheduling.supervisor = true;
    }

    /// One that this dispatcher has created; an unknown one is an earlier dispatcher's.
    fn worker(&mut self, name: &str, type_name: &str, state: State) {
        self.add_worker(name, type_name, state, state != State::Unknown);
    }

    /// One that an earlier dispatcher has left.
    fn worker_left(&mut self, name: &str, type_name: &str, state: State) {
        self.add_worker(name, type_name, state, false);
    }

    fn add_worker(&mut self, name: &str, type_name: &str, state: State, ours: bool) {
        let shown = instance(name, &typed(&self.policy, type_name), name);
        let (machine, _) = Machine::new(shown.clone(), ours, Arc::clone(&self.policy), at(0));
        let view = crate::worker::View { state, fence: crate::worker::FenceView::Ours, ..machine.view() };
        self.pool.workers.push(WorkerSnapshot {
            view: Arc::new(view),
            sent: vec![],
            missing: false,
            instance: Arc::new(shown),
            spot_notice: None,
        });
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut crate::worker::View)) {
        let worker = self.pool.workers.iter_mut().find(|it| it.view.id == id(name)).unwrap();
        change(Arc::make_mut(&mut worker.view));
    }

    /// A process of that container on that worker, which becomes running.
    fn runs(&mut self, name: &str, n: u64) {
        self.change(name, |view| {
            let process = ProcessView {
                uuid: uuid(n),
                since: at(0),
                unconfirmed: false,
                unsent: false,
                start_failure: None,
                killing: false,
                given_up: false,
            };
            view.processes.push(process);
            view.processes.sort_by_key(|it| it.uuid);
            if view.state == State::Idle {
                view.state = State::Running;
            }
        });
    }

    fn ended(&mut self, n: u64, second: i64, why: EndedWhy) {
        let process =
            EndedProcess { uuid: uuid(n), at: at(second), instance: id("w-gone"), why, error: None };
        self.pool.ended.insert(uuid(n), process);
    }

    /// That many starts in a row have failed, the last at 95 s on this worker.
    fn failed(&mut self, n: u64, count: u32, name: &str) {
        let instance = id(name);
        let instances = [instance.clone()].into();
        let failed = FailedStarts { count, at: at(95), instance, instances, error: "no space".to_owned() };
        self.pool.failed_starts.insert(uuid(n), failed);
    }

    fn pending(&mut self, n: u64, type_name: &str) {
        let create = PendingCreate {
            instance_type: typed(&self.policy, type_name),
            secret: Secret::new("s"),
            since: at(50),
            doubtful: None,
        };
        self.pool.pending.push((CreateId(n), create));
    }

    fn gate(&mut self, type_name: &str, gate: Gate) {
        self.pool.supply.gates.insert(typed(&self.policy, type_name).name.clone(), gate);
    }

    fn gates(&mut self, gate: Gate) {
        self.pool.supply.gates.values_mut().for_each(|it| *it = gate);
    }

    fn plan(&self) -> Plan {
        let input = self.input();
        let summary = input.summary();
        let plan = plan_clocked(&input, &summary, &self.clocked(&input, &summary));
        check_supplied(&input, &self.pool.supply, &plan, self.now).unwrap();
        plan
    }

    fn actions(&self) -> Vec<Action> {
        self.plan().actions.into_iter().map(without_record).collect()
    }

    fn reason(&self, n: u64) -> Option<WaitReason> {
        self.plan().waiting.get(&uuid(n)).map(|waiting| waiting.reason.clone())
    }

    fn text(&self, n: u64) -> String {
        let plan = self.plan();
        plan.waiting.get(&uuid(n)).map(|waiting| waiting.text(&plan.supply.ends)).unwrap_or_default()
    }
}

fn start(n: u64, name: &str) -> Action {
    Action::Pool(PoolAction::StartContainer(order(uuid(n)), id(name)))
}

fn without_record(action: Action) -> Action {
    match action {
        Action::Pool(PoolAction::StartContainer(start, id)) => {
            Action::Pool(PoolAction::StartContainer(order(start.uuid), id))
        }
        other => other,
    }
}

fn lock(n: u64) -> Action {
    Action::Queue(QueueAction::LockContainer(uuid(n)))
}

fn unlock(n: u64, reason: UnlockReason) -> Action {
    Action::Queue(QueueAction::UnlockContainer(uuid(n), reason))
}

fn shut_down(name: &str) -> Action {
    Action::Pool(PoolAction::ShutdownInstance(id(name), ShutdownReason::OverQuota))
}

/// The types that are created, and for whom.
fn creates(actions: &[Action]) -> Vec<(String, ContainerUuid)> {
    let create = |action: &Action| match action {
        Action::Pool(PoolAction::CreateInstance(it, uuid)) => Some((it.name.to_string(), *uuid)),
        _ => None,
    };
    actions.iter().filter_map(create).collect()
}

/// A reserve at all times: types, numbers, and percents of those that are busy.
fn reserve_of(types: &[(&str, u32, u32)]) -> IdleReserve {
    let rule = |(name, instances, percent_of_busy): &(&str, u32, u32)| {
        let spares = Spares { instances: *instances, percent_of_busy: *percent_of_busy };
        (name.parse().unwrap(), vec![ReserveRule { spares, calendar: Calendar::default() }])
    };
    IdleReserve::new(types.iter().map(rule).collect())
}

fn create_for(type_name: &str, n: u64) -> (String, ContainerUuid) {
    (type_name.to_owned(), uuid(n))
}

/// A failed lock; `lifted` = a later poll has shown the container, and its back-off is over.
fn set_back(lifted: bool) -> Setback {
    let (cause, error) = (SetbackCause::Lock, "422 refused".to_owned());
    Setback { cause, failures: 3, at: at(80), until: at(100), error, shared: false, lifted, earlier: None }
}
