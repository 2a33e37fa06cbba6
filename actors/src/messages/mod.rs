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
pub mod pool;
pub mod queue;
pub mod scheduler;
pub mod worker;

#[cfg(test)]
mod tests;

use actix::Message;
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

/// To every actor: what do you hold, and what is in flight since when? For developers, and for a bug report; secrets
/// are left out.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Value")]
pub struct GetState;

/// The state of an actor as JSON.
pub fn shown(state: &impl Serialize) -> Value {
    serde_json::to_value(state).unwrap_or_else(|error| json!({ "error": error.to_string() }))
}
