//! Fakes of real clouds, each over HTTP as its driver and its vendor's own clients know it.

pub mod azure;
pub mod gce;
