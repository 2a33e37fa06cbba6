//! The port to a command that goes on for long on a VM and tells what happens there, line by line.
//!
//! ```text
//!   Executor::watch ── over the connection that is there ─► Watch
//!        │ none is opened for it                             │ next: a line, or why there is none any more
//!        └─► WatchEnd                                        │ add: one line more for the command's stdin
//!                                                            └ dropped: stdin is closed, which ends the command
//! ```
//! What such a command prints is a hint and never an answer: its loss costs time only.

use async_trait::async_trait;

/// The most bytes that a watch may print in all, line ends included.
pub const LONGEST_WATCH: usize = 64 << 10;
/// The most bytes of a line that a watch prints; a longer one is left out.
pub const LONGEST_WATCH_LINE: usize = 256;
/// The most lines that may wait to be written to the stdin of a watch.
pub const WATCH_BACKLOG: usize = 1_000;

/// Why there is no watch, or none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchEnd {
    /// This executor cannot watch.
    NotSupported,
    /// There is no connection, and none is opened for a watch.
    NoConnection,
    /// The connection broke, or is not used for new commands any more.
    ConnectionLost,
    /// The server has refused a session, to the watch or to a command beside it: it has none left for a watch.
    FewSessions,
    /// An earlier watch over this connection has not ended on the VM yet, and keeps one of its sessions.
    Lingering,
    /// The command has ended by itself, with that exit status; `None` = by a signal.
    Exited(Option<i32>),
    /// It printed more than [`LONGEST_WATCH`].
    TooMuch,
    /// It was not begun in time, it did not end within its deadline, or it does not read what it is given.
    Hangs,
    /// Our own side failed: no file descriptor.
    Local,
}

impl WatchEnd {
    /// All labels, for metrics.
    pub const LABELS: [&str; 9] = [
        "not_supported",
        "no_connection",
        "connection_lost",
        "few_sessions",
        "lingering",
        "exited",
        "too_much",
        "hangs",
        "local",
    ];

    /// For metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSupported => "not_supported",
            Self::NoConnection => "no_connection",
            Self::ConnectionLost => "connection_lost",
            Self::FewSessions => "few_sessions",
            Self::Lingering => "lingering",
            Self::Exited(_) => "exited",
            Self::TooMuch => "too_much",
            Self::Hangs => "hangs",
            Self::Local => "local",
        }
    }
}

impl std::fmt::Display for WatchEnd {
    /// For logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSupported => f.write_str("this way to instances cannot watch"),
            Self::NoConnection => f.write_str("there is no connection"),
            Self::ConnectionLost => f.write_str("the connection has gone, or another is used"),
            Self::FewSessions => f.write_str("the server allows too few sessions"),
            Self::Lingering => f.write_str("an earlier watch has not ended there"),
            Self::Exited(Some(status)) => write!(f, "exit status {status}"),
            Self::Exited(None) => f.write_str("ended by a signal"),
            Self::TooMuch => write!(f, "it printed more than {LONGEST_WATCH} bytes"),
            Self::Hangs => f.write_str("it hangs"),
            Self::Local => f.write_str("our own side failed"),
        }
    }
}

/// A command that runs on a VM. Dropping it closes the command's stdin, by which the command is to end there.
#[async_trait(?Send)]
pub trait Watch {
    /// Hands one line over to the command's stdin, without its end of line. It does not wait: whether the command gets
    /// it is not told, but one that does not read is ended.
    fn add(&self, line: &str);

    /// The next line that the command prints, without its end and at most [`LONGEST_WATCH_LINE`] bytes, or why there
    /// is none any more: then it says the same for ever. What is no UTF-8 is replaced. Safe to drop: no line is lost.
    async fn next(&self) -> Result<String, WatchEnd>;
}

/// Makes lines of what a watch prints, within its bounds: for those who implement [`Watch`].
#[derive(Debug, Default)]
pub struct WatchLines {
    seen: usize,
    line: Vec<u8>,
    is_too_long: bool,
}

impl WatchLines {
    /// The lines that have come to their end with these bytes.
    ///
    /// # Errors
    /// [`WatchEnd::TooMuch`], if these are more than a watch may print in all; the lines before are lost with it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<String>, WatchEnd> {
        self.seen = self.seen.saturating_add(bytes.len());
        if self.seen > LONGEST_WATCH {
            return Err(WatchEnd::TooMuch);
        }
        let mut lines = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => lines.extend(self.finish_line()),
                _ if self.line.len() == LONGEST_WATCH_LINE => self.is_too_long = true,
                byte => self.line.push(*byte),
            }
        }
        Ok(lines)
    }

    fn finish_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let is_too_long = std::mem::take(&mut self.is_too_long);
        (!is_too_long).then(|| String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_one_of_the_labels() {
        use WatchEnd::*;
        let all = [
            NotSupported,
            NoConnection,
            ConnectionLost,
            FewSessions,
            Lingering,
            Exited(None),
            TooMuch,
            Hangs,
            Local,
        ];
        assert_eq!(all.map(WatchEnd::as_str), WatchEnd::LABELS);
    }

    #[test]
    fn lines_come_whole_however_their_bytes_are_cut() {
        let text = b"one\n\ntwo \xff\nthree";
        for cut in 0..=text.len() {
            let mut lines = WatchLines::default();
            let mut taken = lines.take(&text[..cut]).unwrap();
            taken.extend(lines.take(&text[cut..]).unwrap());
            assert_eq!(taken, ["one", "", "two \u{fffd}"], "{cut}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_the_next_is_not() {
        let mut lines = WatchLines::default();
        let longest = "x".repeat(LONGEST_WATCH_LINE);
        assert_eq!(lines.take(format!("{longest}\n").as_bytes()), Ok(vec![longest.clone()]));
        assert_eq!(lines.take(format!("{longest}x\nnext\n").as_bytes()), Ok(vec!["next".to_owned()]));
    }

    #[test]
    fn more_than_64_kib_in_all_is_too_much_with_lines_and_without() {
        for piece in ["zzzzz-dz642-000000000000001\n", "x", "\n"] {
            let mut lines = WatchLines::default();
            let whole = LONGEST_WATCH / piece.len();
            for _ in 0..whole {
                lines.take(piece.as_bytes()).unwrap();
            }
            assert_eq!(lines.take(&vec![b'x'; LONGEST_WATCH - whole * piece.len()]), Ok(vec![]));
            assert_eq!(lines.take(b"x"), Err(WatchEnd::TooMuch));
            assert_eq!(lines.take(b""), Err(WatchEnd::TooMuch), "for ever");
        }
    }
}
