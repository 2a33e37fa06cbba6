//! The states of a worker.

use serde::{Deserialize, Serialize};

/// The state of a worker.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
