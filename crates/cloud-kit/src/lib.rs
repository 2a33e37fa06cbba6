//! What the drivers of clouds have in common, so that it is written once: how a call ends, what its errors mean, and what
//! is remembered between calls.
//!
//! ```text
//!   driver ─ request ─► call ──────────► the cloud's API            tls, proxy, endpoint   whom to believe, and which way
//!                        │                                         tokens       what to show, renewed early
//!                        ▼
//!            Answer ─► xml, json ─► pages ─► what was asked for
//!                └───► table (code, words, status → meaning) ─► Failure ─► metrics
//!                                                                  ├─► places    another subnet or zone
//!   CloudError ◄─ backoff (how long to leave the cloud alone) ◄────┘
//! ```
//! It knows no cloud by name and decides nothing for the dispatcher: the kinds of errors are the port's, and pacing,
//! default tags and counting of the port's calls are the Cloud actor's. Nothing is retried in here, and nothing waits but
//! for an answer. Everything is made and used on one thread.

#![forbid(unsafe_code)]

mod answer;
mod backoff;
mod call;
pub mod clock;
pub mod endpoint;
mod failure;
pub mod json;
mod metrics;
pub mod pages;
mod places;
mod proxy;
pub mod quota_group;
mod repeats;
mod table;
pub mod tls;
mod tokens;
pub mod xml;

pub use answer::{Answer, Malformed, Refusal};
pub use backoff::{Backoff, Operation};
pub use call::{Http, Method, NO_CONNECTION, Outgoing, never_arrived};
pub use failure::{Failure, Meaning};
pub use metrics::ErrorCounter;
pub use places::{Places, Reach};
pub use proxy::unused_proxy;
pub use repeats::Repeats;
pub use table::{ErrorTable, Row};
pub use tokens::Tokens;
