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

use dispatch_cloud_kit::{Malformed, xml};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::request::Action;

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
    xml::read(&root(action), body)
}

/// Whether it is a whole answer to that call: well-formed to its end, under the right root.
pub(crate) fn check(action: Action, body: &str) -> Result<(), Malformed> {
    xml::check(&root(action), body)
}

/// The token of the next page, if there is one.
pub(crate) fn next_page(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

fn root(action: Action) -> String {
    format!("{}Response", action.as_str())
}

#[cfg(test)]
mod tests;
