//! One call to the driver: in its slot, with a deadline, counted.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use actix::{ActorFutureExt, Recipient, ResponseActFuture, WrapFuture};
use async_trait::async_trait;
use dispatch_core::cloud::{AccountOperation, CallSlot, DEADLINE, no_answer};
use dispatch_core::id::InstanceId;
use dispatch_core::ports::{
    CloudDriver, CloudError, CloudErrorKind, HostKey, HostKeyVerdict, HostKeyVerifier,
};
use dispatch_core::time::{Timestamp, since};

use super::Cloud;
use crate::clock;
use crate::messages::cloud::VerifyHostKey;

impl Cloud {
    /// Waits for a slot, calls, counts, lets `learn` see the answer.
    pub(super) fn call<T, F>(
        &mut self,
        operation: AccountOperation,
        call: impl FnOnce(Rc<dyn CloudDriver>) -> F + 'static,
        learn: impl FnOnce(&mut Self, &Result<T, CloudError>) + 'static,
    ) -> ResponseActFuture<Self, Result<T, CloudError>>
    where
        T: 'static,
        F: Future<Output = Result<T, CloudError>> + 'static,
    {
        self.call_uncounted(operation, call, move |act, answer| {
            act.count(operation, answer.as_ref().err());
            learn(act, answer);
        })
    }

    /// The same; `learn` counts what was really sent.
    pub(super) fn call_uncounted<T, F>(
        &mut self,
        operation: AccountOperation,
        call: impl FnOnce(Rc<dyn CloudDriver>) -> F + 'static,
        learn: impl FnOnce(&mut Self, &Result<T, CloudError>) + 'static,
    ) -> ResponseActFuture<Self, Result<T, CloudError>>
    where
        T: 'static,
        F: Future<Output = Result<T, CloudError>> + 'static,
    {
        let slot = self.account.begin_call(operation, clock::now());
        let driver = Rc::clone(&self.driver);
        let turn = self.turn(slot, slot.send_at);
        let answer = turn.then(move |ready, act, _| {
            async move {
                ready?;
                within_deadline(operation, driver, call).await
            }
            .into_actor(act)
        });
        Box::pin(answer.map(move |answer, act, _| {
            let answer = act.account.end_call(slot, answer, clock::now());
            learn(act, &answer);
            answer
        }))
    }

    /// Waits for the slot, and again if that comes too soon after another call: after a pause of this process, or when
    /// all have waited until they may act, the slots that have passed would come at once.
    fn turn(&self, slot: CallSlot, at: Timestamp) -> ResponseActFuture<Self, Result<(), CloudError>> {
        let driver = Rc::clone(&self.driver);
        let wait = async move {
            wait_for_slot(since(at, clock::now())).await;
            if slot.operation.acts() { driver.ready_to_act().await } else { Ok(()) }
        };
        Box::pin(wait.into_actor(self).then(move |ready, act: &mut Self, _| {
            let later = ready.is_ok().then(|| act.account.send(slot, clock::now())).flatten();
            match later {
                Some(later) => act.turn(slot, later),
                None => Box::pin(std::future::ready(ready).into_actor(act)),
            }
        }))
    }

    pub(super) fn count(&mut self, operation: AccountOperation, error: Option<&CloudError>) {
        let is_sent = error.is_none_or(|error| error.kind != CloudErrorKind::NotSent);
        if !operation.is_paced() || !is_sent {
            return;
        }
        let name = operation.as_str();
        self.metrics.driver_operation(name, error.is_some());
        if let Some(error) = error {
            self.metrics.cloud_error(name, error.kind.as_str(), &error.code);
        }
    }
}

/// The call itself, but not for ever.
async fn within_deadline<T, F>(
    operation: AccountOperation,
    driver: Rc<dyn CloudDriver>,
    call: impl FnOnce(Rc<dyn CloudDriver>) -> F + 'static,
) -> Result<T, CloudError>
where
    F: Future<Output = Result<T, CloudError>> + 'static,
{
    tokio::time::timeout(DEADLINE, call(driver)).await.unwrap_or_else(|_| Err(no_answer(operation)))
}

/// A timer of zero is one of a millisecond.
async fn wait_for_slot(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// Asks the driver about host keys by way of the Cloud actor: what executors are given.
pub struct DriverVerifier(pub Recipient<VerifyHostKey>);

#[async_trait(?Send)]
impl HostKeyVerifier for DriverVerifier {
    async fn verify(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        let message = VerifyHostKey { id: id.clone(), key: key.clone() };
        self.0.send(message).await.unwrap_or_else(|_| Err(no_answer(AccountOperation::VerifyHostKey)))
    }
}
