//! The functional core: **decides, and does nothing else**.
//!
//! Data in, data out. No I/O, no clock, no logging, no randomness, no tokio and no actix: `now` is an argument,
//! what is asked is a command, what has happened is a completion, and what is to be done is a returned effect or
//! action. The same input gives the same output, byte for byte; the actors around the core perform.
//!
//! ```text
//!   policy  container  instance  driver    the site's wishes, the records and the drivers, as data
//!        blueprint                          what a VM is made from, as a text in a tag
//!        \      |        /
//!         fit ── preference                 which types fit, what is left free; which type and place is better
//!              |
//!   queue ── pool ── worker ── cloud        the state that actors own, and what they decide
//!              |
//!           ledger                          what it costs; decides nothing
//!              |
//!   ceiling ── plan                         one scheduling round: PlanInput → actions, and reasons to wait
//!              |
//!         invariants                        what no plan may ask for: checked by tests and debug builds
//!
//!   ports                                   the only ways to the world
//! ```

pub mod blueprint;
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
pub mod label;
pub mod ledger;
pub mod note;
mod pairs;
pub mod plan;
pub mod policy;
pub mod pool;
pub mod ports;
pub mod preference;
pub mod queue;
pub mod reserve;
pub mod secret;
pub mod time;
pub mod worker;
