//! The composition root: chooses and wires the parts, decides nothing.
//!
//! ```text
//!   main ─ cli ─┬─ run ──┬─ app ─┬─ settings   the site's config.yml, checked
//!               │        └ lock  │  drivers    which cloud; cordons_file: what operators have forbidden
//!               ├─ demo ─────────┤  runner_file, telemetry
//!               ├─ cloudtest ────┤
//!               ├─ health        └─ serving ─ api   HTTP, on threads of its own
//!               ├─ client        asks a running service, as operators do
//!               ├─ simulate      a site's history under other configurations, in virtual time
//!               └─ config
//! ```

// They panic when stdout or stderr is gone, and a panic ends the process: `cli::print` and `cli::complain` do not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod api;
pub mod app;
pub mod cli;
pub mod client;
pub mod cloudtest;
pub mod cordons_file;
pub mod core_dumps;
pub mod demo;
pub mod descriptors;
pub mod drivers;
pub mod event_feed;
pub mod executors;
pub mod health;
pub mod lock;
pub mod neighbours;
pub mod own_metrics;
pub mod own_side;
pub mod recording;
pub mod reload;
pub mod run;
pub mod runner_file;
pub mod serving;
pub mod settings;
pub mod simulate;
pub mod telemetry;
#[cfg(test)]
mod version;

/// The version with the commit that this program was built from; `build.rs` finds it.
pub const VERSION: &str = env!("DISPATCH_BUILT_VERSION");
