//! The time, as every actor reads it: wall time that never runs backwards and obeys tokio's paused clock.
//!
//! ```text
//!   now()        = where we anchored + what the monotonic clock has gone since
//!                  └ the system's clock, once for the process; or a fixed date, for this thread (simulator, tests)
//!   wall_time()  = the system's clock, read now
//!   shown(at)    = at + (wall_time() - now())
//! ```
//! A step of the system's clock after the start is not followed by `now()`: a timer must not fire early or never for it.
//! Whatever is measured or decided uses `now()` alone. `wall_time()` and `shown()` are for what people and other
//! machines read: dates of ours that are shown, and ages of what others have dated.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use dispatch_core::ports::{BootTime, Pulse};
use dispatch_core::time::{Timestamp, after, since};
use jiff::SignedDuration;
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
    /// By how much the wall clock of an anchored thread has been corrected since.
    static CORRECTION: Cell<SignedDuration> = const { Cell::new(SignedDuration::ZERO) };
}

/// The time now.
pub fn now() -> Timestamp {
    THREAD.get().unwrap_or_else(|| *PROCESS.get_or_init(Anchor::at_the_system_clock)).wall_at(Instant::now())
}

/// The wall time as it is read now. Not for decisions or measurements: it may step.
pub fn wall_time() -> Timestamp {
    shown(now())
}

/// A moment that was noted by [`now`], as the wall clock dates it today.
pub fn shown(at: Timestamp) -> Timestamp {
    at.checked_add(correction()).unwrap_or(at)
}

/// By how much the wall clock has been corrected since we anchored, in whole seconds: less is drift, and would let a
/// date that is shown twice differ.
pub fn correction() -> SignedDuration {
    let corrected = match THREAD.get() {
        Some(_) => CORRECTION.get(),
        None => system_clock().duration_since(now()),
    };
    SignedDuration::from_secs(corrected.as_secs())
}

/// From now on it is `epoch` and later on this thread, whatever the system's clock says.
pub fn anchor(epoch: Timestamp) {
    THREAD.set(Some(Anchor { monotonic: Instant::now(), wall: epoch }));
    CORRECTION.set(SignedDuration::ZERO);
}

/// For simulator and tests: a sign of life of a process whose time is not real, and that computes in no time.
pub fn pulse() -> Pulse {
    Pulse { at: BootTime(since(now(), Timestamp::UNIX_EPOCH)), computed: Duration::ZERO }
}

/// For simulator and tests: the wall clock of this thread, which is anchored, is corrected by that much.
pub fn correct_wall_clock(by: SignedDuration) {
    CORRECTION.set(CORRECTION.get() + by);
}

fn system_clock() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    let system = SystemTime::now();
    Timestamp::try_from(system).expect("the system's clock is within ten thousand years")
}

impl Anchor {
    fn at_the_system_clock() -> Self {
        Self { monotonic: Instant::now(), wall: system_clock() }
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
    async fn a_corrected_wall_clock_moves_what_is_shown_and_nothing_else() {
        let epoch: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        anchor(epoch);
        tokio::time::sleep(Duration::from_secs(60)).await;
        correct_wall_clock(SignedDuration::from_secs(3600));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(now().to_string(), "2030-01-01T00:01:01Z");
        assert_eq!(wall_time().to_string(), "2030-01-01T01:01:01Z");
        assert_eq!(shown(epoch).to_string(), "2030-01-01T01:00:00Z");
    }

    #[test]
    fn without_a_correction_what_is_shown_is_what_was_noted() {
        let at = now();
        assert_eq!(shown(at), at);
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
        assert!(now().duration_since(system).abs() < SignedDuration::from_secs(10));
    }

    #[test]
    fn all_threads_read_the_same_clock() {
        let (here, there) = (now(), std::thread::spawn(now).join().unwrap());
        assert!(here <= there && there <= now());
    }
}
