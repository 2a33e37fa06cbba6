//! Operations on one container: what each is to achieve, its calls, and what it can come to. Their chains of calls
//! are in [`super::chain`].

use serde::{Deserialize, Serialize};

use super::setback::SetbackCause;
use crate::container::{Record, Standing};
use crate::id::ContainerUuid;
use crate::ports::ApiError;

/// Why we give a lock back. Each unlock uses up one of the user's dispatch attempts, so each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UnlockReason {
    /// At quota, and others come first.
    OverQuota,
    /// Supervisors have their share.
    OverSupervisors,
    /// Its process ended and the record is still Locked.
    ProcessEnded,
    /// The user does not want it any more.
    PriorityZero,
}

impl UnlockReason {
    /// All of them, for metrics.
    pub const ALL: [Self; 4] =
        [Self::OverQuota, Self::OverSupervisors, Self::ProcessEnded, Self::PriorityZero];

    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OverQuota => "over_quota",
            Self::OverSupervisors => "over_supervisors",
            Self::ProcessEnded => "crunch_run_exited",
            Self::PriorityZero => "priority_zero",
        }
    }

    /// Whether the container may as well stay locked: then it is not unlocked when few attempts are left.
    pub(super) fn is_optional(self) -> bool {
        matches!(self, Self::OverQuota | Self::OverSupervisors)
    }
}

/// Why we set a container to Cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelReason {
    /// Running, and its process ended before a poll that still says so.
    ProcessExited,
    /// Running, and on no worker at all.
    NotOnAnyWorker,
    /// No instance type suits it: the text for its user.
    NoSuitableType(String),
}

/// What an operation is to achieve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationKind {
    /// Queued → Locked.
    Lock,
    /// Locked → Queued.
    Unlock(UnlockReason),
    /// Locked → Queued after an attempt that came to nothing. If that was the last one, → Cancelled with the
    /// error, so that its user learns why; the unlock would end it without a word.
    Requeue {
        /// How the attempt failed: the text for its user.
        error: String,
    },
    /// → Cancelled, if the record still stands as the decision was made from.
    Cancel {
        /// The reason.
        reason: CancelReason,
        /// How the record stood when that was decided.
        expected: Standing,
    },
}

impl OperationKind {
    /// What has failed when it fails.
    pub fn cause(&self) -> SetbackCause {
        match self {
            Self::Lock => SetbackCause::Lock,
            Self::Unlock(_) | Self::Requeue { .. } => SetbackCause::Unlock,
            Self::Cancel { .. } => SetbackCause::Cancel,
        }
    }
}

/// One call to the controller about one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// GET the record.
    Read,
    /// POST lock.
    Lock,
    /// POST unlock.
    Unlock,
    /// PUT state=Cancelled (with the operation's text, if it has one).
    Cancel,
}

/// The answer to a [`Call`].
#[derive(Debug, Clone)]
pub enum Answer {
    /// To a read.
    Record(Result<Record, ApiError>),
    /// To all others.
    Standing(Result<Standing, ApiError>),
}

/// An operation in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What it is to achieve.
    pub kind: OperationKind,
    /// The call that is being made.
    pub call: Call,
    /// How the deciding call failed, if it did: the read now shows what became of it.
    pub(super) failure: Option<ApiError>,
    /// Whether the record was read for it already.
    pub(super) has_read: bool,
    /// The container's stamp before it was begun, for an operation that is withdrawn.
    pub(super) changed_before: u64,
}

#[cfg(test)]
impl Operation {
    /// One that was sent and is not answered, for snapshots built by hand.
    pub(crate) fn sent(kind: OperationKind) -> Self {
        Self {
            call: super::chain::first_call(&kind),
            kind,
            failure: None,
            has_read: false,
            changed_before: 0,
        }
    }
}

/// Why an operation was not begun, or not carried through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueRefusal {
    /// No such container in the queue.
    NotInQueue,
    /// Another operation on it is in flight.
    Busy,
    /// We do not know how it stands; a poll will tell.
    Uncertain,
    /// Its state does not allow that.
    WrongState,
    /// The same has failed for it: it is not tried before its back-off is over and a poll has shown the container again.
    SetBack,
    /// One more unlock would use up its dispatch attempts.
    AttemptsNearlyUsed,
    /// The record does not stand as it did when that was decided.
    RecordChanged,
    /// Another dispatcher has it: it is no longer in the queue.
    Foreign,
    /// We may not act now: the call was not sent.
    NotSent,
    /// It was to be cancelled for want of a type, and has one after all, or is spared since the configuration was read anew.
    Spared,
}

impl QueueRefusal {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotInQueue => "not in queue",
            Self::Busy => "another operation is in flight",
            Self::Spared => "a type suits it after all, or it is spared since a reload",
            Self::Uncertain => "the record's state is uncertain",
            Self::WrongState => "the record's state does not allow it",
            Self::SetBack => "it waits after a failure",
            Self::AttemptsNearlyUsed => "one more unlock would use up its dispatch attempts",
            Self::RecordChanged => "the record has changed",
            Self::Foreign => "another dispatcher has it",
            Self::NotSent => "we may not act now",
        }
    }
}

/// What an operation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has the wanted effect.
    Done(Standing),
    /// It was not carried through, for this reason.
    Refused(QueueRefusal),
    /// The call failed, and the record shows that it had no effect.
    Failed(ApiError),
    /// The call failed, and so did the read after it.
    Uncertain(ApiError),
}

/// A finished operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// On which container.
    pub uuid: ContainerUuid,
    /// What it was to achieve.
    pub kind: OperationKind,
    /// What it came to.
    pub outcome: Outcome,
    /// Whether the record was found to stand otherwise than the last poll had shown: other containers may, too.
    pub picture_is_old: bool,
}

/// What is to be done after an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make this call next.
    Call(Call),
    /// The operation is over.
    Finished(Finished),
}

/// What a look at the record of a process without an entry came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LookOutcome {
    /// The controller says that it does not know it: that is not believed yet.
    Doubted,
    /// The controller does not know it: its process may go.
    Absent,
    /// Another dispatcher has it: it is left alone.
    Foreign,
}
