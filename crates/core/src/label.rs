//! Values of metrics' labels that others choose: each is a series that lives as long as the process and is read with
//! every scrape, so there must not be many.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// How many values of others one label may have.
pub const MOST_VALUES: usize = 64;
/// What stands for all further ones.
pub const OTHER: &str = "other";
/// Longer ones are no names.
const LONGEST_VALUE: usize = 128;

/// The values of one label: those that we know always, and of those that others choose (an error code of the cloud, a
/// status of the controller) the first [`MOST_VALUES`]. All others are [`OTHER`].
#[derive(Debug, Default)]
pub struct BoundedLabel {
    known: BTreeSet<Box<str>>,
    seen: RefCell<BTreeSet<Box<str>>>,
}

impl BoundedLabel {
    /// For a label whose values are these, and some of others.
    pub fn with_known<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        Self { known: known.into_iter().map(Box::from).collect(), seen: RefCell::default() }
    }

    /// What to show for that value.
    pub fn bounded<'a>(&self, value: &'a str) -> &'a str {
        if self.known.contains(value) || self.seen.borrow().contains(value) {
            return value;
        }
        let mut seen = self.seen.borrow_mut();
        if seen.len() == MOST_VALUES || value.len() > LONGEST_VALUE {
            return OTHER;
        }
        seen.insert(value.into());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_thousand_values_the_first_64_are_shown_and_the_known_ones_always() {
        let label = BoundedLabel::with_known(["known"]);
        let values: Vec<String> = (0..1_000).map(|number| format!("code{number}")).collect();
        let shown = || values.iter().map(|value| label.bounded(value)).collect::<BTreeSet<_>>();
        let first: BTreeSet<_> = values[..MOST_VALUES].iter().map(String::as_str).chain([OTHER]).collect();
        assert_eq!(shown(), first);
        assert_eq!(shown(), first, "the same ones for ever");
        assert_eq!(label.bounded("known"), "known");
        assert_eq!(label.bounded("new"), OTHER);
    }

    #[test]
    fn what_is_longer_than_any_name_takes_no_place() {
        let label = BoundedLabel::default();
        for number in 0..100 {
            assert_eq!(label.bounded(&"x".repeat(129 + number)), OTHER);
        }
        assert_eq!(label.bounded("short"), "short");
    }
}
