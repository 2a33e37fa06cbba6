//! What Pool is asked and told: by Scheduler and the API, by Cloud, by Workers.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix::{Message, Recipient};
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::{Instance, InstanceType};
use dispatch_core::ledger::{Statement, Sum};
use dispatch_core::pool::{CreateRefusal, GoneReply, OperatorWish, PoolRefusal, PoolSnapshot, Unanswered};
use dispatch_core::time::Timestamp;
use dispatch_core::worker::runner::Commands;
use dispatch_core::worker::{AttemptOutcome, BootOutcome, KillReason, ShutdownReason, StartOrder, View};

use super::GetState;

/// Which workers are there, and how do they stand?
#[derive(Debug, Message)]
#[rtype(result = "PoolView")]
pub struct GetPool;

/// The answer to [`GetPool`]: immutable, and cheap to pass on.
#[derive(Debug, Clone, Default)]
pub struct PoolView {
    /// The workers, creates in flight, ended processes and gates.
    pub snapshot: Arc<PoolSnapshot>,
    /// Greatest and median age of the last successful probe, in seconds.
    pub probe_ages: (f64, f64),
    /// Creates and starts in flight.
    pub in_flight: usize,
    /// What was spent, by type and category.
    pub spent: Arc<Vec<Sum>>,
}

/// What has been spent, on what, and when?
#[derive(Debug, Message)]
#[rtype(result = "Statement")]
pub struct GetStatement;

/// Which workers can be asked for their state?
#[derive(Debug, Message)]
#[rtype(result = "WorkerRecipients")]
pub struct GetWorkers;

/// We stop: let the fences of all VMs say so. The answer: on how many that has failed.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct ReleaseFences;

/// The answer to [`GetWorkers`].
pub type WorkerRecipients = Vec<(InstanceId, Recipient<GetState>)>;

/// Order an instance.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), CreateRefusal>")]
pub struct CreateInstance {
    /// The type.
    pub instance_type: Arc<InstanceType>,
    /// The container that wants it first; `None` = it is for the reserve.
    pub container: Option<ContainerUuid>,
}

/// End an instance.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), PoolRefusal>")]
pub struct ShutdownInstance {
    /// The instance.
    pub id: InstanceId,
    /// The reason.
    pub reason: ShutdownReason,
}

/// Start a container.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), PoolRefusal>")]
pub struct StartContainer {
    /// Which, with what the log and the metrics say of its start.
    pub order: StartOrder,
    /// The instance on which it is.
    pub instance: InstanceId,
}

/// End a container's processes.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), PoolRefusal>")]
pub struct KillContainer {
    /// The container.
    pub uuid: ContainerUuid,
    /// The reason.
    pub reason: KillReason,
}

/// Forget an ended process.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), PoolRefusal>")]
pub struct ForgetProcess {
    /// The container.
    pub uuid: ContainerUuid,
    /// What the attempt came to.
    pub outcome: AttemptOutcome,
}

/// The cloud has announced to the container's process that its instance will be taken away.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct NoteSpotNotice {
    /// The container.
    pub uuid: ContainerUuid,
    /// What was announced.
    pub notice: String,
}

/// The container is no longer in the queue: forget what its attempts came to.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ForgetAttempts {
    /// The container.
    pub uuid: ContainerUuid,
}

/// The instances that are not idle although nothing runs there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct KeepInstances {
    /// The plan has containers for them that cannot be started yet.
    pub reserved: Arc<BTreeSet<InstanceId>>,
    /// They are spare ones, for what comes next.
    pub spares: Arc<BTreeSet<InstanceId>>,
}

/// What the operator wants of an instance.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), PoolRefusal>")]
pub struct SetIdleBehavior {
    /// The instance.
    pub id: InstanceId,
    /// What the operator wants, and who that is.
    pub wish: OperatorWish,
}

/// The runner that is to be deployed cannot be read, or can be read again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RunnerChanged {
    /// How it is called from now on; `None` = unreadable: nothing is created.
    pub commands: Option<Arc<Commands>>,
}

/// System calls of our own side fail, or succeed again.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct OwnSideChanged {
    /// Whether they fail: nothing is created, and nobody is judged for silence.
    pub fails: bool,
}

/// From Cloud: an instance is there.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct InstanceAppeared {
    /// As listed.
    pub instance: Instance,
}

/// From Cloud: an instance has another address, other tags or prices.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct InstanceChanged {
    /// As listed.
    pub instance: Instance,
}

/// From Cloud: a listing that began then lacks an instance. Told again for every listing that does, until
/// the answer says that it is forgotten.
#[derive(Debug)]
pub struct InstanceGone {
    /// The instance.
    pub id: InstanceId,
    /// When the listing began.
    pub began: Timestamp,
    /// Why it has ended, if the cloud has told.
    pub reason: Option<String>,
}

impl Message for InstanceGone {
    type Result = GoneReply;
}

/// From Cloud: a complete listing that began then has been told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ListingFinished {
    /// When it began.
    pub began: Timestamp,
}

/// From Worker: its new view.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WorkerChanged {
    /// The whole view.
    pub view: Arc<View>,
    /// The number of the last command it has seen.
    pub applied: u64,
    /// Processes that have ended since the last view.
    pub ended: Vec<ContainerUuid>,
    /// How booting ended, if it just has.
    pub boot: Option<BootOutcome>,
    /// Why it is out of reach, if it is.
    pub unanswered: Option<Unanswered>,
}

/// From Worker: it did not take a start.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StartRefused {
    /// The container.
    pub uuid: ContainerUuid,
    /// By whom.
    pub instance: InstanceId,
    /// The number of the command.
    pub number: u64,
}
