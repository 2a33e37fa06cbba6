//! Cloud: owns the driver, and our account with it.
//!
//! ```text
//!   OrderInstance, DestroyInstance, SetTags, VerifyHostKey, GetVisibleInstances ─► a slot ─► driver ─► the answer
//!   Sync, SyncBy, timer, answers of listings ─┐
//!                                             ▼
//!                 core::cloud::Account ─► effects ─► perform ─► driver, timer
//!                                                        └──► Appeared, Changed, Gone, ListingFinished ─► Pool
//! ```
//! Every call to the driver is made here, so that pacing, default tags, the filter by instance set and the
//! counting of calls are in one place. Never does: deciding what an absent instance means (that is Pool).

mod call;
mod perform;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt, Context, Handler, MessageResult, Recipient, ResponseActFuture, SpawnHandle,
};
use dispatch_core::cloud::{Account, AccountEffect, AccountOperation};
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::policy::Policy;
use dispatch_core::ports::{CloudDriver, CloudError, HostKeyVerdict};
use dispatch_core::time::Timestamp;
use slog::Logger;

pub use call::DriverVerifier;
pub use dispatch_core::cloud::CreateDefaults;

use crate::catalogue::Repeats;
use crate::clock;
use crate::messages::cloud::{
    DestroyAnswer, DestroyInstance, GetVisibleInstances, MayDestroy, OrderInstance, SetTags, Sync, SyncBy,
    VerifyHostKey,
};
use crate::messages::pool::{InstanceAppeared, InstanceChanged, InstanceGone, ListingFinished};
use crate::messages::{ActorState, GetState, Ping, UsePolicy};
use crate::metrics::Metrics;

/// Whom Cloud tells.
#[derive(Clone)]
pub struct CloudListeners {
    /// An instance is there.
    pub appeared: Recipient<InstanceAppeared>,
    /// An instance has another address, other tags or prices.
    pub changed: Recipient<InstanceChanged>,
    /// An instance is absent from a listing.
    pub gone: Recipient<InstanceGone>,
    /// A listing has been told completely.
    pub finished: Recipient<ListingFinished>,
}

/// The actor.
pub struct Cloud {
    account: Account,
    driver: Rc<dyn CloudDriver>,
    defaults: CreateDefaults,
    pool: CloudListeners,
    metrics: Rc<Metrics>,
    log: Logger,
    /// The timer of the next listing.
    timer: Option<SpawnHandle>,
    /// What the account has decided, and waits for its turn.
    to_perform: VecDeque<AccountEffect>,
    /// [`dispatch_core::policy::Pieces::news`].
    news_at_once: usize,
    repeats: Repeats,
}

impl Cloud {
    /// Lists as soon as it is started.
    pub fn new(
        policy: Arc<Policy>,
        driver: Rc<dyn CloudDriver>,
        defaults: CreateDefaults,
        pool: CloudListeners,
        telemetry: (Rc<Metrics>, Logger),
    ) -> Self {
        let (metrics, log) = telemetry;
        let news_at_once = policy.pieces.news;
        let account = Account::new(policy, clock::now());
        Self {
            account,
            driver,
            defaults,
            pool,
            metrics,
            log,
            timer: None,
            to_perform: VecDeque::new(),
            news_at_once,
            repeats: Repeats::default(),
        }
    }

    fn sync_by(&mut self, at: Timestamp, ctx: &mut Context<Self>) {
        let effects = self.account.sync_by(at);
        self.perform(effects, ctx);
    }
}

impl Actor for Cloud {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(crate::MAILBOX);
        self.sync_is_due(ctx);
    }
}

impl Handler<UsePolicy> for Cloud {
    type Result = ();

    fn handle(&mut self, message: UsePolicy, ctx: &mut Context<Self>) {
        let effects = self.account.use_policy(message.policy, clock::now());
        self.perform(effects, ctx);
    }
}

impl Handler<OrderInstance> for Cloud {
    type Result = ResponseActFuture<Self, Result<Instance, CloudError>>;

    fn handle(&mut self, message: OrderInstance, _: &mut Context<Self>) -> Self::Result {
        let OrderInstance { instance_type, secret } = message;
        let secret_path = self.driver.secret_path();
        let order = self.account.order(&self.defaults, instance_type, secret, &secret_path);
        self.call(
            AccountOperation::Create,
            move |driver| async move { driver.create(&order).await },
            |act, answer| {
                if let Ok(instance) = answer {
                    act.account.created(instance, clock::now());
                }
            },
        )
    }
}

/// What a call to end an instance has come to, if it has not failed.
struct DestroyCall {
    /// Its worker has taken it back: nothing was sent.
    is_taken_back: bool,
}

impl Handler<DestroyInstance> for Cloud {
    type Result = ResponseActFuture<Self, Option<DestroyAnswer>>;

    /// The slot may lie ahead, and the worker may know better by then. One that has stopped has had its instance gone,
    /// and the cloud may have given its id to another.
    fn handle(&mut self, message: DestroyInstance, _: &mut Context<Self>) -> Self::Result {
        let DestroyInstance { id, worker } = message;
        let sent = Rc::new(Cell::new(clock::now()));
        let sending = Rc::clone(&sent);
        let destroy = move |driver: Rc<dyn CloudDriver>| async move {
            let is_taken_back = !matches!(worker.send(MayDestroy).await, Ok(true));
            sending.set(clock::now());
            if !is_taken_back {
                driver.destroy(&id).await?;
            }
            Ok(DestroyCall { is_taken_back })
        };
        let count = |act: &mut Self, answer: &Result<DestroyCall, CloudError>| {
            if !answer.as_ref().is_ok_and(|it| it.is_taken_back) {
                act.count(AccountOperation::Destroy, answer.as_ref().err());
            }
        };
        let answer = self.call_uncounted(AccountOperation::Destroy, destroy, count);
        Box::pin(answer.map(move |answer, _, _| {
            match answer {
                Ok(DestroyCall { is_taken_back: true }) => None,
                Ok(DestroyCall { is_taken_back: false }) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            }
            .map(|outcome| DestroyAnswer { sent: sent.get(), outcome })
        }))
    }
}

impl Handler<SetTags> for Cloud {
    type Result = ResponseActFuture<Self, Result<(), CloudError>>;

    fn handle(&mut self, message: SetTags, _: &mut Context<Self>) -> Self::Result {
        let SetTags { id, tags } = message;
        let (sent_id, sent) = (id.clone(), tags.clone());
        self.call(
            AccountOperation::SetTags,
            move |driver| async move { driver.set_tags(&id, &tags).await },
            move |act, _| act.account.tags_sent(&sent_id, &sent),
        )
    }
}

impl Handler<VerifyHostKey> for Cloud {
    type Result = ResponseActFuture<Self, Result<HostKeyVerdict, CloudError>>;

    fn handle(&mut self, message: VerifyHostKey, _: &mut Context<Self>) -> Self::Result {
        let VerifyHostKey { id, key } = message;
        self.call(
            AccountOperation::VerifyHostKey,
            move |driver| async move { driver.verify_host_key(&id, &key).await },
            |_, _| {},
        )
    }
}

impl Handler<GetVisibleInstances> for Cloud {
    type Result = ResponseActFuture<Self, Result<Vec<Instance>, CloudError>>;

    /// In a slot of its own and counted, and otherwise no listing: the account learns nothing from it.
    fn handle(&mut self, _: GetVisibleInstances, _: &mut Context<Self>) -> Self::Result {
        let list = |driver: Rc<dyn CloudDriver>| async move { driver.list(&Tags::default()).await };
        self.call(AccountOperation::List, list, |_, _| {})
    }
}

impl Handler<Sync> for Cloud {
    type Result = ();

    fn handle(&mut self, _: Sync, ctx: &mut Context<Self>) {
        self.sync_by(clock::now(), ctx);
    }
}

impl Handler<SyncBy> for Cloud {
    type Result = ();

    fn handle(&mut self, message: SyncBy, ctx: &mut Context<Self>) {
        self.sync_by(message.at, ctx);
    }
}

impl Handler<GetState> for Cloud {
    type Result = MessageResult<GetState>;

    fn handle(&mut self, _: GetState, _: &mut Context<Self>) -> Self::Result {
        MessageResult(ActorState::of(self.account.inspect()))
    }
}

impl Handler<Ping> for Cloud {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}
