//! The only place where this crate asks for the time.
//!
//! The simulated world begins on 2026-01-01T00:00:00Z at the moment [`begin`] is called and goes on as tokio's
//! clock does, paused or not. It is the dispatcher's own clock: both see the same time.

use std::time::Duration;

use dispatch_core::time::Timestamp;

/// 2026-01-01T00:00:00Z, the time at which every simulated world begins.
pub const EPOCH_SECOND: i64 = 1_767_225_600;

/// The time at which every simulated world begins.
pub fn epoch() -> Timestamp {
    Timestamp::from_second(EPOCH_SECOND).expect("a constant within range")
}

/// Sets this thread's clock to the epoch. Each run must call it before anything else: a paused runtime starts
/// at the machine's own time, and histories must not depend on that.
pub fn begin() {
    dispatch_actors::clock::anchor(epoch());
}

/// The present time in this thread's world.
pub fn now() -> Timestamp {
    dispatch_actors::clock::now()
}

/// Waits until that time, or not at all if it has passed.
pub async fn sleep_until(at: Timestamp) {
    let left = dispatch_core::time::since(at, now());
    if left > Duration::ZERO {
        tokio::time::sleep(left).await;
    }
}

#[cfg(test)]
mod tests {
    use dispatch_core::time::after;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_starts_at_the_epoch_and_follows_paused_time() {
        begin();
        assert_eq!(now(), epoch());
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(now(), after(epoch(), Duration::from_secs(90)));
        sleep_until(after(epoch(), Duration::from_secs(100))).await;
        assert_eq!(now(), after(epoch(), Duration::from_secs(100)));
        sleep_until(epoch()).await;
        assert_eq!(now(), after(epoch(), Duration::from_secs(100)));
    }
}
