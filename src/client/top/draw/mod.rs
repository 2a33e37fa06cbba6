//! The screen, from the model: nothing is remembered here, and only rows in sight are made.

mod events;
mod fleet;
mod frame;
mod line;
mod theme;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::layout::{self, Areas, SMALLEST};
use super::model::{Model, View};
use super::pane::Subject;
use super::text::{fit, width};
pub(super) use theme::Theme;

/// Draws all of it.
pub(super) fn all(frame: &mut Frame<'_>, model: &Model, theme: Theme) {
    let size = model.size;
    if size.width < SMALLEST.width || size.height < SMALLEST.height {
        let text = format!("The terminal is smaller than {}x{}.", SMALLEST.width, SMALLEST.height);
        put(frame, Rect { x: 0, y: 0, width: size.width, height: size.height.min(1) }, vec![Span::raw(text)]);
        return;
    }
    let areas = layout::of(model);
    frame::header(frame, model, &areas, theme);
    frame::views(frame, model, areas.views, theme);
    if let Some(pane) = &model.pane {
        text(frame, &areas, &pane.title(), &pane.lines(model), pane.scroll);
    } else {
        list(frame, model, &areas, theme);
    }
    frame::note(frame, model, areas.note, theme);
    foot(frame, model, areas.keys);
}

/// A line of spans, cut at the end of the area, with a mark that it was cut.
fn put(frame: &mut Frame<'_>, area: Rect, spans: Vec<Span<'_>>) {
    let area = area.intersection(frame.area());
    let mut left = usize::from(area.width);
    let mut shown = Vec::with_capacity(spans.len());
    for span in spans {
        let wide = width(&span.content);
        if wide > left {
            shown.push(Span::styled(fit(&span.content, left), span.style));
            break;
        }
        left -= wide;
        shown.push(span);
    }
    frame.render_widget(Line::from(shown), area);
}

/// One row of an area.
fn row(area: Rect, number: usize) -> Rect {
    let number = u16::try_from(number).unwrap_or(u16::MAX).min(area.height);
    Rect { y: area.y + number, height: u16::from(number < area.height), ..area }
}

/// Lines in place of a list, with a title.
fn text(frame: &mut Frame<'_>, areas: &Areas, title: &str, lines: &[String], scroll: usize) {
    let height = areas.body_rows();
    let below = lines.len().saturating_sub(scroll + height);
    let more = if below > 0 { format!("  ({below} more lines below)") } else { String::new() };
    put(frame, areas.columns, vec![Span::styled(format!("{title}{more}"), theme::heading())]);
    for (number, line) in lines.iter().skip(scroll).take(height).enumerate() {
        put(frame, row(areas.body, number), vec![Span::raw(line.as_str())]);
    }
}

fn list(frame: &mut Frame<'_>, model: &Model, areas: &Areas, theme: Theme) {
    let cells = usize::from(areas.body.width);
    let names = match model.view {
        View::Line => line::columns(model, cells),
        View::Fleet => fleet::columns(model, cells),
        View::Events => events::columns(),
    };
    put(frame, areas.columns, vec![Span::styled(fit(&names, cells), theme::heading())]);
    let (rows, cursor) = (&model.rows[model.view as usize], &model.cursors[model.view as usize]);
    if rows.is_empty() {
        put(frame, row(areas.body, 0), vec![Span::raw(nothing(model))]);
    }
    let in_sight = rows.iter().enumerate().skip(cursor.top).take(areas.body_rows());
    for (number, (at, it)) in in_sight.enumerate() {
        let mut spans = match model.view {
            View::Line => line::row(model, *it, cells, theme),
            View::Fleet => fleet::row(model, *it, cells, theme),
            View::Events => events::row(model, *it, cells, theme),
        };
        if at == cursor.at {
            let text: String = spans.iter().map(|span| span.content.as_ref()).collect();
            spans = vec![Span::styled(fit(&text, cells), theme::selected())];
        }
        put(frame, row(areas.body, number), spans);
    }
}

/// What is read of an empty list.
fn nothing(model: &Model) -> &'static str {
    match model.view {
        _ if !model.filter.is_empty() => "nothing of that is there (Esc shows all)",
        View::Line => "no container waits",
        View::Fleet => "no instances, and no types",
        View::Events => "no events yet",
    }
}

/// The keys, or what is being typed with the keys for that.
fn foot(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let (typed, keys) = match (&model.prompt, model.is_searching) {
        (Some(prompt), _) => {
            let (typed, keys) = prompt.input();
            (Some((typed, prompt.is_typed())), keys)
        }
        (None, true) => (Some((format!("Search: {}", model.filter), true)), "Enter keeps it, Esc ends it"),
        (None, false) => (None, keys(model)),
    };
    let Some((typed, has_cursor)) = typed else {
        return put(frame, area, vec![Span::styled(fit(keys, area.width.into()), theme::heading())]);
    };
    let room = usize::from(area.width).saturating_sub(width(keys) + 3);
    let shown = super::text::end_of(&typed, room);
    if has_cursor {
        let at = u16::try_from(width(&shown)).unwrap_or_default().min(area.width.saturating_sub(1));
        frame.set_cursor_position(Position { x: area.x + at, y: area.y });
    }
    let keys = Span::styled(format!("  {keys}"), theme::heading());
    put(frame, area, vec![Span::styled(fit(&shown, room + 1), Style::new()), keys]);
}

fn keys(model: &Model) -> &'static str {
    const IN_LINE: &str = "Enter explain  x kill  a all/waiting  / search  Tab 1 2 3 views  ? help  q quit";
    const IN_FLEET: &str = "Enter more  h hold  d drain  r run  x kill  / search  Tab 1 2 3  ? help  q quit";
    const IN_EVENTS: &str =
        "Enter more  / search  arrows PgUp PgDn Home End  Tab 1 2 3 views  ? help  q quit";
    const OF_CONTAINER: &str = "Esc back  arrows scroll  x kill  Tab 1 2 3 views  ? help  q quit";
    const OF_INSTANCE: &str = "Esc back  arrows scroll  h hold  d drain  r run  x kill  ? help  q quit";
    const OF_OTHERS: &str = "Esc back  arrows scroll  Tab 1 2 3 views  ? help  q quit";
    match (model.pane.as_ref().map(|pane| &pane.subject), model.view) {
        (Some(Subject::Container(_)), _) => OF_CONTAINER,
        (Some(Subject::Instance(_)), _) => OF_INSTANCE,
        (Some(Subject::Type(_) | Subject::Event | Subject::Help), _) => OF_OTHERS,
        (None, View::Line) => IN_LINE,
        (None, View::Fleet) => IN_FLEET,
        (None, View::Events) => IN_EVENTS,
    }
}
