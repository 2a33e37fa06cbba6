//! Why a container waits: the word, and what that rests on.

use dispatch_core::container::ContainerState;
use dispatch_core::id::TypeName;
use dispatch_core::plan::WaitReason;
use dispatch_core::pool::PauseReason;
use dispatch_core::queue::SetbackCause;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::description::words;

/// What the reason rests on: which of these are there depends on the reason.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Evidence)]
pub struct EvidenceView<'a> {
    /// The container's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = words::container_state)]
    state: Option<ContainerState>,
    /// The share of supervisors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_supervisors: Option<usize>,
    /// The type of the instance that boots, or would be created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    instance_type: Option<&'a str>,
    /// The types that fit the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Vec<String>)]
    instance_types: Option<&'a [TypeName]>,
    /// Why creates are paused, or what has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = words::evidence_cause)]
    cause: Option<CauseView>,
    /// How many containers may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ceiling: Option<u32>,
    /// Why nothing is decided about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    why: Option<&'a str>,
    /// How often that has failed in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failures: Option<u32>,
    /// How it has failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<&'a str>,
}

/// Why creates are paused, or what has failed.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum CauseView {
    Paused(PauseReason),
    Failed(SetbackCause),
}

/// The word of a reason, and the rest of what the planner says.
pub fn split(reason: &WaitReason) -> (&'static str, EvidenceView<'_>) {
    let none = EvidenceView::default();
    match reason {
        WaitReason::Allocated => ("allocated", none),
        WaitReason::PriorityZero { state } => ("priority_zero", EvidenceView { state: Some(*state), ..none }),
        WaitReason::OverSupervisors { max_supervisors } => {
            ("over_supervisors", EvidenceView { max_supervisors: Some(*max_supervisors), ..none })
        }
        WaitReason::PreviousAttempt => ("previous_attempt", none),
        WaitReason::Booting { instance_type } => {
            ("booting", EvidenceView { instance_type: Some(instance_type.as_str()), ..none })
        }
        WaitReason::Paused { instance_type, cause } => {
            let cause = Some(CauseView::Paused(*cause));
            ("paused", EvidenceView { instance_type: Some(instance_type.as_str()), cause, ..none })
        }
        WaitReason::AtCapacity { instance_types } => {
            ("at_capacity", EvidenceView { instance_types: Some(instance_types), ..none })
        }
        WaitReason::AccountQuota => ("account_quota", none),
        WaitReason::MaxInstances => ("max_instances", none),
        WaitReason::Ceiling { ceiling } => ("ceiling", EvidenceView { ceiling: Some(*ceiling), ..none }),
        WaitReason::NotSized => ("not_sized", none),
        WaitReason::HandsOff { why } => ("hands_off", EvidenceView { why: Some(why), ..none }),
        WaitReason::SetBack { cause, failures, error } => {
            let cause = Some(CauseView::Failed(*cause));
            ("set_back", EvidenceView { cause, failures: Some(*failures), error: Some(error), ..none })
        }
        WaitReason::StartsFail { failures, error } => {
            ("starts_fail", EvidenceView { failures: Some(*failures), error: Some(error), ..none })
        }
        WaitReason::NoSuitableType { error } => {
            ("no_suitable_type", EvidenceView { error: Some(error), ..none })
        }
        WaitReason::StartingUp => ("starting_up", none),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What is shown of a reason is what a debug state and a recorded round have of it.
    #[test]
    fn every_reason_is_shown_as_the_core_writes_it() {
        for reason in WaitReason::samples() {
            let (word, evidence) = split(&reason);
            let mut shown = serde_json::to_value(evidence).unwrap();
            shown["reason"] = Value::from(word);
            assert_eq!(shown, serde_json::to_value(&reason).unwrap());
        }
    }
}
