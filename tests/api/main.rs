//! The management API as its clients see it: real HTTP, real actors, fakes behind the three ports.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

#[path = "../config_support/mod.rs"]
mod config_support;

mod access;
mod containers;
mod cost;
mod creates;
mod debug;
mod described;
mod events;
mod fidelity;
mod flood;
mod flood_tls;
mod health;
mod instances;
mod metrics;
mod page;
mod parameters;
mod requests;
mod silent;
mod standby;
mod support;
mod tls;
