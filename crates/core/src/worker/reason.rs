//! Why a worker is shut down or drained, and why a process is killed.

use serde::Serialize;

use crate::note::Note;

/// An operator's order, as far as what follows from it repeats it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OperatorOrder {
    /// Why, in the operator's words.
    pub words: String,
    /// The id of the request: the lines of what is done for it can be found by it.
    pub request: String,
}

impl From<&Note> for OperatorOrder {
    fn from(note: &Note) -> Self {
        Self { words: note.reason.clone(), request: note.request.clone() }
    }
}

/// An order of which no request is known.
impl From<&str> for OperatorOrder {
    fn from(words: &str) -> Self {
        Self { words: words.to_owned(), request: String::new() }
    }
}

impl std::fmt::Display for OperatorOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "via management API: {}", self.words)
    }
}

/// Why a worker is shut down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
    /// The operator asked for it.
    Operator(OperatorOrder),
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
            Self::Operator(order) => order.fmt(f),
        }
    }
}

impl ShutdownReason {
    /// The operator's order, if it is one.
    pub fn order(&self) -> Option<&OperatorOrder> {
        if let Self::Operator(order) = self { Some(order) } else { None }
    }
}

/// Why a worker was set to drain by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DrainReason {
    /// The instance reports itself as broken.
    Broken,
    /// A dead process's lock has been held for longer than `TimeoutStaleRunLock`.
    StaleRunLock,
    /// A process did not end within `TimeoutTERM`.
    Unkillable,
    /// Three starts in a row came to nothing.
    StartsFail,
    /// Its type is not configured any more.
    TypeNotConfigured,
    /// The cloud has announced that it will take it away.
    SpotNotice,
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
            Self::SpotNotice => "the cloud will take it away",
        }
    }
}

/// Why a process is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum KillReason {
    /// The user does not want it any more.
    PriorityZero,
    /// The record is final.
    Final(crate::container::ContainerState),
    /// The record is Queued: the process is of an earlier attempt.
    Requeued,
    /// The controller does not know the container.
    NotInQueue,
    /// It is listed again each time after a kill has ended it.
    KeepsReturning,
    /// The operator asked for it.
    Operator(OperatorOrder),
}

impl std::fmt::Display for KillReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PriorityZero => f.write_str("priority=0"),
            Self::Final(state) => write!(f, "state={state}"),
            Self::Requeued => f.write_str("state=Queued"),
            Self::NotInQueue => f.write_str("not in queue"),
            Self::KeepsReturning => f.write_str("listed again after each kill"),
            Self::Operator(order) => order.fmt(f),
        }
    }
}

impl KillReason {
    /// The operator's order, if it is one.
    pub fn order(&self) -> Option<&OperatorOrder> {
        if let Self::Operator(order) = self { Some(order) } else { None }
    }
}
