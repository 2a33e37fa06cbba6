//! What may be created of a type, or why not.

use dispatch_core::pool::{Gate, PauseReason, QuotaReason, Refusal};
use dispatch_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::shown;
use crate::api::description::words;

/// Whether instances of a type may be created, or why not.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Gate)]
pub struct GateView<'a> {
    pub state: GateState,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = words::gate_cause)]
    pub cause: Option<Cause>,
    /// The cause, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub because: Option<&'static str>,
    /// When that ends, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub until: Option<String>,
    /// What the cloud has said when it refused a create last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cloud: Option<CloudRefusalView<'a>>,
}

/// Whether instances of a type may be created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    #[default]
    Open,
    /// Not at this moment.
    Paused,
    /// An operator has drained the type.
    Drained,
    /// Not before an instance is gone, or a limit is raised.
    AtQuota,
    /// The cloud has none.
    AtCapacity,
    /// No plan has been made with it yet.
    Unknown,
}

/// Why nothing is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Cause {
    /// It is paused.
    Paused(PauseReason),
    /// There are too many.
    AtQuota(QuotaReason),
}

/// The cloud's last refusal of a create of that type, or, with the code `EndedWhileBooting`, its reason for having ended an
/// instance of that type which it had accepted.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CloudRefusal)]
pub struct CloudRefusalView<'a> {
    #[schema(format = DateTime)]
    at: String,
    code: &'a str,
    message: &'a str,
}

impl GateView<'_> {
    /// As a plan has it, without more.
    pub fn of(gate: Gate) -> Self {
        match gate {
            Gate::Open => Self { state: GateState::Open, ..Self::default() },
            Gate::Paused(cause) => {
                Self { state: GateState::Paused, cause: Some(Cause::Paused(cause)), ..Self::default() }
            }
            Gate::AtQuota(cause) => {
                Self { state: GateState::AtQuota, cause: Some(Cause::AtQuota(cause)), ..Self::default() }
            }
            Gate::AtCapacity(until) => {
                Self { state: GateState::AtCapacity, until: Some(shown(until)), ..Self::default() }
            }
        }
    }
}

impl<'a> GateView<'a> {
    /// With its end, and with the cloud's words.
    pub fn until(mut self, until: Option<Timestamp>, refusal: Option<&'a Refusal>) -> Self {
        self.until = until.map(shown);
        self.cloud =
            refusal.map(|it| CloudRefusalView { at: shown(it.at), code: &it.code, message: &it.message });
        self
    }
}
