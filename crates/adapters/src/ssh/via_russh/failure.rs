//! What an error of the crate says about a connection that has no login yet, and in which words it is told.

use std::io;

use dispatch_core::ports::ExecErrorKind;
use russh::Error;

use super::wire::Traffic;
use crate::ssh::failure::last_line;
use crate::ssh::own_side::is_lack;

/// What is said of a server that has sent too much that we did not ask for.
pub(super) const FLOODED: &str =
    "its server has flooded us with more than 1 MiB that we did not ask for, so the connection was ended";

/// The kind of a failure, and why.
pub(super) fn judge(error: &Error, traffic: &Traffic) -> (ExecErrorKind, String) {
    if traffic.is_flooded() {
        return (ExecErrorKind::Refused, FLOODED.to_owned());
    }
    let text = || last_line(&error.to_string()).unwrap_or_default();
    match error {
        Error::IO(source) => judge_io(source),
        Error::KeepaliveTimeout | Error::InactivityTimeout | Error::ConnectionTimeout => {
            (ExecErrorKind::ConnectTimeout, text())
        }
        // It names no method by which we might still log in.
        Error::NoAuthMethod => (ExecErrorKind::Authentication, permission_denied()),
        Error::Disconnect | Error::HUP => {
            (ExecErrorKind::Refused, "connection closed by its server".to_owned())
        }
        // Each list of names may be as long as a packet.
        Error::NoCommonAlgo { kind, .. } => {
            (ExecErrorKind::Refused, format!("its server offers no algorithm that we have ({kind:?})"))
        }
        _ => (ExecErrorKind::Refused, text()),
    }
}

/// The kind of a failed call to the system, and why. Only these can be our own side's.
pub(super) fn judge_io(source: &io::Error) -> (ExecErrorKind, String) {
    let kind = match source.kind() {
        _ if is_lack(source) => ExecErrorKind::Local,
        io::ErrorKind::TimedOut => ExecErrorKind::ConnectTimeout,
        io::ErrorKind::UnexpectedEof => {
            return (ExecErrorKind::Refused, "connection closed by its server".to_owned());
        }
        _ => ExecErrorKind::Refused,
    };
    (kind, source.to_string())
}

/// The same for what a server has said when it ended the connection.
pub(super) fn judge_words(words: &str) -> (ExecErrorKind, String) {
    let refuses_login = words.to_lowercase().contains("too many authentication failures");
    let kind = if refuses_login { ExecErrorKind::Authentication } else { ExecErrorKind::Refused };
    let words = last_line(words).unwrap_or_else(|| "without a word".to_owned());
    (kind, format!("disconnected by its server: {words}"))
}

/// What a refused login is called.
pub(super) fn permission_denied() -> String {
    "Permission denied (publickey).".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_system_calls_of_ours_are_our_own_side() {
        let lack = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert_eq!(judge(&Error::IO(lack), &Traffic::default()).0, ExecErrorKind::Local);
        for words in ["Too many open files", "No space left on device", "Cannot allocate memory"] {
            assert_eq!(judge_words(words).0, ExecErrorKind::Refused);
            let said = Error::IO(io::Error::other(words));
            assert_eq!(judge(&said, &Traffic::default()).0, ExecErrorKind::Refused);
        }
    }

    #[test]
    fn errors_have_the_kinds_that_the_other_client_gives_them() {
        for (error, kind) in [
            (Error::IO(io::ErrorKind::ConnectionRefused.into()), ExecErrorKind::Refused),
            (Error::IO(io::ErrorKind::ConnectionReset.into()), ExecErrorKind::Refused),
            (Error::IO(io::ErrorKind::UnexpectedEof.into()), ExecErrorKind::Refused),
            (Error::IO(io::ErrorKind::TimedOut.into()), ExecErrorKind::ConnectTimeout),
            (Error::KeepaliveTimeout, ExecErrorKind::ConnectTimeout),
            (Error::NoAuthMethod, ExecErrorKind::Authentication),
            (Error::Disconnect, ExecErrorKind::Refused),
            (Error::WrongServerSig, ExecErrorKind::Refused),
        ] {
            assert_eq!(judge(&error, &Traffic::default()).0, kind, "{error}");
        }
        assert_eq!(judge_words("Too many authentication failures").0, ExecErrorKind::Authentication);
    }

    #[test]
    fn what_a_server_says_is_one_short_line() {
        let (_, text) = judge_words(&format!("\u{7}{}\n\n", "x".repeat(10_000)));
        assert!(text.len() < 400 && !text.chars().any(char::is_control), "{text}");
    }
}
