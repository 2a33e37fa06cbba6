//! The reasons why a container waits: a machine-readable value with its evidence, and the text that the user sees.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::container::ContainerState;
use crate::id::{InstanceId, TypeName};
use crate::pool::PauseReason;
use crate::queue::SetbackCause;
use crate::time::Timestamp;

/// The reason why a container waits, or that it does not wait any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum WaitReason {
    /// The container has a process, or is sent to an instance that is ready.
    Allocated,
    /// Its user does not want it to run.
    PriorityZero {
        /// The container's state.
        state: ContainerState,
    },
    /// Supervisors use their whole share of the ceiling already.
    OverSupervisors {
        /// The share.
        max_supervisors: usize,
    },
    /// A process of an earlier attempt has not ended yet.
    PreviousAttempt,
    /// The container has a place on an instance that is not ready.
    Booting {
        /// The type of that instance.
        instance_type: TypeName,
    },
    /// An instance would be created, but not right now.
    Paused {
        /// The type of that instance.
        instance_type: TypeName,
        /// The cause of the pause.
        cause: PauseReason,
    },
    /// The cloud has no instance of any type that fits the container.
    AtCapacity {
        /// The types that fit the container.
        instance_types: Vec<TypeName>,
    },
    /// The limit of the cloud account is reached.
    AccountQuota,
    /// `MaxInstances` is reached.
    MaxInstances,
    /// As many containers run as the ceiling allows.
    Ceiling {
        /// The ceiling.
        ceiling: u32,
    },
    /// The container's mounts, which decide what it needs, are still to be read.
    NotSized,
    /// The record is being changed, or cannot be read, or its state is uncertain: nothing is decided about it.
    HandsOff {
        /// Which of these three holds.
        why: String,
    },
    /// Something has failed for the container. It is tried again when its back-off is over and a poll shows it.
    SetBack {
        /// What failed.
        cause: SetbackCause,
        /// How often in a row.
        failures: u32,
        /// What the controller answered.
        error: String,
    },
    /// Its starts came to nothing. The next is made when the back-off is over.
    StartsFail {
        /// How many in a row.
        failures: u32,
        /// How the last one failed.
        error: String,
    },
    /// No instance type fits the container, which is about to be cancelled.
    NoSuitableType {
        /// The text with which the container is cancelled.
        error: String,
    },
    /// The dispatcher has just started.
    StartingUp,
}

/// A moment of a day, to the minute: users wait for hours rather than days.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Where a container stands in the line, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The position in the line, counted from 1; supervisors over their share have a separate line. `None`: the
    /// container is in no line.
    pub position: Option<usize>,
    /// The reason.
    pub reason: WaitReason,
    /// The instance on which it has its place, if that exists already. For people: it is not written down.
    #[serde(skip)]
    pub instance: Option<InstanceId>,
}

impl Waiting {
    /// The exact text that the user sees (docs/behaviour.md, "What users read"); empty if there is nothing to say.
    /// `ends`: when the reasons end why types are not created, as far as that is known ([`Supply::ends`]).
    ///
    /// [`Supply::ends`]: crate::pool::Supply::ends
    pub fn text(&self, ends: &BTreeMap<TypeName, Timestamp>) -> String {
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
            WaitReason::Booting { instance_type } => {
                format!("Waiting for a {instance_type} instance to boot and be ready to accept work.")
            }
            WaitReason::Paused { instance_type, cause } => {
                let until = ends.get(instance_type);
                let until = until.map_or_else(String::new, |until| format!(" until {}", moment(*until)));
                let cause = cause.in_words();
                format!(
                    "Waiting in queue at position {n}.  No {instance_type} instance is created{until}, because {cause}."
                )
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
            | WaitReason::SetBack { .. }
            | WaitReason::StartsFail { .. }
            | WaitReason::NoSuitableType { .. }
            | WaitReason::StartingUp => format!(
                "Waiting in queue at position {n}.  Cluster is at capacity and cannot start any new instances \
                 right now."
            ),
        }
    }
}
