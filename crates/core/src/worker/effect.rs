//! What the machine decides: effects that its actor performs, and facts for logs and metrics.

use super::command::StartOrder;
use super::probe::{CommandFailure, Wanted};
use super::reason::{DrainReason, KillReason, ShutdownReason};
use super::renewal::Renewal;
use super::state::State;
use crate::id::ContainerUuid;
use crate::instance::{IdleBehavior, Instance, Price, Tags};
use crate::ports::WatchEnd;
use crate::time::Timestamp;

/// What is to be done for a worker: the machine's output, performed in order.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerEffect {
    /// Run a probe.
    Probe(Wanted),
    /// Run the start command of this container.
    Start(ContainerUuid),
    /// Run a kill command.
    Kill(ContainerUuid),
    /// Ask the VM's journal for the last words of that container's start, which is so old.
    ReadJournal(ContainerUuid, std::time::Duration),
    /// Ask the cloud to destroy the instance.
    Destroy,
    /// Save these tags.
    SaveTags(Tags),
    /// Tell the executor where the instance is now.
    Retarget(Instance),
    /// Open another connection when one is needed next: the one there is may be dead.
    ForgetConnection,
    /// Begin to watch these containers' processes.
    Watch {
        /// The number of the watch, which comes back with what it says.
        number: u64,
        /// The containers.
        uuids: Vec<ContainerUuid>,
    },
    /// Watch this container's process, too.
    AddToWatch(ContainerUuid),
    /// End the watch.
    EndWatch,
    /// Tell Pool that a process has ended.
    Ended(ContainerUuid),
    /// Tell the operator.
    Tell(WorkerFact),
}

/// What happened, for logs and metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerFact {
    /// The boot probe passed.
    BootProbeSucceeded(super::probe::BootOutput),
    /// The boot probe did not pass; `warn`: past its deadline or a fault of login or verification.
    BootProbeFailed {
        /// How it failed.
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
    /// The fence is ours; for that long a start may come that nobody has fenced.
    Fenced(std::time::Duration),
    /// The fence cannot be claimed: nothing is started there.
    NotFenced(CommandFailure),
    /// Another dispatcher has claimed the fence after us: nothing is done there any more.
    FencedByAnother,
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
    /// A probe failed of a worker that is in service or has booted. A failed boot probe is told by `BootProbeFailed`; of
    /// a busy worker that was found, one probe may tell both.
    ProbeFailed {
        /// How it failed.
        failure: CommandFailure,
        /// How long it took.
        duration: std::time::Duration,
        /// Since the last success.
        silent_for: std::time::Duration,
    },
    /// A start command is sent.
    Starting(StartOrder),
    /// A process was started.
    Started {
        /// As it was ordered.
        order: StartOrder,
        /// How long after the order was accepted.
        took: std::time::Duration,
    },
    /// A start command failed.
    StartFailed(ContainerUuid, CommandFailure),
    /// A start has come to nothing without a word; this is what the VM's journal has of it.
    LastWords(ContainerUuid, String),
    /// A process was found that we had not started.
    Detected(ContainerUuid),
    /// A process ended, that long after it was started or found.
    ProcessEnded(ContainerUuid, std::time::Duration),
    /// The instance is watched: ends of processes are told.
    WatchBegan,
    /// It is not watched any more.
    WatchEnded {
        /// Why.
        end: WatchEnd,
        /// For how long it was watched.
        lasted: std::time::Duration,
        /// Whether it is left alone for a while for that.
        rests: bool,
    },
    /// Its watch says that the process of this container has ended: it is probed for that.
    EndHinted(ContainerUuid),
    /// A list has a line that makes no sense, such as this: it is skipped.
    StrangeList(String),
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
    /// Drained because it is to be renewed.
    Renewing {
        /// Why.
        why: Renewal,
        /// How old it is.
        age: std::time::Duration,
    },
    /// The operator's wish was taken.
    BehaviorSet(IdleBehavior),
    /// A hold keeps a worker of which nobody knows what runs there.
    HeldUnknown,
    /// Shut down.
    ShuttingDown {
        /// The reason.
        reason: ShutdownReason,
        /// From which state.
        from: State,
    },
    /// It has proven itself before, and cannot any more: it gets nothing new.
    Unproven(CommandFailure),
    /// A process lives there, which was shown before the cloud was asked to end it: it is not shut down.
    Reprieved,
    /// It was destroyed long ago, and is still listed.
    NeverEnds {
        /// How long ago destroy was first decided.
        since: std::time::Duration,
        /// What it costs; `None` = no such type is configured.
        price: Option<Price>,
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
    /// It disappeared from the cloud.
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
