//! Snapshots for planning rounds, and what becomes of them when plans are carried out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::InstanceType;
use dispatch_core::invariants::check_plan;
use dispatch_core::plan::{self, Action, Limits, Plan, PlanInput, Planner, PoolAction, QueueAction};
use dispatch_core::policy::{PlanRules, Policy};
use dispatch_core::pool::{Fleet, Host};
use dispatch_core::queue::QueueSnapshot;
use dispatch_core::time::{Timestamp, after};
use dispatch_core::worker::{FenceView, Machine, ProbeTurn, ProcessView, StartOrder, State, View};

use super::site::{Site, Sizes, at, instance, me};
use super::traffic::Controller;

/// What one round is planned from.
#[derive(Clone)]
pub struct Scene {
    pub input: PlanInput,
    policy: Arc<Policy>,
    workers: Vec<View>,
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
        let fleet = Fleet {
            shown_before_answer: 0,
            first_listing: Some(at(1)),
            listings: vec![at(999_880), at(999_940), at(999_999)],
            runner_readable: true,
            ..Fleet::default()
        };
        let input = PlanInput {
            rules: Arc::new(PlanRules::from(&*policy)),
            queue: Arc::new(queue),
            fleet: Arc::new(fleet),
            limits: Limits::default(),
            firsts: Arc::default(),
        };
        let views = (0..workers).map(|n| idle_worker(n, &site.draw_type(), &policy)).collect();
        let mut scene = Self { input, policy, workers: views, next_instance: workers };
        scene.show_workers();
        scene
    }

    /// The same cluster later: `MaxInstances` is the number of workers it began with, and rounds were
    /// planned and carried out until one had nothing to do. What has a place runs, the rest waits.
    pub fn settled(containers: usize, workers: usize, sizes: Sizes) -> Self {
        let mut scene = Self::burst(containers, workers, sizes);
        Arc::make_mut(&mut scene.input.rules).max_instances = u32::try_from(workers).expect("not that many");
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

    /// Every worker runs one container that leaves it almost no RAM, or, if `halves`, in turn almost no RAM or almost
    /// no scratch. As many containers as said wait, and each needs some of both: none finds a place.
    pub fn full_of_one(containers: usize, workers: usize, halves: bool) -> Self {
        let mut site = Site::new();
        let policy = Arc::clone(&site.policy);
        let it = Arc::clone(policy.catalog.get("r16").expect("it is a type of the site"));
        let controller = Controller::with_one_on_each(&mut site, containers, workers, &it, halves);
        let queue = QueueSnapshot { polled_at: Some(at(1_000_000)), ..controller.queue().snapshot() };
        let mut scene = Self::burst(0, 0, Sizes::Mixed);
        Arc::make_mut(&mut scene.input.rules).max_instances = u32::try_from(workers).expect("not that many");
        scene.input.queue = Arc::new(queue);
        scene.workers = (0..workers)
            .map(|n| {
                let mut view = idle_worker(n, &it, &policy);
                run_on(&mut view, controller.uuid(n));
                view
            })
            .collect();
        scene.show_workers();
        scene
    }

    /// One round, planned from nothing.
    pub fn plan(&self) -> Plan {
        plan::plan(&self.input, now())
    }

    /// One round of a planner that has planned before.
    pub fn plan_with(&self, planner: &mut Planner) -> Arc<Plan> {
        planner.plan(&self.input, now())
    }

    /// The same a moment later: every worker was probed once more, and both snapshots were taken anew. What a plan
    /// reads of a worker is made anew only if it has changed, as the pool does it.
    pub fn probed(&self) -> Self {
        let mut probed = self.clone();
        for view in &mut probed.workers {
            (view.last_success, view.next_probe) = (Some(now()), Some((now(), ProbeTurn::OutOfTurn)));
        }
        let input = &mut probed.input;
        (input.queue, input.fleet) = (Arc::new((*input.queue).clone()), Arc::new((*input.fleet).clone()));
        probed
    }

    /// Panics if that plan breaks a rule.
    pub fn check(&self, plan: &Plan) {
        check_plan(&self.input, plan, now()).expect("no plan breaks a rule");
    }

    fn show_workers(&mut self) {
        let hosts = self.workers.iter().map(|view| Arc::new(Host::new(view, [], false)));
        Arc::make_mut(&mut self.input.fleet).hosts = hosts.collect();
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let queue = Arc::make_mut(&mut self.input.queue);
        let mut workers: BTreeMap<InstanceId, View> =
            std::mem::take(&mut self.workers).into_iter().map(|view| (view.id.clone(), view)).collect();
        for action in actions {
            match action {
                Action::Queue(QueueAction::LockContainer(uuid)) => {
                    set_state(queue, uuid, ContainerState::Locked);
                }
                Action::Queue(QueueAction::UnlockContainer(uuid, _)) => {
                    set_state(queue, uuid, ContainerState::Queued);
                }
                Action::Pool(PoolAction::StartContainer(order, id)) => {
                    set_state(queue, order.uuid, ContainerState::Running);
                    run_on(workers.get_mut(&id).expect("it was planned"), order.uuid);
                }
                Action::Pool(PoolAction::CreateInstance(it, _)) => {
                    let worker = idle_worker(self.next_instance, &it, &self.policy);
                    workers.insert(worker.id.clone(), worker);
                    self.next_instance += 1;
                }
                Action::Pool(PoolAction::ShutdownInstance(id, _)) => {
                    workers.remove(&id);
                }
                other => panic!("nothing has gone wrong, and yet: {other:?}"),
            }
        }
        self.workers = workers.into_values().collect();
        self.show_workers();
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
    let process = ProcessView {
        uuid,
        since: at(0),
        unconfirmed: false,
        unsent: false,
        start_failure: None,
        killing: false,
        given_up: false,
    };
    let position = view.processes.partition_point(|it| it.uuid < uuid);
    view.processes.insert(position, process);
}

fn idle_worker(n: usize, it: &InstanceType, policy: &Arc<Policy>) -> View {
    let (machine, _) = Machine::new(instance(n, it), true, Arc::clone(policy), at(0));
    View { state: State::Idle, last_success: Some(at(1_000_000)), fence: FenceView::Ours, ..machine.view() }
}
