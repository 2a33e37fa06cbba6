//! Where results are shown: a terminal, or a pipe to another program.

use std::io::{self, IsTerminal as _, Write as _};

/// What stdout is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// People read it.
    pub(super) is_terminal: bool,
    /// They want colours.
    pub(super) has_colour: bool,
}

impl Screen {
    /// This process's stdout. `NO_COLOR`, if it is set to anything, is obeyed.
    pub fn this() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
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
