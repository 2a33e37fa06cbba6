//! What Pool is asked for, and why it may refuse.

use crate::instance::IdleBehavior;
use crate::note::Note;
use crate::worker;

/// The reasons why Pool refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolRefusal {
    /// There is no such instance.
    NoSuchInstance,
    /// No worker has such a process.
    NoSuchProcess,
    /// The container has a process already.
    AlreadyRunning,
    /// The worker does not accept containers now.
    NotPlaceable,
    /// The instance is on hold, and whoever asks does not want that changed.
    OnHold,
    /// No type of that name is configured.
    NoSuchType,
    /// Creates of that scope are not paused.
    NoSuchPause,
    /// The worker itself refused.
    Worker(worker::WorkerRefusal),
}

impl PoolRefusal {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchInstance => "no such instance",
            Self::NoSuchProcess => "no such process",
            Self::AlreadyRunning => "container has a process already",
            Self::NotPlaceable => "worker does not take containers now",
            Self::OnHold => "instance is on hold",
            Self::NoSuchType => "no such instance type",
            Self::NoSuchPause => "no such pause",
            Self::Worker(refusal) => refusal.as_str(),
        }
    }
}

/// What an operator wants of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorWish {
    /// What is to become of it.
    pub behavior: IdleBehavior,
    /// Who asks, and why.
    pub note: Option<Note>,
    /// One that is on hold is left on hold.
    pub spares_held: bool,
}

impl From<IdleBehavior> for OperatorWish {
    /// Whatever it is now, and without a word why.
    fn from(behavior: IdleBehavior) -> Self {
        Self { behavior, note: None, spares_held: false }
    }
}
