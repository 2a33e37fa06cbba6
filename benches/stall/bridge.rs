//! The ports on the actors' thread: each call is carried out by the world's.

use std::cell::RefCell;
use std::rc::Rc;

use async_trait::async_trait;
use dispatch_core::container::{MountNeeds, Record, Standing};
use dispatch_core::id::{ContainerRequestUuid, ContainerUuid, InstanceId, ProviderType, TokenUuid};
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::{
    ApiError, ArvadosApi, CloudDriver, CloudError, CreateOrder, ExecError, Executor, ExecutorFactory,
    HostKey, HostKeyVerdict, ListQuestion, Output, Page, ShellCommand, Target,
};

use crate::world::World;

/// Controller, cloud and VMs.
#[derive(Clone)]
pub struct Bridge(pub World);

#[async_trait(?Send)]
impl ArvadosApi for Bridge {
    async fn current_token(&self) -> Result<TokenUuid, ApiError> {
        self.0.carry(|sim| async move { sim.api.current_token().await }).await
    }

    async fn list(&self, question: &ListQuestion) -> Result<Page<Record>, ApiError> {
        let question = question.clone();
        self.0.carry(|sim| async move { sim.list(&question).await }).await
    }

    async fn mounts(&self, uuids: &[ContainerUuid]) -> Result<Page<(ContainerUuid, MountNeeds)>, ApiError> {
        let uuids = uuids.to_vec();
        self.0.carry(|sim| async move { sim.api.mounts(&uuids).await }).await
    }

    async fn requests_of(
        &self,
        uuids: &[ContainerUuid],
    ) -> Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError> {
        let uuids = uuids.to_vec();
        self.0.carry(|sim| async move { sim.api.requests_of(&uuids).await }).await
    }

    async fn get(&self, uuid: ContainerUuid) -> Result<Record, ApiError> {
        self.0.carry(move |sim| async move { sim.api.get(uuid).await }).await
    }

    async fn lock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.0.carry(move |sim| async move { sim.api.lock(uuid).await }).await
    }

    async fn unlock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.0.carry(move |sim| async move { sim.api.unlock(uuid).await }).await
    }

    async fn cancel(&self, uuid: ContainerUuid, error: Option<&str>) -> Result<Standing, ApiError> {
        let error = error.map(str::to_owned);
        self.0.carry(move |sim| async move { sim.api.cancel(uuid, error.as_deref()).await }).await
    }
}

#[async_trait(?Send)]
impl CloudDriver for Bridge {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        let order = order.clone();
        self.0.carry(|sim| async move { sim.cloud.create(&order).await }).await
    }

    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
        let filter = filter.clone();
        self.0.carry(|sim| async move { sim.cloud.list(&filter).await }).await
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        let id = id.clone();
        self.0.carry(|sim| async move { sim.cloud.destroy(&id).await }).await
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        let (id, tags) = (id.clone(), tags.clone());
        self.0.carry(|sim| async move { sim.cloud.set_tags(&id, &tags).await }).await
    }

    async fn verify_host_key(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        let (id, key) = (id.clone(), key.clone());
        self.0.carry(|sim| async move { sim.cloud.verify_host_key(&id, &key).await }).await
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        provider_type.to_string()
    }

    fn remote_user(&self) -> &str {
        "root"
    }
}

impl ExecutorFactory for Bridge {
    fn open(&self, target: Target) -> Rc<dyn Executor> {
        Rc::new(Shell { world: self.0.clone(), target: RefCell::new(target) })
    }
}

/// A shell on one VM. Its connection never breaks, and it cannot watch: ends are seen by probes.
struct Shell {
    world: World,
    target: RefCell<Target>,
}

#[async_trait(?Send)]
impl Executor for Shell {
    async fn run(&self, command: ShellCommand) -> Result<Output, ExecError> {
        let target = self.target.borrow().clone();
        self.world.carry(|sim| async move { sim.executor(target).run(command).await }).await
    }

    fn retarget(&self, target: Target) {
        self.target.replace(target);
    }

    async fn broken(&self) {
        std::future::pending().await
    }
}
