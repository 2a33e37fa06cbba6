//! Why a container waits: machine-readable with its evidence, and the text that its user sees.

use serde::Serialize;

use crate::container::ContainerState;
use crate::id::TypeName;
use crate::pool::PauseReason;

/// Why a container stands where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum WaitReason {
    /// It has a process, or is sent to an instance that is ready.
    Allocated,
    /// Its user does not want it to run.
    PriorityZero {
        /// Where it stands.
        state: ContainerState,
    },
    /// Supervisors have their share of the ceiling.
    OverSupervisors {
        /// The share.
        max_supervisors: usize,
    },
    /// A process of an earlier attempt has not gone yet.
    PreviousAttempt,
    /// It has a place on an instance that is not ready.
    Booting {
        /// The type of that instance.
        instance_type: TypeName,
    },
    /// An instance would be created, but not right now.
    Paused {
        /// Of which type.
        instance_type: TypeName,
        /// Why not.
        cause: PauseReason,
    },
    /// The cloud has none of its types.
    AtCapacity {
        /// Its types.
        instance_types: Vec<TypeName>,
    },
    /// The cloud account's limit.
    AccountQuota,
    /// `MaxInstances` is reached.
    MaxInstances,
    /// As many containers as the controller bears.
    Ceiling {
        /// How many.
        ceiling: u32,
    },
    /// What it needs is being read.
    NotSized,
    /// Its record is being changed, or cannot be read, or we do not know how it stands.
    HandsOff {
        /// Which of these.
        why: String,
    },
    /// No instance type suits it; it is about to be cancelled.
    NoSuitableType {
        /// The text that it is cancelled with.
        error: String,
    },
    /// The dispatcher has just started.
    StartingUp,
}

/// Where a container stands in the line, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// From 1; supervisors over their share have a line of their own. `None`: not in a line.
    pub position: Option<usize>,
    /// Why.
    pub reason: WaitReason,
}

impl Waiting {
    /// The text that its user sees (docs/behaviour.md, "What users read"), exactly; empty if there is nothing to say.
    pub fn text(&self) -> String {
        let n = self.position.unwrap_or(1);
        match &self.reason {
            WaitReason::Allocated => "Container is allocated to an instance and preparing to run.".to_owned(),
            WaitReason::PriorityZero { state } => format!(
                "This container will not be scheduled to run because its priority is 0 and state is {state}."
            ),
            WaitReason::OverSupervisors { .. } => format!(
                "Waiting in workflow queue at position {n}.  Cluster is at capacity and cannot start any new \
                 workflows right now."
            ),
            WaitReason::PreviousAttempt => "Waiting for previous container attempt to exit.".to_owned(),
            WaitReason::Booting { instance_type } | WaitReason::Paused { instance_type, .. } => {
                format!("Waiting for a {instance_type} instance to boot and be ready to accept work.")
            }
            WaitReason::AtCapacity { instance_types } => format!(
                "Waiting in queue at position {n}.  Cluster is at capacity for all eligible instance types ({}) \
                 and cannot start a new instance right now.",
                instance_types.iter().map(TypeName::as_str).collect::<Vec<_>>().join(", ")
            ),
            WaitReason::AccountQuota => format!(
                "Waiting in queue at position {n}.  Cluster is at cloud account limits and cannot start any new \
                 instances right now."
            ),
            WaitReason::MaxInstances
            | WaitReason::Ceiling { .. }
            | WaitReason::NotSized
            | WaitReason::HandsOff { .. }
            | WaitReason::NoSuitableType { .. }
            | WaitReason::StartingUp => format!(
                "Waiting in queue at position {n}.  Cluster is at capacity and cannot start any new instances \
                 right now."
            ),
        }
    }
}
