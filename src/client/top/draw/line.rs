//! The line: containers in the order in which they will be started, each with its reason in words.

use ratatui::text::Span;

use super::theme::Theme;
use crate::client::containers::tone;
use crate::client::explain;
use crate::client::top::data::{Container, Widths};
use crate::client::top::model::Model;
use crate::client::top::rows::Row;
use crate::client::top::text::{age, fit, last, tidy};

/// From so many cells on there is room for whole UUIDs and states.
const WIDE: usize = 110;

/// How much of a UUID tells it from others of its cluster.
const END_OF_UUID: usize = 15;

/// The widths of position, UUID, state, age, needs and type; the reason has the rest.
fn widths(model: &Model, cells: usize) -> [usize; 6] {
    let Widths { position, needs, expected } = model.data.widths;
    let (uuid, state, expected) =
        if cells < WIDE { (END_OF_UUID, 0, expected.min(12)) } else { (27, 9, expected) };
    [position, uuid, state, 4, needs, expected]
}

/// Cells, each in its column, with a blank between them.
fn joined(model: &Model, cells: usize, words: [&str; 7]) -> [String; 7] {
    let widths = widths(model, cells);
    let taken: usize = widths.iter().map(|width| width + usize::from(*width > 0)).sum();
    let mut columns = [const { String::new() }; 7];
    for (column, (word, width)) in columns.iter_mut().zip(words.iter().zip(widths)) {
        if width > 0 {
            *column = fit(word, width) + " ";
        }
    }
    columns[6] = fit(words[6], cells.saturating_sub(taken));
    columns
}

/// The names of the columns.
pub(super) fn columns(model: &Model, cells: usize) -> String {
    joined(model, cells, ["POS", "CONTAINER", "STATE", " AGE", "NEEDS", "TYPE", "WHY"]).concat()
}

/// A container.
pub(super) fn row(model: &Model, row: Row, cells: usize, theme: Theme) -> Vec<Span<'static>> {
    let Row::Container(at) = row else { return Vec::new() };
    let it = &model.data.containers[at];
    let uuid = if cells < WIDE { last(&it.uuid, END_OF_UUID) } else { it.uuid.clone() };
    let position = if it.position.is_empty() { "-" } else { &it.position };
    let age = age(model.service_now(), it.created);
    let right = model.data.widths.position;
    let (position, age) = (format!("{position:>right$}"), format!("{age:>4}"));
    let why = why(it);
    let words =
        joined(model, cells, [&position, &uuid, &it.state, &age, &it.short_needs, &it.expected, &why]);
    let tone = theme.tone(tone(&it.state));
    let toned = |(column, text): (usize, String)| match column {
        2 | 6 => Span::styled(text, tone),
        _ => Span::raw(text),
    };
    words.into_iter().enumerate().map(toned).collect()
}

/// The reason in words; of what has its place, where.
fn why(it: &Container) -> String {
    let places = || it.instances.join(", ");
    match (it.state.as_str(), it.reason.as_str()) {
        ("Running", _) if !it.instances.is_empty() => format!("runs on {}", places()),
        ("Locked", "allocated") if !it.instances.is_empty() => format!("starts on {}", places()),
        ("Complete" | "Cancelled", _) => format!("has ended: {}", it.state),
        _ => tidy(explain::in_words(&it.reason)),
    }
}

/// The whole UUID, and the reason with its evidence.
pub(super) fn note(model: &Model, row: Row) -> String {
    let Row::Container(at) = row else { return String::new() };
    let it = &model.data.containers[at];
    let why = tidy(&explain::why(&it.reason, &it.evidence));
    format!("{} {}, priority {}: {why}", it.uuid, it.state, it.priority)
}
