//! The driver of Google Compute Engine: eight calls of its REST API, each with a token, sent once, and its answer checked.
//!
//! ```text
//!   CloudDriver ─► driver ─┬─ zones      where, and where next     ┐             ┌─ credentials ─┬─ key file (jwt)
//!                          ├─ insert     what is ordered           │             ▼               └─ metadata server
//!                          ├─ tags       in metadata, as labels    ├─► api ─► send ─► Compute Engine
//!                          ├─ stopped    VMs that only cost        │           │
//!                          └─ host_keys  what VMs publish          ┘           │
//!   CloudError ◄─ kit ◄─ errors (word → kind and scope) ◄────── answer ◄───────┘
//! ```
//! What is not this cloud's own is the kit's (`dispatch-cloud-kit`): one call and its outcome, how answers are judged,
//! back-off, places in turn, how long tokens are kept.
//!
//! Made and used on one thread. Nothing is retried in here. What is remembered is what may be forgotten: what zones are
//! short of, which host keys were found genuine, which stopped VMs are being deleted, how long to back off.

#![forbid(unsafe_code)]

mod advice;
mod answer;
mod api;
mod credentials;
mod description;
mod driver;
mod endpoint;
mod environment;
mod errors;
mod host_keys;
mod insert;
mod jwt;
mod key_file;
mod machine;
mod metadata_server;
mod metrics;
mod names;
mod params;
mod quota_group;
mod send;
mod stopped;
mod tags;
mod zones;

pub use advice::Advice;
pub use description::Description;
pub use driver::{GceCloud, OpenError, Options};
pub use endpoint::{ENDPOINT_VARIABLE, EndpointError, check_endpoint};
pub use params::{InitBy, Params};

#[cfg(test)]
mod tests;
