//! The three ports behind the lease: an action is handed over only while we may act.
//!
//! ```text
//!   Cloud actor ──► create, destroy, set_tags ──► LeasedDriver ──┐
//!   Queue actor ──► lock, unlock, cancel ───────► LeasedApi ─────┼─ the lease holds ─► the driver, client, ssh
//!   Workers ──────► start, kill ────────────────► LeasedExecutor ┘  └ it has lapsed ─► an error that says: not sent
//! ```
//! Questions pass: to look does no harm. A command for a VM also carries the end of the lease, because a connection may
//! have to be opened first, or a session to be waited for. What lies in a kernel's buffer or an ssh client by then
//! cannot be taken back.

use std::rc::Rc;

use async_trait::async_trait;
use dispatch_core::container::{MountNeeds, Record, Standing};
use dispatch_core::id::{ContainerRequestUuid, ContainerUuid, InstanceId, ProviderType, TokenUuid};
use dispatch_core::instance::{Instance, InstanceType, PricePoint, Tags};
use dispatch_core::ports::{
    ApiError, ApiErrorKind, ArvadosApi, CloudDriver, CloudError, CloudErrorKind, CreateOrder, ExecError,
    ExecErrorKind, Executor, ExecutorFactory, HostKey, HostKeyVerdict, ListQuestion, Output, Page,
    ShellCommand, Target, Watch, WatchEnd,
};

use super::{Lapsed, Lease};

/// What [`CloudError::code`] says of a call that was not sent.
const LAPSED: &str = "LeaseLapsed";

impl From<Lapsed> for CloudError {
    fn from(lapsed: Lapsed) -> Self {
        Self { kind: CloudErrorKind::NotSent, code: LAPSED.to_owned(), message: lapsed.to_string() }
    }
}

impl From<Lapsed> for ApiError {
    fn from(lapsed: Lapsed) -> Self {
        let (kind, message) = (ApiErrorKind::NotSent, lapsed.to_string());
        Self { kind, status: None, message, request_id: String::new() }
    }
}

impl From<Lapsed> for ExecError {
    fn from(lapsed: Lapsed) -> Self {
        Self { kind: ExecErrorKind::NotSent, message: lapsed.to_string() }
    }
}

/// A cloud in which only who has the lease changes something.
pub struct LeasedDriver {
    /// The cloud itself.
    pub inner: Rc<dyn CloudDriver>,
    /// For how long we may act.
    pub lease: Lease,
}

#[async_trait(?Send)]
impl CloudDriver for LeasedDriver {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        self.lease.end().await?;
        self.inner.create(order).await
    }

    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
        self.inner.list(filter).await
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        self.lease.end().await?;
        self.inner.destroy(id).await
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        self.lease.end().await?;
        self.inner.set_tags(id, tags).await
    }

    async fn ready_to_act(&self) -> Result<(), CloudError> {
        self.lease.end().await?;
        self.inner.ready_to_act().await
    }

    async fn verify_host_key(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        self.inner.verify_host_key(id, key).await
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        self.inner.quota_group(provider_type)
    }

    fn price_history(&self, instance: &Instance, instance_type: &InstanceType) -> Vec<PricePoint> {
        self.inner.price_history(instance, instance_type)
    }

    fn end_reason(&self, id: &InstanceId) -> Option<String> {
        self.inner.end_reason(id)
    }

    fn remote_user(&self) -> &str {
        self.inner.remote_user()
    }

    fn secret_path(&self) -> String {
        self.inner.secret_path()
    }

    fn fence_directory(&self) -> String {
        self.inner.fence_directory()
    }
}

/// A controller at which only who has the lease changes something.
pub struct LeasedApi<A> {
    /// The controller itself.
    pub inner: A,
    /// For how long we may act.
    pub lease: Lease,
}

#[async_trait(?Send)]
impl<A: ArvadosApi> ArvadosApi for LeasedApi<A> {
    async fn current_token(&self) -> Result<TokenUuid, ApiError> {
        self.inner.current_token().await
    }

    async fn list(&self, question: &ListQuestion) -> Result<Page<Record>, ApiError> {
        self.inner.list(question).await
    }

    async fn mounts(&self, uuids: &[ContainerUuid]) -> Result<Page<(ContainerUuid, MountNeeds)>, ApiError> {
        self.inner.mounts(uuids).await
    }

    async fn requests_of(
        &self,
        uuids: &[ContainerUuid],
    ) -> Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError> {
        self.inner.requests_of(uuids).await
    }

    async fn get(&self, uuid: ContainerUuid) -> Result<Record, ApiError> {
        self.inner.get(uuid).await
    }

    async fn lock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.lease.end().await?;
        self.inner.lock(uuid).await
    }

    async fn unlock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.lease.end().await?;
        self.inner.unlock(uuid).await
    }

    async fn cancel(&self, uuid: ContainerUuid, error: Option<&str>) -> Result<Standing, ApiError> {
        self.lease.end().await?;
        self.inner.cancel(uuid, error).await
    }
}

/// Shells through which only who has the lease starts and ends processes.
pub struct LeasedExecutors {
    /// The shells themselves.
    pub inner: Rc<dyn ExecutorFactory>,
    /// For how long we may act.
    pub lease: Lease,
}

impl ExecutorFactory for LeasedExecutors {
    fn open(&self, target: Target) -> Rc<dyn Executor> {
        Rc::new(LeasedExecutor { inner: self.inner.open(target), lease: self.lease.clone() })
    }
}

struct LeasedExecutor {
    inner: Rc<dyn Executor>,
    lease: Lease,
}

#[async_trait(?Send)]
impl Executor for LeasedExecutor {
    async fn run(&self, command: ShellCommand) -> Result<Output, ExecError> {
        let not_after = if command.acts { self.lease.end().await? } else { None };
        self.inner.run(ShellCommand { not_after, ..command }).await
    }

    async fn watch(&self, command: ShellCommand) -> Result<Rc<dyn Watch>, WatchEnd> {
        self.inner.watch(command).await
    }

    fn retarget(&self, target: Target) {
        self.inner.retarget(target);
    }

    fn forget_connection(&self) {
        self.inner.forget_connection();
    }

    async fn broken(&self) {
        self.inner.broken().await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::time::Duration;

    use dispatch_core::cloud::CreateDefaults;
    use dispatch_core::ports::BootTime;
    use dispatch_core::secret::Secret;
    use dispatch_core::worker::fence::Epoch;

    use super::super::Confirmations;
    use super::*;
    use crate::testing::policy;

    /// Counts what reaches it.
    #[derive(Default)]
    struct Outside(Cell<usize>);

    impl Outside {
        fn reached<T, E>(&self, answer: Result<T, E>) -> Result<T, E> {
            self.0.set(self.0.get() + 1);
            answer
        }
    }

    fn refused() -> CloudError {
        CloudError {
            kind: CloudErrorKind::Quota(dispatch_core::ports::QuotaScope::All),
            code: String::new(),
            message: String::new(),
        }
    }

    #[async_trait(?Send)]
    impl CloudDriver for Outside {
        async fn create(&self, _: &CreateOrder) -> Result<Instance, CloudError> {
            self.reached(Err(refused()))
        }
        async fn list(&self, _: &Tags) -> Result<Vec<Instance>, CloudError> {
            self.reached(Ok(Vec::new()))
        }
        async fn destroy(&self, _: &InstanceId) -> Result<(), CloudError> {
            self.reached(Ok(()))
        }
        async fn set_tags(&self, _: &InstanceId, _: &Tags) -> Result<(), CloudError> {
            self.reached(Ok(()))
        }
        async fn verify_host_key(&self, _: &InstanceId, _: &HostKey) -> Result<HostKeyVerdict, CloudError> {
            self.reached(Ok(HostKeyVerdict::NotSupported))
        }
        fn quota_group(&self, _: &ProviderType) -> String {
            String::new()
        }
        fn remote_user(&self) -> &str {
            "root"
        }
    }

    #[async_trait(?Send)]
    impl Executor for Outside {
        async fn run(&self, command: ShellCommand) -> Result<Output, ExecError> {
            assert_eq!(command.acts, command.not_after.is_some());
            self.reached(Ok(Output::default()))
        }
        fn retarget(&self, _: Target) {}
        async fn broken(&self) {}
    }

    fn malformed() -> ApiError {
        let (kind, message) = (ApiErrorKind::Malformed, String::new());
        ApiError { kind, status: None, message, request_id: String::new() }
    }

    #[async_trait(?Send)]
    impl ArvadosApi for &Outside {
        async fn current_token(&self) -> Result<TokenUuid, ApiError> {
            self.reached(Err(malformed()))
        }
        async fn list(&self, _: &ListQuestion) -> Result<Page<Record>, ApiError> {
            self.reached(Err(malformed()))
        }
        async fn mounts(&self, _: &[ContainerUuid]) -> Result<Page<(ContainerUuid, MountNeeds)>, ApiError> {
            self.reached(Err(malformed()))
        }
        async fn requests_of(
            &self,
            _: &[ContainerUuid],
        ) -> Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError> {
            self.reached(Err(malformed()))
        }
        async fn get(&self, _: ContainerUuid) -> Result<Record, ApiError> {
            self.reached(Err(malformed()))
        }
        async fn lock(&self, _: ContainerUuid) -> Result<Standing, ApiError> {
            self.reached(Err(malformed()))
        }
        async fn unlock(&self, _: ContainerUuid) -> Result<Standing, ApiError> {
            self.reached(Err(malformed()))
        }
        async fn cancel(&self, _: ContainerUuid, _: Option<&str>) -> Result<Standing, ApiError> {
            self.reached(Err(malformed()))
        }
    }

    fn order() -> CreateOrder {
        let of_type = Arc::clone(&policy().catalog.types()[0]);
        CreateDefaults::default().order(Tags::default(), of_type, Secret::new("s3cr3t"), "/secret")
    }

    fn now() -> BootTime {
        BootTime(Duration::from_secs(100))
    }

    fn lapsed_and_valid() -> [(Lease, bool); 2] {
        let confirmations = Confirmations::new(Epoch::from_micros(1), now);
        confirmations.confirmed(confirmations.now());
        let valid = confirmations.lease();
        let long_ago = Confirmations::new(Epoch::from_micros(1), now);
        long_ago.confirmed(BootTime(Duration::ZERO));
        [(long_ago.lease(), false), (valid, true)]
    }

    #[tokio::test(start_paused = true)]
    async fn only_with_a_lease_is_anything_changed_at_the_cloud_and_everybody_may_look() {
        for (lease, may_act) in lapsed_and_valid() {
            let outside = Rc::new(Outside::default());
            let driver = LeasedDriver { inner: Rc::clone(&outside) as Rc<dyn CloudDriver>, lease };
            let id = InstanceId::new("i-1").unwrap();
            let order = order();
            let acts = [
                driver.create(&order).await.err(),
                driver.destroy(&id).await.err(),
                driver.set_tags(&id, &Tags::default()).await.err(),
            ];
            let unsent = acts.iter().flatten().filter(|error| error.code == LAPSED).count();
            assert_eq!((outside.0.get(), unsent), if may_act { (3, 0) } else { (0, 3) });
            driver.list(&Tags::default()).await.unwrap();
            assert_eq!(outside.0.get(), if may_act { 4 } else { 1 });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_with_a_lease_is_a_record_changed_and_everybody_may_read() {
        for (lease, may_act) in lapsed_and_valid() {
            let outside = Outside::default();
            let api = LeasedApi { inner: &outside, lease };
            let uuid = "zzzzz-dz642-000000000000001".parse().unwrap();
            let acts = [api.lock(uuid).await, api.unlock(uuid).await, api.cancel(uuid, None).await];
            let kinds = acts.map(|answer| answer.unwrap_err().kind);
            let (kind, reached) =
                if may_act { (ApiErrorKind::Malformed, 3) } else { (ApiErrorKind::NotSent, 0) };
            assert_eq!((kinds, outside.0.get()), ([kind; 3], reached));
            let reads = [
                api.current_token().await.err(),
                api.list(&ListQuestion::Available { offset: 0 }).await.err(),
                api.mounts(&[uuid]).await.err(),
                api.get(uuid).await.err(),
            ];
            assert!(reads.iter().flatten().all(|error| error.kind == ApiErrorKind::Malformed));
            assert_eq!(outside.0.get(), reached + 4);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_with_a_lease_is_a_process_started_or_ended_and_everybody_may_list() {
        for (lease, may_act) in lapsed_and_valid() {
            let outside = Rc::new(Outside::default());
            let executor = LeasedExecutor { inner: Rc::clone(&outside) as Rc<dyn Executor>, lease };
            let looks = ShellCommand::new("crunch-run --list", Duration::from_secs(1));
            let acting = ShellCommand { acts: true, ..looks.clone() };
            let unsent = executor.run(acting).await.err().map(|error| error.kind);
            assert_eq!(unsent, (!may_act).then_some(ExecErrorKind::NotSent));
            executor.run(looks).await.unwrap();
            assert_eq!(outside.0.get(), if may_act { 2 } else { 1 });
        }
    }
}
