//! Events as they come, the newest at the end.

use ratatui::text::Span;

use super::theme::Theme;
use crate::client::table::Tone;
use crate::client::top::model::Model;
use crate::client::top::rows::Row;
use crate::client::top::text::fit;

/// The names of the columns.
pub(super) fn columns() -> String {
    "TIME (UTC) LEVEL   EVENT".to_owned()
}

/// An event: when, how bad, what, and about what, and as many facts as there is room for.
pub(super) fn row(model: &Model, row: Row, cells: usize, theme: Theme) -> Vec<Span<'static>> {
    let Row::Event(at) = row else { return Vec::new() };
    let event = &model.events[at];
    let tone = match event.level.as_str() {
        "warning" => Tone::Changing,
        "error" | "critical" => Tone::Stopped,
        _ => Tone::Plain,
    };
    let facts = event.more.iter().map(String::as_str);
    let words: Vec<_> = [event.message.as_str()].into_iter().chain(facts).collect();
    let what = words.join("  ");
    vec![
        Span::raw(format!("{}   ", event.clock())),
        Span::styled(fit(&event.level, 8), theme.tone(tone)),
        Span::raw(fit(&what, cells.saturating_sub(19))),
    ]
}

/// Its facts, for which its row has no room.
pub(super) fn note(model: &Model, row: Row) -> String {
    let Row::Event(at) = row else { return String::new() };
    model.events[at].facts.join("  ")
}
