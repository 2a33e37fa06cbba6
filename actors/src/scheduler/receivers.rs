//! Whom Scheduler asks, and who acts: a recipient for each message.

use std::future::Future;

use actix::{Actor, Addr, Context, Handler, MailboxError, Recipient};
use futures_util::future;

use crate::messages::pool::{
    CreateInstance, ForgetAttempts, ForgetProcess, GetPool, KeepInstances, KillContainer, NoteSpotNotice,
    PoolView, ShutdownInstance, StartContainer,
};
use crate::messages::queue::{
    CancelContainer, ForgetContainer, GetQueue, LockContainer, QueueView, ReadOrphanRecord, RequeueContainer,
    SetOpenings, UnlockContainer,
};

/// Whom Scheduler asks, and who acts.
#[derive(Clone)]
pub struct Receivers {
    /// The containers.
    pub queue: QueueReceivers,
    /// The workers.
    pub pool: PoolReceivers,
}

/// What Scheduler sends to Queue.
#[derive(Clone)]
pub struct QueueReceivers {
    /// The question for the containers.
    pub get: Recipient<GetQueue>,
    /// Queued → Locked.
    pub lock: Recipient<LockContainer>,
    /// Locked → Queued.
    pub unlock: Recipient<UnlockContainer>,
    /// Locked → Queued, or Cancelled, after a failed attempt.
    pub requeue: Recipient<RequeueContainer>,
    /// → Cancelled.
    pub cancel: Recipient<CancelContainer>,
    /// It is no longer of interest.
    pub forget: Recipient<ForgetContainer>,
    /// The record of a process without an entry.
    pub read_orphan: Recipient<ReadOrphanRecord>,
    /// How far polls must look.
    pub set_openings: Recipient<SetOpenings>,
}

/// What Scheduler sends to Pool.
#[derive(Clone)]
pub struct PoolReceivers {
    /// The question for the workers.
    pub get: Recipient<GetPool>,
    /// Order an instance.
    pub create: Recipient<CreateInstance>,
    /// End an instance.
    pub shut_down: Recipient<ShutdownInstance>,
    /// Start a container.
    pub start: Recipient<StartContainer>,
    /// End a container's processes.
    pub kill: Recipient<KillContainer>,
    /// An ended process has been dealt with.
    pub forget_process: Recipient<ForgetProcess>,
    /// The cloud has announced the end of an instance.
    pub note_spot_notice: Recipient<NoteSpotNotice>,
    /// A container has left the queue.
    pub forget_attempts: Recipient<ForgetAttempts>,
    /// Instances that are not idle although nothing runs there.
    pub keep: Recipient<KeepInstances>,
}

impl QueueReceivers {
    /// All of them are recipients of that actor.
    pub fn of<A>(queue: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>>
            + Handler<GetQueue>
            + Handler<LockContainer>
            + Handler<UnlockContainer>
            + Handler<RequeueContainer>
            + Handler<SetOpenings>
            + Handler<CancelContainer>
            + Handler<ForgetContainer>
            + Handler<ReadOrphanRecord>,
    {
        Self {
            get: queue.clone().recipient(),
            lock: queue.clone().recipient(),
            unlock: queue.clone().recipient(),
            requeue: queue.clone().recipient(),
            set_openings: queue.clone().recipient(),
            cancel: queue.clone().recipient(),
            forget: queue.clone().recipient(),
            read_orphan: queue.clone().recipient(),
        }
    }
}

impl PoolReceivers {
    /// All of them are recipients of that actor.
    pub fn of<A>(pool: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>>
            + Handler<GetPool>
            + Handler<CreateInstance>
            + Handler<ShutdownInstance>
            + Handler<StartContainer>
            + Handler<KillContainer>
            + Handler<ForgetProcess>
            + Handler<ForgetAttempts>
            + Handler<NoteSpotNotice>
            + Handler<KeepInstances>,
    {
        Self {
            get: pool.clone().recipient(),
            create: pool.clone().recipient(),
            shut_down: pool.clone().recipient(),
            start: pool.clone().recipient(),
            kill: pool.clone().recipient(),
            forget_process: pool.clone().recipient(),
            note_spot_notice: pool.clone().recipient(),
            forget_attempts: pool.clone().recipient(),
            keep: pool.clone().recipient(),
        }
    }
}

impl Receivers {
    /// Both snapshots, asked for at the same moment.
    pub(super) fn ask(&self) -> impl Future<Output = Result<(QueueView, PoolView), MailboxError>> + use<> {
        let (queue, pool) = (self.queue.get.send(GetQueue), self.pool.get.send(GetPool));
        async move { future::try_join(queue, pool).await }
    }
}
