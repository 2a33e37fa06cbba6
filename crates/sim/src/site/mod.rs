//! A site's history, played again in virtual time under a configuration of choice.
//!
//! ```text
//!   History: jobs, oldest first ──────────┐
//!   Site: configuration, the cloud's pace ┴→ play: the real dispatcher in a World without faults
//!                                               └→ Play: when each job ran, how long each instance lived
//!                                                    ├→ Figures: waits, cost, waste, boots
//!                                                    └→ Curves: queue and fleet over time ─→ svg
//! ```
//! The same history and site give the same play, byte for byte. Never does: reading files; judging the dispatcher.

mod curves;
mod figures;
mod history;
mod play;
mod player;
pub mod svg;

pub use curves::Curves;
pub use figures::{Cost, Figures, Instances, Waits};
pub use history::{History, Job};
pub use play::{Fate, Life, Outcome, Play};
pub use player::{Pace, Site, play};
