//! What a worker's own effects and timers report: it has happened, so it cannot be refused.

use super::fence::{NotRun, failure, has_overrun};
use super::passed::without_line;
use super::probe::{CommandFailure, Report, success};
use crate::id::ContainerUuid;
use crate::ports::{CloudError, CloudErrorKind, ExecError, ExecErrorKind, Output, ShellCommand, WatchEnd};
use crate::time::Timestamp;

/// What has come of an effect of the machine. An input of [`super::Machine::on_completion`].
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    /// A probe has ended.
    ProbeFinished {
        /// When its first command was sent.
        began: Timestamp,
        /// What it found.
        report: Report,
    },
    /// The start command of a container has ended.
    StartFinished(ContainerUuid, StartOutcome),
    /// A kill command has ended.
    KillFinished(ContainerUuid, KillOutcome),
    /// The destroy call has ended.
    DestroyFinished {
        /// When it was sent, which may be later than it was decided: calls are paced.
        sent: Timestamp,
        /// What the cloud has said.
        outcome: DestroyOutcome,
    },
    /// The call that saved tags has ended; true = they are saved.
    TagsSaved(bool),
    /// The watch of that number has begun on the VM.
    WatchBegan(u64),
    /// The watch of that number says that the process of this container has ended.
    WatchTold(u64, ContainerUuid),
    /// There is no watch of that number, or none any more.
    WatchEnded(u64, WatchEnd),
    /// The SSH connection broke.
    ConnectionBroke,
    /// The moment of [`super::Machine::wakes_at`] has come.
    Tick,
}

/// What became of a start command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOutcome {
    /// Exit status 0.
    Started,
    /// Another exit status: it most likely did not start, the next list tells.
    Failed(CommandFailure),
    /// The fence has stopped it: the runner was not called.
    NotRun(NotRun, CommandFailure),
    /// No answer, or it was ended in the middle: the command may still be under way on the VM.
    Unanswered(CommandFailure),
}

/// What became of a call to end the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestroyOutcome {
    /// The cloud has acknowledged it.
    Acknowledged,
    /// The cloud has refused it, or it was not sent: the instance is not ended by it.
    Refused,
    /// It may have taken effect.
    Unknown,
}

impl DestroyOutcome {
    /// What that answer says.
    pub fn of(answer: Result<(), &CloudError>) -> Self {
        match answer.map_err(|error| &error.kind) {
            Ok(()) => Self::Acknowledged,
            Err(
                CloudErrorKind::RateLimited { .. }
                | CloudErrorKind::Quota(_)
                | CloudErrorKind::Capacity(_)
                | CloudErrorKind::Unauthorized
                | CloudErrorKind::Other,
            ) => Self::Refused,
            Err(CloudErrorKind::NotFound | CloudErrorKind::Unknown) => Self::Unknown,
        }
    }
}

/// What became of a kill command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillOutcome {
    /// The process is gone.
    Gone,
    /// The fence has stopped it: the runner was not called.
    NotRun(NotRun, CommandFailure),
    /// It is still there, or we cannot tell.
    Failed(CommandFailure),
}

impl StartOutcome {
    /// What the answer to a start command that was sent through the fence says.
    pub fn of(command: &ShellCommand, answer: Result<Output, ExecError>) -> Self {
        if let Some(reason) = not_run(&answer) {
            return Self::NotRun(reason, failure(command, answer, Some(reason)));
        }
        let answer = answer.map(without_line);
        let has_overrun = answer.as_ref().is_ok_and(|output| has_overrun(output.status));
        match success(command, answer) {
            Ok(_) => Self::Started,
            Err(failure) if has_overrun || may_be_under_way(failure.kind) => Self::Unanswered(failure),
            Err(failure) => Self::Failed(failure),
        }
    }
}

impl KillOutcome {
    /// What the answer to a kill command says; `is_fenced`: it was sent through the fence.
    pub fn of(command: &ShellCommand, answer: Result<Output, ExecError>, is_fenced: bool) -> Self {
        if let Some(reason) = not_run(&answer).filter(|_| is_fenced) {
            return Self::NotRun(reason, failure(command, answer, Some(reason)));
        }
        match success(command, answer.map(without_line)) {
            Ok(_) => Self::Gone,
            Err(failure) => Self::Failed(failure),
        }
    }
}

fn not_run(answer: &Result<Output, ExecError>) -> Option<NotRun> {
    answer.as_ref().ok().and_then(NotRun::of)
}

/// Whether a command that failed like that may still be running on the VM.
fn may_be_under_way(kind: Option<ExecErrorKind>) -> bool {
    matches!(
        kind,
        // Of our own side's faults nobody knows when they struck.
        Some(
            ExecErrorKind::CommandTimeout
                | ExecErrorKind::ConnectionLost
                | ExecErrorKind::OutputTooLarge
                | ExecErrorKind::Local
        )
    )
}
