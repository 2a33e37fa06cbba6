//! What a worker's own effects and timers report: it has happened, so it cannot be refused.

use super::probe::{CommandFailure, Report};
use crate::id::ContainerUuid;
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
        /// Whether the cloud has acknowledged it.
        acknowledged: bool,
    },
    /// The call that saved tags has ended; true = they are saved.
    TagsSaved(bool),
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
