//! Snapshots for planning rounds, and what becomes of them when plans are carried out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::InstanceType;
use dispatch_core::invariants::check_plan;
use dispatch_core::plan::{self, Action, Limits, Plan, Planner};
use dispatch_core::policy::Policy;
use dispatch_core::pool::{Gate, PoolSnapshot, QuotaReason, WorkerSnapshot};
use dispatch_core::queue::QueueSnapshot;
use dispatch_core::time::{Timestamp, after};
use dispatch_core::worker::{Machine, ProcessView, StartOrder, State, View};

use super::site::{Site, Sizes, at, instance, me};
use super::traffic::Controller;

/// What one round is planned from.
#[derive(Clone)]
pub struct Scene {
    pub policy: Arc<Policy>,
    pub queue: Arc<QueueSnapshot>,
    pub pool: Arc<PoolSnapshot>,
    pub limits: Limits,
    next_instance: usize,
}

impl Scene {
    /// All workers idle and empty, half of the containers locked, nothing placed yet. Creates are not
    /// limited: every container finds a place.
    pub fn burst(containers: usize, workers: usize, sizes: Sizes) -> Self {
        let mut site = Site::new();
        let policy = Arc::clone(&site.policy);
        let queue = Controller::new(&mut site, containers, sizes).queue();
        let queue = QueueSnapshot { polled_at: Some(at(1_000_000)), ..queue.snapshot() };
        let pool = PoolSnapshot {
            workers: (0..workers).map(|n| idle_worker(n, &site.draw_type(), &policy)).collect(),
            gates: policy.catalog.types().iter().map(|it| (it.name.clone(), Gate::Open)).collect(),
            first_listing: Some(at(1)),
            listings: vec![at(999_940), at(999_999)],
            runner_readable: true,
            ..PoolSnapshot::default()
        };
        let (queue, pool) = (Arc::new(queue), Arc::new(pool));
        Self { policy, queue, pool, limits: Limits::default(), next_instance: workers }
    }

    /// The same cluster later: `MaxInstances` is the number of workers it began with, and rounds were
    /// planned and carried out until one had nothing to do. What has a place runs, the rest waits.
    pub fn settled(containers: usize, workers: usize, sizes: Sizes) -> Self {
        let mut scene = Self::burst(containers, workers, sizes);
        scene.set_instances_left(0);
        for _ in 0..100 {
            let plan = scene.plan();
            scene.check(&plan);
            if plan.actions.is_empty() {
                return scene;
            }
            scene.carry_out(plan.actions);
        }
        panic!("{containers} containers on {workers} workers never come to rest");
    }

    /// One round, planned from nothing.
    pub fn plan(&self) -> Plan {
        plan::plan(&self.queue, &self.pool, &self.limits, &self.policy, now())
    }

    /// One round of a planner that has planned before.
    pub fn plan_with(&self, planner: &mut Planner) -> Arc<Plan> {
        planner.plan(&self.queue, &self.pool, &self.limits, now())
    }

    /// The same a moment later: every worker was probed once more, and both snapshots were taken anew.
    pub fn probed(&self) -> Self {
        let probed = |worker: &WorkerSnapshot| {
            let view =
                View { last_success: Some(now()), next_probe: Some((now(), true)), ..(*worker.view).clone() };
            WorkerSnapshot { view: Arc::new(view), ..worker.clone() }
        };
        let pool =
            PoolSnapshot { workers: self.pool.workers.iter().map(probed).collect(), ..(*self.pool).clone() };
        Self { queue: Arc::new((*self.queue).clone()), pool: Arc::new(pool), ..self.clone() }
    }

    /// Panics if that plan breaks a rule.
    pub fn check(&self, plan: &Plan) {
        let checked = check_plan(&self.queue, &self.pool, &self.limits, &self.policy, plan, now());
        checked.expect("no plan breaks a rule");
    }

    fn set_instances_left(&mut self, left: usize) {
        let gate = if left == 0 { Gate::AtQuota(QuotaReason::MaxInstances) } else { Gate::Open };
        let pool = Arc::make_mut(&mut self.pool);
        pool.instances_left = Some(left);
        pool.gates.values_mut().for_each(|it| *it = gate);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let queue = Arc::make_mut(&mut self.queue);
        let pool = Arc::make_mut(&mut self.pool);
        let mut left = pool.instances_left.unwrap_or_default();
        let mut workers: BTreeMap<InstanceId, WorkerSnapshot> =
            std::mem::take(&mut pool.workers).into_iter().map(|it| (it.view.id.clone(), it)).collect();
        for action in actions {
            match action {
                Action::Lock(uuid) => set_state(queue, uuid, ContainerState::Locked),
                Action::Unlock(uuid, _) => set_state(queue, uuid, ContainerState::Queued),
                Action::Start(StartOrder { uuid, .. }, id) => {
                    set_state(queue, uuid, ContainerState::Running);
                    run_on(Arc::make_mut(&mut workers.get_mut(&id).expect("it was planned").view), uuid);
                }
                Action::Create(it, _) => {
                    let worker = idle_worker(self.next_instance, &it, &self.policy);
                    workers.insert(worker.view.id.clone(), worker);
                    self.next_instance += 1;
                    left -= 1;
                }
                Action::ShutDown(id, _) => {
                    workers.remove(&id);
                    left += 1;
                }
                other => panic!("nothing has gone wrong, and yet: {other:?}"),
            }
        }
        pool.workers = workers.into_values().collect();
        self.set_instances_left(left);
    }
}

fn now() -> Timestamp {
    after(at(1_000_000), Duration::from_secs(10))
}

fn set_state(queue: &mut QueueSnapshot, uuid: ContainerUuid, state: ContainerState) {
    let position = queue.entries.binary_search_by_key(&uuid, |it| it.record.uuid).expect("it was planned");
    let record = &mut Arc::make_mut(&mut queue.entries[position]).record;
    record.state = state;
    record.locked_by = (state != ContainerState::Queued).then(me);
}

fn run_on(view: &mut View, uuid: ContainerUuid) {
    view.state = State::Running;
    let process = ProcessView { uuid, unconfirmed: false, unsent: false, killing: false, given_up: false };
    let position = view.processes.partition_point(|it| it.uuid < uuid);
    view.processes.insert(position, process);
}

fn idle_worker(n: usize, it: &InstanceType, policy: &Arc<Policy>) -> WorkerSnapshot {
    let instance = instance(n, it);
    let (machine, _) = Machine::new(instance.clone(), true, Arc::clone(policy), at(0));
    let view = View { state: State::Idle, last_success: Some(at(1_000_000)), ..machine.view() };
    WorkerSnapshot { view: Arc::new(view), sent: Vec::new(), missing: false, instance: Arc::new(instance) }
}
