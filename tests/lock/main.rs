//! One dispatcher at a time: real dispatchers, a real PostgreSQL.
//!
//! ```text
//!   this process                    children
//!   support::site  SimController ◀─ HTTP ─ dispatcher, active ───┐ session with the lock
//!     │            (both ask it)  ◀── ── ─ dispatcher, standby ──┤ asks every 5 s
//!   postgres::Postgres ─────────────────── postgres ◀────────────┘
//!     └ cuts sessions, stops and starts it, freezes it, holds the lock itself
//! ```
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod cut;
mod loss;
mod postgres;
mod proxy;
mod standby;
#[path = "../e2e/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the end-to-end tests, which use more of it")]
mod support;
mod takeover;
mod tls;

use postgres::{PASSWORD, Postgres};
use std::time::Duration;
use support::{SOON, Service, Site, until};

/// A site with a database.
async fn site() -> (Site, Postgres) {
    let postgres = Postgres::start().await;
    let mut site = Site::new();
    site.cluster()["PostgreSQL"] = serde_json::json!({ "Connection": postgres.connection() });
    (site, postgres)
}

/// How many calls the controller has been asked for, by anybody.
async fn calls(site: &Site) -> u64 {
    site.controller.with(|arvados, _| arvados.history().calls().values().sum()).await.unwrap()
}

/// The same, when what was on its way as a dispatcher ended has arrived: no call in two of its poll intervals.
async fn settled_calls(site: &Site) -> u64 {
    let mut last = calls(site).await;
    until("no call comes any more", SOON, async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = calls(site).await;
        (std::mem::replace(&mut last, now) == now).then_some(now)
    })
    .await
}

/// The database's password is nowhere in what these have logged.
fn assert_no_password(services: &[&Service]) {
    for service in services {
        let text = service.log_text();
        assert!(!text.contains(PASSWORD), "{text}");
    }
}
