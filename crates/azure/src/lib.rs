//! The Azure driver: calls of Azure Resource Manager's REST API (ARM), each sent once, and its answer checked.
//!
//! ```text
//!   CloudDriver ─► driver ─┬─ order      what a VM is made of      ┐
//!                          ├─ operation  whether it came into being│    ┌─ credentials (Microsoft's login, metadata service)
//!                          ├─ leftovers  what nobody needs any more├─► arm ─► management.azure.com, or the cloud's own host
//!                          └─ (list, destroy, tag)                 ┘     │
//!   CloudError ◄─ kit ◄─ errors (code → kind and scope) ◄──── answer ◄───┘
//! ```
//! A VM is made by two calls: first its network interface (NIC), then the VM itself, with the NIC's id. Both names are made
//! from the order's secret, so that an order which is sent twice makes one VM. What is not Azure's own is the kit's
//! (`dispatch-cloud-kit`).
//!
//! Made and used on one thread. Nothing is retried in here: pacing, default tags and counting of calls are the Cloud
//! actor's. Only the clean-up of what failed orders leave goes on beside listings, and ends with the driver.

#![forbid(unsafe_code)]

mod advice;
mod answer;
mod arm;
mod cloud;
mod credentials;
mod description;
mod driver;
mod environment;
mod errors;
mod image;
mod leftovers;
mod metrics;
mod name;
mod operation;
mod order;
mod params;
mod quota_group;
mod resource;

pub use advice::Advice;
pub use cloud::UnknownCloud;
pub use description::Description;
pub use dispatch_cloud_kit::NO_CONNECTION;
pub use driver::{AzureCloud, OpenError, Options};
pub use environment::Environment;
pub use params::Params;

#[cfg(test)]
mod tests;
