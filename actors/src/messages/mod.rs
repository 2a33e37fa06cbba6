//! What actors say to each other. Every actor knows this module, and no actor knows another.
//!
//! ```text
//!                       system   makes all five, and gives each the recipients it needs
//!     ┌─────────┬─────────┼──────────┬──────────┐
//!   queue     pool     worker    scheduler    cloud      know messages, and nothing of each other
//!     └─────────┴─────────┼──────────┴──────────┘
//!                      messages   one file for the actor that *receives* them, with the types of the answers
//! ```
//! An actor holds [`actix::Recipient`]s of the messages that it sends, never another actor's address: so a test
//! gives it a stub, and a change in one actor cannot break another but by a message. A test beside this file reads
//! the sources and holds these walls.

pub mod cloud;
pub mod cordon;
pub mod pool;
pub mod queue;
pub mod scheduler;
pub mod worker;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Message;
use dispatch_core::instance::Offering;
use dispatch_core::policy::Policy;
use serde::Serialize;
use serde_json::{Value, json};

/// Are you alive? Measures how long a message lies in a mailbox, too.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Ping;

/// To Queue and Scheduler: the process is about to end, begin nothing more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Quiesce;

/// To all but the workers, which Pool tells: the site's configuration was read anew.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct UsePolicy {
    /// What holds from now on.
    pub policy: Arc<Policy>,
    /// The driver's quota groups of its types.
    pub quota_groups: BTreeMap<Offering, String>,
}

/// To every actor: what do you hold, and what is in flight since when? For developers, and for a bug report; secrets
/// are left out.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "ActorState")]
pub struct GetState;

/// The answer to [`GetState`]: a copy, made JSON by whoever has asked, because that takes seconds in a large site.
pub struct ActorState(Box<dyn FnOnce() -> Value + Send>);

impl ActorState {
    /// Of an actor that holds this.
    pub fn of(state: impl Serialize + Send + 'static) -> Self {
        let show =
            move || serde_json::to_value(state).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        Self(Box::new(show))
    }

    /// As JSON.
    pub fn into_json(self) -> Value {
        (self.0)()
    }
}
