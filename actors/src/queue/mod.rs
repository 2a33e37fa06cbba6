//! Queue: owns the exchange with the controller, and so the containers of interest.
//!
//! ```text
//!   Scheduler ─► Lock, Unlock, Requeue, Cancel, Forget, …  ──────┐
//!   Pool ─► what the spot market has taken ──────────────────────┤
//!   hints of the event feed ─────────────────────────────────────┤
//!   timers, answers of calls ────────────────────────────────────┤
//!                                                                ▼
//!                        core::queue::Exchange ─► effects ─► perform ─► ArvadosApi, timers
//!                                                                └──► QueueChanged ─► Scheduler
//! ```
//! Never does: deciding what to lock or cancel; retrying. A failed call waits for the next poll.

mod calls;
mod feed;
mod report;

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, ActorResponse, AsyncContext as _, Context, Handler, MessageResult, Recipient,
    ResponseActFuture, SpawnHandle, WrapFuture,
};
use dispatch_core::container::Record;
use dispatch_core::id::ContainerUuid;
use dispatch_core::policy::Policy;
use dispatch_core::ports::{ApiError, ArvadosApi, EventFeed, FeedCounts};
use dispatch_core::queue::exchange::{Exchange, SnapshotAnswer};
use dispatch_core::queue::{OperationKind, QueueRefusal, QueueSnapshot};
use slog::Logger;
use tokio::sync::oneshot;

use crate::catalogue::Repeats;
use crate::clock;
use crate::messages::queue::{
    CancelContainer, ForgetContainer, GetQueue, LockContainer, LookUpContainer, NoteMarketLosses, QueueView,
    ReadOrphanRecord, RequeueContainer, SetOpenings, UnlockContainer,
};
use crate::messages::scheduler::QueueChanged;
use crate::messages::{ActorState, GetState, Ping, Quiesce, UsePolicy};
use crate::metrics::Metrics;

/// How often it is looked whether faults were left out of the log and never counted there.
const LEFT_OUT_TOLD: Duration = Duration::from_secs(30);

/// The actor.
pub struct Queue {
    exchange: Exchange,
    api: Rc<dyn ArvadosApi>,
    scheduler: Recipient<QueueChanged>,
    metrics: Rc<Metrics>,
    log: Logger,
    /// The timer of [`dispatch_core::queue::exchange::ExchangeEffect::ResumeIn`].
    resume: Option<SpawnHandle>,
    next_poll: Option<SpawnHandle>,
    /// The timer of [`dispatch_core::queue::exchange::ExchangeEffect::HintsIn`].
    next_hints: Option<SpawnHandle>,
    /// Who waits for the snapshot of that number.
    asked: Vec<(u64, oneshot::Sender<Arc<QueueSnapshot>>)>,
    feed: Option<Rc<dyn EventFeed>>,
    /// What the feed had delivered when it was last counted.
    counted: FeedCounts,
    repeats: Repeats,
}

impl Queue {
    /// Polls as soon as it is started, and listens to the event feed, if there is one.
    pub fn new(
        policy: Arc<Policy>,
        (api, feed): (Rc<dyn ArvadosApi>, Option<Rc<dyn EventFeed>>),
        scheduler: Recipient<QueueChanged>,
        metrics: Rc<Metrics>,
        log: Logger,
    ) -> Self {
        Self {
            exchange: Exchange::new(policy),
            api,
            scheduler,
            metrics,
            log,
            resume: None,
            next_poll: None,
            next_hints: None,
            asked: Vec::new(),
            feed,
            counted: FeedCounts::default(),
            repeats: Repeats::default(),
        }
    }

    fn view(&self, snapshot: Arc<QueueSnapshot>) -> QueueView {
        QueueView {
            snapshot,
            last_overload: self.exchange.last_overload(),
            in_flight: self.exchange.unfinished_calls(),
            last_success: self.exchange.last_success(),
            feed: self.feed.is_some().then(|| self.exchange.feed()),
        }
    }

    fn begin(
        &mut self,
        uuid: ContainerUuid,
        kind: OperationKind,
        ctx: &mut Context<Self>,
    ) -> Result<(), QueueRefusal> {
        let effects = self.exchange.begin(uuid, kind, clock::now())?;
        self.perform(effects, ctx);
        Ok(())
    }
}

impl Actor for Queue {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(crate::MAILBOX);
        self.poll_is_due(ctx);
        self.listen(ctx);
        ctx.run_interval(LEFT_OUT_TOLD, |act, _| act.report_left_out());
    }
}

impl Handler<LookUpContainer> for Queue {
    type Result = ResponseActFuture<Self, Result<Record, ApiError>>;

    fn handle(&mut self, message: LookUpContainer, _: &mut Context<Self>) -> Self::Result {
        self.look_up(message.0)
    }
}

impl Handler<UsePolicy> for Queue {
    type Result = ();

    fn handle(&mut self, message: UsePolicy, ctx: &mut Context<Self>) {
        let _working = self.metrics.working("queue", "use_policy");
        let effects = self.exchange.use_policy(message.policy, clock::now());
        self.perform(effects, ctx);
    }
}

impl Handler<GetQueue> for Queue {
    type Result = ActorResponse<Self, QueueView>;

    /// The snapshot of a large queue is made piece by piece, for all who ask meanwhile.
    fn handle(&mut self, _: GetQueue, ctx: &mut Context<Self>) -> Self::Result {
        let _working = self.metrics.working("queue", "snapshot");
        match self.exchange.ask_snapshot() {
            SnapshotAnswer::Ready(snapshot) => ActorResponse::reply(self.view(snapshot)),
            SnapshotAnswer::Later(number, effects) => {
                let (tell, told) = oneshot::channel();
                self.asked.push((number, tell));
                self.perform(effects, ctx);
                // Nobody tells only if this actor is gone, and then this is not polled any more.
                let told = async move {
                    match told.await {
                        Ok(snapshot) => snapshot,
                        Err(_) => std::future::pending().await,
                    }
                };
                ActorResponse::r#async(told.into_actor(self).map(|snapshot, act, _| act.view(snapshot)))
            }
        }
    }
}

impl Handler<LockContainer> for Queue {
    type Result = Result<(), QueueRefusal>;

    fn handle(&mut self, message: LockContainer, ctx: &mut Context<Self>) -> Self::Result {
        self.begin(message.uuid, OperationKind::Lock, ctx)
    }
}

impl Handler<UnlockContainer> for Queue {
    type Result = Result<(), QueueRefusal>;

    fn handle(&mut self, message: UnlockContainer, ctx: &mut Context<Self>) -> Self::Result {
        self.begin(message.uuid, OperationKind::Unlock(message.reason), ctx)
    }
}

impl Handler<RequeueContainer> for Queue {
    type Result = Result<(), QueueRefusal>;

    fn handle(&mut self, message: RequeueContainer, ctx: &mut Context<Self>) -> Self::Result {
        self.begin(message.uuid, OperationKind::Requeue { error: message.error }, ctx)
    }
}

impl Handler<SetOpenings> for Queue {
    type Result = ();

    fn handle(&mut self, message: SetOpenings, ctx: &mut Context<Self>) {
        let effects = self.exchange.set_openings(message.0, clock::now());
        self.perform(effects, ctx);
    }
}

impl Handler<CancelContainer> for Queue {
    type Result = Result<(), QueueRefusal>;

    fn handle(&mut self, message: CancelContainer, ctx: &mut Context<Self>) -> Self::Result {
        let CancelContainer { uuid, reason, expected } = message;
        self.begin(uuid, OperationKind::Cancel { reason, expected }, ctx)
    }
}

impl Handler<NoteMarketLosses> for Queue {
    type Result = ();

    fn handle(&mut self, message: NoteMarketLosses, ctx: &mut Context<Self>) {
        let effects = self.exchange.lost_to_market(&message.containers, clock::now());
        self.perform(effects, ctx);
    }
}

impl Handler<ForgetContainer> for Queue {
    type Result = ();

    fn handle(&mut self, message: ForgetContainer, ctx: &mut Context<Self>) {
        let effects = self.exchange.forget(message.uuid);
        self.perform(effects, ctx);
    }
}

impl Handler<ReadOrphanRecord> for Queue {
    type Result = ();

    fn handle(&mut self, message: ReadOrphanRecord, ctx: &mut Context<Self>) {
        let effects = self.exchange.read_orphan(message.uuid, clock::now());
        self.perform(effects, ctx);
    }
}

impl Handler<Quiesce> for Queue {
    type Result = ();

    fn handle(&mut self, _: Quiesce, _: &mut Context<Self>) {
        self.exchange.quiesce();
    }
}

impl Handler<GetState> for Queue {
    type Result = MessageResult<GetState>;

    fn handle(&mut self, _: GetState, _: &mut Context<Self>) -> Self::Result {
        MessageResult(ActorState::of(self.exchange.inspect(clock::now())))
    }
}

impl Handler<Ping> for Queue {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}
