//! What a plan asks of Queue and of Pool: each action has the name of the message that carries it.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::container::Standing;
use crate::id::{ContainerUuid, InstanceId};
use crate::instance::InstanceType;
use crate::queue::{CancelReason, UnlockReason};
use crate::worker::{AttemptOutcome, KillReason, ShutdownReason, StartOrder};

/// A request. The receiver checks it again and may refuse it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Action {
    /// To Queue.
    Queue(QueueAction),
    /// To Pool.
    Pool(PoolAction),
}

/// What a plan asks of Queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum QueueAction {
    /// Queued → Locked.
    LockContainer(ContainerUuid),
    /// Locked → Queued.
    UnlockContainer(ContainerUuid, UnlockReason),
    /// Locked → Queued after an attempt that came to nothing; → Cancelled with this text if it was the last one.
    RequeueContainer(ContainerUuid, String),
    /// → Cancelled, if the record still has this standing.
    CancelContainer(ContainerUuid, CancelReason, Standing),
    /// Drop a container that is final or on hold. Pool also forgets its attempts.
    ForgetContainer(ContainerUuid),
    /// Read the record of a process that has no entry.
    ReadOrphanRecord(ContainerUuid),
}

/// What a plan asks of Pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum PoolAction {
    /// Start the container on this instance.
    StartContainer(StartOrder, InstanceId),
    /// Create an instance of this type; the container is the first that wants it.
    CreateInstance(#[serde(serialize_with = "by_name")] Arc<InstanceType>, ContainerUuid),
    /// Create an instance of this type for the reserve: nobody waits for it.
    CreateSpare(#[serde(serialize_with = "by_name")] Arc<InstanceType>),
    /// Shut the instance down.
    ShutdownInstance(InstanceId, ShutdownReason),
    /// End the container's processes.
    KillContainer(ContainerUuid, KillReason),
    /// The cloud has told the container's process that its instance will be taken away: it gets nothing new.
    NoteSpotNotice(ContainerUuid, String),
    /// Forget the container's ended process.
    ForgetProcess(ContainerUuid, AttemptOutcome),
    /// Forget the failed starts of a container that is not in the queue any more.
    ForgetAttempts(ContainerUuid),
}

impl From<QueueAction> for Action {
    fn from(action: QueueAction) -> Self {
        Self::Queue(action)
    }
}

impl From<PoolAction> for Action {
    fn from(action: PoolAction) -> Self {
        Self::Pool(action)
    }
}

fn by_name<S: Serializer>(it: &Arc<InstanceType>, serializer: S) -> Result<S::Ok, S::Error> {
    it.name.serialize(serializer)
}
