//! Calls to the controller: in line, counted, timed, and handed on.

use std::future::Future;
use std::rc::Rc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use dispatch_core::container::Standing;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{ApiError, ApiErrorKind, ArvadosApi};
use dispatch_core::queue::{Answer, Call, CancelReason, OperationKind, Step};
use dispatch_core::time::since;

use super::Queue;
use crate::catalogue;
use crate::clock;
use crate::event;

impl Queue {
    /// Makes a call when its turn comes, then hands the answer on.
    pub(super) fn call<T, F>(
        &mut self,
        name: &'static str,
        call: impl FnOnce(Rc<dyn ArvadosApi>) -> F + 'static,
        then: impl FnOnce(&mut Self, Result<T, ApiError>, &mut Context<Self>) + 'static,
        ctx: &mut Context<Self>,
    ) where
        T: 'static,
        F: Future<Output = Result<T, ApiError>> + 'static,
    {
        // Told to stop: no chain of calls goes on. What was begun is read again at the next start.
        if self.quiescent {
            return;
        }
        self.waiting.push_back(Box::new(move |act, ctx| act.send(name, call, then, ctx)));
        self.send_waiting(ctx);
    }

    fn send_waiting(&mut self, ctx: &mut Context<Self>) {
        while !self.waiting.is_empty() && self.limiter.try_start(clock::now()) {
            if let Some(call) = self.waiting.pop_front() {
                call(self, ctx);
            }
        }
        self.wake_after_quiet(ctx);
    }

    /// What waits for the quiet second after a 503 is not forgotten.
    fn wake_after_quiet(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        if let (false, Some(until)) = (self.waiting.is_empty(), self.limiter.quiet_until(now)) {
            let timer = ctx.run_later(since(until, now), Self::send_waiting);
            if let Some(old) = self.wake.replace(timer) {
                ctx.cancel_future(old);
            }
        }
    }

    fn send<T, F>(
        &mut self,
        name: &'static str,
        call: impl FnOnce(Rc<dyn ArvadosApi>) -> F,
        then: impl FnOnce(&mut Self, Result<T, ApiError>, &mut Context<Self>) + 'static,
        ctx: &mut Context<Self>,
    ) where
        T: 'static,
        F: Future<Output = Result<T, ApiError>> + 'static,
    {
        let asked = clock::now();
        let answer = call(Rc::clone(&self.api)).into_actor(self);
        ctx.spawn(answer.map(move |answer, act, ctx| {
            act.note(name, answer.as_ref().err(), asked);
            then(act, answer, ctx);
            act.send_waiting(ctx);
        }));
    }

    /// Counts a call, and learns from its outcome.
    fn note(&mut self, name: &'static str, error: Option<&ApiError>, asked: dispatch_core::time::Timestamp) {
        let now = clock::now();
        let status = match error {
            None => "200".to_owned(),
            Some(ApiError { status: Some(status), .. }) => status.to_string(),
            Some(error) => error.kind.as_str().to_owned(),
        };
        self.metrics.controller_request(name, &status, since(now, asked));
        let overloaded = error.is_some_and(|error| error.kind == ApiErrorKind::Overloaded);
        self.limiter.finish(overloaded, now);
        if overloaded {
            self.last_overload = Some(now);
            if let Some(n) = self.repeats.note(&catalogue::OVERLOADED, "", now) {
                event!(self.log, catalogue::OVERLOADED, "Limit" => self.limiter.width(), "Repeated" => n);
            }
        }
    }

    /// Makes the next call of a container's operation.
    pub(super) fn perform(&mut self, uuid: ContainerUuid, call: Call, ctx: &mut Context<Self>) {
        match call {
            Call::Read => self.call(
                "get",
                move |api| async move { api.get(uuid).await },
                move |act, answer, ctx| act.answered(uuid, Answer::Record(answer), ctx),
                ctx,
            ),
            Call::Lock => self.change("lock", uuid, |api, uuid| async move { api.lock(uuid).await }, ctx),
            Call::Unlock => {
                self.change("unlock", uuid, |api, uuid| async move { api.unlock(uuid).await }, ctx)
            }
            Call::Cancel => {
                let error = self.cancel_text(uuid);
                let cancel = move |api: Rc<dyn ArvadosApi>, uuid| async move {
                    api.cancel(uuid, error.as_deref()).await
                };
                self.change("cancel", uuid, cancel, ctx);
            }
        }
    }

    fn change<F>(
        &mut self,
        name: &'static str,
        uuid: ContainerUuid,
        call: impl FnOnce(Rc<dyn ArvadosApi>, ContainerUuid) -> F + 'static,
        ctx: &mut Context<Self>,
    ) where
        F: Future<Output = Result<Standing, ApiError>> + 'static,
    {
        let then = move |act: &mut Self, answer, ctx: &mut Context<Self>| {
            act.answered(uuid, Answer::Standing(answer), ctx);
        };
        self.call(name, move |api| call(api, uuid), then, ctx);
    }

    /// What the user is told about a cancel, if there is anything to tell.
    fn cancel_text(&self, uuid: ContainerUuid) -> Option<String> {
        match &self.queue.operation(uuid)?.kind {
            OperationKind::Cancel { reason: CancelReason::NoSuitableType(text), .. } => Some(text.clone()),
            _ => None,
        }
    }

    fn answered(&mut self, uuid: ContainerUuid, answer: Answer, ctx: &mut Context<Self>) {
        self.snapshot = None;
        match self.queue.answered(uuid, answer, clock::now()) {
            Some(Step::Call(call)) => self.perform(uuid, call, ctx),
            Some(Step::Finished(finished)) => {
                self.report_operation(&finished);
                self.changed();
            }
            None => {}
        }
    }

    /// Reads the record of a process without an entry.
    pub(super) fn look_up(&mut self, uuid: ContainerUuid, ctx: &mut Context<Self>) {
        self.call(
            "get",
            move |api| async move { api.get(uuid).await },
            move |act, answer, ctx| {
                let learnt = answer.is_ok() || answer.as_ref().is_err_and(|error| tells(error.kind));
                let facts = act.queue.looked(uuid, answer, clock::now());
                act.report(facts);
                if !learnt {
                    // No news: a nudge would only have it asked again at once, and again.
                    act.unanswered_looks.insert(uuid);
                    return;
                }
                act.fetch_mounts(ctx);
                act.changed();
            },
            ctx,
        );
    }
}

/// Whether a failed read tells something about the record.
fn tells(kind: ApiErrorKind) -> bool {
    matches!(kind, ApiErrorKind::NotFound | ApiErrorKind::Malformed)
}
