//! What Pool asks of a worker, or tells it. A worker may refuse a command, with a reason.

use std::sync::Arc;

use serde::Serialize;

use super::process::KeptFor;
use super::reason::{KillReason, ShutdownReason};
use super::renewal::Renewal;
use crate::id::ContainerUuid;
use crate::instance::{IdleBehavior, Instance};
use crate::note::Note;
use crate::policy::Policy;
use crate::queue::Entry;
use crate::time::Timestamp;

/// A container that is to be started, with what the log and the metrics say of its start. Made by the plan,
/// carried by Pool to the worker as one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StartOrder {
    /// The container.
    pub uuid: ContainerUuid,
    /// Its priority, for the log.
    pub priority: i64,
    /// When it was made, by the controller's clock: for the time from queue to process.
    pub created_at: Option<Timestamp>,
    /// When the controller answered our lock, if it was this process that has locked it, and this is the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_at: Option<Timestamp>,
    /// Whether an earlier start of it has failed on another instance: then another failure says little about the
    /// worker.
    pub failed_elsewhere: bool,
}

impl StartOrder {
    /// The order to start that container.
    pub fn of(entry: &Entry) -> Self {
        let record = &entry.record;
        Self {
            uuid: record.uuid,
            priority: record.priority,
            created_at: record.created_at,
            locked_at: entry.locked_at,
            failed_elsewhere: false,
        }
    }
}

/// What the last attempt to run a container on a worker came to. Attempts that come to nothing count against
/// the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum AttemptOutcome {
    /// The container's record had left the state Locked, or the attempt's end was no fault of the worker.
    LeftLocked,
    /// The record was still Locked when the process had ended.
    StillLocked,
}

/// What Pool wants of a worker. An input of [`super::Machine::on_command`].
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Start a container.
    Start(StartOrder),
    /// End the process of a container.
    Kill(ContainerUuid, KillReason),
    /// Do what the operator wants.
    SetIdleBehavior(IdleBehavior, Option<Note>),
    /// The operator wants it drained, unless somebody holds it.
    DrainUnlessHeld(Option<Note>),
    /// Its type is drained: so is it, if it is in use like any other.
    DrainWithType(Note),
    /// Its type is used again: so is it, unless it was drained for a reason of its own.
    RunWithType(Note),
    /// It is too old, or would be made otherwise today: it is drained, if it is in use like any other.
    Renew(Renewal),
    /// The cloud will take it away: it is drained, if it is in use like any other.
    DrainForNotice,
    /// Have the instance destroyed.
    ShutDown(ShutdownReason),
    /// It is kept for that, although nothing runs there; `None` = for nothing any more.
    Keep(Option<KeptFor>),
    /// Probe now: there is a place for it in the rate.
    Probe,
    /// The last attempt of this container on this worker has been judged.
    StartJudged {
        /// The container.
        uuid: ContainerUuid,
        /// What the attempt came to.
        outcome: AttemptOutcome,
        /// Whether an earlier attempt of it has failed on another instance.
        failed_elsewhere: bool,
    },
    /// The cloud shows the instance with this address and these tags.
    InstanceUpdated(Instance),
    /// A listing that began then still shows the instance.
    StillListed(Timestamp),
    /// A listing lacks the instance: is it there?
    Missing,
    /// This process has not lived for a while: what others did not do meanwhile is not their silence.
    Paused,
    /// The site's configuration was read anew.
    UsePolicy(Arc<Policy>),
}

impl Command {
    /// For the log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Kill(..) => "kill",
            Self::SetIdleBehavior(..)
            | Self::DrainUnlessHeld(_)
            | Self::DrainWithType(_)
            | Self::RunWithType(_)
            | Self::Renew(_)
            | Self::DrainForNotice => "set idle behavior",
            Self::ShutDown(_) => "shutdown",
            Self::Probe => "probe",
            Self::Keep(_)
            | Self::StartJudged { .. }
            | Self::InstanceUpdated(_)
            | Self::StillListed(_)
            | Self::Missing
            | Self::Paused
            | Self::UsePolicy(_) => "news",
        }
    }

    /// The container that it would start: Pool is told if that is refused.
    pub fn starts(&self) -> Option<ContainerUuid> {
        match self {
            Self::Start(order) => Some(order.uuid),
            Self::Kill(..)
            | Self::SetIdleBehavior(..)
            | Self::DrainUnlessHeld(_)
            | Self::DrainWithType(_)
            | Self::RunWithType(_)
            | Self::Renew(_)
            | Self::DrainForNotice
            | Self::ShutDown(_)
            | Self::Keep(_)
            | Self::Probe
            | Self::StartJudged { .. }
            | Self::InstanceUpdated(_)
            | Self::StillListed(_)
            | Self::Missing
            | Self::Paused
            | Self::UsePolicy(_) => None,
        }
    }
}

/// Why a worker does not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkerRefusal {
    /// It is not in service.
    NotInService,
    /// It is on hold or draining.
    NotTakingContainers,
    /// It is being destroyed.
    ShuttingDown,
    /// The container has a process, or a stale lock, here already.
    AlreadyHere,
    /// It has no such process.
    NoSuchProcess,
    /// Its fence is not ours: nothing is started there.
    NotFenced,
    /// The runner cannot be copied there: nothing is started.
    NoRunner,
    /// Another dispatcher has claimed its fence after us: nothing is done there.
    FencedByAnother,
}

impl WorkerRefusal {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotInService => "worker is not in service",
            Self::NotTakingContainers => "worker is on hold or draining",
            Self::ShuttingDown => "worker is shutting down",
            Self::AlreadyHere => "container has a process or a stale lock on this worker",
            Self::NoSuchProcess => "no such process on this worker",
            Self::NoRunner => "the runner cannot be copied to this worker",
            Self::NotFenced => "the fence of this worker is not ours",
            Self::FencedByAnother => "another dispatcher has claimed the fence of this worker",
        }
    }
}
