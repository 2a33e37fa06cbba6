//! The machine's clock that also counts the time in which it was suspended.

use std::time::Duration;

use dispatch_core::ports::BootTime;
use rustix::time::{ClockId, clock_gettime};

/// How long the machine has been up, suspended or not.
pub fn now() -> BootTime {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    BootTime(Duration::new(seconds, nanos))
}
