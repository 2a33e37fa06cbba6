//! The composition root: chooses and wires the parts, decides nothing.
//!
//! ```text
//!   main ─ cli ─┬─ run ──┬─ app ─┬─ settings   the site's config.yml, checked
//!               │        └ lock  │  drivers    which cloud
//!               ├─ demo ─────────┤  runner_file, telemetry
//!               ├─ cloudtest ────┤
//!               ├─ health        └─ serving ─ api   HTTP, on threads of its own
//!               └─ config
//! ```

pub mod api;
pub mod app;
pub mod cli;
pub mod cloudtest;
pub mod demo;
pub mod drivers;
pub mod health;
pub mod lock;
pub mod run;
pub mod runner_file;
pub mod serving;
pub mod settings;
pub mod telemetry;
