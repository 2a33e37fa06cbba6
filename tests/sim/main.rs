//! The whole dispatcher in virtual time: stories, restarts at many events, seeded chaos.
//!
//! Every story runs under the invariants I1–I11: what a test asserts comes on top.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod backfill;
mod ceiling;
mod chaos;
mod controller;
mod cost;
mod drift;
mod feed;
mod happy;
mod judge;
mod lessons;
mod limits;
mod liveness;
mod network;
mod operator;
mod ourselves;
mod reload;
mod reserve;
mod restart;
mod rounds;
mod scale;
mod side_by_side;
mod spot;
mod trouble;
mod watch;
mod what_if;

use std::time::Duration;

/// That many minutes.
fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// That many seconds.
fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
