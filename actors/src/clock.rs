//! The time, as every actor reads it: wall time that never runs backwards and obeys tokio's paused clock.
//!
//! ```text
//!   now() = where we anchored + what the monotonic clock has gone since
//!           └ the system's clock, once for the process; or a fixed date, for this thread (simulator, tests)
//! ```
//! A step of the system's clock after the start is not followed: a timer must not fire early or never for it.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::SystemTime;

use dispatch_core::time::{Timestamp, after};
use tokio::time::Instant;

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    monotonic: Instant,
    wall: Timestamp,
}

/// The process's anchor: a constant from its first use on, so that all threads agree.
static PROCESS: OnceLock<Anchor> = OnceLock::new();

thread_local! {
    static THREAD: Cell<Option<Anchor>> = const { Cell::new(None) };
}

/// The time now.
pub fn now() -> Timestamp {
    THREAD.get().unwrap_or_else(|| *PROCESS.get_or_init(Anchor::at_the_system_clock)).wall_at(Instant::now())
}

/// From now on it is `epoch` and later on this thread, whatever the system's clock says.
pub fn anchor(epoch: Timestamp) {
    THREAD.set(Some(Anchor { monotonic: Instant::now(), wall: epoch }));
}

impl Anchor {
    fn at_the_system_clock() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
        let system = SystemTime::now();
        let wall = Timestamp::try_from(system).expect("the system's clock is within ten thousand years");
        Self { monotonic: Instant::now(), wall }
    }

    fn wall_at(&self, at: Instant) -> Timestamp {
        match at.checked_duration_since(self.monotonic) {
            Some(passed) => after(self.wall, passed),
            // A thread whose time was paused before another one set the process's anchor.
            None => self.wall.checked_sub(self.monotonic - at).unwrap_or(Timestamp::MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_day_of_paused_time_passes_at_once_and_exactly() {
        let epoch: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        anchor(epoch);
        assert_eq!(now(), epoch);
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        assert_eq!(now().to_string(), "2030-01-02T00:00:00Z");
    }

    #[tokio::test(start_paused = true)]
    async fn paused_time_stands_still() {
        let before = now();
        std::hint::black_box((0..100_000).sum::<u64>());
        assert_eq!(now(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn an_anchor_later_than_a_paused_clock_does_not_swallow_time() {
        let wall: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let anchor = Anchor { monotonic: Instant::now() + Duration::from_secs(3), wall };
        let before = anchor.wall_at(Instant::now());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(anchor.wall_at(Instant::now()).duration_since(before).as_secs(), 10);
    }

    #[test]
    fn unanchored_it_is_the_systems_time() {
        #[expect(clippy::disallowed_methods, reason = "what it is compared with")]
        let system = Timestamp::try_from(SystemTime::now()).unwrap();
        assert!(now().duration_since(system).abs() < jiff::SignedDuration::from_secs(10));
    }

    #[test]
    fn all_threads_read_the_same_clock() {
        let (here, there) = (now(), std::thread::spawn(now).join().unwrap());
        assert!(here <= there && there <= now());
    }
}
