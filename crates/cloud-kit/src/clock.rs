//! The clocks of this host and of a cloud: signatures and tokens are refused if they differ by minutes, in words that
//! speak of keys.

use std::time::{Duration, SystemTime};

use dispatch_core::time::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Clouds accept differences of five minutes; ones that are worth a word begin before.
const WORTH_A_WORD: Duration = Duration::from_secs(60);

/// The time that signatures and tokens bear: clouds refuse those of five minutes ago. The dispatcher's own clock does not
/// follow the system's steps (after a suspend, or when a clock is first set), so it will not do here.
pub fn system_time() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "signatures must bear the system's time, stepped or not")]
    SystemTime::now()
}

/// The time of a header such as `Date`.
pub fn read(header: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(header).ok()
}

/// How far this host's clock is from the server's, for people; `None` = not so far that it matters.
pub fn skew(ours: SystemTime, theirs: Timestamp) -> Option<String> {
    let theirs = SystemTime::from(theirs);
    let (by, direction) = match ours.duration_since(theirs) {
        Ok(by) => (by, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    (by >= WORTH_A_WORD)
        .then(|| format!("this host's clock is {} s {direction} the cloud's: set it right", by.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_minutes_away_is_named_and_seconds_are_not() {
        let server = read("Sun, 22 Nov 2026 21:09:52 GMT").unwrap();
        assert_eq!(server, "2026-11-22T21:09:52Z".parse().unwrap());
        let at = |seconds: i64| {
            let by = Duration::from_secs(seconds.unsigned_abs());
            let server = SystemTime::from(server);
            skew(if seconds < 0 { server - by } else { server + by }, read("Sun, 22 Nov 2026 21:09:52 GMT")?)
        };
        assert_eq!((at(59), at(-59), at(0)), (None, None, None));
        assert_eq!(at(360).unwrap(), "this host's clock is 360 s ahead of the cloud's: set it right");
        assert_eq!(at(-7200).unwrap(), "this host's clock is 7200 s behind the cloud's: set it right");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "yesterday", "2026-11-22T21:09:52Z", "Sun, 99 Nov 2026 21:09:52 GMT"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
