//! What a Worker is asked and told.

use std::sync::Arc;

use actix::Message;
use dispatch_core::id::ContainerUuid;
use dispatch_core::time::Timestamp;
use dispatch_core::worker::probe::Report;
use dispatch_core::worker::runner::Commands;
use dispatch_core::worker::{Command, KillOutcome, StartOutcome};

/// A command of Pool's. A refused start is answered with [`crate::pool::StartRefused`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WorkerCommand {
    /// The command's number: comes back with the view that has seen it.
    pub number: u64,
    /// When it was sent: the delay of a worker's mailbox is measured with it.
    pub sent: Timestamp,
    /// What is to be done, or has become known.
    pub command: Command,
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
