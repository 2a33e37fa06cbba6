//! The five actors, wired: the only place that knows them all.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Recipient};
use dispatch_core::instance::{InstanceType, Offering};
use dispatch_core::policy::Policy;
use dispatch_core::ports::{ArvadosApi, CloudDriver, EventFeed, ExecutorFactory, HostKeyVerifier, Pulse};
use dispatch_core::worker::fence::{Epoch, Fence};
use dispatch_core::worker::runner::Commands;
use futures_util::future;
use rand::Rng;
use serde_json::{Value, json};
use slog::{Logger, o};
use tokio::time::Instant;

use crate::clock;
use crate::cloud::{Cloud, CloudListeners, CreateDefaults, DriverVerifier};
use crate::long_work::LongWork;
use crate::messages::pool::{GetPool, GetWorkers, ReleaseFences};
use crate::messages::queue::GetQueue;
use crate::messages::scheduler::TellRound;
use crate::messages::worker::SpawnWorker;
use crate::messages::{ActorState, GetState, Ping, Quiesce, UsePolicy};
use crate::metrics::Metrics;
use crate::pool::{KeepCordons, Pool, PoolParts};
use crate::queue::Queue;
use crate::scheduler::{PoolReceivers, QueueReceivers, Receivers, Scheduler};
use crate::worker::{StartConfig, Worker, WorkerParts};

/// Makes executors, once it is known whom they ask about host keys.
pub type MakeExecutors = Box<dyn FnOnce(Rc<dyn HostKeyVerifier>) -> Rc<dyn ExecutorFactory>>;

/// What the actors are made of.
pub struct Parts {
    /// The site's wishes.
    pub policy: Arc<Policy>,
    /// The controller.
    pub api: Rc<dyn ArvadosApi>,
    /// The controller's event feed, if the site has one.
    pub feed: Option<Rc<dyn EventFeed>>,
    /// The cloud.
    pub driver: Rc<dyn CloudDriver>,
    /// Shells on VMs.
    pub executors: MakeExecutors,
    /// What every create has in common.
    pub create_defaults: CreateDefaults,
    /// When we took charge: by the clock of the database that has granted us the dispatcher lock, or else our own.
    pub epoch: Epoch,
    /// The runner's commands.
    pub commands: Arc<Commands>,
    /// The stdin of start commands.
    pub start_config: Rc<dyn StartConfig>,
    /// Gives a sign of life of this thread ([`clock::pulse`] where time is not real).
    pub pulse: fn() -> Pulse,
    /// Where long work is done ([`LongWork::Here`] where time is not real).
    pub long_work: LongWork,
    /// Secrets of new instances come from here.
    pub random: Box<dyn Rng>,
    /// Who is told of rounds, if anybody wants to know.
    pub rounds: Option<TellRound>,
    /// Where what operators have forbidden is kept for the next start.
    pub cordons: Rc<dyn KeepCordons>,
    /// Counters.
    pub metrics: Rc<Metrics>,
    /// The log.
    pub log: Logger,
}

/// The running actors. `Clone` and `Send`: HTTP threads ask through it.
#[derive(Clone)]
pub struct Handles {
    /// The containers.
    pub queue: Addr<Queue>,
    /// The workers.
    pub pool: Addr<Pool>,
    /// The plan.
    pub scheduler: Addr<Scheduler>,
    /// The cloud.
    pub cloud: Addr<Cloud>,
}

/// Starts all of them on the present arbiter.
pub fn start(mut parts: Parts) -> Handles {
    let (queue, pool) = (Context::<Queue>::new(), Context::<Pool>::new());
    let (scheduler, cloud) = (Context::<Scheduler>::new(), Context::<Cloud>::new());
    let handles = Handles {
        queue: queue.address(),
        pool: pool.address(),
        scheduler: scheduler.address(),
        cloud: cloud.address(),
    };
    cloud.run(new_cloud(&parts, &handles));
    queue.run(new_queue(&parts, &handles));
    scheduler.run(new_scheduler(&mut parts, &handles));
    pool.run(new_pool(parts, &handles));
    handles
}

fn new_cloud(parts: &Parts, handles: &Handles) -> Cloud {
    let listeners = CloudListeners {
        appeared: handles.pool.clone().recipient(),
        changed: handles.pool.clone().recipient(),
        gone: handles.pool.clone().recipient(),
        finished: handles.pool.clone().recipient(),
    };
    let telemetry = (Rc::clone(&parts.metrics), parts.log.new(o!()));
    let defaults = parts.create_defaults.clone();
    Cloud::new(Arc::clone(&parts.policy), Rc::clone(&parts.driver), defaults, listeners, telemetry)
}

fn new_queue(parts: &Parts, handles: &Handles) -> Queue {
    Queue::new(
        Arc::clone(&parts.policy),
        (Rc::clone(&parts.api), parts.feed.clone()),
        handles.scheduler.clone().recipient(),
        Rc::clone(&parts.metrics),
        parts.log.new(o!()),
    )
}

fn new_scheduler(parts: &mut Parts, handles: &Handles) -> Scheduler {
    let pings = vec![
        ("queue", handles.queue.clone().recipient()),
        ("pool", handles.pool.clone().recipient()),
        ("scheduler", handles.scheduler.clone().recipient()),
        ("cloud", handles.cloud.clone().recipient()),
    ];
    let receivers =
        Receivers { queue: QueueReceivers::of(&handles.queue), pool: PoolReceivers::of(&handles.pool) };
    let telemetry = (Rc::clone(&parts.metrics), parts.log.new(o!()));
    let rounds = parts.rounds.take();
    let scheduler = Scheduler::new(Arc::clone(&parts.policy), receivers, pings, parts.long_work, telemetry);
    scheduler.telling(rounds)
}

fn new_pool(parts: Parts, handles: &Handles) -> Pool {
    let verifier = Rc::new(DriverVerifier(handles.cloud.clone().recipient()));
    let set = &parts.policy.instance_set_id;
    let fence = Fence::new(&parts.driver.fence_directory(), set, parts.epoch);
    let repeats = Rc::default();
    let worker = WorkerParts {
        repeats: Rc::clone(&repeats),
        executors: (parts.executors)(verifier),
        start_config: parts.start_config,
        remote_user: parts.driver.remote_user().to_owned(),
        secret_path: parts.driver.secret_path(),
        fence: Arc::new(fence),
        destroy: handles.cloud.clone().recipient(),
        set_tags: handles.cloud.clone().recipient(),
        metrics: Rc::clone(&parts.metrics),
        log: parts.log.new(o!()),
    };
    Pool::new(PoolParts {
        pulse: parts.pulse,
        repeats,
        quota_groups: quota_groups(&*parts.driver, parts.policy.catalog.types()),
        policy: parts.policy,
        create: handles.cloud.clone().recipient(),
        sync_by: handles.cloud.clone().recipient(),
        scheduler: handles.scheduler.clone().recipient(),
        losses: handles.queue.clone().recipient(),
        spawn: spawn_workers(worker),
        commands: parts.commands,
        random: parts.random,
        cordons: parts.cordons,
        metrics: parts.metrics,
        log: parts.log.new(o!()),
    })
}

/// How Pool starts workers without knowing what they are made of.
pub(crate) fn spawn_workers(parts: WorkerParts) -> SpawnWorker {
    Box::new(move |new| Worker::handles(&Worker::new(new, parts.clone()).start()))
}

fn quota_groups(driver: &dyn CloudDriver, types: &[Arc<InstanceType>]) -> BTreeMap<Offering, String> {
    types.iter().map(|it| (it.offering(), driver.quota_group(&it.provider_type))).collect()
}

impl Handles {
    /// From now on that configuration holds. Queue comes first: what it wants of types that there are no more is the
    /// rarest thing to be planned.
    pub fn use_policy(&self, policy: &Arc<Policy>, driver: &dyn CloudDriver) {
        let quota_groups = quota_groups(driver, policy.catalog.types());
        let message = UsePolicy { policy: Arc::clone(policy), quota_groups };
        // Lost only if an actor is gone, and then the process is ending.
        self.queue.do_send(message.clone());
        self.pool.do_send(message.clone());
        self.cloud.do_send(message.clone());
        self.scheduler.do_send(message);
    }

    /// Which actors do not answer within that time.
    pub async fn silent(&self, within: Duration) -> Vec<&'static str> {
        let (queue, pool, scheduler, cloud) = tokio::join!(
            self.queue.send(Ping).timeout(within),
            self.pool.send(Ping).timeout(within),
            self.scheduler.send(Ping).timeout(within),
            self.cloud.send(Ping).timeout(within),
        );
        let answers = [("queue", queue), ("pool", pool), ("scheduler", scheduler), ("cloud", cloud)];
        answers.into_iter().filter(|(_, answer)| answer.is_err()).map(|(name, _)| name).collect()
    }

    /// Stops planning and lets calls in flight end, for that long at most. VMs and containers go on.
    pub async fn quiesce(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let _ = self.scheduler.send(Quiesce).await;
        let _ = self.queue.send(Quiesce).await;
        while Instant::now() < deadline && self.in_flight().await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Lets the fences of all VMs say that we have stopped, so that whoever comes next knows that a program without fences
    /// may have come before. Returns on how many that is known to have failed; `None`: not all have answered in time.
    pub async fn release_fences(&self, within: Duration) -> Option<usize> {
        self.pool.send(ReleaseFences).timeout(within).await.ok()
    }

    /// What all actors hold, and what is in flight since when, as JSON without secrets. One that does not answer
    /// within that time shows it.
    pub async fn debug_state(&self, within: Duration) -> Value {
        let (queue, pool, workers, scheduler, cloud) = tokio::join!(
            state_of(self.queue.clone().recipient(), within),
            state_of(self.pool.clone().recipient(), within),
            self.states_of_workers(within),
            state_of(self.scheduler.clone().recipient(), within),
            state_of(self.cloud.clone().recipient(), within),
        );
        json!({
            // All other dates are of the clock that has this one. It does not follow corrections of the wall clock.
            "at": clock::now(),
            "wall_time": clock::wall_time(),
            "queue": queue,
            "pool": pool,
            "workers": workers,
            "scheduler": scheduler,
            "cloud": cloud,
        })
    }

    async fn states_of_workers(&self, within: Duration) -> Value {
        let Ok(workers) = self.pool.send(GetWorkers).timeout(within).await else { return no_answer() };
        let states = workers
            .into_iter()
            .map(|(id, worker)| async move { (id.to_string(), state_of(worker, within).await) });
        future::join_all(states).await.into_iter().collect()
    }

    async fn in_flight(&self) -> usize {
        let queue = self.queue.send(GetQueue).await.map_or(0, |view| view.in_flight);
        let pool = self.pool.send(GetPool).await.map_or(0, |view| view.in_flight);
        queue + pool
    }
}

async fn state_of(actor: Recipient<GetState>, within: Duration) -> Value {
    actor.send(GetState).timeout(within).await.map_or_else(|_| no_answer(), ActorState::into_json)
}

fn no_answer() -> Value {
    json!({ "error": "does not answer" })
}

#[cfg(test)]
mod tests;
