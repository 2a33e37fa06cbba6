//! Signs of life of this process, by a clock that does not stop when the machine sleeps.

use std::time::Duration;

/// A moment of the clock that also counts the time in which the machine was suspended (`CLOCK_BOOTTIME`): how long
/// the machine had been up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(pub Duration);

/// A sign of life of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// When.
    pub at: BootTime,
    /// For how long the thread that gives it has been computing since it began.
    pub computed: Duration,
}
