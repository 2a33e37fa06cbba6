//! Errors and their texts.

use dispatch_core::ports::{ExecError, ExecErrorKind};

/// An error of that kind.
pub(super) fn error(kind: ExecErrorKind, message: impl Into<String>) -> ExecError {
    ExecError { kind, message: message.into() }
}

/// The last line of a text that is not empty, at most 300 characters of it, and harmless in a log.
pub(super) fn last_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_one_that_says_something_and_is_short_and_harmless() {
        assert_eq!(last_line("one\ntwo \r\n\n").unwrap(), "two");
        assert_eq!(last_line("a\u{1b}[2Jb").unwrap(), "a[2Jb");
        assert_eq!(last_line(&"x".repeat(1_000)).unwrap().len(), 300);
        assert_eq!(last_line(" \n"), None);
    }
}
