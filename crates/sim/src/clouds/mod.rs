//! Clouds of vendors over HTTP, each as far as its driver and its vendor's own client know it.

pub mod azure;
