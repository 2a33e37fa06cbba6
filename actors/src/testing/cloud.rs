//! A cloud of a few instances.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::{CloudDriver, CloudError, CloudErrorKind, CreateOrder, HostKey, HostKeyVerdict};

use super::{elapsed, id, take};

/// The cloud.
pub struct FakeCloud {
    pub instances: RefCell<BTreeMap<InstanceId, Instance>>,
    /// Each call: when, which.
    pub calls: RefCell<Vec<(f64, &'static str)>>,
    pub orders: RefCell<Vec<CreateOrder>>,
    /// What each listing has asked for.
    pub filters: RefCell<Vec<Tags>>,
    fails: RefCell<BTreeMap<&'static str, VecDeque<CloudErrorKind>>>,
    /// How long each call takes.
    pub takes: Cell<Duration>,
    made: Cell<usize>,
}

pub fn cloud_error(kind: CloudErrorKind) -> CloudError {
    CloudError { code: "TestCode".to_owned(), message: format!("the cloud says {}", kind.as_str()), kind }
}

impl FakeCloud {
    pub fn with(instances: impl IntoIterator<Item = Instance>) -> Rc<Self> {
        let cloud = Self {
            instances: RefCell::default(),
            calls: RefCell::default(),
            orders: RefCell::default(),
            filters: RefCell::default(),
            fails: RefCell::default(),
            takes: Cell::default(),
            made: Cell::default(),
        };
        cloud.put(instances);
        Rc::new(cloud)
    }

    pub fn put(&self, instances: impl IntoIterator<Item = Instance>) {
        self.instances.borrow_mut().extend(instances.into_iter().map(|it| (it.id.clone(), it)));
    }

    /// The next answer to that call is a failure.
    pub fn fail(&self, call: &'static str, kind: CloudErrorKind) {
        self.fails.borrow_mut().entry(call).or_default().push_back(kind);
    }

    /// When that call was made since the last look.
    pub fn take_times(&self, call: &str) -> Vec<f64> {
        self.calls.take().into_iter().filter(|(_, name)| *name == call).map(|(at, _)| at).collect()
    }

    async fn call(&self, name: &'static str) -> Result<(), CloudError> {
        self.calls.borrow_mut().push((elapsed(), name));
        let fails = self.fails.borrow_mut().get_mut(name).and_then(VecDeque::pop_front);
        take(self.takes.get()).await;
        fails.map_or(Ok(()), |kind| Err(cloud_error(kind)))
    }
}

#[async_trait(?Send)]
impl CloudDriver for FakeCloud {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        self.orders.borrow_mut().push(order.clone());
        self.call("create").await?;
        self.made.set(self.made.get() + 1);
        let name = format!("vm-{}", self.made.get());
        let instance = Instance {
            id: id(&name),
            provider_type: order.instance_type.provider_type.clone(),
            address: format!("{name}.example"),
            tags: order.tags.clone(),
            price_history: Vec::new(),
            launched: None,
        };
        self.put([instance.clone()]);
        // As clouds do: the address comes later.
        Ok(Instance { address: String::new(), ..instance })
    }

    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
        self.filters.borrow_mut().push(filter.clone());
        let shown = self.instances.borrow().values().cloned().collect();
        self.call("list").await?;
        Ok(shown)
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        self.call("destroy").await?;
        self.instances.borrow_mut().remove(id);
        Ok(())
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        self.call("set_tags").await?;
        if let Some(instance) = self.instances.borrow_mut().get_mut(id) {
            instance.tags.merge(tags);
        }
        Ok(())
    }

    async fn verify_host_key(&self, _: &InstanceId, _: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        self.call("verify").await?;
        Ok(HostKeyVerdict::NotSupported)
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        provider_type.to_string()
    }

    fn remote_user(&self) -> &str {
        "crunch"
    }
}
