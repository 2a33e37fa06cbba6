//! What Cloud is asked: by Pool, by Workers, and by executors about host keys.

use std::sync::Arc;

use actix::Message;
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

/// End an instance.
#[derive(Debug, Message)]
#[rtype(result = "DestroyAnswer")]
pub struct DestroyInstance {
    /// The instance.
    pub id: InstanceId,
}

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
