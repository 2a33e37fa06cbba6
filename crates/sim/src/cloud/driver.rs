//! The simulated cloud behind the dispatcher's port.

use std::cell::RefCell;
use std::rc::Rc;

use async_trait::async_trait;
use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::{CloudDriver, CloudError, CreateOrder, HostKey, HostKeyVerdict, HostKeyVerifier};
use dispatch_core::time::Timestamp;

use super::knobs::CloudCall;
use super::{FakeCloud, quota_group};
use crate::clock;

/// A driver of a simulated cloud. Several drivers may share one cloud, side by side or one after another.
#[derive(Debug, Clone)]
pub struct SimCloud {
    cloud: Rc<RefCell<FakeCloud>>,
    /// Which dispatcher asks, counted as they are started.
    dispatcher: u64,
}

impl SimCloud {
    /// A driver of that cloud.
    pub fn new(cloud: Rc<RefCell<FakeCloud>>) -> Self {
        let dispatcher = cloud.borrow().dispatchers;
        Self { cloud, dispatcher }
    }

    /// The cloud behind it.
    pub fn cloud(&self) -> &Rc<RefCell<FakeCloud>> {
        &self.cloud
    }

    /// Waits for half of the call's duration, lets it take effect, and waits for the other half.
    async fn call<T>(&self, call: CloudCall, effect: impl FnOnce(&mut FakeCloud, Timestamp) -> T) -> T {
        let half = {
            let mut cloud = self.cloud.borrow_mut();
            let FakeCloud { knobs, chance, .. } = &mut *cloud;
            knobs.duration(call, chance) / 2
        };
        tokio::time::sleep(half).await;
        let result = effect(&mut self.cloud.borrow_mut(), clock::now());
        tokio::time::sleep(half).await;
        result
    }
}

#[async_trait(?Send)]
impl CloudDriver for SimCloud {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        self.call(CloudCall::Create, |cloud, now| cloud.create(order, now)).await
    }

    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
        let asked_by = self.dispatcher;
        self.call(CloudCall::List, |cloud, now| cloud.list(filter, asked_by, now)).await
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        self.call(CloudCall::Destroy, |cloud, now| cloud.destroy(id, now)).await
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        self.call(CloudCall::SetTags, |cloud, now| cloud.set_tags(id, tags, now)).await
    }

    async fn verify_host_key(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        self.call(CloudCall::VerifyHostKey, |cloud, now| cloud.verify_host_key(id, key, now)).await
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        quota_group(provider_type)
    }

    fn end_reason(&self, id: &InstanceId) -> Option<String> {
        self.cloud.borrow().end_reason(id)
    }

    fn remote_user(&self) -> &str {
        "root"
    }
}

#[async_trait(?Send)]
impl HostKeyVerifier for SimCloud {
    async fn verify(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        self.verify_host_key(id, key).await
    }
}
