//! The controller client against recorded answers, and against answers that no controller should give.
#![expect(clippy::unwrap_used, reason = "tests")]

mod misbehaviour;
mod server;
mod wire;
