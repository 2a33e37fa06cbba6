//! Rows and columns: aligned for people, tab-separated for programs.

use comfy_table::{Cell as Shown, Color, ContentArrangement, Table as Drawn, presets};

/// What stands for nothing.
const NOTHING: &str = "-";

/// A list to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// One value, fit for a terminal and for a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

/// How a value is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Not at all.
    Plain,
    /// At work, as it should be.
    Good,
    /// On its way.
    Changing,
    /// It works on nothing.
    Idle,
    /// Somebody has stopped it, or it ends.
    Stopped,
}

impl Cell {
    /// A value without colour.
    pub fn plain(text: &str) -> Self {
        Self::toned(text, Tone::Plain)
    }

    /// A value with a colour. What would move the cursor, or look like another column, is a blank.
    pub fn toned(text: &str, tone: Tone) -> Self {
        let text: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
        let text = if text.trim().is_empty() { NOTHING.to_owned() } else { text };
        Self { text, tone }
    }
}

impl Tone {
    fn colour(self) -> Option<Color> {
        match self {
            Self::Plain => None,
            Self::Good => Some(Color::Green),
            Self::Changing => Some(Color::Yellow),
            Self::Idle => Some(Color::Cyan),
            Self::Stopped => Some(Color::Red),
        }
    }
}

impl Table {
    /// Names with their values, a line for each; a name that repeats stands once for each value.
    pub fn facts(facts: impl IntoIterator<Item = (&'static str, String)>) -> String {
        let facts: Vec<_> = facts.into_iter().map(|(name, value)| (name, Cell::plain(&value))).collect();
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default().max(14);
        facts
            .iter()
            .map(|(name, value)| format!("{name:width$}  {}", value.text))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// For programs: a line for each row, values separated by tabs.
    pub fn separated(&self, has_header: bool) -> String {
        let header = has_header.then(|| self.columns.join("\t"));
        let row = |cells: &Vec<Cell>| cells.iter().map(|it| it.text.as_str()).collect::<Vec<_>>().join("\t");
        let lines: Vec<_> = header.into_iter().chain(self.rows.iter().map(row)).collect();
        lines.join("\n")
    }

    /// For people: aligned, with the names of the columns. Ids are never broken over lines, so that they can be copied.
    pub fn drawn(&self, has_colour: bool) -> String {
        let mut table = Drawn::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if has_colour {
            table.enforce_styling()
        } else {
            table.force_no_tty()
        };
        table.set_header(self.columns.iter().map(|it| it.to_uppercase()));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| {
                let shown = Shown::new(&cell.text);
                cell.tone.colour().map_or(shown.clone(), |colour| shown.fg(colour))
            }));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |id: &str, state, tone| vec![Cell::plain(id), Cell::toned(state, tone), Cell::plain("")];
        let rows = vec![row("i-1", "running", Tone::Good), row("i-22\t\n\x1b[2J", "booting", Tone::Changing)];
        Table { columns: &["instance", "state", "address"], rows }
    }

    #[test]
    fn in_a_pipe_columns_are_separated_by_tabs_and_nothing_is_a_dash() {
        let plain = "i-1\trunning\t-\ni-22   [2J\tbooting\t-";
        assert_eq!(table().separated(false), plain);
        assert_eq!(table().separated(true), format!("instance\tstate\taddress\n{plain}"));
        assert_eq!(Table::default().separated(false), "");
    }

    #[test]
    fn people_see_aligned_columns() {
        let expected = "INSTANCE    STATE    ADDRESS\ni-1         running  -\ni-22   [2J  booting  -";
        assert_eq!(table().drawn(false), expected);
    }

    #[test]
    fn only_the_state_is_coloured_and_only_if_colours_are_wanted() {
        let drawn = table().drawn(true);
        assert!(drawn.contains("\u{1b}[38;5;10mrunning"), "{drawn:?}");
        assert_eq!(drawn.matches("\u{1b}[38;5;").count(), 2, "{drawn:?}");
        assert!(!table().drawn(false).contains('\u{1b}'));
    }
}
