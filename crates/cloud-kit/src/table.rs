//! What a cloud's error codes mean: one table for each cloud, a row a code.
//!
//! ```text
//!   code, words, status ─► the first row that fits ─► its meaning
//!                        └ none ─► by the status alone
//! ```

use crate::failure::Meaning;

/// A code, or what codes begin with and a `*`; what must be in its message, in lower case, where one code means several
/// things; what it means. The first row that fits decides.
pub type Row = (&'static str, Option<&'static str>, Meaning);

/// The error codes of a cloud.
#[derive(Debug, Clone, Copy)]
pub struct ErrorTable {
    /// Whose codes, as people call it.
    pub cloud: &'static str,
    /// The codes.
    pub rows: &'static [Row],
}

impl ErrorTable {
    /// What an error answer means. A code that nobody knows is a refusal, unless the server says that it broke.
    pub fn meaning(&self, code: &str, message: &str, status: u16) -> Meaning {
        let message = message.to_ascii_lowercase();
        let row = self.rows.iter().find(|(known, wanted, _)| {
            fits(known, code) && wanted.is_none_or(|wanted| message.contains(wanted))
        });
        row.map_or_else(|| by_status(status), |(_, _, meaning)| meaning.clone())
    }

    /// For a driver's test: what is wrong with the table, given examples of code, message and meaning. Each row must have
    /// an example that it decides, and no row may stand behind one that takes all of its errors.
    pub fn objections(&self, examples: &[(&str, &str, Meaning)]) -> Vec<String> {
        let mut objections = Vec::new();
        for (code, message, wanted) in examples {
            let found = self.meaning(code, message, 400);
            if found != *wanted {
                objections.push(format!("{code}: {message}: {found:?} instead of {wanted:?}"));
            }
        }
        for (index, (code, wanted, _)) in self.rows.iter().enumerate() {
            let takes_all = |(other, part, _): &&Row| fits(other, code) && (part.is_none() || part == wanted);
            if self.rows[..index].iter().any(|row| takes_all(&row)) {
                objections.push(format!("{code}: a row before it takes all of its errors"));
            }
            let decides = |(example, message, _): &(&str, &str, Meaning)| {
                let is_part = wanted.is_none_or(|part| message.to_ascii_lowercase().contains(part));
                fits(code, example) && is_part
            };
            if !examples.iter().any(decides) {
                objections.push(format!("{code}: no example"));
            }
        }
        objections
    }
}

fn fits(known: &str, code: &str) -> bool {
    known.strip_suffix('*').map_or(known == code, |beginning| code.starts_with(beginning))
}

/// What an answer without a code that we know means.
pub(crate) fn by_status(status: u16) -> Meaning {
    match status {
        429 => Meaning::Throttled,
        401 | 403 => Meaning::Unauthorized,
        500..=599 => Meaning::Unknown,
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use dispatch_core::ports::{CapacityScope, QuotaScope};

    use super::*;

    const TABLE: ErrorTable = ErrorTable {
        cloud: "a cloud",
        rows: &[
            ("Limit", Some("of this type"), Meaning::Capacity(CapacityScope::Offering)),
            ("Limit", None, Meaning::Quota(QuotaScope::All)),
            ("NoMoreAddresses", None, Meaning::Quota(QuotaScope::All)),
            ("NoMore*", None, Meaning::Capacity(CapacityScope::Offering)),
        ],
    };

    #[test]
    fn the_first_row_that_fits_decides() {
        let offering = Meaning::Capacity(CapacityScope::Offering);
        assert_eq!(TABLE.meaning("Limit", "No more OF THIS TYPE", 400), offering);
        assert_eq!(TABLE.meaning("Limit", "no more", 400), Meaning::Quota(QuotaScope::All));
        assert_eq!(TABLE.meaning("NoMoreAddresses", "", 400), Meaning::Quota(QuotaScope::All));
        assert_eq!(
            TABLE.meaning("NoMoreDisks", "", 500),
            offering,
            "the code's word comes before the status's"
        );
    }

    #[test]
    fn a_code_that_nobody_knows_is_told_by_its_status() {
        let of = |status| TABLE.meaning("Tomorrow", "", status);
        assert_eq!([of(400), of(404), of(302)], [Meaning::Other, Meaning::Other, Meaning::Other]);
        assert_eq!([of(401), of(403)], [Meaning::Unauthorized, Meaning::Unauthorized]);
        assert_eq!([of(429), of(500), of(503)], [Meaning::Throttled, Meaning::Unknown, Meaning::Unknown]);
    }

    #[test]
    fn a_row_that_is_never_reached_or_never_tried_and_a_wrong_example_are_objected_to() {
        let examples = [
            ("Limit", "of this type", Meaning::Capacity(CapacityScope::Offering)),
            ("Limit", "", Meaning::Quota(QuotaScope::All)),
            ("NoMoreAddresses", "", Meaning::Quota(QuotaScope::All)),
            ("NoMoreDisks", "", Meaning::Capacity(CapacityScope::Offering)),
        ];
        assert_eq!(TABLE.objections(&examples), Vec::<String>::new());
        let told = TABLE.objections(&examples[..1]).join("\n");
        assert!(
            told.contains("NoMoreAddresses: no example") && told.contains("NoMore*: no example"),
            "{told}"
        );
        let wrong = [("Limit", "", Meaning::Other)];
        assert!(TABLE.objections(&wrong)[0].contains("instead of Other"));
        let late: &[Row] = &[("A*", None, Meaning::Other), ("Ab", Some("x"), Meaning::Unknown)];
        let late = ErrorTable { cloud: "a cloud", rows: late };
        let told = late.objections(&[("Ab", "x", Meaning::Other)]);
        assert_eq!(told, ["Ab: a row before it takes all of its errors"]);
    }
}
