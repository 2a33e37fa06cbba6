//! What Cloud is asked: by Pool, by Workers, and by executors about host keys.

use std::sync::Arc;

use actix::{Message, Recipient};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Instance, InstanceType, Tags};
use dispatch_core::ports::{CloudError, HostKey, HostKeyVerdict};
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;

/// Order one instance.
#[derive(Debug, Message)]
#[rtype(result = "Result<Instance, CloudError>")]
pub struct OrderInstance {
    /// The type.
    pub instance_type: Arc<InstanceType>,
    /// The secret that it is to prove itself with.
    pub secret: Secret,
}

/// End an instance. The answer is `None` if its worker has taken that back.
#[derive(Message)]
#[rtype(result = "Option<DestroyAnswer>")]
pub struct DestroyInstance {
    /// The instance.
    pub id: InstanceId,
    /// Its worker, who is asked once more when the call's turn has come.
    pub worker: Recipient<MayDestroy>,
}

/// The cloud is asked to end the instance now: is that still right? After a yes there is no way back.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct MayDestroy;

/// What has come of a call to end an instance.
#[derive(Debug)]
pub struct DestroyAnswer {
    /// When the call was sent.
    pub sent: Timestamp,
    /// What the cloud has answered.
    pub outcome: Result<(), CloudError>,
}

/// Merge tags into those of an instance.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), CloudError>")]
pub struct SetTags {
    /// The instance.
    pub id: InstanceId,
    /// These tags.
    pub tags: Tags,
}

/// Every instance that the cloud shows, whoever's it is: once, for people. It is no listing of ours.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Instance>, CloudError>")]
pub struct GetVisibleInstances;

/// List the instances no later than then.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SyncBy {
    /// When at the latest.
    pub at: Timestamp,
}

/// List the instances now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Sync;

/// Is that the instance's host key?
#[derive(Debug, Message)]
#[rtype(result = "Result<HostKeyVerdict, CloudError>")]
pub struct VerifyHostKey {
    /// The instance.
    pub id: InstanceId,
    /// The key that the handshake showed.
    pub key: HostKey,
}
