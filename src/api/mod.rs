//! The management API: what operators, dashboards and the site's health checker ask us.
//!
//! ```text
//!   HTTP threads                                                            the arbiter
//!   watch ─ gate ─ routes ─┬─ containers, instances ── messages (≤ 5 s) ──► Scheduler, Queue, Pool
//!     │       │            ├─ creates ── pauses, drained types ── (≤ 5 s) ► Pool
//!     │       │            ├─ health ── messages, Ping (≤ 5 s) ───────────► all actors
//!     │       │            ├─ debug ── GetState (≤ 5 s) ───────────────────► all actors
//!     │       │            ├─ events ── a page at a time ───────────────────► History (a thread of its own)
//!     │       │            ├─ metrics ── Registry (atomics)
//!     │       │            └─ page ── one HTML file for people, which asks all of these
//!     │       └ who may ask: 401, 403
//!     └ request id, log lines, request metrics
//! ```
//! `description` tells clients all of this: which paths there are, what they ask for, and what they answer.
//! `operator` logs what was ordered, and why. `places` bounds the connections, and closes those that show no token.
//! `view` turns the actors' immutable snapshots into JSON; `params` reads what was asked. The HTTP threads
//! own nothing: every answer is made from what the actors say at that moment.
//!
//! Never does: deciding anything; logging a token; answering before the token is checked, except with the page; logging
//! a request that was refused, except as one of a count.

mod auth;
mod certificate;
mod containers;
mod cost;
mod creates;
mod debug;
mod description;
mod error;
mod events;
mod health;
mod instances;
mod list;
mod metrics;
mod operator;
mod page;
mod params;
mod places;
mod redact;
mod request_id;
mod routes;
mod server;
mod state;
mod view;
mod watch;

pub use certificate::{CertReloader, CertificateError};
pub use creates::pause_length;
pub use server::serve;
pub use state::{Active, ApiState, HealthPolicy, SiteRules};
