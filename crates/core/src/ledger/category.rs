//! What an instance counts as.

use serde::Serialize;

use crate::instance::IdleBehavior;
use crate::worker::{State, View};

/// What an instance counts as: in use if it has a process, else the first that applies, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Has a process.
    Inuse,
    /// On hold.
    Hold,
    /// Has not booted yet.
    Booting,
    /// Has not been heard of yet.
    Unknown,
    /// Nothing runs there, and it is kept for what comes next.
    Spare,
    /// None of these.
    Idle,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Inuse, Self::Hold, Self::Booting, Self::Unknown, Self::Spare, Self::Idle];

    /// That of an instance; `is_busy`: it has a process.
    pub fn of(is_busy: bool, view: &View) -> Self {
        match (view.behavior, view.state) {
            _ if is_busy => Self::Inuse,
            (IdleBehavior::Hold, _) => Self::Hold,
            (_, State::Booting) => Self::Booting,
            (_, State::Unknown) => Self::Unknown,
            (_, State::Idle) if view.spare => Self::Spare,
            (_, State::Idle | State::Running | State::Shutdown) => Self::Idle,
        }
    }

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inuse => "inuse",
            Self::Hold => "hold",
            Self::Booting => "booting",
            Self::Unknown => "unknown",
            Self::Spare => "spare",
            Self::Idle => "idle",
        }
    }

    /// Whether an instance costs money then, and no work is done for it, and nobody has asked for that. Of one that has not been heard of yet nobody knows.
    pub fn is_waste(self) -> bool {
        match self {
            Self::Hold | Self::Booting | Self::Idle => true,
            Self::Inuse | Self::Unknown | Self::Spare => false,
        }
    }
}
