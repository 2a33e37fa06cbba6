//! Interprets the last line of an ssh client's log.
//!
//! The client exits with 255 whatever went wrong, so its log is the only evidence. Only errors that are known
//! for certain get a kind of their own; all others count as [`ExecErrorKind::Refused`]. None of them speaks of our own
//! side: the peer's words are in that log, too (see `own_side`).

use dispatch_core::ports::{ExecError, ExecErrorKind};

use crate::ssh::failure;

/// Why a connection could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConnectFailure {
    /// The host key is not the known one: the VM has a new key, or it is another VM.
    KeyChanged,
    /// Any other failure.
    Failed(ExecError),
}

const KINDS: [(&str, ExecErrorKind); 8] = [
    ("permission denied (", ExecErrorKind::Authentication),
    ("too many authentication failures", ExecErrorKind::Authentication),
    ("no more authentication methods", ExecErrorKind::Authentication),
    ("connection timed out", ExecErrorKind::ConnectTimeout),
    ("operation timed out", ExecErrorKind::ConnectTimeout),
    ("timed out during banner exchange", ExecErrorKind::ConnectTimeout),
    ("timeout, server", ExecErrorKind::ConnectTimeout),
    ("connection refused", ExecErrorKind::Refused),
];

/// Interprets the client's log after the client has ended: the kind of the failure, and why. `None` = the host key is
/// not the known one.
pub(super) fn classify(log: &str) -> Option<(ExecErrorKind, String)> {
    let lower = log.to_lowercase();
    if lower.contains("host key verification failed") {
        return None;
    }
    let kind = KINDS.iter().find(|(text, _)| lower.contains(text)).map_or(ExecErrorKind::Refused, |it| it.1);
    Some((kind, last_line(log)))
}

/// The last line of a log that is not empty.
pub(super) fn last_line(log: &str) -> String {
    failure::last_line(log).unwrap_or_else(|| "ssh client ended without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_the_log_gives_the_kind() {
        for (log, kind) in [
            ("ssh: connect to host ::1 port 1: Connection refused\r\n", ExecErrorKind::Refused),
            ("ssh: connect to host x port 22: No route to host", ExecErrorKind::Refused),
            ("Connection closed by 127.0.0.1 port 22", ExecErrorKind::Refused),
            ("root@127.0.0.1: Permission denied (publickey).", ExecErrorKind::Authentication),
            ("ssh: connect to host x port 22: Connection timed out", ExecErrorKind::ConnectTimeout),
            ("Connection timed out during banner exchange", ExecErrorKind::ConnectTimeout),
            ("Received disconnect from ::1 port 22:2: No user exists for uid 0", ExecErrorKind::Refused),
            ("Too many open files", ExecErrorKind::Refused),
            ("", ExecErrorKind::Refused),
        ] {
            assert_eq!(classify(log).unwrap().0, kind, "{log}");
        }
        assert_eq!(classify("@@@\nHost key verification failed.\n"), None);
    }
}
