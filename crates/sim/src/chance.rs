//! Seeded chance: the only source of randomness in the simulated world.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A range of durations to draw from, both ends included, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The shortest duration.
    pub least: Duration,
    /// The longest duration.
    pub most: Duration,
}

impl Span {
    /// Only this duration.
    pub const fn exactly(duration: Duration) -> Self {
        Self { least: duration, most: duration }
    }

    /// Only that many milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self::exactly(Duration::from_millis(millis))
    }

    /// Only that many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self::exactly(Duration::from_secs(seconds))
    }

    /// From `least` to `most` milliseconds.
    pub const fn between_millis(least: u64, most: u64) -> Self {
        Self { least: Duration::from_millis(least), most: Duration::from_millis(most) }
    }
}

/// A seeded generator that answers the questions of the simulated parts.
#[derive(Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The generator of that seed. `stream` keeps the parts of a world independent of each other, so that one
    /// more call to the cloud does not change what the controller does.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// Whether something of that probability happens. Nothing is drawn for 0 and below, or for 1 and above,
    /// so that settings that are not used do not change a history.
    pub fn hits(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            false
        } else if probability >= 1.0 {
            true
        } else {
            self.0.random_bool(probability)
        }
    }

    /// A duration from that range, in whole milliseconds.
    pub fn draw(&mut self, span: Span) -> Duration {
        let (least, most) = (span.least.as_millis() as u64, span.most.as_millis() as u64);
        if least >= most { span.least } else { Duration::from_millis(self.0.random_range(least..=most)) }
    }

    /// A number below `bound`; 0 if there is no such number.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound < 2 { 0 } else { self.0.random_range(0..bound) }
    }

    /// The last 15 characters of an identifier.
    pub fn uuid_tail(&mut self) -> String {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        (0..15).map(|_| char::from(DIGITS[self.below(DIGITS.len())])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_stream_draw_the_same() {
        let draw = |seed, stream| Chance::new(seed, stream).uuid_tail();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn probabilities_of_zero_and_one_draw_nothing() {
        let (mut a, mut b) = (Chance::new(7, 0), Chance::new(7, 0));
        assert!(!a.hits(0.0) && a.hits(1.0));
        assert_eq!(a.draw(Span::seconds(3)), Duration::from_secs(3));
        assert_eq!(a.uuid_tail(), b.uuid_tail());
    }

    #[test]
    fn a_drawn_duration_is_within_its_span() {
        let mut chance = Chance::new(1, 1);
        for _ in 0..100 {
            let drawn = chance.draw(Span::between_millis(5, 9));
            assert!((5..=9).contains(&(drawn.as_millis() as u64)));
        }
    }
}
