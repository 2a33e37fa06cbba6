//! (being written)

pub mod catalogue;
pub mod clock;
pub mod metrics;
