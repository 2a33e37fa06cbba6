//! Words, fitted into columns. Nothing that a user, a VM or a cloud has written can move the cursor.

use dispatch_core::time::{Timestamp, since};
use ratatui::text::Span;
use serde_json::Value;

use crate::client::{explain, screen};

/// Stands where a text was cut. ASCII, like all that we draw: terminals over ssh may know nothing else.
const CUT: char = '~';

/// A value as people write it, without what would move the cursor or turn the direction of writing.
pub(super) fn plain(value: &Value) -> String {
    tidy(&explain::plain(value))
}

/// The text with blanks for whatever would move the cursor or turn the direction of writing.
pub(super) fn tidy(text: &str) -> String {
    let turns = |it| matches!(it, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}');
    screen::tidy(text).chars().map(|it| if turns(it) { ' ' } else { it }).collect()
}

/// The items of a list.
pub(super) fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// How many cells a text takes.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// The text in exactly so many cells: cut, or filled up with blanks.
pub(super) fn fit(text: &str, cells: usize) -> String {
    let wide = width(text);
    if wide <= cells {
        return format!("{text}{}", " ".repeat(cells - wide));
    }
    let mut fitted = cut(text, cells.saturating_sub(1));
    if cells > 0 {
        fitted.push(CUT);
    }
    let wide = width(&fitted);
    fitted + &" ".repeat(cells.saturating_sub(wide))
}

/// As much of the beginning as goes into so many cells.
fn cut(text: &str, cells: usize) -> String {
    let mut left = cells;
    let fits = |it: &char| {
        let wide = width(it.encode_utf8(&mut [0; 4]));
        let fits = wide <= left;
        left -= if fits { wide } else { left };
        fits
    };
    text.chars().take_while(fits).collect()
}

/// The end of a long name, which tells it from others of its kind.
pub(super) fn end_of(name: &str, cells: usize) -> String {
    let count = name.chars().count();
    if count <= cells {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count - cells.saturating_sub(1)).collect();
    format!("{CUT}{end}")
}

/// As many of the last characters as that.
pub(super) fn last(name: &str, characters: usize) -> String {
    let count = name.chars().count();
    name.chars().skip(count.saturating_sub(characters)).collect()
}

/// Broken between words where it is too long; lines after the first are indented.
pub(super) fn wrap(text: &str, cells: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        wrap_line(&tidy(line), cells.max(indent + 10), indent, &mut lines);
    }
    lines
}

fn wrap_line(line: &str, cells: usize, indent: usize, lines: &mut Vec<String>) {
    let mut rest = line.trim_end().to_owned();
    while width(&rest) > cells {
        let head = cut(&rest, cells);
        let is_indent = |end: usize| head[..end].trim().is_empty();
        let end = head.rfind(' ').filter(|end| *end > indent && !is_indent(*end)).unwrap_or(head.len());
        lines.push(rest[..end].to_owned());
        rest = format!("{}{}", " ".repeat(indent), rest[end..].trim_start());
    }
    lines.push(rest);
}

/// How long ago that was, in two digits and a unit or so.
pub(super) fn age(now: Option<Timestamp>, then: Option<Timestamp>) -> String {
    let (Some(now), Some(then)) = (now, then) else { return "-".to_owned() };
    let seconds = since(now, then).as_secs();
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6_000 => format!("{}m", seconds / 60),
        6_000..360_000 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Money, in two digits after the point, or more if it is little.
pub(super) fn money(amount: f64) -> String {
    if amount != 0.0 && amount.abs() < 0.1 { format!("{amount:.4}") } else { format!("{amount:.2}") }
}

/// What a container needs, in a few characters.
pub(super) fn short_needs(needs: &Value) -> String {
    if !needs["VCPUs"].is_number() {
        return String::new();
    }
    let ram = explain::size(&needs["RAM"]).replace("iB", "").replace(' ', "");
    let gpus = needs["GPUs"].as_u64().filter(|it| *it > 0).map(|it| format!(" {it}gpu")).unwrap_or_default();
    format!("{}c {ram}{gpus}", needs["VCPUs"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_takes_exactly_its_cells_whatever_it_is_written_in() {
        for (text, cells, fitted) in [
            ("abc", 5, "abc  "),
            ("abcdef", 4, "abc~"),
            ("abc", 3, "abc"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本~"),
            ("日本語", 4, "日~ "),
            ("abc", 0, ""),
        ] {
            assert_eq!(fit(text, cells), fitted, "{text} in {cells}");
            assert_eq!(width(&fit(text, cells)), cells);
        }
    }

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_writing() {
        assert_eq!(plain(&json!("a\u{1b}[2J\u{202e}b\u{9b}1A\r\n")), "a [2J b 1A  ");
        assert_eq!(plain(&json!({ "a_b": "\u{7}" })), "a b  ");
    }

    #[test]
    fn long_lines_are_broken_between_words_and_long_words_anywhere() {
        assert_eq!(wrap("why   one two three four\nb", 16, 6), ["why   one two", "      three four", "b"]);
        assert_eq!(
            wrap("why   one two three", 3, 6),
            ["why   one two", "      three"],
            "ten cells beside the indent"
        );
        assert_eq!(wrap("abcdefghijklmnopqrst", 16, 2), ["abcdefghijklmnop", "  qrst"]);
    }

    #[test]
    fn ages_and_ends_are_short() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let now = at("2026-11-30T10:00:00Z");
        for (then, shown) in [
            ("2026-11-30T09:59:01Z", "59s"),
            ("2026-11-30T09:58:00Z", "2m"),
            ("2026-11-30T10:00:05Z", "0s"),
            ("2026-11-30T05:00:00Z", "5h"),
            ("2026-11-20T10:00:00Z", "10d"),
        ] {
            assert_eq!(age(now, at(then)), shown);
        }
        assert_eq!(age(now, None), "-");
        assert_eq!(end_of("zzzzz-dz642-0123456789abcde", 16), "~0123456789abcde");
        assert_eq!(end_of("short", 16), "short");
        assert_eq!(short_needs(&json!({ "VCPUs": 2, "RAM": 998_244_352, "GPUs": 1 })), "2c 952M 1gpu");
        assert_eq!(short_needs(&json!({})), "");
    }
}
