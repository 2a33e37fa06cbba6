//! Performs what the account has decided: listings, timers, news for Pool.

use std::cell::Cell;
use std::rc::Rc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use dispatch_core::cloud::{AccountEffect, AccountFact, AccountOperation};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::pool::GoneReply;
use dispatch_core::ports::CloudError;
use dispatch_core::time::{Timestamp, since};

use super::Cloud;
use crate::catalogue;
use crate::clock;
use crate::event;
use crate::messages::pool::{InstanceAppeared, InstanceChanged, InstanceGone, ListingFinished};

impl Cloud {
    /// In order, a piece at a time: the first listing of a large site has news of all its instances, and Pool takes what
    /// is in its mailbox without a break.
    pub(super) fn perform(&mut self, effects: Vec<AccountEffect>, ctx: &mut Context<Self>) {
        let is_waiting = !self.to_perform.is_empty();
        self.to_perform.extend(effects);
        if !is_waiting {
            self.perform_piece(ctx);
        }
    }

    fn perform_piece(&mut self, ctx: &mut Context<Self>) {
        let piece = self.to_perform.len().min(self.news_at_once);
        for effect in self.to_perform.drain(..piece).collect::<Vec<_>>() {
            self.perform_one(effect, ctx);
        }
        if !self.to_perform.is_empty() {
            let turn = tokio::task::yield_now().into_actor(self);
            ctx.spawn(turn.map(|(), act, ctx| act.perform_piece(ctx)));
        }
    }

    /// What is told to Pool is lost only if Pool is gone, and then nobody acts any more.
    fn perform_one(&mut self, effect: AccountEffect, ctx: &mut Context<Self>) {
        match effect {
            AccountEffect::List(filter) => self.list(filter, ctx),
            AccountEffect::SyncAt(at) => self.sync_at(at, ctx),
            AccountEffect::Appeared(instance) => self.pool.appeared.do_send(InstanceAppeared { instance }),
            AccountEffect::Changed(instance) => self.pool.changed.do_send(InstanceChanged { instance }),
            AccountEffect::AskAbsent { absent, began } => self.ask_absent(absent, began, ctx),
            AccountEffect::Tell(fact) => self.report(fact),
        }
    }

    pub(super) fn sync_is_due(&mut self, ctx: &mut Context<Self>) {
        let effects = self.account.sync_is_due(clock::now());
        self.perform(effects, ctx);
    }

    fn sync_at(&mut self, at: Timestamp, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(since(at, clock::now()), |act, ctx| {
            act.timer = None;
            act.sync_is_due(ctx);
        });
        if let Some(old) = self.timer.replace(timer) {
            ctx.cancel_future(old);
        }
    }

    fn list(&mut self, filter: Tags, ctx: &mut Context<Self>) {
        // The slot may lie ahead: the listing begins when the call is sent.
        let began = Rc::new(Cell::new(clock::now()));
        let sent = Rc::clone(&began);
        let list = self.call(
            AccountOperation::List,
            move |driver| {
                sent.set(clock::now());
                async move { driver.list(&filter).await }
            },
            |_, _| {},
        );
        ctx.spawn(list.map(move |answer, act, ctx| act.list_answered(answer, began.get(), ctx)));
    }

    fn list_answered(
        &mut self,
        answer: Result<Vec<Instance>, CloudError>,
        began: Timestamp,
        ctx: &mut Context<Self>,
    ) {
        let _working = self.metrics.working("cloud", "listing");
        let now = clock::now();
        let driver = Rc::clone(&self.driver);
        let effects = match answer {
            Ok(instances) => {
                self.account.listed(instances, |instance, it| driver.price_history(instance, it), began, now)
            }
            Err(error) => self.account.list_failed(error, now),
        };
        self.perform(effects, ctx);
    }

    /// Tells Pool what is absent, then ends the listing, then forgets what Pool has confirmed.
    fn ask_absent(&mut self, absent: Vec<InstanceId>, began: Timestamp, ctx: &mut Context<Self>) {
        let ask = |id: InstanceId| {
            let reason = self.driver.end_reason(&id);
            (id.clone(), self.pool.gone.send(InstanceGone { id, began, reason }))
        };
        let questions: Vec<_> = absent.into_iter().map(ask).collect();
        let finished = self.pool.finished.clone();
        let replies = async move {
            let mut confirmed = Vec::new();
            for (id, reply) in questions {
                if let Ok(GoneReply::Confirmed) = reply.await {
                    confirmed.push(id);
                }
            }
            finished.do_send(ListingFinished { began });
            confirmed
        };
        ctx.spawn(replies.into_actor(self).map(|confirmed, act, ctx| {
            let effects = act.account.absence_confirmed(&confirmed, clock::now());
            act.perform(effects, ctx);
        }));
    }

    fn report(&mut self, fact: AccountFact) {
        match fact {
            AccountFact::ListFailed(error) => {
                if let Some(n) = self.repeats.note(&catalogue::SYNC_FAILED, "", clock::now()) {
                    event!(self.log, catalogue::SYNC_FAILED,
                        "error" => %error, "Code" => &error.code, "Repeated" => n);
                }
            }
            AccountFact::ListRateLimited { until, error } => {
                if let Some(n) = self.repeats.note(&catalogue::RATE_LIMITED, "List", clock::now()) {
                    event!(self.log, catalogue::RATE_LIMITED, "CallType" => "List",
                        "ResumeAt" => %clock::shown(until), "error" => %error, "Repeated" => n);
                }
            }
            AccountFact::ListRecovered(lasted) => {
                self.repeats.clear(&catalogue::SYNC_FAILED, "");
                event!(self.log, catalogue::SYNC_RECOVERED, "Duration" => lasted.as_secs_f64());
            }
        }
    }
}
