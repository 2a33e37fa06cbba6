//! The EC2 driver: seven calls of EC2's query API, each signed, sent once, and its answer checked.
//!
//! ```text
//!   CloudDriver ─► driver ─┬─ keys      which key pair         ┐
//!                          ├─ subnets   where, and where next  │      ┌─ sign ◄─ credentials (aws-config, by chain_http)
//!                          ├─ spot      what spot VMs cost     ├─► request ─► send ─► EC2
//!                          ├─ ends      why VMs have ended     │                 │
//!                          └─ (create, list, destroy, tag)     ┘                 │
//!   CloudError ◄─ kit ◄─ errors (code → kind and scope) ◄────── answer ◄─────────┘
//! ```
//! What is not EC2's own is the kit's (`dispatch-cloud-kit`): one call and its outcome, how answers are judged, back-off,
//! places in turn, how long credentials are kept.
//!
//! Made and used on one thread. Nothing is retried in here, and nothing waits but for an answer: pacing, default tags and
//! counting of calls are the Cloud actor's. What is remembered is what may be forgotten: the key pair's name, what subnets
//! are short of, spot prices, which VMs are expected in listings, how long to back off.

#![forbid(unsafe_code)]

mod advice;
mod answer;
mod chain_http;
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
mod request;
mod send;
mod sign;
mod spot;
mod subnets;

pub use advice::Advice;
pub use description::Description;
pub use dispatch_cloud_kit::NO_CONNECTION;
pub use driver::{Ec2Cloud, OpenError, Options};
pub use endpoint::{EndpointError, check_endpoint, check_region};
pub use params::Params;

#[cfg(test)]
mod tests;
