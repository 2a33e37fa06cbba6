//! How long to wait before the feed is connected again.

use std::time::Duration;

/// The delay after a connection that stood, and before the second attempt.
const FIRST: Duration = Duration::from_secs(1);
/// The longest delay. A connection that stood this long makes the delays begin anew.
const LONGEST: Duration = Duration::from_secs(60);

/// Delays that double from 1 s to 60 s.
///
/// A connection that ends at once does not begin them anew: each connection is followed by a whole poll, and a service
/// that takes every connection and drops it would otherwise cost a poll a second.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// The delay after a connection that was subscribed for `stood` (zero if it never was). `chance` is from 0 to 1:
    /// the service ends all connections at once, and not all clients shall come back at once.
    pub fn after(&mut self, stood: Duration, chance: f64) -> Duration {
        if stood >= LONGEST {
            self.next = FIRST;
        }
        let delay = self.next;
        self.next = LONGEST.min(delay * 2);
        delay.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_minute_and_begin_anew_after_a_connection_that_stood() {
        let mut backoff = Backoff::new();
        let mut after = |stood: u64| backoff.after(Duration::from_secs(stood), 1.0).as_secs();
        let delays = [0, 0, 59, 0, 0, 0, 0, 0, 60, 0].map(&mut after);
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 1, 2]);
    }

    #[test]
    fn chance_takes_at_most_half_of_a_delay() {
        let delay = |chance: f64| Backoff::new().after(Duration::ZERO, chance);
        assert_eq!([delay(0.0), delay(0.5)], [500, 750].map(Duration::from_millis));
        assert_eq!(delay(f64::NAN.max(7.0)), FIRST);
    }
}
