//! Pool: owns the worker table, creates in flight, holds and ended processes.
//!
//! ```text
//!   Scheduler, API ─► Create, Start, Kill, Shutdown, hold ─► core::pool ─► Cloud, Workers
//!   Cloud ─► Appeared, Changed, Gone, ListingFinished ──────►    │
//!   Worker ─► WorkerChanged ────────────────────────────────►    └─► PoolChanged ─► Scheduler, NoteMarketLosses ─► Queue
//! ```
//! The only sender of commands to workers. Never does: choosing what to create or start.

mod cordon;
mod perform;
mod report;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MessageResult, Recipient, ResponseFuture,
    SpawnHandle, WrapFuture,
};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::Offering;
use dispatch_core::policy::Policy;
use dispatch_core::pool::{self as core, CreateRefusal, PoolEffect, PoolRefusal, PoolSnapshot, Reach};
use dispatch_core::ports::Pulse;
use dispatch_core::secret::Secret;
use dispatch_core::time::{Timestamp, since};
use dispatch_core::worker::runner::Commands;
use futures_util::future::join_all;
use rand::Rng;
use slog::Logger;

pub use cordon::{KeepCordons, KeepsNothing};

use crate::catalogue::Repeats;
use crate::clock;
use crate::messages::cloud::{OrderInstance, SyncBy};
use crate::messages::pool::{
    CreateInstance, ForgetAttempts, ForgetProcess, GetPool, GetStatement, GetWorkers, InstanceAppeared,
    InstanceChanged, InstanceGone, KeepInstances, KillContainer, ListingFinished, NoteSpotNotice,
    OwnSideChanged, PoolView, ReleaseFences, RunnerChanged, SetIdleBehavior, ShutdownInstance,
    StartContainer, StartRefused, WorkerChanged,
};
use crate::messages::queue::NoteMarketLosses;
use crate::messages::scheduler::PoolChanged;
use crate::messages::worker::{ReleaseFence, SpawnWorker, WorkerHandles};
use crate::messages::{ActorState, GetState, Ping, UsePolicy};
use crate::metrics::Metrics;

/// Whom Pool asks and tells, and how it gets its workers.
pub struct PoolParts {
    /// The site's wishes.
    pub policy: Arc<Policy>,
    /// The driver's quota groups.
    pub quota_groups: BTreeMap<Offering, String>,
    /// Orders.
    pub create: Recipient<OrderInstance>,
    /// Listings out of turn.
    pub sync_by: Recipient<SyncBy>,
    /// Nudges.
    pub scheduler: Recipient<PoolChanged>,
    /// What the spot market has taken.
    pub losses: Recipient<NoteMarketLosses>,
    /// Starts the workers.
    pub spawn: SpawnWorker,
    /// The runner's commands, until another is announced.
    pub commands: Arc<Commands>,
    /// Gives a sign of life of this thread.
    pub pulse: fn() -> Pulse,
    /// Secrets of new instances come from here.
    pub random: Box<dyn Rng>,
    /// Where what operators have forbidden is kept.
    pub cordons: Rc<dyn KeepCordons>,
    /// Counters.
    pub metrics: Rc<Metrics>,
    /// Which faults were logged lately, those of the workers too: Pool tells what was left out.
    pub repeats: Rc<RefCell<Repeats>>,
    /// The log.
    pub log: Logger,
}

/// The actor.
pub struct Pool {
    pool: core::WorkerPool,
    parts: PoolParts,
    workers: BTreeMap<InstanceId, WorkerHandles>,
    timer: Option<(Timestamp, SpawnHandle)>,
    /// Rebuilt when asked after a change.
    snapshot: Option<Arc<PoolSnapshot>>,
    /// Which workers are out of reach, and why.
    reach: Reach,
}

impl Pool {
    /// An empty pool.
    pub fn new(parts: PoolParts) -> Self {
        let mut pool = core::WorkerPool::new(Arc::clone(&parts.policy), parts.quota_groups.clone());
        pool.restore_cordons(parts.cordons.load(), clock::now());
        pool.ledger_mut().begin(clock::now());
        Self { pool, parts, workers: BTreeMap::new(), timer: None, snapshot: None, reach: Reach::default() }
    }

    /// Carries the effects out, and lets the scheduler look again.
    fn settle(&mut self, effects: Vec<PoolEffect>, ctx: &mut Context<Self>) {
        self.carry_out(effects, ctx);
        self.nudge();
    }

    /// Nudges the scheduler only if a plan reads something else now: a probe that found nothing new is most of what
    /// a large pool has to tell.
    fn settle_news(&mut self, effects: Vec<PoolEffect>, ctx: &mut Context<Self>) {
        let is_news = effects.contains(&PoolEffect::FleetChanged);
        self.carry_out(effects, ctx);
        if is_news {
            self.nudge();
        }
    }

    fn carry_out(&mut self, effects: Vec<PoolEffect>, ctx: &mut Context<Self>) {
        self.perform(effects, ctx);
        self.renew_timer(ctx);
        self.snapshot = None;
    }

    fn nudge(&self) {
        // Lost only if the scheduler is gone, and then nobody plans any more.
        self.parts.scheduler.do_send(PoolChanged);
    }

    /// Gives a sign of life. It comes before every decision about silence, so that none is made in ignorance of a pause.
    fn live(&mut self, ctx: &mut Context<Self>) {
        let effects = self.pool.lives((self.parts.pulse)(), clock::now());
        if !effects.is_empty() {
            self.settle(effects, ctx);
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let _working = self.parts.metrics.working("pool", "tick");
        self.timer = None;
        self.live(ctx);
        let now = clock::now();
        let cordons = Arc::clone(self.pool.cordons());
        let effects = self.pool.tick(now);
        if !Arc::ptr_eq(&cordons, self.pool.cordons()) {
            // A pause has ended. That it is not kept has been told when it began.
            let _ = self.parts.cordons.keep(self.pool.cordons());
        }
        self.settle_news(effects, ctx);
    }

    fn renew_timer(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let Some(at) = self.pool.wakes_at(now) else { return };
        if self.timer.as_ref().is_some_and(|(set, _)| *set <= at.max(now)) {
            return;
        }
        // A timer of no time takes a millisecond or two: the place of a job that has ended does not wait for that.
        let handle = match at <= now {
            true => ctx.spawn(std::future::ready(()).into_actor(self).map(|(), act, ctx| act.tick(ctx))),
            false => ctx.run_later(since(at, now), Self::tick),
        };
        if let Some((_, old)) = self.timer.replace((at, handle)) {
            ctx.cancel_future(old);
        }
    }

    fn new_secret(&mut self) -> Secret {
        let mut bytes = [0_u8; 20];
        self.parts.random.fill_bytes(&mut bytes);
        Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// Settles the effects of a request that was not refused.
    fn answer<E>(&mut self, effects: Result<Vec<PoolEffect>, E>, ctx: &mut Context<Self>) -> Result<(), E> {
        effects.map(|effects| self.settle(effects, ctx))
    }
}

impl Actor for Pool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(crate::MAILBOX);
        ctx.run_interval(core::PULSE, |act, ctx| {
            act.live(ctx);
            act.report_unreached();
            act.report_left_out();
        });
    }
}

impl Handler<GetPool> for Pool {
    type Result = MessageResult<GetPool>;

    fn handle(&mut self, _: GetPool, _: &mut Context<Self>) -> Self::Result {
        let _working = self.parts.metrics.working("pool", "snapshot");
        let (pool, now) = (&self.pool, clock::now());
        let snapshot = Arc::clone(self.snapshot.get_or_insert_with(|| Arc::new(pool.snapshot())));
        let in_flight = snapshot.in_flight();
        let spent = Arc::new(self.pool.ledger().sums(now));
        MessageResult(PoolView { snapshot, probe_ages: self.pool.probe_ages(now), in_flight, spent })
    }
}

impl Handler<GetStatement> for Pool {
    type Result = MessageResult<GetStatement>;

    fn handle(&mut self, _: GetStatement, _: &mut Context<Self>) -> Self::Result {
        let _working = self.parts.metrics.working("pool", "statement");
        MessageResult(self.pool.ledger_mut().statement(clock::now()))
    }
}

impl Handler<CreateInstance> for Pool {
    type Result = Result<(), CreateRefusal>;

    fn handle(&mut self, message: CreateInstance, ctx: &mut Context<Self>) -> Self::Result {
        let secret = self.new_secret();
        let created = self.pool.create(message.instance_type, message.container, secret, clock::now());
        self.answer(created, ctx)
    }
}

impl Handler<StartContainer> for Pool {
    type Result = Result<(), PoolRefusal>;

    fn handle(&mut self, message: StartContainer, ctx: &mut Context<Self>) -> Self::Result {
        let started = self.pool.start(message.order, &message.instance);
        self.answer(started, ctx)
    }
}

impl Handler<KillContainer> for Pool {
    type Result = Result<(), PoolRefusal>;

    fn handle(&mut self, message: KillContainer, ctx: &mut Context<Self>) -> Self::Result {
        let killed = self.pool.kill(message.uuid, &message.reason);
        self.answer(killed, ctx)
    }
}

impl Handler<ForgetProcess> for Pool {
    type Result = Result<(), PoolRefusal>;

    fn handle(&mut self, message: ForgetProcess, ctx: &mut Context<Self>) -> Self::Result {
        let forgotten = self.pool.forget(message.uuid, message.outcome);
        self.answer(forgotten, ctx)
    }
}

impl Handler<ForgetAttempts> for Pool {
    type Result = ();

    fn handle(&mut self, message: ForgetAttempts, _: &mut Context<Self>) {
        self.pool.forget_container(message.uuid);
        self.snapshot = None;
    }
}

impl Handler<NoteSpotNotice> for Pool {
    type Result = ();

    fn handle(&mut self, message: NoteSpotNotice, ctx: &mut Context<Self>) {
        let effects = self.pool.note_spot_notice(message.uuid, &message.notice);
        self.perform(effects, ctx);
    }
}

impl Handler<KeepInstances> for Pool {
    type Result = ();

    fn handle(&mut self, message: KeepInstances, ctx: &mut Context<Self>) {
        let effects = self.pool.keep(message.reserved, message.spares);
        self.perform(effects, ctx);
    }
}

impl Handler<SetIdleBehavior> for Pool {
    type Result = Result<(), PoolRefusal>;

    fn handle(&mut self, message: SetIdleBehavior, ctx: &mut Context<Self>) -> Self::Result {
        let set = self.pool.set_behavior(&message.id, message.wish);
        self.answer(set, ctx)
    }
}

impl Handler<ShutdownInstance> for Pool {
    type Result = Result<(), PoolRefusal>;

    fn handle(&mut self, message: ShutdownInstance, ctx: &mut Context<Self>) -> Self::Result {
        let shut_down = self.pool.shut_down(&message.id, message.reason);
        self.answer(shut_down, ctx)
    }
}

impl Handler<RunnerChanged> for Pool {
    type Result = ();

    fn handle(&mut self, message: RunnerChanged, ctx: &mut Context<Self>) {
        self.pool.set_runner_readable(message.commands.is_some());
        if let Some(commands) = message.commands {
            self.use_runner(&commands);
        }
        self.settle(Vec::new(), ctx);
    }
}

impl Handler<UsePolicy> for Pool {
    type Result = ();

    fn handle(&mut self, message: UsePolicy, ctx: &mut Context<Self>) {
        let _working = self.parts.metrics.working("pool", "use_policy");
        self.parts.policy = Arc::clone(&message.policy);
        let effects = self.pool.use_policy(message.policy, message.quota_groups, clock::now());
        self.settle(effects, ctx);
    }
}

impl Handler<OwnSideChanged> for Pool {
    type Result = ();

    fn handle(&mut self, message: OwnSideChanged, ctx: &mut Context<Self>) {
        self.pool.set_own_side_fails(message.fails, clock::now());
        self.settle(Vec::new(), ctx);
    }
}

impl Handler<InstanceAppeared> for Pool {
    type Result = ();

    fn handle(&mut self, message: InstanceAppeared, ctx: &mut Context<Self>) {
        let _working = self.parts.metrics.working("pool", "instance_appeared");
        let effects = self.pool.appeared(message.instance, clock::now());
        self.settle(effects, ctx);
    }
}

impl Handler<InstanceChanged> for Pool {
    type Result = ();

    fn handle(&mut self, message: InstanceChanged, ctx: &mut Context<Self>) {
        let effects = self.pool.changed(message.instance, clock::now());
        self.settle(effects, ctx);
    }
}

impl Handler<InstanceGone> for Pool {
    type Result = MessageResult<InstanceGone>;

    fn handle(&mut self, message: InstanceGone, ctx: &mut Context<Self>) -> Self::Result {
        let _working = self.parts.metrics.working("pool", "instance_gone");
        let (reply, effects) =
            self.pool.gone(&message.id, message.reason.as_deref(), message.began, clock::now());
        self.settle(effects, ctx);
        MessageResult(reply)
    }
}

impl Handler<ListingFinished> for Pool {
    type Result = ();

    fn handle(&mut self, message: ListingFinished, ctx: &mut Context<Self>) {
        let _working = self.parts.metrics.working("pool", "listing");
        let effects = self.pool.listing_finished(message.began);
        self.settle(effects, ctx);
    }
}

impl Handler<WorkerChanged> for Pool {
    type Result = ();

    fn handle(&mut self, message: WorkerChanged, ctx: &mut Context<Self>) {
        let _working = self.parts.metrics.working("pool", "worker_changed");
        self.live(ctx);
        let WorkerChanged { view, applied, ended, boot, unanswered } = message;
        self.reach.note(&view, unanswered.as_ref(), clock::now());
        let mut effects = self.note_boot(&view, boot);
        effects.extend(self.pool.worker_changed(view, applied, &ended, clock::now()));
        self.settle_news(effects, ctx);
    }
}

impl Handler<StartRefused> for Pool {
    type Result = ();

    fn handle(&mut self, message: StartRefused, ctx: &mut Context<Self>) {
        self.pool.start_refused(message.uuid, &message.instance, message.number);
        self.settle(Vec::new(), ctx);
    }
}

impl Handler<GetState> for Pool {
    type Result = MessageResult<GetState>;

    fn handle(&mut self, _: GetState, _: &mut Context<Self>) -> Self::Result {
        MessageResult(ActorState::of(self.pool.inspect(clock::now())))
    }
}

impl Handler<GetWorkers> for Pool {
    type Result = MessageResult<GetWorkers>;

    fn handle(&mut self, _: GetWorkers, _: &mut Context<Self>) -> Self::Result {
        let recipients = self.workers.iter().map(|(id, worker)| (id.clone(), worker.state.clone()));
        MessageResult(recipients.collect())
    }
}

impl Handler<ReleaseFences> for Pool {
    type Result = ResponseFuture<usize>;

    /// All at once: one command for each VM, over connections that stand.
    fn handle(&mut self, _: ReleaseFences, _: &mut Context<Self>) -> Self::Result {
        let asked: Vec<_> = self.workers.values().map(|worker| worker.release.send(ReleaseFence)).collect();
        Box::pin(async move {
            // A worker that has ended has no VM any more.
            let answers = join_all(asked).await;
            answers.into_iter().filter(|released| matches!(released, Ok(false))).count()
        })
    }
}

impl Handler<Ping> for Pool {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}
