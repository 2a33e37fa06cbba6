//! Who has asked for something, when and why: kept in a tag of the VM that it is about, so that it is known after a
//! restart, too.
//!
//! ```text
//!   2026-11-30T09:00:00Z alice: the disk is looked at
//!   └ at                 └ by   └ reason
//! ```
//! The name is what the caller claims to be: all callers have the same token.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// As long as a tag's value may be on EC2 and Azure, in characters.
const LONGEST_TAG: usize = 256;
/// Names that are longer are cut.
const LONGEST_NAME: usize = 60;
/// What stands for a name that is not known.
const NOBODY: &str = "-";

/// Who has asked for something, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// Who, as claimed; empty = not said.
    pub by: String,
    /// Why; empty = not said.
    pub reason: String,
    /// The id of the request it came with, to be found in the log; not in the tag, which has no place for it. Empty = not
    /// known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
}

impl Note {
    /// A note of one line: control characters are blanks, and a name has no blank or colon.
    pub fn new(at: Timestamp, by: &str, reason: &str) -> Self {
        let name = |it: char| if it.is_control() || it.is_whitespace() || it == ':' { '_' } else { it };
        let word = |it: char| if it.is_control() { ' ' } else { it };
        Self {
            at,
            by: by.trim().chars().map(name).take(LONGEST_NAME).collect(),
            reason: reason.trim().chars().map(word).collect(),
            request: String::new(),
        }
    }

    /// The same, with the id of the request it came with.
    #[must_use]
    pub fn of_request(self, id: &str) -> Self {
        Self { request: id.to_owned(), ..self }
    }

    /// Whether it says more than when.
    pub fn says_something(&self) -> bool {
        !(self.by.is_empty() && self.reason.is_empty())
    }

    /// As a tag's value: at most 256 characters, of those that every cloud takes (letters, digits, blanks and
    /// `+ - = . _ : / @`); any other one is `_`.
    pub fn to_tag(&self) -> String {
        let tag: String = in_tag_form(&self.to_string()).chars().take(LONGEST_TAG).collect();
        // Some clouds leave out blanks at the end: the tag would be saved again and again.
        tag.trim_end().to_owned()
    }

    /// What [`Note::to_tag`] has written; `None` if somebody else has written something else.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let (at, rest) = tag.split_once(' ')?;
        let (by, reason) = rest.split_once(':')?;
        let by = if by == NOBODY { "" } else { by };
        Some(Self::new(at.parse().ok()?, by, reason))
    }
}

/// The text with `_` for each character that some cloud does not take in a tag's value.
pub fn in_tag_form(text: &str) -> String {
    let allowed = |it: char| it.is_alphanumeric() || " +-=._:/@".contains(it);
    text.chars().map(|it| if allowed(it) { it } else { '_' }).collect()
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.by.is_empty() { NOBODY } else { &self.by };
        write!(f, "{:.0} {by}: {}", self.at, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_tag_says_who_when_and_why() {
        let note = Note::new(at(1_796_000_000), "alice", "disk /dev/sdb is looked at");
        assert_eq!(
            note.clone().of_request("req-1").to_tag(),
            note.to_tag(),
            "the request is for the log only"
        );
        assert_eq!(note.to_tag(), "2026-11-30T00:53:20Z alice: disk /dev/sdb is looked at");
        assert_eq!(Note::from_tag(&note.to_tag()), Some(note));
    }

    #[test]
    fn what_is_not_said_is_not_made_up() {
        let note = Note::new(at(0), " ", "");
        assert_eq!(note.to_tag(), "1970-01-01T00:00:00Z -:");
        assert_eq!(Note::from_tag(&note.to_tag()), Some(note));
        for other in ["", "hold", "yesterday bob: x", "2026-11-30T00:53:20Z bob"] {
            assert_eq!(Note::from_tag(other), None, "{other}");
        }
    }

    #[test]
    fn a_tag_has_only_what_every_cloud_takes() {
        let note = Note::new(at(0), "bob smith: x", "don't touch\n(\u{1f980}), <b>");
        assert_eq!(note.to_tag(), "1970-01-01T00:00:00Z bob_smith__x: don_t touch ____ _b_");
    }

    proptest! {
        #[test]
        fn any_note_fits_a_tag_and_comes_back(second in 0..4_000_000_000i64, by in ".*", reason in ".{0,400}") {
            let note = Note::new(at(second), &by, &reason);
            let tag = note.to_tag();
            prop_assert!(tag.chars().count() <= LONGEST_TAG);
            let back = Note::from_tag(&tag).expect("it is one of ours");
            prop_assert_eq!(back.at, note.at);
            prop_assert_eq!(back.by.is_empty(), note.by.is_empty() || note.by == NOBODY);
        }
    }
}
