//! Queue: owns the containers of interest, our lock id and the poll's clock.
//!
//! ```text
//!   timer ─► poll ─► page by page ─► merge ─► mounts of new containers, 50 at a time
//!   Lock, Unlock, Cancel, ReadOrphanRecord ─► calls, one chain a container
//!                 all calls: at most `Limiter` allows at a time; the rest waits in line here
//! ```
//! Never does: deciding what to lock or cancel; retrying. A failed call waits for the next poll.

mod calls;
mod poll;
mod report;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler, MessageResult, Recipient, SpawnHandle};
use dispatch_core::id::ContainerUuid;
use dispatch_core::limiter::Limiter;
use dispatch_core::policy::Policy;
use dispatch_core::ports::ArvadosApi;
use dispatch_core::queue::{self as core, OperationKind, QueueSnapshot, Refusal};
use dispatch_core::time::Timestamp;
use slog::Logger;

use crate::catalogue::Repeats;
use crate::clock;
use crate::messages::queue::{
    CancelContainer, ForgetContainer, GetQueue, LockContainer, QueueView, ReadOrphanRecord, UnlockContainer,
};
use crate::messages::scheduler::QueueChanged;
use crate::messages::{Ping, Quiesce};
use crate::metrics::Metrics;

/// A call that waits for its turn.
type Waiting = Box<dyn FnOnce(&mut Queue, &mut Context<Queue>)>;

/// The actor.
pub struct Queue {
    queue: core::Queue,
    policy: Arc<Policy>,
    api: Rc<dyn ArvadosApi>,
    scheduler: Recipient<QueueChanged>,
    metrics: Rc<Metrics>,
    log: Logger,
    limiter: Limiter,
    waiting: VecDeque<Waiting>,
    wake: Option<SpawnHandle>,
    last_overload: Option<Timestamp>,
    last_success: Option<Timestamp>,
    polling: bool,
    fetching_mounts: bool,
    /// Looks that came to nothing: not repeated before the next poll has ended.
    unanswered_looks: BTreeSet<ContainerUuid>,
    failing_since: Option<Timestamp>,
    /// The kinds of failure that were told since then.
    failing_kinds: BTreeSet<&'static str>,
    repeats: Repeats,
    /// Rebuilt when asked after a change.
    snapshot: Option<Arc<QueueSnapshot>>,
    quiescent: bool,
}

impl Queue {
    /// Polls as soon as it is started.
    pub fn new(
        policy: Arc<Policy>,
        api: Rc<dyn ArvadosApi>,
        scheduler: Recipient<QueueChanged>,
        metrics: Rc<Metrics>,
        log: Logger,
    ) -> Self {
        Self {
            queue: core::Queue::new(policy.max_dispatch_attempts),
            policy,
            api,
            scheduler,
            metrics,
            log,
            limiter: Limiter::default(),
            waiting: VecDeque::new(),
            wake: None,
            last_overload: None,
            last_success: None,
            polling: false,
            fetching_mounts: false,
            unanswered_looks: BTreeSet::new(),
            failing_since: None,
            failing_kinds: BTreeSet::new(),
            repeats: Repeats::default(),
            snapshot: None,
            quiescent: false,
        }
    }

    /// Something has changed: the old snapshot is worthless, and the scheduler should look again.
    fn changed(&mut self) {
        self.snapshot = None;
        // Lost only if the scheduler is gone, and then nobody plans any more.
        self.scheduler.do_send(QueueChanged);
    }

    fn begin(
        &mut self,
        uuid: ContainerUuid,
        kind: OperationKind,
        ctx: &mut Context<Self>,
    ) -> Result<(), Refusal> {
        if self.quiescent {
            return Err(Refusal::Busy);
        }
        let call = self.queue.begin(uuid, kind, clock::now())?;
        self.snapshot = None;
        self.perform(uuid, call, ctx);
        Ok(())
    }
}

impl Actor for Queue {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(crate::MAILBOX);
        self.poll(ctx);
    }
}

impl Handler<GetQueue> for Queue {
    type Result = MessageResult<GetQueue>;

    fn handle(&mut self, _: GetQueue, _: &mut Context<Self>) -> Self::Result {
        let queue = &self.queue;
        let snapshot = Arc::clone(self.snapshot.get_or_insert_with(|| Arc::new(queue.snapshot())));
        MessageResult(QueueView {
            snapshot,
            last_overload: self.last_overload,
            in_flight: self.limiter.in_flight() as usize + self.waiting.len(),
            last_success: self.last_success,
        })
    }
}

impl Handler<LockContainer> for Queue {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, message: LockContainer, ctx: &mut Context<Self>) -> Self::Result {
        self.begin(message.uuid, OperationKind::Lock, ctx)
    }
}

impl Handler<UnlockContainer> for Queue {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, message: UnlockContainer, ctx: &mut Context<Self>) -> Self::Result {
        self.begin(message.uuid, OperationKind::Unlock(message.reason), ctx)
    }
}

impl Handler<CancelContainer> for Queue {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, message: CancelContainer, ctx: &mut Context<Self>) -> Self::Result {
        let CancelContainer { uuid, reason, expected } = message;
        self.begin(uuid, OperationKind::Cancel { reason, expected }, ctx)
    }
}

impl Handler<ForgetContainer> for Queue {
    type Result = ();

    fn handle(&mut self, message: ForgetContainer, _: &mut Context<Self>) {
        let facts = self.queue.forget(message.uuid);
        self.report(facts);
        self.snapshot = None;
    }
}

impl Handler<ReadOrphanRecord> for Queue {
    type Result = ();

    fn handle(&mut self, message: ReadOrphanRecord, ctx: &mut Context<Self>) {
        let tried = self.unanswered_looks.contains(&message.uuid);
        if !self.quiescent && !tried && self.queue.begin_look(message.uuid) {
            self.look_up(message.uuid, ctx);
        }
    }
}

impl Handler<Quiesce> for Queue {
    type Result = ();

    fn handle(&mut self, _: Quiesce, _: &mut Context<Self>) {
        self.quiescent = true;
        self.waiting.clear();
    }
}

impl Handler<Ping> for Queue {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}
