//! Clusters of any size for benchmarks: drawn from a seed, so that two runs measure the same.
//!
//! ```text
//!   site (types, sizes) ─► Scene::burst ─► Scene::settle: plan, let it happen, until nothing is left to do
//!                     └──► traffic: polls and listings of that size, for Queue and Pool
//! ```
#![allow(dead_code, reason = "each benchmark uses its part")]

mod scene;
mod site;
mod traffic;

pub use scene::Scene;
pub use site::Sizes;
pub use traffic::{polled, pool_of, queue_of};
