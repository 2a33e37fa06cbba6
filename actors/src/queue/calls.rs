//! Performs what the exchange has decided: calls to the controller, timers, nudges.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, ResponseActFuture, WrapFuture};
use dispatch_core::container::Record;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{ApiError, ArvadosApi};
use dispatch_core::queue::QueueSnapshot;
use dispatch_core::queue::exchange::{CallNumber, ExchangeEffect, Reply, Request};
use dispatch_core::time::{Timestamp, since};

use super::Queue;
use crate::clock;
use crate::messages::scheduler::QueueChanged;

impl Queue {
    pub(super) fn perform(&mut self, effects: Vec<ExchangeEffect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                ExchangeEffect::Call(number, request) => self.call(number, request, ctx),
                ExchangeEffect::ResumeIn(wait) => self.resume_in(wait, ctx),
                ExchangeEffect::PollIn(wait) => self.poll_in(wait, ctx),
                ExchangeEffect::HintsIn(wait) => self.hints_in(wait, ctx),
                ExchangeEffect::RequestsIn(wait) => self.requests_in(wait, ctx),
                ExchangeEffect::GoOn => self.go_on_soon(ctx),
                ExchangeEffect::Copied(number, snapshot) => self.tell_snapshot(number, &snapshot),
                // Lost only if the scheduler is gone, and then nobody plans any more.
                ExchangeEffect::Changed => self.scheduler.do_send(QueueChanged),
                ExchangeEffect::Tell(fact) => self.report(fact),
            }
        }
    }

    pub(super) fn poll_is_due(&mut self, ctx: &mut Context<Self>) {
        let effects = self.exchange.poll_is_due(clock::now());
        self.perform(effects, ctx);
    }

    /// There is one timer: whoever asks for a poll at once does not begin a second chain of polls.
    fn poll_in(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(wait, Self::poll_is_due);
        if let Some(old) = self.next_poll.replace(timer) {
            ctx.cancel_future(old);
        }
    }

    /// When other messages have had their turn, of this actor and of others.
    fn go_on_soon(&mut self, ctx: &mut Context<Self>) {
        let turn = tokio::task::yield_now().into_actor(self);
        ctx.spawn(turn.map(|(), act, ctx| {
            let _working = act.metrics.working("queue", "piece");
            let effects = act.exchange.go_on(clock::now());
            act.perform(effects, ctx);
        }));
    }

    fn tell_snapshot(&mut self, number: u64, snapshot: &Arc<QueueSnapshot>) {
        for (_, asked) in self.asked.extract_if(.., |(wanted, _)| *wanted <= number) {
            // Who has asked may have stopped waiting.
            let _ = asked.send(Arc::clone(snapshot));
        }
    }

    fn hints_in(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(wait, |act, ctx| {
            let effects = act.exchange.hints_are_due(clock::now());
            act.perform(effects, ctx);
        });
        if let Some(old) = self.next_hints.replace(timer) {
            ctx.cancel_future(old);
        }
    }

    /// One timer a call: one that is late for its own finds nothing to do.
    fn requests_in(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        ctx.run_later(wait, |act, ctx| {
            let effects = act.exchange.requests_are_due(clock::now());
            act.perform(effects, ctx);
        });
    }

    fn resume_in(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(wait, |act, ctx| {
            let effects = act.exchange.resume(clock::now());
            act.perform(effects, ctx);
        });
        if let Some(old) = self.resume.replace(timer) {
            ctx.cancel_future(old);
        }
    }

    fn call(&mut self, number: CallNumber, request: Request, ctx: &mut Context<Self>) {
        let (name, asked) = (request.name(), clock::now());
        let reply = ask(Rc::clone(&self.api), request).into_actor(self);
        ctx.spawn(reply.map(move |reply, act, ctx| {
            act.count(name, reply.error(), asked);
            let _working = act.metrics.working("queue", name);
            let effects = act.exchange.answered(number, reply, clock::now());
            act.perform(effects, ctx);
        }));
    }

    /// Asks the controller beside what the exchange decides.
    pub(super) fn look_up(&self, uuid: ContainerUuid) -> ResponseActFuture<Self, Result<Record, ApiError>> {
        let (api, asked) = (Rc::clone(&self.api), clock::now());
        let answer = async move { api.get(uuid).await }.into_actor(self);
        Box::pin(answer.map(move |answer, act, _| {
            act.count("get", answer.as_ref().err(), asked);
            answer
        }))
    }

    fn count(&self, name: &'static str, error: Option<&ApiError>, asked: Timestamp) {
        let status = match error {
            None => "200".to_owned(),
            Some(ApiError { status: Some(status), .. }) => status.to_string(),
            Some(error) => error.kind.as_str().to_owned(),
        };
        self.metrics.controller_request(name, &status, since(clock::now(), asked));
    }
}

async fn ask(api: Rc<dyn ArvadosApi>, request: Request) -> Reply {
    match request {
        Request::CurrentToken => Reply::Token(api.current_token().await),
        Request::List(question) => Reply::Page(api.list(&question).await),
        Request::Mounts(uuids) => Reply::Mounts(api.mounts(&uuids).await),
        Request::RequestsOf(uuids) => Reply::Requests(api.requests_of(&uuids).await),
        Request::Read(uuid) => Reply::Record(api.get(uuid).await),
        Request::Lock(uuid) => Reply::Standing(api.lock(uuid).await),
        Request::Unlock(uuid) => Reply::Standing(api.unlock(uuid).await),
        Request::Cancel(uuid, error) => Reply::Standing(api.cancel(uuid, error.as_deref()).await),
    }
}
