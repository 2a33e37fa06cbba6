//! What an operator has ordered, in the log: the action, what it was done to, the reason, and the request's id.
//!
//! ```text
//!   request ─ gate: admitted ─► handler ─► an actor did it ─► Operator::ordered ─► "ordered by an operator"
//!                                  └ note, with the request's id ─► the lines of whoever does it have the id, too
//! ```
//! Never does: logging an order that was refused (its `response` says so); logging the token, wherever it stands.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use dispatch_actors::messages::cordon::Kept;
use dispatch_actors::{catalogue, clock, event};
use dispatch_core::id::{ContainerUuid, InstanceId, TypeName};
use dispatch_core::note::Note;
use dispatch_core::pool::CordonScope;
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;

use super::error::Refusal;
use super::params::Params;
use super::watch::{self, Orders};

/// Whoever has sent this request.
pub(super) struct Operator(Orders);

impl Operator {
    /// Who asks, as claimed, when and why, and by which request.
    pub fn note(&self, params: &Params, token: &Secret) -> Note {
        params.note(token).of_request(&self.0.id)
    }

    /// Logs that this was done to an instance.
    pub fn ordered(&self, action: &str, instance: &InstanceId, note: &Note) {
        event!(self.0.log, catalogue::ORDERED, "Action" => action, "Instance" => instance.as_str(),
            "By" => &*note.by, "Reason" => &*note.reason);
    }

    /// Logs that a container's processes are ended.
    pub fn killed(&self, container: ContainerUuid, note: &Note) {
        event!(self.0.log, catalogue::ORDERED, "Action" => "kill", "ContainerUUID" => container.as_str(),
            "By" => &*note.by, "Reason" => &*note.reason);
    }

    /// Logs that nothing of that scope is created until then.
    pub fn paused(&self, scope: &CordonScope, until: Timestamp, note: &Note, kept: &Kept) {
        event!(self.0.log, catalogue::CREATES_PAUSED, "Scope" => %scope, "ResumeAt" => %clock::shown(until),
            "By" => &*note.by, "Reason" => &*note.reason, "Kept" => *kept == Kept::Yes);
    }

    /// Logs that it is created again.
    pub fn resumed(&self, scope: &CordonScope, note: &Note) {
        event!(self.0.log, catalogue::CREATES_RESUMED, "Scope" => %scope,
            "By" => &*note.by, "Reason" => &*note.reason);
    }

    /// Logs that nothing of a type is created, and its instances are drained.
    pub fn drained_type(&self, name: &TypeName, note: &Note, kept: &Kept) {
        event!(self.0.log, catalogue::TYPE_DRAINED, "InstanceType" => name.as_str(),
            "By" => &*note.by, "Reason" => &*note.reason, "Kept" => *kept == Kept::Yes);
    }

    /// Logs that a type is used again.
    pub fn ran_type(&self, name: &TypeName, note: &Note) {
        event!(self.0.log, catalogue::TYPE_IN_USE, "InstanceType" => name.as_str(),
            "By" => &*note.by, "Reason" => &*note.reason);
    }
}

impl FromRequest for Operator {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(watch::orders(request).map(Self).ok_or(Refusal::Unauthorized))
    }
}
