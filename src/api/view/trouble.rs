//! What is being changed about a container, and what has failed for it.

use dispatch_core::id::InstanceId;
use dispatch_core::pool::FailedStarts;
use dispatch_core::queue::{Call, CancelReason, Operation, OperationKind, Setback, SetbackCause};
use serde::Serialize;
use utoipa::ToSchema;

use super::shown;
use crate::api::description::words;

/// What is being changed about a container's record now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationView<'a> {
    kind: OperationWord,
    /// Empty if there is none.
    reason: &'a str,
    /// The call that is being made.
    call: CallWord,
}

/// What is done to a record.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum OperationWord {
    Lock,
    Unlock,
    /// Unlock, or cancel if that was the last attempt.
    Requeue,
    Cancel,
}

/// The call that is made for it.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CallWord {
    Read,
    Lock,
    Unlock,
    Cancel,
}

/// What has failed for a container, and until when it is left alone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Setback)]
pub struct SetbackView<'a> {
    #[schema(schema_with = words::setback_cause)]
    cause: SetbackCause,
    /// How often in a row.
    failures: u32,
    #[schema(format = DateTime)]
    at: String,
    /// The end of the back-off.
    #[schema(format = DateTime)]
    until: String,
    /// What the controller answered.
    error: &'a str,
    /// Whether other containers shared in the last failure.
    shared: bool,
    /// Whether it has one try.
    lifted: bool,
    /// What else has failed before it and has not succeeded since.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion, nullable = false)]
    earlier: Option<Box<SetbackView<'a>>>,
}

/// The starts of a container that came to nothing, in a row.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FailedStarts)]
pub struct FailedStartsView<'a> {
    count: u32,
    #[schema(format = DateTime)]
    at: String,
    /// The instance of the last one.
    instance: &'a str,
    /// The last of them, and some of the others.
    instances: Vec<&'a str>,
    /// How the last one failed.
    error: &'a str,
}

impl<'a> OperationView<'a> {
    /// One that is in flight.
    pub fn of(operation: &'a Operation) -> Self {
        let (kind, reason) = match &operation.kind {
            OperationKind::Lock => (OperationWord::Lock, ""),
            OperationKind::Unlock(reason) => (OperationWord::Unlock, reason.as_str()),
            OperationKind::Requeue { error } => (OperationWord::Requeue, error.as_str()),
            OperationKind::Cancel { reason, .. } => (OperationWord::Cancel, cancel_reason(reason)),
        };
        let call = match operation.call {
            Call::Read => CallWord::Read,
            Call::Lock => CallWord::Lock,
            Call::Unlock => CallWord::Unlock,
            Call::Cancel => CallWord::Cancel,
        };
        Self { kind, reason, call }
    }
}

fn cancel_reason(reason: &CancelReason) -> &str {
    match reason {
        CancelReason::ProcessExited => "crunch_run_exited",
        CancelReason::NotOnAnyWorker => "not_on_any_worker",
        CancelReason::NoSuitableType(text) => text,
    }
}

impl<'a> SetbackView<'a> {
    /// With what has failed before it.
    pub fn of(setback: &'a Setback) -> Self {
        let Setback { cause, failures, at, until, error, shared, lifted, earlier } = setback;
        Self {
            cause: *cause,
            failures: *failures,
            at: shown(*at),
            until: shown(*until),
            error,
            shared: *shared,
            lifted: *lifted,
            earlier: earlier.as_deref().map(|it| Box::new(Self::of(it))),
        }
    }
}

impl<'a> FailedStartsView<'a> {
    /// Those of one container.
    pub fn of(failed: &'a FailedStarts) -> Self {
        Self {
            count: failed.count,
            at: shown(failed.at),
            instance: failed.instance.as_str(),
            instances: failed.instances.iter().map(InstanceId::as_str).collect(),
            error: &failed.error,
        }
    }
}
