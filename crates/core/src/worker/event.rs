//! What happens to a worker, and what it wants done: plain data.

use serde::Serialize;

use super::probe::{CommandFailure, Report, Wanted};
use crate::id::ContainerUuid;
use crate::instance::{IdleBehavior, Instance, Tags};
use crate::time::Timestamp;

/// Where a worker stands.
///
/// ```text
///               appeared, not ours          created by us
///                     │                          │
///                     ▼                          ▼
///                 Unknown ──probes succeed─┐  Booting
///                     │                    ▼     │
///                     │      process starts  Idle ◄── boot probe, runner and list succeed
///                     │            ┌────────  ▲
///                     └─processes─►▼          │ last process ends
///                               Running ──────┘
///   any of them ── destroy asked for ──► Shutdown ── no longer listed ──► gone
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Found in the cloud, not created by this process, no successful probe yet.
    Unknown,
    /// Created by us, not in service yet.
    Booting,
    /// In service without a process.
    Idle,
    /// At least one process.
    Running,
    /// Destroy was asked for.
    Shutdown,
}

impl State {
    /// All of them, for metrics.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::Booting, Self::Idle, Self::Running, Self::Shutdown];

    /// As in the API, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Booting => "booting",
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Shutdown => "shutdown",
        }
    }

    /// Idle or running: it takes containers.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Idle | Self::Running)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a worker is shut down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShutdownReason {
    /// Without a process for `TimeoutIdle`.
    Idle,
    /// Draining, and empty.
    Drained,
    /// At quota, and others need the place.
    OverQuota,
    /// Never became ready within `TimeoutBooting`.
    BootTimeout,
    /// Silent for `TimeoutProbe`.
    Unresponsive,
    /// It was destroyed and gone from the listings, and one shows it again.
    DestroyedBefore,
    /// The operator said so, with these words.
    Operator(String),
}

impl std::fmt::Display for ShutdownReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Idle => f.write_str("node idle"),
            Self::Drained => f.write_str("node drained"),
            Self::OverQuota => f.write_str("at quota, and nothing in line fits it"),
            Self::BootTimeout => f.write_str("did not become ready within TimeoutBooting"),
            Self::Unresponsive => f.write_str("did not answer for TimeoutProbe"),
            Self::DestroyedBefore => f.write_str("was destroyed before, and is listed again"),
            Self::Operator(words) => write!(f, "via management API: {words}"),
        }
    }
}

/// Why a worker was set to drain by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DrainReason {
    /// It says so itself.
    Broken,
    /// A dead process's lock has been held for longer than `TimeoutStaleRunLock`.
    StaleRunLock,
    /// A process did not end within `TimeoutTERM`.
    Unkillable,
    /// Three starts in a row came to nothing.
    StartsFail,
    /// Its type is not configured any more.
    TypeNotConfigured,
}

impl DrainReason {
    /// For logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "probe reported broken instance",
            Self::StaleRunLock => "stale run lock",
            Self::Unkillable => "unkillable container",
            Self::StartsFail => "starts fail on this instance",
            Self::TypeNotConfigured => "its instance type is not configured",
        }
    }
}

/// Why a process is killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillReason {
    /// The user does not want it any more.
    PriorityZero,
    /// The record is final.
    Final(crate::container::ContainerState),
    /// The record is Queued: the process is of an earlier attempt.
    Requeued,
    /// The controller does not know the container.
    NotInQueue,
    /// The operator said so, with these words.
    Operator(String),
}

impl std::fmt::Display for KillReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PriorityZero => f.write_str("priority=0"),
            Self::Final(state) => write!(f, "state={state}"),
            Self::Requeued => f.write_str("state=Queued"),
            Self::NotInQueue => f.write_str("not in queue"),
            Self::Operator(words) => write!(f, "via management API: {words}"),
        }
    }
}

/// What became of a start command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOutcome {
    /// Exit status 0.
    Started,
    /// Another exit status: it most likely did not start, the next list tells.
    Failed(CommandFailure),
    /// No answer: the command may still be under way on the VM.
    Unanswered(CommandFailure),
}

/// What became of a kill command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillOutcome {
    /// The process is gone.
    Gone,
    /// It is still there, or we cannot tell.
    Failed(CommandFailure),
}

/// What happens to a worker. The state machine's input.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Pool grants a probe now.
    ProbeGranted,
    /// A probe that began then has ended.
    ProbeFinished {
        /// When its first command was sent.
        began: Timestamp,
        /// What it found.
        report: Report,
    },
    /// Pool wants a container started.
    StartRequested(ContainerUuid),
    /// The start command of a container has ended.
    StartFinished(ContainerUuid, StartOutcome),
    /// Pool wants a process ended.
    KillRequested(ContainerUuid, KillReason),
    /// A kill command has ended.
    KillFinished(ContainerUuid, KillOutcome),
    /// What the last start on this worker came to: whether its container left the state Locked.
    StartJudged {
        /// The container.
        uuid: ContainerUuid,
        /// False: the record was still Locked when the process had ended.
        fruitful: bool,
    },
    /// The operator's wish.
    BehaviorSet(IdleBehavior),
    /// Pool wants it gone.
    ShutdownRequested(ShutdownReason),
    /// The cloud shows it with this address and these tags.
    Updated(Instance),
    /// A listing that began then still shows it.
    StillListed(Timestamp),
    /// A listing lacks it: is it there?
    Missing,
    /// The destroy call has ended; true = acknowledged.
    DestroyFinished(bool),
    /// The call that saved tags has ended; true = saved.
    TagsSaved(bool),
    /// The SSH connection broke.
    ConnectionBroke,
    /// Time has passed.
    Tick,
}

/// What a worker wants done. The state machine's output, performed in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Run a probe.
    Probe(Wanted),
    /// Run the start command of this container.
    Start(ContainerUuid),
    /// Run a kill command.
    Kill(ContainerUuid),
    /// Ask the cloud to destroy the instance.
    Destroy,
    /// Save these tags.
    SaveTags(Tags),
    /// Tell the executor where the instance is now.
    Retarget(Instance),
    /// Tell Pool that a process has ended.
    Ended(ContainerUuid),
    /// Tell the operator.
    Tell(Fact),
}

/// What happened, for logs and metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The boot probe passed.
    BootProbeSucceeded(super::probe::BootOutput),
    /// The boot probe did not pass; `warn`: past its deadline or a fault of login or verification.
    BootProbeFailed {
        /// How.
        failure: CommandFailure,
        /// Whether that is more than a VM that is still booting.
        warn: bool,
    },
    /// It could not become ready in time: the last failure.
    BootFailed(Option<CommandFailure>),
    /// The runner was copied.
    RunnerInstalled,
    /// The runner could not be compared or copied.
    RunnerFailed(CommandFailure),
    /// In service from now on.
    InService {
        /// When the probe began.
        probe_start: Timestamp,
        /// How many processes it has.
        running: usize,
        /// Since when a connection reaches it.
        since_ssh: std::time::Duration,
    },
    /// A first connection reached the verification, that long after it appeared.
    FirstSsh(std::time::Duration),
    /// A probe succeeded.
    ProbeSucceeded(std::time::Duration),
    /// A probe of a worker in service failed.
    ProbeFailed {
        /// How.
        failure: CommandFailure,
        /// How long it took.
        duration: std::time::Duration,
        /// Since the last success.
        silent_for: std::time::Duration,
    },
    /// A start command is sent.
    Starting(ContainerUuid),
    /// A process was started.
    Started(ContainerUuid),
    /// A start command failed.
    StartFailed(ContainerUuid, CommandFailure),
    /// A process was found that we had not started.
    Detected(ContainerUuid),
    /// A process ended, that long after it was started or found.
    ProcessEnded(ContainerUuid, std::time::Duration),
    /// A dead process's lock is held by a helper.
    StaleRunLock(ContainerUuid),
    /// A kill begins.
    Killing(ContainerUuid, KillReason),
    /// A signal is sent.
    Signalling(ContainerUuid),
    /// A signal did not end it.
    KillFailed(ContainerUuid, CommandFailure),
    /// It did not end within `TimeoutTERM`; true = the worker is drained for it.
    GivenUp(ContainerUuid, bool),
    /// Drained by us.
    Draining(DrainReason),
    /// The operator's wish was taken.
    BehaviorSet(IdleBehavior),
    /// A hold keeps a worker of which nobody knows what runs there.
    HeldUnknown,
    /// Shut down.
    ShuttingDown {
        /// Why.
        reason: ShutdownReason,
        /// From which state.
        from: State,
    },
    /// Destroyed once more.
    RetryingDestroy,
    /// How booting ended, once per instance.
    BootOutcome(BootOutcome),
}

/// How booting ended: the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BootOutcome {
    /// In service.
    Success,
    /// Timed out, or broken.
    Failure,
    /// Shut down by us first.
    Aborted,
    /// Vanished from the cloud.
    Disappeared,
}

impl BootOutcome {
    /// All of them, for metrics.
    pub const ALL: [Self; 4] = [Self::Success, Self::Failure, Self::Aborted, Self::Disappeared];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Aborted => "aborted",
            Self::Disappeared => "disappeared",
        }
    }
}

/// Why a worker does not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
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
}

impl Refusal {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotInService => "worker is not in service",
            Self::NotTakingContainers => "worker is on hold or draining",
            Self::ShuttingDown => "worker is shutting down",
            Self::AlreadyHere => "container has a process or a stale lock on this worker",
            Self::NoSuchProcess => "no such process on this worker",
        }
    }
}
