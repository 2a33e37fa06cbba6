//! How things look. Colour only repeats what words say: a terminal may have none, and `NO_COLOR` is obeyed.

use ratatui::style::{Color, Style};

use crate::client::table::Tone;

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(in crate::client::top) struct Theme {
    /// Whether they are wanted.
    pub(in crate::client::top) has_colour: bool,
}

impl Theme {
    /// Of a word that says the same.
    pub fn tone(self, tone: Tone) -> Style {
        let colour = match tone {
            Tone::Plain => None,
            Tone::Good => Some(Color::Green),
            Tone::Changing => Some(Color::Yellow),
            Tone::Idle => Some(Color::Cyan),
            Tone::Stopped => Some(Color::Red),
        };
        colour.filter(|_| self.has_colour).map_or(Style::new(), |colour| Style::new().fg(colour))
    }
}

/// Names of columns, keys.
pub(super) fn heading() -> Style {
    Style::new().bold()
}

/// The row under the cursor, and what must not be overlooked.
pub(super) fn selected() -> Style {
    Style::new().reversed()
}
