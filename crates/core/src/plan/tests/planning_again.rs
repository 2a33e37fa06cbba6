//! What a second round does: nothing that the first has done, and nothing at all without news.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::properties::scene;
use super::*;
use crate::queue::{LookOutcome, Operation, OperationKind};

impl Scene {
    pub(super) fn queue(&self) -> QueueSnapshot {
        let entries: Vec<_> = self.entries.values().cloned().map(Arc::new).collect();
        // Unless a test says otherwise, every picture is of the last poll.
        let asked = match self.queue.asked[..] {
            [] => self.queue.polled_at.map(|at| vec![at; entries.len()]).unwrap_or_default(),
            [..] => self.queue.asked.clone(),
        };
        QueueSnapshot { entries, asked, ..self.queue.clone() }
    }

    /// Everything that the plan asks for is sent, and nothing is answered but what Pool and Queue do at once.
    fn send(&mut self, plan: &Plan) {
        for action in plan.actions.clone() {
            match action {
                Action::Queue(QueueAction::LockContainer(uuid)) => self.operate(uuid, OperationKind::Lock),
                Action::Queue(QueueAction::UnlockContainer(uuid, reason)) => {
                    self.operate(uuid, OperationKind::Unlock(reason))
                }
                Action::Queue(QueueAction::RequeueContainer(uuid, error)) => {
                    self.operate(uuid, OperationKind::Requeue { error });
                }
                Action::Queue(QueueAction::CancelContainer(uuid, reason, expected)) => {
                    self.operate(uuid, OperationKind::Cancel { reason, expected });
                }
                Action::Queue(QueueAction::ForgetContainer(uuid)) => {
                    self.entries.remove(&uuid);
                }
                Action::Queue(QueueAction::ReadOrphanRecord(uuid)) => {
                    self.queue.looked.insert(uuid, LookOutcome::Foreign);
                }
                Action::Pool(PoolAction::StartContainer(order, id)) => {
                    let worker = self.pool.workers.iter_mut().find(|it| it.view.id == id).unwrap();
                    worker.sent.push(order.uuid);
                    worker.sent.sort();
                }
                Action::Pool(PoolAction::CreateInstance(it, _) | PoolAction::CreateSpare(it)) => {
                    self.create(&it)
                }
                Action::Pool(PoolAction::ShutdownInstance(id, _)) => {
                    self.change(id.as_str(), |view| view.state = State::Shutdown)
                }
                Action::Pool(PoolAction::KillContainer(uuid, _)) => self.kill(uuid),
                Action::Pool(PoolAction::NoteSpotNotice(..)) => panic!("nobody has announced anything"),
                Action::Pool(PoolAction::ForgetAttempts(uuid)) => {
                    self.pool.failed_starts.remove(&uuid);
                }
                Action::Pool(PoolAction::ForgetProcess(uuid, _)) => {
                    self.pool.ended.remove(&uuid);
                }
            }
        }
    }

    /// Gates as a pool has them: `MaxInstances` is reached by all types, an account's quota by all of a market.
    fn agree_about_quotas(&mut self) {
        let is_reached = |scene: &Self, names: &[&str], quota: Gate| {
            names.iter().any(|name| scene.pool.supply.gates[&typed(&scene.policy, name).name] == quota)
        };
        let (on_demand, spot) = (["small", "big"], ["small.spot", "big.spot"]);
        for market in [on_demand, spot] {
            if is_reached(self, &market, QUOTA) {
                market.iter().for_each(|name| self.gate(name, QUOTA));
            }
        }
        let full = Gate::AtQuota(QuotaReason::MaxInstances);
        if is_reached(self, &[on_demand, spot].concat(), full) {
            self.gates(full);
        }
    }

    /// Until nothing of that kind is left.
    fn do_what_is_done_at_once(&mut self) {
        for _ in 0..self.entries.len() + self.pool.ended.len() + 2 {
            let mut plan = self.plan();
            plan.actions.retain(is_done_at_once);
            self.send(&plan);
        }
        assert!(!self.actions().iter().any(is_done_at_once), "it ends");
    }

    fn operate(&mut self, uuid: ContainerUuid, kind: OperationKind) {
        self.entries.get_mut(&uuid).unwrap().operation = Some(Operation::sent(kind));
    }

    fn kill(&mut self, uuid: ContainerUuid) {
        for worker in &mut self.pool.workers {
            let processes = &mut Arc::make_mut(&mut worker.view).processes;
            processes.iter_mut().filter(|it| it.uuid == uuid).for_each(|it| it.killing = true);
        }
    }

    fn create(&mut self, it: &InstanceType) {
        self.pending(1000 + self.pool.pending.len() as u64, it.name.as_str());
        let supply = &mut self.pool.supply;
        let near_quota = supply
            .near_quota_left
            .iter_mut()
            .filter(|(scope, _)| scope.covers(it.market()))
            .map(|(_, left)| left);
        let left = supply.creates_left.iter_mut().chain(supply.instances_left.iter_mut()).chain(near_quota);
        left.for_each(|left| *left -= 1);
        if supply.on_trial.contains(&it.name) {
            supply.gates.insert(it.name.clone(), Gate::Paused(PauseReason::BootsFail));
        }
    }
}

/// Whom an action is about.
fn about(action: &Action) -> String {
    match action {
        Action::Queue(QueueAction::LockContainer(uuid))
        | Action::Queue(QueueAction::UnlockContainer(uuid, _))
        | Action::Queue(QueueAction::RequeueContainer(uuid, _))
        | Action::Queue(QueueAction::CancelContainer(uuid, ..))
        | Action::Queue(QueueAction::ForgetContainer(uuid))
        | Action::Queue(QueueAction::ReadOrphanRecord(uuid))
        | Action::Pool(PoolAction::StartContainer(StartOrder { uuid, .. }, _))
        | Action::Pool(PoolAction::CreateInstance(_, uuid))
        | Action::Pool(PoolAction::KillContainer(uuid, _))
        | Action::Pool(PoolAction::NoteSpotNotice(uuid, _))
        | Action::Pool(PoolAction::ForgetAttempts(uuid))
        | Action::Pool(PoolAction::ForgetProcess(uuid, _)) => uuid.to_string(),
        Action::Pool(PoolAction::ShutdownInstance(id, _)) => id.to_string(),
        Action::Pool(PoolAction::CreateSpare(it)) => it.name.to_string(),
    }
}

/// Done at once, and something may follow from it: a container that is free of its ended process is placed, or a
/// supervisor that has its share takes the instance that was meant for another.
fn is_done_at_once(action: &Action) -> bool {
    matches!(
        action,
        Action::Pool(PoolAction::ForgetProcess(..))
            | Action::Queue(QueueAction::ForgetContainer(_))
            | Action::Queue(QueueAction::ReadOrphanRecord(_))
    )
}

/// Something that happens to a snapshot between two rounds.
#[derive(Debug, Clone)]
enum News {
    None,
    Probed(Index),
    Address(Index),
    State(Index),
    Behavior(Index),
    Process(Index),
    Killing(Index),
    Missing(Index),
    Priority(Index),
    Polled,
    Listed,
    Gate(Index),
    Ceiling,
    Creates,
    Pending,
    Ended(Index),
    Failed(Index),
    Sent,
}

fn news() -> impl Strategy<Value = News> {
    let index = any::<Index>();
    prop_oneof![
        3 => Just(News::None),
        3 => index.clone().prop_map(News::Probed),
        1 => index.clone().prop_map(News::Address),
        1 => index.clone().prop_map(News::State),
        1 => index.clone().prop_map(News::Behavior),
        1 => index.clone().prop_map(News::Process),
        1 => index.clone().prop_map(News::Killing),
        1 => index.clone().prop_map(News::Missing),
        1 => index.clone().prop_map(News::Priority),
        1 => Just(News::Polled),
        1 => Just(News::Listed),
        1 => index.clone().prop_map(News::Gate),
        1 => Just(News::Ceiling),
        1 => Just(News::Creates),
        1 => Just(News::Pending),
        1 => index.clone().prop_map(News::Ended),
        1 => index.prop_map(News::Failed),
        2 => Just(News::Sent),
    ]
}

impl Scene {
    fn some_worker(&mut self, index: &Index, change: impl FnOnce(&mut WorkerSnapshot)) {
        if !self.pool.workers.is_empty() {
            let n = index.index(self.pool.workers.len());
            change(&mut self.pool.workers[n]);
        }
    }

    fn some_view(&mut self, index: &Index, change: impl FnOnce(&mut crate::worker::View)) {
        self.some_worker(index, |worker| change(Arc::make_mut(&mut worker.view)));
    }

    fn some_uuid(&self, index: &Index) -> ContainerUuid {
        uuid(1 + index.index(self.entries.len() + 1) as u64)
    }

    fn hear(&mut self, news: &News, plan: &Plan) {
        self.now = crate::time::after(self.now, std::time::Duration::from_secs(1));
        let now = self.now;
        match news {
            News::None => {}
            News::Probed(index) => self.some_view(index, |view| {
                (view.last_success, view.next_probe, view.probing) =
                    (Some(now), Some((now, crate::worker::ProbeTurn::OutOfTurn)), true);
            }),
            News::Address(index) => self.some_view(index, |view| view.address.push('1')),
            News::State(index) => self.some_view(index, |view| {
                view.state = if view.state == State::Idle { State::Shutdown } else { State::Idle };
            }),
            News::Behavior(index) => self.some_view(index, |view| {
                let held = view.behavior == IdleBehavior::Hold;
                view.behavior = if held { IdleBehavior::Run } else { IdleBehavior::Hold };
            }),
            News::Process(index) => self.some_view(index, |view| {
                view.processes.pop();
            }),
            News::Killing(index) => self.some_view(index, |view| {
                view.processes.iter_mut().for_each(|process| process.killing ^= true);
            }),
            News::Missing(index) => self.some_worker(index, |worker| worker.missing ^= true),
            News::Priority(index) => {
                let uuid = self.some_uuid(index);
                self.entries
                    .entry(uuid)
                    .and_modify(|entry| entry.record.priority = 3 - entry.record.priority);
            }
            News::Polled => self.queue.polled_at = Some(now),
            News::Listed => self.pool.listings = vec![at(50), at(80), now],
            News::Gate(index) => {
                let gates = [Gate::Open, QUOTA, Gate::Paused(PauseReason::RateLimit), Gate::AtCapacity(now)];
                self.gate("small", *index.get(&gates));
            }
            News::Ceiling => self.limits.ceiling += 1,
            News::Creates => {
                self.pool.supply.creates_left = self.pool.supply.creates_left.map_or(Some(1), |_| None)
            }
            News::Pending => {
                if self.pool.pending.pop().is_none() {
                    self.pending(7, "big");
                }
            }
            News::Ended(index) => {
                let uuid = self.some_uuid(index);
                if self.pool.ended.remove(&uuid).is_none() {
                    let process = EndedProcess {
                        uuid,
                        at: at(85),
                        instance: id("w-0"),
                        why: EndedWhy::Exited,
                        error: None,
                    };
                    self.pool.ended.insert(uuid, process);
                }
            }
            News::Failed(index) => {
                let uuid = self.some_uuid(index);
                if self.pool.failed_starts.remove(&uuid).is_none() {
                    let (instance, error) = (id("w-0"), "no space".to_owned());
                    let instances = [instance.clone()].into();
                    let failed = FailedStarts { count: 3, at: at(95), instance, instances, error };
                    self.pool.failed_starts.insert(uuid, failed);
                }
            }
            News::Sent => self.send(plan),
        }
    }
}

const QUOTA: Gate = Gate::AtQuota(QuotaReason::Account);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A supervisor that gives its lock back, because a less important one took the last of their share, no longer
    /// stands in others' way: without supervisors there is nothing left to do at all.
    #[test]
    fn what_is_in_flight_is_not_sent_again(scene in scene()) {
        let mut scene = scene;
        scene.agree_about_quotas();
        scene.do_what_is_done_at_once();
        let plan = scene.plan();
        scene.send(&plan);
        let again = scene.actions();
        let is_repeated = |action: &&Action| plan.actions.iter().any(|first| about(first) == about(action));
        prop_assert_eq!(again.iter().find(is_repeated), None, "after {:?}", plan.actions);
        if !scene.entries.values().any(|entry| entry.record.scheduling.supervisor) {
            prop_assert_eq!(again, vec![], "after {:?}", plan.actions);
        }
    }

    /// The planner's memory changes nothing but the cost.
    #[test]
    fn a_planner_plans_what_a_single_round_plans(scene in scene(), story in vec(news(), 1..8)) {
        let mut scene = scene;
        let mut planner = Planner::default();
        for news in story {
            let planned = scene.plan_by(&mut planner);
            let expected = scene.plan();
            prop_assert_eq!(&*planned, &expected, "before {:?}", news);
            scene.hear(&news, &expected);
        }
    }

    #[test]
    fn without_news_that_matter_the_last_plan_is_shared(scene in scene(), probed in vec(any::<Index>(), 0..4)) {
        let mut scene = Scene { now: at(10_000), ..scene };
        let mut planner = Planner::default();
        // What a first success makes known is news.
        scene.pool.workers.iter_mut().for_each(|it| Arc::make_mut(&mut it.view).last_success = Some(at(5)));
        let first = scene.plan_by(&mut planner);
        probed.iter().for_each(|index| scene.hear(&News::Probed(*index), &first));
        let again = scene.plan_by(&mut planner);
        prop_assert!(Arc::ptr_eq(&first, &again));
    }
}
