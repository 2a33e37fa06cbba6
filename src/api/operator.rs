//! What an operator has ordered, in the log: the action, what it was done to, the reason, and the request's id.
//!
//! ```text
//!   request ─ gate: admitted ─► handler ─► an actor did it ─► Operator::ordered ─► "ordered by an operator"
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
use dispatch_core::time::Timestamp;
use slog::Logger;

use super::error::Refusal;
use super::watch;

/// Whoever has sent this request.
pub(super) struct Operator {
    log: Logger,
}

impl Operator {
    /// Logs that this was done to an instance.
    pub fn ordered(&self, action: &str, instance: &InstanceId, note: &Note) {
        event!(self.log, catalogue::ORDERED, "Action" => action, "Instance" => instance.as_str(),
            "By" => &*note.by, "Reason" => &*note.reason);
    }

    /// Logs that a container's processes are ended.
    pub fn killed(&self, container: ContainerUuid, note: &Note) {
        event!(self.log, catalogue::ORDERED, "Action" => "kill", "ContainerUUID" => container.as_str(),
            "By" => &*note.by, "Reason" => &*note.reason);
    }

    /// Logs that nothing of that scope is created until then.
    pub fn paused(&self, scope: &CordonScope, until: Timestamp, note: &Note, kept: &Kept) {
        event!(self.log, catalogue::CREATES_PAUSED, "Scope" => %scope, "ResumeAt" => %clock::shown(until),
            "By" => &*note.by, "Reason" => &*note.reason, "Kept" => *kept == Kept::Yes);
    }

    /// Logs that it is created again.
    pub fn resumed(&self, scope: &CordonScope, note: &Note) {
        event!(self.log, catalogue::CREATES_RESUMED, "Scope" => %scope,
            "By" => &*note.by, "Reason" => &*note.reason);
    }

    /// Logs that nothing of a type is created, and its instances are drained.
    pub fn drained_type(&self, name: &TypeName, note: &Note, kept: &Kept) {
        event!(self.log, catalogue::TYPE_DRAINED, "InstanceType" => name.as_str(),
            "By" => &*note.by, "Reason" => &*note.reason, "Kept" => *kept == Kept::Yes);
    }

    /// Logs that a type is used again.
    pub fn ran_type(&self, name: &TypeName, note: &Note) {
        event!(self.log, catalogue::TYPE_IN_USE, "InstanceType" => name.as_str(),
            "By" => &*note.by, "Reason" => &*note.reason);
    }
}

impl FromRequest for Operator {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let log = watch::orders(request).ok_or(Refusal::Unauthorized);
        ready(log.map(|log| Self { log }))
    }
}
