//! The composition root: chooses and wires the parts, decides nothing.
//!
//! ```text
//!   main ─ cli ─┬─ run ──── app ─┬─ settings   the site's config.yml, checked
//!               ├─ demo ─────────┤  drivers    which cloud
//!               ├─ cloudtest ────┘
//!               ├─ health        │  runner_file, telemetry
//!               └─ config        └─ api        HTTP, on threads of its own
//! ```

pub mod api;
pub mod app;
pub mod cli;
pub mod cloudtest;
pub mod demo;
pub mod drivers;
pub mod health;
pub mod run;
pub mod runner_file;
pub mod settings;
pub mod telemetry;
