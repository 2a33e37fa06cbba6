//! What stands around every view: the header, the names of the views, the note above the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::theme::{self, Theme};
use super::{events, fleet, line, put, row};
use crate::client::table::Tone;
use crate::client::top::layout::Areas;
use crate::client::top::model::{Model, View};
use crate::client::top::text::{fit, tidy};

/// Health, cost, creates; and below them that the data is old, if it is.
pub(super) fn header(frame: &mut Frame<'_>, model: &Model, areas: &Areas, theme: Theme) {
    let header = &model.data.header;
    let tone = |is_good| theme.tone(if is_good { Tone::Good } else { Tone::Stopped });
    let health = Span::styled(header.health.as_str(), tone(header.is_well));
    put(frame, row(areas.header, 0), vec![health, Span::raw(format!("  {}", model.url))]);
    let cost = Span::raw(format!("{}  {}", header.cost, header.counts));
    put(frame, row(areas.header, 1), vec![cost]);
    let creates = Span::styled(header.creates.as_str(), tone(header.is_open));
    put(frame, row(areas.header, 2), vec![Span::raw("creates: "), creates]);
    if let Some(warning) = model.warning() {
        let text = fit(&tidy(&warning), areas.warning.width.into());
        put(frame, areas.warning, vec![Span::styled(text, theme::selected())]);
    }
}

/// The views with how much is in them; the one that is shown is in brackets.
pub(super) fn views(frame: &mut Frame<'_>, model: &Model, area: Rect, theme: Theme) {
    let mut spans = Vec::new();
    for (view, name) in View::ALL.into_iter().zip(["1 line", "2 fleet", "3 events"]) {
        let count = match view {
            View::Line => model.rows[0].len(),
            View::Fleet => model.data.fleet.iter().map(|group| group.instances.len()).sum(),
            View::Events => model.rows[2].len(),
        };
        spans.push(match view == model.view {
            true => Span::styled(format!("[{name}: {count}]  "), theme::heading()),
            false => Span::raw(format!(" {name}: {count}   ")),
        });
    }
    if !model.filter.is_empty() {
        spans.push(Span::styled(format!("only: {}", model.filter), theme.tone(Tone::Changing)));
    } else if model.view == View::Line && model.shows_all {
        spans.push(Span::raw("with those that run"));
    }
    put(frame, area, spans);
    if let Some(at) = model.data.at {
        // It stands still when there is nothing newer.
        let time = at.strftime(" %H:%M:%SZ").to_string();
        let wide = u16::try_from(time.len()).unwrap_or_default().min(area.width);
        put(frame, Rect { x: area.right() - wide, width: wide, ..area }, vec![Span::raw(time)]);
    }
}

/// A question, what has come of an order, or more about what is selected.
pub(super) fn note(frame: &mut Frame<'_>, model: &Model, area: Rect, theme: Theme) {
    let cells = usize::from(area.width);
    if let Some(prompt) = &model.prompt {
        let text = fit(&tidy(&prompt.question()), cells);
        return put(frame, area, vec![Span::styled(text, theme::selected())]);
    }
    if let Some(notice) = &model.notice {
        let tone = theme.tone(if notice.is_good { Tone::Good } else { Tone::Stopped });
        return put(frame, area, vec![Span::styled(fit(&tidy(&notice.text), cells), tone)]);
    }
    if model.pane.is_some() {
        return;
    }
    let Some(selected) = model.selected() else { return };
    let text = match model.view {
        View::Line => line::note(model, selected),
        View::Fleet => fleet::note(model, selected),
        View::Events => events::note(model, selected),
    };
    put(frame, area, vec![Span::raw(fit(&text, cells))]);
}
