//! Tests of the loopback cloud: as a driver, as a host of processes, and with the real executor.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests; real time, because ssh is real")]

#[macro_use]
#[path = "../suite/both_clients.rs"]
mod both_clients;

mod driver;
mod end_to_end;
mod support;
