//! Clusters of any size for benchmarks: drawn from a seed, so that two runs measure the same.
//!
//! ```text
//!   Site (types, sizes) ─► Controller (records) ─► Queue ─► Scene::burst ─► Scene::settled: plan, let it
//!         └──► Pool, machines                                happen, until nothing is left to do
//! ```
#![allow(dead_code, unused_imports, reason = "each benchmark uses its part")]

mod scene;
mod site;
mod traffic;

pub use scene::Scene;
pub use site::{Site, Sizes, at};
pub use traffic::{Controller, empty_queue, machines, pool, silent_views};
