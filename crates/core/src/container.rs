//! The controller's record of a job, as far as a dispatcher needs it.
//!
//! ```text
//!   Queued ⇄ Locked → Running → Complete
//!      └───────┴─────────┴────→ Cancelled
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ContainerUuid, TokenUuid};
use crate::instance::Market;
use crate::time::Timestamp;

/// Where a container stands, by the controller's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ContainerState {
    /// Waits for a dispatcher to lock it.
    Queued,
    /// Some dispatcher has it; no process has reported yet.
    Locked,
    /// A process has reported that it runs.
    Running,
    /// Ended with an exit code.
    Complete,
    /// Will never run, or was stopped.
    Cancelled,
}

impl ContainerState {
    /// Complete or Cancelled: nothing more will happen to it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Cancelled)
    }

    /// The controller's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Locked => "Locked",
            Self::Running => "Running",
            Self::Complete => "Complete",
            Self::Cancelled => "Cancelled",
        }
    }

    /// The state of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Queued, Self::Locked, Self::Running, Self::Complete, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a container asks of a GPU. `device_count` 0 = none asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GpuRequest {
    /// `""`, `cuda` or `rocm`; anything else is an error of the container.
    pub stack: String,
    /// Least driver version, a decimal number as text.
    pub driver_version: String,
    /// Hardware the code was compiled for.
    pub hardware_target: Vec<String>,
    /// How many devices.
    pub device_count: u64,
    /// Bytes of memory a device.
    pub vram: u64,
}

/// What a container asks for. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RuntimeConstraints {
    /// Whether it may call the API (supervisors do).
    #[serde(rename = "API")]
    pub api: bool,
    /// Bytes of memory for the container itself.
    pub ram: u64,
    /// CPUs; 0 is allowed (several such share one).
    pub vcpus: u64,
    /// Bytes of memory for the file cache beside it.
    pub keep_cache_ram: u64,
    /// Bytes of scratch for the file cache beside it.
    pub keep_cache_disk: u64,
    /// GPUs.
    pub gpu: GpuRequest,
}

/// How a container wants to be scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SchedulingParameters {
    /// Partition names; known for showing only.
    pub partitions: Vec<String>,
    /// Wants a preemptible (spot) instance, and no other.
    pub preemptible: bool,
    /// Seconds; enforced elsewhere, known for showing only.
    pub max_run_time: i64,
    /// A workflow runner, which submits and waits for other containers.
    pub supervisor: bool,
}

impl SchedulingParameters {
    /// On which market it wants its instance to be bought.
    pub fn market(&self) -> Market {
        Market::of(self.preemptible)
    }
}

/// The polled columns of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its identifier.
    pub uuid: ContainerUuid,
    /// Where it stands.
    pub state: ContainerState,
    /// Above 0 = wants to run; far above 2^53, never a float.
    pub priority: i64,
    /// Whose lock it is under.
    pub locked_by: Option<TokenUuid>,
    /// What it asks for.
    pub runtime_constraints: RuntimeConstraints,
    /// A portable data hash, `32hex+SIZE`.
    pub container_image: String,
    /// How it wants to be scheduled.
    pub scheduling: SchedulingParameters,
    /// When it was made, by the controller's clock.
    pub created_at: Option<Timestamp>,
    /// What the cloud has told its process about the end of its spot instance, if it has.
    #[serde(default)]
    pub preemption_notice: Option<String>,
    /// How often it has been locked; known from a read of the single record only, never polled.
    pub lock_count: Option<u32>,
}

/// What sizing needs of a container's mounts, and nothing else of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MountNeeds {
    /// Σ capacity of the mounts of kind `tmp`, in bytes.
    pub tmp_bytes: u64,
}

/// The five fields that a lock, an unlock or a cancel answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Where the container stands now.
    pub state: ContainerState,
    /// Its priority now.
    pub priority: i64,
    /// Whose lock it is under now.
    pub locked_by: Option<TokenUuid>,
}

impl Record {
    /// The part that changes while a container lives.
    pub fn standing(&self) -> Standing {
        Standing { state: self.state, priority: self.priority, locked_by: self.locked_by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_back_from_their_names() {
        for state in ["Queued", "Locked", "Running", "Complete", "Cancelled"] {
            assert_eq!(ContainerState::from_name(state).unwrap().as_str(), state);
        }
        assert_eq!(ContainerState::from_name("queued"), None);
    }
}
