//! What an instance counts as.

use serde::Serialize;

use crate::instance::IdleBehavior;
use crate::worker::State;

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
    /// None of these.
    Idle,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Inuse, Self::Hold, Self::Booting, Self::Unknown, Self::Idle];

    /// That of an instance.
    pub fn of(is_busy: bool, behavior: IdleBehavior, state: State) -> Self {
        match (behavior, state) {
            _ if is_busy => Self::Inuse,
            (IdleBehavior::Hold, _) => Self::Hold,
            (_, State::Booting) => Self::Booting,
            (_, State::Unknown) => Self::Unknown,
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
            Self::Idle => "idle",
        }
    }

    /// Whether an instance costs money then, and no work is done for it. Of one that has not been heard of yet nobody knows.
    pub fn is_waste(self) -> bool {
        match self {
            Self::Hold | Self::Booting | Self::Idle => true,
            Self::Inuse | Self::Unknown => false,
        }
    }
}
