//! Time as the core sees it: a point in UTC with nanoseconds, always given from outside.
//!
//! One type serves for timers and for records. The shell derives it from a monotonic clock anchored
//! once at start, so that it never runs backwards within a process.

use std::time::Duration;

pub use jiff::Timestamp;

/// How long after `earlier` is `later`; zero if it is not after it.
pub fn since(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

/// `at + by`, at most the end of representable time.
pub fn after(at: Timestamp, by: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// Moves a moment by that much, and stops at the ends of representable time.
pub(crate) fn shift(at: &mut Timestamp, by: jiff::SignedDuration) {
    let end = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    *at = at.checked_add(by).unwrap_or(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_never_negative() {
        let early = Timestamp::from_second(10).unwrap();
        let late = Timestamp::from_second(12).unwrap();
        assert_eq!(since(late, early), Duration::from_secs(2));
        assert_eq!(since(early, late), Duration::ZERO);
    }

    #[test]
    fn after_stops_at_the_end_of_time() {
        assert_eq!(after(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MAX);
    }
}
