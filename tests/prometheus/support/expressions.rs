//! The names of series in an expression of PromQL.

use std::collections::BTreeSet;

/// Words of the language that stand where a name could.
const WORDS: [&str; 10] =
    ["and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"];
/// Words that are followed by labels in parentheses.
const BEFORE_LABELS: [&str; 4] = ["by", "without", "on", "ignoring"];

/// All names of series. Knows as much of the language as our expressions use: no comments, no offsets.
pub fn names(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = without(&without(expression, '{', '}'), '[', ']');
    rest.push(' ');
    let mut rest = rest.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        let end = rest[start..].find(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)).unwrap();
        let (word, after) = (&rest[start..start + end], rest[start + end..].trim_start());
        rest = after;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        if BEFORE_LABELS.contains(&word) {
            rest = after.strip_prefix('(').and_then(|it| it.split_once(')')).expect("labels").1;
        } else if !WORDS.contains(&word) && !is_applied(after) {
            names.insert(word.to_owned());
        }
    }
    names
}

/// Whether that is what follows a function or an aggregation.
fn is_applied(after: &str) -> bool {
    let word = after.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap();
    after.starts_with('(') || ["by", "without"].contains(&word)
}

/// The text without what is between the two marks, which may have the marks in quotes.
fn without(text: &str, open: char, close: char) -> String {
    let (mut outside, mut inside, mut quoted) = (String::new(), false, false);
    for c in text.chars() {
        quoted ^= inside && c == '"';
        match c {
            c if c == open && !inside => inside = true,
            c if c == close && inside && !quoted => inside = false,
            c if !inside => outside.push(c),
            _ => {}
        }
    }
    outside
}

#[test]
fn names_are_found_and_functions_and_labels_are_not() {
    let expression = "sum by (instance, le) (rate(a_total{x=\"}y\",z!~\"b|c\"}[5m])) / on (job) c:d > 0.5e3 and time() - f == 1";
    let found: Vec<_> = names(expression).into_iter().collect();
    assert_eq!(found, ["a_total", "c:d", "f"]);
}
