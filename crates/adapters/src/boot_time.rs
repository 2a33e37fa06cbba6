//! The machine's clock that also counts the time in which it was suspended.

use std::time::Duration;

use dispatch_core::ports::{BootTime, Pulse};
use rustix::time::{ClockId, clock_gettime};

/// How long the machine has been up, suspended or not.
pub fn now() -> BootTime {
    BootTime(read(ClockId::Boottime))
}

/// A sign of life of this thread.
pub fn pulse() -> Pulse {
    Pulse { at: now(), computed: read(ClockId::ThreadCPUTime) }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}
