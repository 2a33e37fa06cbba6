//! The functional core: **decides, and does nothing else**.
//!
//! Data in, data out. No I/O, no clock, no logging, no randomness, no tokio and no actix: `now` is an
//! argument, what happened is an event, what is to be done is a returned effect or action. The same
//! input gives the same output, byte for byte; the actors around it perform.
//!
//! ```text
//!   container  instance          the records, as data                ports   the holes to the world
//!        \       /
//!         fit                     which instance types fit, and what is left free on one
//!          |
//!   queue ─┼─ pool ── worker      the state machines that actors own, and `cloud`
//!          |
//!         plan                    one scheduling round: snapshot → actions, reasons, limits
//!          |
//!     invariants                 what no plan may ask for: checked by tests and debug builds
//! ```

pub mod ceiling;
pub mod cloud;
pub mod container;
pub mod driver;
pub mod fit;
#[cfg(test)]
mod fixtures;
pub mod id;
pub mod instance;
pub mod invariants;
mod pairs;
pub mod plan;
pub mod policy;
pub mod pool;
pub mod ports;
pub mod preference;
pub mod queue;
pub mod secret;
pub mod time;
pub mod worker;
