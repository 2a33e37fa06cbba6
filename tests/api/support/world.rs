//! A controller, a cloud and VMs, as simple as they can be.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;
use dispatch_actors::worker::StartConfig;
use dispatch_core::container::{ContainerState, MountNeeds, Record, Standing};
use dispatch_core::id::{ContainerRequestUuid, ContainerUuid, InstanceId, ProviderType, TokenUuid};
use dispatch_core::instance::{Instance, InstanceType, PricePoint, Tags};
use dispatch_core::ports::{
    ApiError, ApiErrorKind, ArvadosApi, CloudDriver, CloudError, CloudErrorKind, CreateOrder, ExecError,
    Executor, ExecutorFactory, HostKey, HostKeyVerdict, ListQuestion, Output, Page, ShellCommand, Target,
    Undecodable,
};

/// Everything outside of the dispatcher. The test changes it, the ports show it.
#[derive(Default)]
pub struct World {
    pub records: RefCell<BTreeMap<ContainerUuid, Record>>,
    /// Records that cannot be decoded, with the reason.
    pub undecodable: RefCell<BTreeMap<ContainerUuid, String>>,
    pub instances: RefCell<BTreeMap<InstanceId, Instance>>,
    /// Processes, by VM.
    pub processes: RefCell<BTreeMap<InstanceId, BTreeSet<ContainerUuid>>>,
    pub controller_fails: Cell<bool>,
    pub cloud_fails: Cell<bool>,
    /// Creates never answer.
    pub creates_hang: Cell<bool>,
    /// Locks never answer.
    pub locks_hang: Cell<bool>,
    /// Processes outlive signals.
    pub kills_are_vain: Cell<bool>,
    /// What VMs cost now, if the cloud tells.
    pub prices: RefCell<Vec<PricePoint>>,
    /// How often the VMs were listed.
    pub listings: Cell<u32>,
    next_instance: Cell<u32>,
}

pub fn me() -> TokenUuid {
    "zzzzz-gj3su-000000000000000".parse().unwrap()
}

impl World {
    pub fn add(&self, record: Record) {
        self.records.borrow_mut().insert(record.uuid, record);
    }

    fn change(&self, uuid: ContainerUuid, state: ContainerState) -> Result<Standing, ApiError> {
        self.controller_answers()?;
        let mut records = self.records.borrow_mut();
        let record = records.get_mut(&uuid).ok_or_else(|| api_error(ApiErrorKind::NotFound))?;
        record.state = state;
        record.locked_by = (state == ContainerState::Locked).then(me);
        Ok(record.standing())
    }

    fn controller_answers(&self) -> Result<(), ApiError> {
        if self.controller_fails.get() { Err(api_error(ApiErrorKind::Connection)) } else { Ok(()) }
    }

    fn cloud_answers(&self) -> Result<(), CloudError> {
        let error = || CloudError {
            kind: CloudErrorKind::Other,
            code: "Broken".to_owned(),
            message: "cloud is broken".to_owned(),
        };
        if self.cloud_fails.get() { Err(error()) } else { Ok(()) }
    }

    fn select(&self, wanted: impl Fn(&Record) -> bool) -> Vec<Record> {
        let undecodable = self.undecodable.borrow();
        let decodable = |record: &&Record| !undecodable.contains_key(&record.uuid);
        self.records.borrow().values().filter(decodable).filter(|it| wanted(it)).cloned().collect()
    }
}

fn api_error(kind: ApiErrorKind) -> ApiError {
    let message = "the controller does not answer".to_owned();
    ApiError { kind, status: None, message, request_id: "req-1".to_owned() }
}

/// The controller.
pub struct Controller(pub Rc<World>);

#[async_trait(?Send)]
impl ArvadosApi for Controller {
    async fn current_token(&self) -> Result<TokenUuid, ApiError> {
        self.0.controller_answers().map(|()| me())
    }

    async fn list(&self, question: &ListQuestion) -> Result<Page<Record>, ApiError> {
        self.0.controller_answers()?;
        let items = match question {
            ListQuestion::Mine { after, .. } => {
                self.0.select(|it| it.locked_by == Some(me()) && after.is_none_or(|after| it.uuid > after))
            }
            ListQuestion::Available { offset } => {
                let mut items = self.0.select(|it| it.state == ContainerState::Queued && it.priority > 0);
                items.sort_by_key(|it| std::cmp::Reverse(it.priority));
                items.into_iter().skip(*offset).collect()
            }
            ListQuestion::Known { uuids } => self.0.select(|it| uuids.contains(&it.uuid)),
        };
        let poisoned = self.0.undecodable.borrow();
        let first = matches!(question, ListQuestion::Available { offset: 0 });
        let undecodable = poisoned
            .iter()
            .filter(|_| first)
            .map(|(uuid, reason)| Undecodable { uuid: Some(*uuid), reason: reason.clone() });
        Ok(Page { items, undecodable: undecodable.collect() })
    }

    async fn mounts(&self, uuids: &[ContainerUuid]) -> Result<Page<(ContainerUuid, MountNeeds)>, ApiError> {
        self.0.controller_answers()?;
        let items = uuids.iter().map(|uuid| (*uuid, MountNeeds::default())).collect();
        Ok(Page { items, undecodable: Vec::new() })
    }

    async fn requests_of(
        &self,
        _: &[ContainerUuid],
    ) -> Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError> {
        self.0.controller_answers()?;
        Ok(Page::default())
    }

    async fn get(&self, uuid: ContainerUuid) -> Result<Record, ApiError> {
        self.0.controller_answers()?;
        self.0.records.borrow().get(&uuid).cloned().ok_or_else(|| api_error(ApiErrorKind::NotFound))
    }

    async fn lock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        if self.0.locks_hang.get() {
            std::future::pending::<()>().await;
        }
        self.0.change(uuid, ContainerState::Locked)
    }

    async fn unlock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.0.change(uuid, ContainerState::Queued)
    }

    async fn cancel(&self, uuid: ContainerUuid, _: Option<&str>) -> Result<Standing, ApiError> {
        self.0.change(uuid, ContainerState::Cancelled)
    }
}

/// The cloud.
pub struct Cloud(pub Rc<World>);

#[async_trait(?Send)]
impl CloudDriver for Cloud {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        if self.0.creates_hang.get() {
            std::future::pending::<()>().await;
        }
        self.0.cloud_answers()?;
        let number = self.0.next_instance.replace(self.0.next_instance.get() + 1);
        let instance = Instance {
            id: InstanceId::new(&format!("i-{number:04}")).unwrap(),
            provider_type: order.instance_type.provider_type.clone(),
            address: format!("10.1.0.{}", number + 4),
            tags: order.tags.clone(),
            price_history: Vec::new(),
            launched: None,
        };
        self.0.instances.borrow_mut().insert(instance.id.clone(), instance.clone());
        Ok(instance)
    }

    async fn list(&self, _: &Tags) -> Result<Vec<Instance>, CloudError> {
        self.0.cloud_answers()?;
        self.0.listings.set(self.0.listings.get() + 1);
        Ok(self.0.instances.borrow().values().cloned().collect())
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        self.0.cloud_answers()?;
        self.0.instances.borrow_mut().remove(id);
        self.0.processes.borrow_mut().remove(id);
        Ok(())
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        self.0.cloud_answers()?;
        if let Some(instance) = self.0.instances.borrow_mut().get_mut(id) {
            instance.tags.merge(tags);
        }
        Ok(())
    }

    async fn verify_host_key(&self, _: &InstanceId, _: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        Ok(HostKeyVerdict::Genuine)
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        provider_type.to_string()
    }

    fn price_history(&self, _: &Instance, _: &InstanceType) -> Vec<PricePoint> {
        self.0.prices.borrow().clone()
    }

    fn remote_user(&self) -> &str {
        "root"
    }
}

/// Shells on VMs.
pub struct Shells(pub Rc<World>);

impl ExecutorFactory for Shells {
    fn open(&self, target: Target) -> Rc<dyn Executor> {
        Rc::new(Shell { world: Rc::clone(&self.0), id: target.id })
    }
}

struct Shell {
    world: Rc<World>,
    id: InstanceId,
}

#[async_trait(?Send)]
impl Executor for Shell {
    async fn run(&self, command: ShellCommand) -> Result<Output, ExecError> {
        let mut processes = self.world.processes.borrow_mut();
        let processes = processes.entry(self.id.clone()).or_default();
        let last = command.shell.rsplit(' ').next().unwrap_or_default();
        let uuid = last.trim_matches(['\'', '\\']).parse::<ContainerUuid>();
        let mut output = Output::default();
        if command.shell.contains("fence-claimed") {
            output.stdout = b"fence-claimed 1 62 settled\n".to_vec();
        } else if command.shell.contains(" --list") {
            output.stdout = processes.iter().map(|uuid| format!("{uuid}\n")).collect::<String>().into_bytes();
        } else if command.shell.contains(" --detach") {
            processes.insert(uuid.unwrap());
        } else if command.shell.contains(" --kill") {
            // The runner exits with 1 while the process is there.
            match self.world.kills_are_vain.get() {
                true => output.status = 1,
                false => drop(processes.remove(&uuid.unwrap())),
            }
        }
        Ok(output)
    }

    fn retarget(&self, _: Target) {}

    async fn broken(&self) {
        std::future::pending::<()>().await;
    }
}

/// Nothing is said to processes.
pub struct NoStdin;

impl StartConfig for NoStdin {
    fn stdin(&self, _: ContainerUuid, _: &InstanceType, _: &str) -> Bytes {
        Bytes::new()
    }
}
