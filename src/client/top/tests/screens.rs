//! What a terminal shows, line for line.

use insta::assert_snapshot;
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};

use super::*;

const LARGE: Size = Size { width: 140, height: 50 };

#[test]
fn the_line_tells_each_reason_in_words() {
    assert_snapshot!("line_80x24", top(SMALL).screen());
    let mut top = top(LARGE);
    top.press("a");
    assert_snapshot!("line_140x50", top.screen());
}

#[test]
fn the_fleet_is_grouped_by_type() {
    for (size, name) in [(SMALL, "fleet_80x24"), (LARGE, "fleet_140x50")] {
        let mut top = top(size);
        top.press("2<down><down><down><down>");
        assert_snapshot!(name, top.screen());
    }
}

#[test]
fn events_are_shown_as_they_come_the_newest_last() {
    for (size, name) in [(SMALL, "events_80x24"), (LARGE, "events_140x50")] {
        let mut top = top(size);
        top.press("3");
        assert_snapshot!(name, top.screen());
    }
}

#[test]
fn a_pane_shows_all_of_one_thing() {
    let mut top = top(SMALL);
    top.press("2<end><enter>");
    assert_snapshot!("instance_80x24", top.screen());
    top.press("<esc><home><enter>");
    assert_snapshot!("type_80x24", top.screen());
    top.press("3<enter>");
    assert_snapshot!("event_80x24", top.screen());
    top.press("?");
    assert_snapshot!("help_80x24", top.screen());
}

#[test]
fn an_order_is_asked_for_at_the_foot() {
    let mut top = top(SMALL);
    top.press("2<down><down><down><down>xits disk is full");
    assert_snapshot!("reason_80x24", top.screen());
    top.press("<enter>");
    assert_snapshot!("doubt_80x24", top.screen());
}

#[test]
fn old_data_is_told_above_everything() {
    let mut top = top(SMALL);
    top.wait(3);
    let told = "cannot reach the service at http://127.0.0.1:9006/: refused";
    top.tell(Message::Failed(told.to_owned()));
    top.wait(9);
    assert_snapshot!("old_80x24", top.screen());
}

#[test]
fn nothing_that_others_have_written_reaches_the_terminal_as_control() {
    let mut top = top(LARGE);
    for keys in ["", "<end><enter>", "<esc>2", "<end><enter>", "<esc>3", "<enter>"] {
        top.press(keys);
        for cell in top.drawn(Theme { has_colour: true }).buffer().content() {
            assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
        }
    }
    assert!(top.screen().contains("looking at ]0;x  its disk"), "{}", top.screen());
}

#[test]
fn colours_only_repeat_what_words_say_and_none_are_there_if_none_are_wanted() {
    let mut top = top(SMALL);
    top.press("2");
    let colours = |has_colour| {
        let drawn = top.drawn(Theme { has_colour });
        let cells = drawn.buffer().content().to_vec();
        let text: Vec<_> = cells.iter().map(|cell| cell.symbol().to_owned()).collect();
        let is_marked = cells.iter().any(|cell| cell.modifier.contains(Modifier::REVERSED));
        (
            cells.iter().filter(|cell| (cell.fg, cell.bg) != (Color::Reset, Color::Reset)).count(),
            text,
            is_marked,
        )
    };
    let ((none, plain, is_marked), (some, coloured, _)) = (colours(false), colours(true));
    assert!(none == 0 && some > 20, "{none} {some}");
    assert!(is_marked, "the selected row is seen without colours");
    assert_eq!(plain, coloured);
}

#[test]
fn a_screen_of_any_size_is_drawn() {
    for (width, height) in [(1, 1), (20, 3), (59, 24), (60, 14), (80, 13), (61, 15), (300, 100)] {
        let mut top = top(SMALL);
        top.tell(Message::Resized(Size { width, height }));
        for keys in ["", "2", "3", "<enter>", "?", "<esc>", "1x"] {
            top.press(keys);
            let screen = top.screen();
            let is_small = width < 60 || height < 14;
            assert_eq!(screen.contains("lock held"), !is_small, "{width} {height}: {screen}");
        }
    }
}
