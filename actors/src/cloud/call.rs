//! One call to the driver: in its slot, with a deadline, counted.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use actix::{ActorFutureExt, Recipient, ResponseActFuture, WrapFuture};
use async_trait::async_trait;
use dispatch_core::id::InstanceId;
use dispatch_core::ports::{
    CloudDriver, CloudError, CloudErrorKind, HostKey, HostKeyVerdict, HostKeyVerifier,
};
use dispatch_core::time::{after, since};

use super::Cloud;
use crate::clock;
use crate::messages::cloud::VerifyHostKey;

/// Drivers have deadlines of their own; this one only keeps a driver that forgot from stopping everything.
const DEADLINE: Duration = Duration::from_secs(300);
/// A cloud that asks for patience gets at least this much, whatever its clock says.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

impl Cloud {
    /// Waits for a slot, calls, counts, lets `learn` see the answer.
    pub(super) fn call<T, F>(
        &mut self,
        operation: &'static str,
        call: impl FnOnce(Rc<dyn CloudDriver>) -> F + 'static,
        learn: impl FnOnce(&mut Self, &Result<T, CloudError>) + 'static,
    ) -> ResponseActFuture<Self, Result<T, CloudError>>
    where
        T: 'static,
        F: Future<Output = Result<T, CloudError>> + 'static,
    {
        let wait = self.take_slot();
        let answer = self.within_deadline(wait, operation, call).into_actor(self);
        Box::pin(answer.map(move |answer, act, _| {
            let answer = answer.map_err(patient);
            act.count(operation, answer.as_ref().err());
            learn(act, &answer);
            answer
        }))
    }

    /// A question about a host key: it has no series, and no slot. After a restart every VM's key is asked for
    /// at once, within the handshake's deadline; a driver that must ask its cloud for that paces itself.
    pub(super) fn uncounted<T, F>(
        &mut self,
        question: &'static str,
        call: impl FnOnce(Rc<dyn CloudDriver>) -> F + 'static,
    ) -> ResponseActFuture<Self, Result<T, CloudError>>
    where
        T: 'static,
        F: Future<Output = Result<T, CloudError>> + 'static,
    {
        Box::pin(self.within_deadline(Duration::ZERO, question, call).into_actor(self))
    }

    /// The call itself: not before its slot, and not for ever.
    fn within_deadline<T, F>(
        &self,
        wait: Duration,
        operation: &'static str,
        call: impl FnOnce(Rc<dyn CloudDriver>) -> F + 'static,
    ) -> impl Future<Output = Result<T, CloudError>> + 'static
    where
        T: 'static,
        F: Future<Output = Result<T, CloudError>> + 'static,
    {
        let driver = Rc::clone(&self.driver);
        async move {
            wait_for_slot(wait).await;
            tokio::time::timeout(DEADLINE, call(driver)).await.unwrap_or_else(|_| Err(no_answer(operation)))
        }
    }

    /// How long to wait for the next slot; it is taken now, so that calls keep their order.
    fn take_slot(&mut self) -> Duration {
        let rate = self.policy.max_cloud_ops_per_second;
        let now = clock::now();
        if rate == 0 {
            return Duration::ZERO;
        }
        let slot = self.next_slot.max(now);
        self.next_slot = after(slot, Duration::from_secs(1) / rate);
        since(slot, now)
    }

    fn count(&mut self, operation: &'static str, error: Option<&CloudError>) {
        self.metrics.driver_operation(operation, error.is_some());
        if let Some(error) = error {
            let labels = [operation, error.kind.as_str(), error.code.as_str()];
            self.metrics.cloud_errors.with_label_values(&labels).inc();
        }
    }
}

/// A rate limit that ends in the past would be asked again at once, and again.
fn patient(error: CloudError) -> CloudError {
    let CloudErrorKind::RateLimited { until } = error.kind else { return error };
    let until = until.max(after(clock::now(), LEAST_PATIENCE));
    CloudError { kind: CloudErrorKind::RateLimited { until }, ..error }
}

/// A timer of zero is one of a millisecond.
async fn wait_for_slot(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

fn no_answer(operation: &str) -> CloudError {
    CloudError {
        kind: CloudErrorKind::Unknown,
        code: "timeout".to_owned(),
        message: format!("{operation}: the cloud's driver did not answer within {} s", DEADLINE.as_secs()),
    }
}

/// Asks the driver about host keys by way of the Cloud actor: what executors are given.
pub struct DriverVerifier(pub Recipient<VerifyHostKey>);

#[async_trait(?Send)]
impl HostKeyVerifier for DriverVerifier {
    async fn verify(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        let message = VerifyHostKey { id: id.clone(), key: key.clone() };
        self.0.send(message).await.unwrap_or_else(|_| Err(no_answer("verify host key")))
    }
}
