//! A plan's actions as messages. Each may be refused; the next round looks again.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use actix::{MailboxError, Recipient};
use dispatch_core::plan::{Action, Plan, PoolAction, QueueAction};
use futures_util::future::{self, FutureExt, LocalBoxFuture};

use super::{Receivers, Scheduler};
use crate::catalogue;
use crate::clock;
use crate::event;
use crate::messages::pool::{
    CreateInstance, ForgetAttempts, ForgetProcess, KeepInstances, KillContainer, NoteSpotNotice,
    ShutdownInstance, StartContainer,
};
use crate::messages::queue::{
    CancelContainer, ForgetContainer, LockContainer, ReadOrphanRecord, RequeueContainer, SetOpenings,
    UnlockContainer,
};

/// An action that was refused: which, and why.
pub(super) type Refused = (&'static str, &'static str);
type ActionAnswer = LocalBoxFuture<'static, Option<Refused>>;

impl Scheduler {
    /// Sends all actions of the last plan, a piece at a time; the answer comes when every one of them is answered. None is
    /// sent any more when nothing new is to begin.
    pub(super) fn apply(&mut self) -> impl Future<Output = Vec<Refused>> + use<> {
        let (plan, receivers) = (Arc::clone(&self.last.plan), self.receivers.clone());
        let (most, quiescent) = (self.actions_at_once, Rc::clone(&self.quiescent));
        async move {
            let mut refused = Vec::new();
            for piece in plan.actions.chunks(most) {
                if quiescent.get() {
                    break;
                }
                let answers: Vec<_> = piece.iter().map(|action| receivers.send(action)).collect();
                refused.extend(future::join_all(answers).await.into_iter().flatten());
            }
            refused
        }
    }

    /// Tells Queue what could still be placed, if that has changed.
    pub(super) fn tell_openings(&mut self) {
        let openings = self.last.plan.openings.clone();
        if openings != self.told_openings {
            self.receivers.queue.set_openings.do_send(SetOpenings(openings.clone()));
            self.told_openings = openings;
        }
    }

    /// Tells Pool which instances wait for a container that cannot be started yet, and which are kept as spare ones, if that
    /// has changed.
    pub(super) fn tell_kept(&mut self) {
        let Plan { reserved, spares, .. } = &*self.last.plan;
        let kept = KeepInstances { reserved: Arc::clone(reserved), spares: Arc::clone(spares) };
        if kept != self.told_kept {
            self.told_kept = kept.clone();
            self.receivers.pool.keep.do_send(kept);
        }
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

impl Receivers {
    fn send(&self, action: &Action) -> ActionAnswer {
        match action.clone() {
            Action::Queue(action) => self.send_to_queue(action),
            Action::Pool(action) => self.send_to_pool(action),
        }
    }

    fn send_to_queue(&self, action: QueueAction) -> ActionAnswer {
        let (queue, pool) = (&self.queue, &self.pool);
        match action {
            QueueAction::LockContainer(uuid) => to_queue("lock", &queue.lock, LockContainer { uuid }),
            QueueAction::UnlockContainer(uuid, reason) => {
                to_queue("unlock", &queue.unlock, UnlockContainer { uuid, reason })
            }
            QueueAction::RequeueContainer(uuid, error) => {
                to_queue("requeue", &queue.requeue, RequeueContainer { uuid, error })
            }
            QueueAction::CancelContainer(uuid, reason, expected) => {
                to_queue("cancel", &queue.cancel, CancelContainer { uuid, reason, expected })
            }
            QueueAction::ForgetContainer(uuid) => {
                let attempts = pool.forget_attempts.send(ForgetAttempts { uuid });
                let container = queue.forget.send(ForgetContainer { uuid });
                future::join(attempts, container).map(|_| None).boxed_local()
            }
            QueueAction::ReadOrphanRecord(uuid) => {
                queue.read_orphan.send(ReadOrphanRecord { uuid }).map(|_| None).boxed_local()
            }
        }
    }

    fn send_to_pool(&self, action: PoolAction) -> ActionAnswer {
        let pool = &self.pool;
        match action {
            PoolAction::StartContainer(order, instance) => {
                to_pool("start", &pool.start, StartContainer { order, instance })
            }
            PoolAction::CreateInstance(instance_type, container) => {
                let create = CreateInstance { instance_type, container: Some(container) };
                send("create", &pool.create, create, |it| it.as_str())
            }
            PoolAction::CreateSpare(instance_type) => {
                let create = CreateInstance { instance_type, container: None };
                send("create", &pool.create, create, |it| it.as_str())
            }
            PoolAction::ShutdownInstance(id, reason) => {
                to_pool("shutdown", &pool.shut_down, ShutdownInstance { id, reason })
            }
            PoolAction::KillContainer(uuid, reason) => {
                to_pool("kill", &pool.kill, KillContainer { uuid, reason })
            }
            PoolAction::NoteSpotNotice(uuid, notice) => {
                pool.note_spot_notice.send(NoteSpotNotice { uuid, notice }).map(|_| None).boxed_local()
            }
            PoolAction::ForgetAttempts(uuid) => {
                pool.forget_attempts.send(ForgetAttempts { uuid }).map(|_| None).boxed_local()
            }
            PoolAction::ForgetProcess(uuid, outcome) => {
                to_pool("forget", &pool.forget_process, ForgetProcess { uuid, outcome })
            }
        }
    }
}

fn to_queue<M>(name: &'static str, queue: &Recipient<M>, message: M) -> ActionAnswer
where
    M: actix::Message<Result = Result<(), dispatch_core::queue::QueueRefusal>> + Send + 'static,
{
    send(name, queue, message, |it| it.as_str())
}

fn to_pool<M>(name: &'static str, pool: &Recipient<M>, message: M) -> ActionAnswer
where
    M: actix::Message<Result = Result<(), dispatch_core::pool::PoolRefusal>> + Send + 'static,
{
    send(name, pool, message, |it| it.as_str())
}

/// Sends a request that may be refused.
fn send<M, E>(
    name: &'static str,
    recipient: &Recipient<M>,
    message: M,
    why: impl Fn(E) -> &'static str + 'static,
) -> ActionAnswer
where
    M: actix::Message<Result = Result<(), E>> + Send + 'static,
    E: Send + 'static,
{
    recipient.send(message).map(move |answer| refusal(name, answer, why)).boxed_local()
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
