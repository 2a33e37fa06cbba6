//! What a Worker is asked and told.

use std::sync::Arc;

use actix::Message;
use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::time::Timestamp;
use dispatch_core::worker::probe::Report;
use dispatch_core::worker::runner::Commands;
use dispatch_core::worker::{Event, KillOutcome, KillReason, ShutdownReason, StartOutcome};

/// Start a container here. Refused with [`crate::pool::StartRefused`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StartContainer {
    /// The command's number: comes back with the view that has seen it.
    pub number: u64,
    /// Which.
    pub uuid: ContainerUuid,
    /// For the log.
    pub priority: i64,
    /// For the time from queue to process.
    pub created_at: Option<Timestamp>,
}

impl StartContainer {
    /// One of which nothing more is known.
    pub(crate) fn plain(number: u64, uuid: ContainerUuid) -> Self {
        Self { number, uuid, priority: 0, created_at: None }
    }
}

/// End a process.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KillContainer {
    /// The command's number.
    pub number: u64,
    /// Whose.
    pub uuid: ContainerUuid,
    /// Why.
    pub reason: KillReason,
}

/// What the operator wants of it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetIdleBehavior {
    /// The command's number.
    pub number: u64,
    /// That.
    pub behavior: IdleBehavior,
}

/// Have the instance destroyed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Shutdown {
    /// The command's number.
    pub number: u64,
    /// Why.
    pub reason: ShutdownReason,
}

/// Probe now: Pool has a place for it in the rate.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Probe {
    /// The command's number.
    pub number: u64,
    /// When it was sent: the delay of a worker's mailbox is measured with it.
    pub sent: Timestamp,
}

/// What Pool has learnt about it: the cloud's picture, what a start came to.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct News {
    /// The command's number.
    pub number: u64,
    /// What.
    pub event: Event,
}

/// The runner is called like this from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct UseRunner {
    /// Its commands.
    pub commands: Arc<Commands>,
}

/// The instance is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// From itself: a probe that began then has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ProbeResult {
    /// When its first command was sent.
    pub began: Timestamp,
    /// What it found.
    pub report: Report,
}

/// From itself: a start command has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StartResult {
    /// Whose.
    pub uuid: ContainerUuid,
    /// What became of it.
    pub outcome: StartOutcome,
}

/// From itself: a kill command has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KillResult {
    /// Whose.
    pub uuid: ContainerUuid,
    /// What became of it.
    pub outcome: KillOutcome,
}
