//! The composition root: chooses and wires the parts, decides nothing.

pub mod settings;
