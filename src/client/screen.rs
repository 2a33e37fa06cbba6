//! Where results are shown: a terminal, or a pipe to another program.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};

/// What stdout is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// People read it.
    pub(crate) is_terminal: bool,
    /// They want colours.
    pub(crate) has_colour: bool,
}

impl Screen {
    /// This process's stdout. `NO_COLOR`, if it is set to anything, is obeyed.
    pub fn this() -> Self {
        Self::of(io::stdout().is_terminal(), std::env::var_os("NO_COLOR").as_deref())
    }

    fn of(is_terminal: bool, no_color: Option<&OsStr>) -> Self {
        let is_plain = no_color.is_some_and(|it| !it.is_empty());
        Self { is_terminal, has_colour: is_terminal && !is_plain }
    }

    /// Writes a text, with an end of line if it is not empty.
    ///
    /// # Errors
    /// If nobody reads any more, or there is no room.
    pub fn print(self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

/// The text with blanks for whatever would move the cursor.
pub(super) fn tidy(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_has_colours_and_only_if_they_are_wanted() {
        for (is_terminal, no_color, expected) in [
            (true, None, true),
            (true, Some(""), true),
            (true, Some("1"), false),
            (false, None, false),
            (false, Some("1"), false),
        ] {
            let screen = Screen::of(is_terminal, no_color.map(OsStr::new));
            assert_eq!(screen.has_colour, expected, "{is_terminal} {no_color:?}");
        }
    }
}
