//! What a Worker is asked and told: by Pool, and by itself. And how Pool gets one.

use std::sync::Arc;

use actix::{Message, Recipient};
use dispatch_core::instance::Instance;
use dispatch_core::policy::Policy;
use dispatch_core::time::Timestamp;
use dispatch_core::worker::runner::Commands;
use dispatch_core::worker::{Command, Completion};

use super::GetState;
use super::pool::{StartRefused, WorkerChanged};

/// A command of Pool's. A refused start is answered with [`super::pool::StartRefused`].
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

/// We stop: let the fence on the VM say so. The answer: whether nothing is left to be said.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct ReleaseFence;

/// The instance is gone: stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// From itself: what one of its effects has come to.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WorkerCompletion {
    /// What has come of the effect.
    pub completion: Completion,
}

/// How Pool reaches a worker. The worker lives until it is told to stop.
#[derive(Clone)]
pub struct WorkerHandles {
    /// Commands.
    pub command: Recipient<WorkerCommand>,
    /// Another runner.
    pub use_runner: Recipient<UseRunner>,
    /// The end of its fence.
    pub release: Recipient<ReleaseFence>,
    /// Its end.
    pub stop: Recipient<Stop>,
    /// What it holds.
    pub state: Recipient<GetState>,
}

/// Whom a worker tells: Pool.
#[derive(Clone)]
pub struct WorkerListeners {
    /// Its view has changed.
    pub changed: Recipient<WorkerChanged>,
    /// It did not take a start.
    pub refused: Recipient<StartRefused>,
}

/// What a worker is made from, beside what all workers have in common.
pub struct NewWorker {
    /// Its instance, which has just appeared.
    pub instance: Instance,
    /// Whether this process created it.
    pub ours: bool,
    /// The runner's commands at this moment.
    pub commands: Arc<Commands>,
    /// The site's wishes at this moment.
    pub policy: Arc<Policy>,
    /// Whom it tells.
    pub listeners: WorkerListeners,
}

/// Starts a worker.
pub type SpawnWorker = Box<dyn Fn(NewWorker) -> WorkerHandles>;
