//! The real binary, end to end: real HTTP, real SSH, real processes, real signals.
//!
//! ```text
//!   this process                       a child                          its instances
//!   support::site  SimController ◀─ HTTP ─ arvados-dispatch-cloud ─ ssh ─▶ crunch-run ─▶ a container's command
//!     │ config.yml, keys, gate              └ loopback cloud                   │              writes RUNS/NAME, waits
//!     └ records, counted runs ◀──────────────────────── HTTP ─────────────────┘              at the gate
//! ```
//! Nothing here sleeps: a test waits for what must come, with a deadline ([`support::until`]). Containers run
//! until the test opens their gate, and write down each time that they are begun. Whatever a test leaves, a
//! failed one too, is killed with its [`support::Site`].
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod authorities;
mod azure;
mod bad_input;
mod client;
mod client_errors;
mod cloudtest;
mod crash_loop;
mod demo;
mod ec2;
mod events;
mod gce;
mod generated;
mod health;
mod https;
mod killed_again;
mod logs;
mod pause;
mod plan;
mod reload;
mod requests;
mod restart;
mod scenarios;
mod schemathesis;
mod simulate;
mod ssh_client;
mod stop;
mod support;
mod top;
mod unread;
