//! Connects one incarnation of the dispatcher with the world.
//!
//! The world carries out a call, and not its caller: when the dispatcher is killed, what it has sent still
//! arrives, and the answer is dropped. Commands on VMs end soon after the connection that they came by, and watches with
//! it.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_core::container::{MountNeeds, Record, Standing};
use dispatch_core::id::{ContainerRequestUuid, ContainerUuid, InstanceId, ProviderType, TokenUuid};
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::{
    ApiError, ArvadosApi, CloudDriver, CloudError, CreateOrder, ExecError, ExecErrorKind, Executor,
    ExecutorFactory, HostKey, HostKeyVerdict, ListQuestion, Output, Page, ShellCommand, Target, Watch,
    WatchEnd,
};
use futures_util::future::select;
use tokio::sync::{Notify, oneshot};
use tokio::task::LocalSet;

use super::journal::{Journal, Note};
use super::plight::Plight;
use super::renewals;
use crate::clock;
use crate::cloud::SimCloud;
use crate::cloud::knobs::CloudCall;
use crate::controller::port::SimApi;
use crate::vm::SimExecutorFactory;
use crate::vm::shell::{Asked, understand, without_fence};

/// How long a command that is on its way to a VM goes on after the dispatcher's end.
const COMMANDS_END_WITHIN: Duration = Duration::from_millis(100);

/// The connections of one incarnation with the controller, the cloud and the VMs.
pub(super) struct Cable {
    world: Weak<LocalSet>,
    journal: Rc<std::cell::RefCell<Journal>>,
    plight: Rc<Plight>,
    is_cut: Cell<bool>,
    cut: Notify,
}

impl Cable {
    pub(super) fn new(
        world: &Rc<LocalSet>,
        journal: Rc<std::cell::RefCell<Journal>>,
        plight: Rc<Plight>,
    ) -> Rc<Self> {
        let world = Rc::downgrade(world);
        Rc::new(Self { world, journal, plight, is_cut: Cell::new(false), cut: Notify::new() })
    }

    /// Cuts the cable, because the dispatcher has been killed.
    pub(super) fn cut(&self) {
        self.is_cut.set(true);
        self.cut.notify_waiters();
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    fn note(&self, note: Note) {
        if !self.is_cut() {
            self.journal.borrow_mut().note(clock::now(), note);
        }
    }

    /// An action is handed over.
    fn acts(&self, what: &'static str) {
        if !self.plight.may_act() {
            self.note(Note::ActedWithoutLease(what));
        }
    }

    /// The answer to a call. The world carries the call out even if the caller stops waiting.
    async fn carry<T: 'static>(&self, call: impl Future<Output = T> + 'static) -> T {
        let Some(world) = self.world.upgrade().filter(|_| !self.is_cut()) else {
            return std::future::pending().await;
        };
        let (answer, wait) = oneshot::channel();
        world.spawn_local(async move {
            // The caller may have stopped waiting.
            let _ = answer.send(call.await);
        });
        match wait.await {
            Ok(answer) if !self.is_cut() => answer,
            Ok(_) | Err(_) => std::future::pending().await,
        }
    }

    /// Runs the call for as long as the cable is whole, and a moment longer.
    async fn while_whole<T>(self: Rc<Self>, call: impl Future<Output = T>) -> T {
        let end = async {
            if !self.is_cut() {
                self.cut.notified().await;
            }
            tokio::time::sleep(COMMANDS_END_WITHIN).await;
        };
        match select(pin!(call), pin!(end)).await {
            futures_util::future::Either::Left((answer, _)) => answer,
            futures_util::future::Either::Right(_) => std::future::pending().await,
        }
    }
}

/// The controller at the other end.
pub(super) struct ApiCable {
    pub cable: Rc<Cable>,
    pub api: Rc<SimApi>,
}

impl ApiCable {
    async fn carry<T: 'static, F>(&self, call: impl FnOnce(Rc<SimApi>) -> F) -> T
    where
        F: Future<Output = T> + 'static,
    {
        self.cable.carry(call(Rc::clone(&self.api))).await
    }
}

#[async_trait(?Send)]
impl ArvadosApi for ApiCable {
    async fn current_token(&self) -> Result<TokenUuid, ApiError> {
        self.carry(|api| async move { api.current_token().await }).await
    }

    async fn list(&self, question: &ListQuestion) -> Result<Page<Record>, ApiError> {
        let question = question.clone();
        self.carry(|api| async move { api.list(&question).await }).await
    }

    async fn mounts(&self, uuids: &[ContainerUuid]) -> Result<Page<(ContainerUuid, MountNeeds)>, ApiError> {
        let uuids = uuids.to_vec();
        self.carry(|api| async move { api.mounts(&uuids).await }).await
    }

    async fn requests_of(
        &self,
        uuids: &[ContainerUuid],
    ) -> Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError> {
        let uuids = uuids.to_vec();
        self.carry(|api| async move { api.requests_of(&uuids).await }).await
    }

    async fn get(&self, uuid: ContainerUuid) -> Result<Record, ApiError> {
        self.carry(|api| async move { api.get(uuid).await }).await
    }

    async fn lock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.cable.acts("lock");
        self.carry(|api| async move { api.lock(uuid).await }).await
    }

    async fn unlock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.cable.acts("unlock");
        self.carry(|api| async move { api.unlock(uuid).await }).await
    }

    async fn cancel(&self, uuid: ContainerUuid, error: Option<&str>) -> Result<Standing, ApiError> {
        self.cable.acts("cancel");
        let error = error.map(str::to_owned);
        self.carry(|api| async move { api.cancel(uuid, error.as_deref()).await }).await
    }
}

/// The cloud at the other end.
pub(super) struct CloudCable {
    pub cable: Rc<Cable>,
    pub cloud: SimCloud,
}

impl CloudCable {
    async fn carry<T: 'static, F>(&self, kind: CloudCall, call: impl FnOnce(SimCloud) -> F) -> T
    where
        F: Future<Output = T> + 'static,
    {
        self.cable.note(Note::Sent(kind));
        self.cable.carry(call(self.cloud.clone())).await
    }
}

#[async_trait(?Send)]
impl CloudDriver for CloudCable {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        let order = order.clone();
        self.cable.acts("create");
        self.cable.note(Note::CreateSent(Arc::clone(&order.instance_type)));
        let _open = OpenCreate(Rc::clone(&self.cable));
        self.carry(CloudCall::Create, |cloud| async move { cloud.create(&order).await }).await
    }

    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
        let filter = filter.clone();
        self.carry(CloudCall::List, |cloud| async move { cloud.list(&filter).await }).await
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        self.cable.acts("destroy");
        self.cable.note(Note::DestroySent(id.clone()));
        let id = id.clone();
        self.carry(CloudCall::Destroy, |cloud| async move { cloud.destroy(&id).await }).await
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        self.cable.acts("set tags");
        if renewals::noted_in(tags).is_some() {
            self.cable.note(Note::RenewalSent(id.clone()));
        }
        let (id, tags) = (id.clone(), tags.clone());
        self.carry(CloudCall::SetTags, |cloud| async move { cloud.set_tags(&id, &tags).await }).await
    }

    async fn verify_host_key(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        let (id, key) = (id.clone(), key.clone());
        self.carry(CloudCall::VerifyHostKey, |cloud| async move { cloud.verify_host_key(&id, &key).await })
            .await
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        self.cloud.quota_group(provider_type)
    }

    fn end_reason(&self, id: &InstanceId) -> Option<String> {
        self.cloud.end_reason(id)
    }

    fn remote_user(&self) -> &str {
        self.cloud.remote_user()
    }
}

/// A create that the dispatcher waits for. It is noted when the dispatcher no longer does.
struct OpenCreate(Rc<Cable>);

impl Drop for OpenCreate {
    fn drop(&mut self) {
        self.0.note(Note::Answered(CloudCall::Create));
    }
}

/// The VMs at the other end.
pub(super) struct ExecutorCables {
    pub cable: Rc<Cable>,
    pub executors: SimExecutorFactory,
}

impl ExecutorFactory for ExecutorCables {
    fn open(&self, target: Target) -> Rc<dyn Executor> {
        let id = std::cell::RefCell::new(target.id.clone());
        Rc::new(ExecutorCable { cable: Rc::clone(&self.cable), executor: self.executors.open(target), id })
    }
}

struct ExecutorCable {
    cable: Rc<Cable>,
    executor: Rc<dyn Executor>,
    id: std::cell::RefCell<InstanceId>,
}

#[async_trait(?Send)]
impl Executor for ExecutorCable {
    async fn run(&self, command: ShellCommand) -> Result<Output, ExecError> {
        if self.cable.plight.own_side_fails() {
            return Err(ExecError { kind: ExecErrorKind::Local, message: "too many open files".to_owned() });
        }
        if command.acts {
            self.cable.acts("command");
        }
        if let Asked::Start { container, .. } = without_fence(understand(&command.shell)) {
            self.cable.note(Note::StartSent(self.id.borrow().clone(), container));
        }
        let (cable, executor) = (Rc::clone(&self.cable), Rc::clone(&self.executor));
        let call = async move { executor.run(command).await };
        let answer = self.cable.carry(cable.while_whole(call)).await;
        // As real ones do: a connection that has failed says nothing if our own side fails by then.
        answer.map_err(|error| if self.cable.plight.own_side_fails() { own_side(error) } else { error })
    }

    async fn watch(&self, command: ShellCommand) -> Result<Rc<dyn Watch>, WatchEnd> {
        if self.cable.plight.own_side_fails() {
            return Err(WatchEnd::Local);
        }
        let executor = Rc::clone(&self.executor);
        self.cable.carry(async move { executor.watch(command).await }).await
    }

    fn retarget(&self, target: Target) {
        self.id.replace(target.id.clone());
        self.executor.retarget(target);
    }

    fn forget_connection(&self) {
        self.executor.forget_connection();
    }

    async fn broken(&self) {
        self.executor.broken().await;
    }
}

fn own_side(error: ExecError) -> ExecError {
    match error.kind {
        ExecErrorKind::NotReady
        | ExecErrorKind::NotSent
        | ExecErrorKind::VerifierFailed
        | ExecErrorKind::CommandTimeout
        | ExecErrorKind::OutputTooLarge => error,
        ExecErrorKind::Refused
        | ExecErrorKind::ConnectTimeout
        | ExecErrorKind::Authentication
        | ExecErrorKind::SecretUnreadable
        | ExecErrorKind::Verification
        | ExecErrorKind::ConnectionLost
        | ExecErrorKind::Local => ExecError { kind: ExecErrorKind::Local, ..error },
    }
}
