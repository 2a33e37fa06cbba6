//! The composition root: chooses and wires the parts, decides nothing.

pub mod api;
pub mod cli;
pub mod settings;
pub mod telemetry;
