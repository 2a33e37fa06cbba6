//! Fakes of real clouds, each over HTTP as its vendor's own clients know it.

pub mod gce;
