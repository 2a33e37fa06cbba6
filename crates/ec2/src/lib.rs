//! The EC2 driver: seven calls of EC2's query API, each signed, sent once, and its answer checked.
//!
//! ```text
//!   CloudDriver ─► driver ─┬─ keys      which key pair         ┐
//!                          ├─ subnets   where, and where next  │      ┌─ sign ◄─ credentials (aws-config, by chain_http)
//!                          ├─ spot      what spot VMs cost     ├─► request ─► send ─► EC2
//!                          └─ (create, list, destroy, tag)     ┘                 │
//!   CloudError ◄─ backoff ◄─ errors (code → kind and scope) ◄── answer ◄─────────┘
//! ```
//! Made and used on one thread. Nothing is retried in here, and nothing waits but for an answer: pacing,
//! default tags and counting of calls are the Cloud actor's. What is remembered is what may be forgotten:
//! the key pair's name, the subnet that was tried last, spot prices, which VMs are expected in listings, how long to back
//! off.

#![forbid(unsafe_code)]

mod advice;
mod answer;
mod backoff;
mod chain_http;
mod clock;
mod credentials;
mod description;
mod driver;
mod endpoint;
mod ends;
mod environment;
mod errors;
mod keys;
mod metrics;
mod params;
mod profile;
mod quota_group;
mod repeats;
mod request;
mod send;
mod sign;
mod spot;
mod subnets;

pub use advice::Advice;
pub use description::Description;
pub use driver::{Ec2Cloud, OpenError, Options};
pub use endpoint::{EndpointError, check_endpoint, check_region};
pub use params::Params;
pub use send::NO_CONNECTION;

#[cfg(test)]
mod tests;
