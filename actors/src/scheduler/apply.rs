//! A plan's actions as messages. Each may be refused; the next round looks again.

use std::future::Future;
use std::sync::Arc;

use actix::{Addr, MailboxError};
use dispatch_core::plan::Action;
use futures_util::future::{self, FutureExt, LocalBoxFuture};

use super::Scheduler;
use crate::catalogue;
use crate::clock;
use crate::event;
use crate::pool::{self, Pool, PoolView};
use crate::queue::{self, Queue, QueueView};

/// Who is asked, and who acts.
#[derive(Clone)]
pub struct Receivers {
    /// The containers.
    pub queue: Addr<Queue>,
    /// The workers.
    pub pool: Addr<Pool>,
}

impl Receivers {
    /// Both snapshots, asked for at the same moment.
    pub(super) fn ask(&self) -> impl Future<Output = Result<(QueueView, PoolView), MailboxError>> + use<> {
        let (queue, pool) = (self.queue.send(queue::GetQueue), self.pool.send(pool::GetPool));
        async move { future::try_join(queue, pool).await }
    }
}

/// An action that was refused: which, and why.
pub(super) type Refused = (&'static str, &'static str);
type Answer = LocalBoxFuture<'static, Option<Refused>>;

impl Scheduler {
    /// Sends all actions of the last plan; the answer comes when every one of them is answered.
    pub(super) fn apply(&mut self) -> impl Future<Output = Vec<Refused>> + use<> {
        let plan = Arc::clone(&self.last.plan);
        let answers: Vec<_> = plan.actions.iter().map(|action| self.send(action)).collect();
        async move { future::join_all(answers).await.into_iter().flatten().collect() }
    }

    fn send(&mut self, action: &Action) -> Answer {
        match action.clone() {
            Action::Lock(uuid) => self.to_queue("lock", queue::LockContainer { uuid }),
            Action::Unlock(uuid, reason) => self.to_queue("unlock", queue::UnlockContainer { uuid, reason }),
            Action::Cancel(uuid, reason, expected) => {
                self.to_queue("cancel", queue::CancelContainer { uuid, reason, expected })
            }
            Action::Drop(uuid) => {
                let pool = self.receivers.pool.send(pool::ForgetContainer { uuid });
                let queue = self.receivers.queue.send(queue::ForgetContainer { uuid });
                future::join(pool, queue).map(|_| None).boxed_local()
            }
            Action::Look(uuid) => {
                self.receivers.queue.send(queue::LookUpContainer { uuid }).map(|_| None).boxed_local()
            }
            Action::Start(order, instance) => self.to_pool("start", pool::StartContainer { order, instance }),
            Action::Create(instance_type, container) => {
                let create = pool::CreateInstance { instance_type, container };
                let answer = self.receivers.pool.send(create);
                answer.map(|answer| refusal("create", answer, |it| it.as_str())).boxed_local()
            }
            Action::ShutDown(id, reason) => self.to_pool("shutdown", pool::ShutdownInstance { id, reason }),
            Action::Kill(uuid, reason) => self.to_pool("kill", pool::KillContainer { uuid, reason }),
            Action::Forget(uuid, outcome) => self.to_pool("forget", pool::ForgetProcess { uuid, outcome }),
        }
    }

    fn to_queue<M>(&self, name: &'static str, message: M) -> Answer
    where
        M: actix::Message<Result = Result<(), dispatch_core::queue::Refusal>> + Send + 'static,
        Queue: actix::Handler<M>,
    {
        self.receivers
            .queue
            .send(message)
            .map(move |answer| refusal(name, answer, |it| it.as_str()))
            .boxed_local()
    }

    fn to_pool<M>(&self, name: &'static str, message: M) -> Answer
    where
        M: actix::Message<Result = Result<(), dispatch_core::pool::Refusal>> + Send + 'static,
        Pool: actix::Handler<M>,
    {
        self.receivers
            .pool
            .send(message)
            .map(move |answer| refusal(name, answer, |it| it.as_str()))
            .boxed_local()
    }

    /// The same refusal every round is told once a minute.
    pub(super) fn report_refusals(&mut self, refusals: &[Refused]) {
        let now = clock::now();
        for (action, reason) in refusals {
            if let Some(n) = self.repeats.note(&catalogue::ACTION_REFUSED, &format!("{action} {reason}"), now)
            {
                event!(self.log, catalogue::ACTION_REFUSED, "Action" => *action, "Reason" => *reason, "Repeated" => n);
            }
        }
    }
}

fn refusal<E>(
    action: &'static str,
    answer: Result<Result<(), E>, MailboxError>,
    why: impl Fn(E) -> &'static str,
) -> Option<Refused> {
    match answer {
        Ok(Ok(())) => None,
        Ok(Err(refusal)) => Some((action, why(refusal))),
        Err(_) => Some((action, "its receiver is gone")),
    }
}
