//! What EC2 answers, as far as it is needed. Whatever is not what was asked for is an error: a page of
//! somebody's proxy, or a listing that broke off, must never look like an empty cloud.
//!
//! ```text
//!   body ─ UTF-8 ─ root element `ACTIONResponse` ─ serde ─► Response        (status 2xx)
//!        └ <Code>, <Message>, <RequestID> ─────────────────► error::Answer  (else)
//! ```

pub(crate) mod error;
pub(crate) mod instances;
pub(crate) mod key_pairs;
pub(crate) mod prices;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::request::Action;

/// Why an answer cannot be used: for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub String);

/// A list: `<item>` and `<item>` and …, or nothing.
#[derive(Debug, Deserialize)]
pub(crate) struct Items<T> {
    #[serde(rename = "item", default = "Vec::new")]
    pub item: Vec<T>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { item: Vec::new() }
    }
}

/// Reads a whole answer to that call.
pub(crate) fn read<T: DeserializeOwned>(action: Action, body: &str) -> Result<T, Malformed> {
    check(action, body)?;
    quick_xml::de::from_str(body).map_err(|error| Malformed(error.to_string()))
}

/// Whether it is a whole answer to that call: well-formed to its end, under the right root.
pub(crate) fn check(action: Action, body: &str) -> Result<(), Malformed> {
    let mut reader = Reader::from_str(body);
    let mut depth = 0_usize;
    let mut root: Option<String> = None;
    loop {
        match reader.read_event().map_err(|error| Malformed(error.to_string()))? {
            Event::Start(start) => {
                depth += 1;
                root.get_or_insert_with(|| start.local_name().as_ref().to_owned());
            }
            Event::Empty(empty) => {
                root.get_or_insert_with(|| empty.local_name().as_ref().to_owned());
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Eof if depth > 0 => return Err(Malformed("the answer breaks off".to_owned())),
            Event::Eof => break,
            _ => {}
        }
    }
    let wanted = format!("{}Response", action.as_str());
    let found = root.unwrap_or_default();
    if found == wanted { Ok(()) } else { Err(Malformed(format!("expected {wanted}, found `{found:.60}`"))) }
}

/// The token of the next page, if there is one.
pub(crate) fn next_page(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
