//! What a client sent, made fit for a log: no token, no megabytes.

use dispatch_core::secret::Secret;
use url::form_urlencoded::{Serializer, parse};

const HIDDEN: &str = "(secret)";
/// Longer texts are cut.
const LONGEST: usize = 500;

/// Hides tokens.
pub(super) struct Redact<'a> {
    token: &'a Secret,
}

impl<'a> Redact<'a> {
    /// Hides that token wherever it stands.
    pub fn new(token: &'a Secret) -> Self {
        Self { token }
    }

    /// The beginning of a text, without the token.
    pub fn text(&self, text: &str) -> String {
        let shown = if self.token.is_empty() { text.to_owned() } else { self.without_token(text) };
        shown.chars().take(LONGEST).collect()
    }

    /// A query: values of parameters that are named like tokens are hidden, whosever they are.
    pub fn query(&self, query: &str) -> String {
        if !parse(query.as_bytes()).any(|(key, value)| self.hides(&key, &value)) {
            return self.text(query);
        }
        let mut shown = Serializer::new(String::new());
        for (key, value) in parse(query.as_bytes()) {
            shown.append_pair(
                &self.without_token(&key),
                if self.hides(&key, &value) { HIDDEN } else { &value },
            );
        }
        self.text(&shown.finish())
    }

    fn hides(&self, key: &str, value: &str) -> bool {
        let lower = key.to_ascii_lowercase();
        let named = ["token", "secret", "password"].iter().any(|word| lower.contains(word));
        named || self.is_in(value) || self.is_in(key)
    }

    fn is_in(&self, text: &str) -> bool {
        !self.token.is_empty() && text.contains(self.token.expose())
    }

    fn without_token(&self, text: &str) -> String {
        if self.is_in(text) { text.replace(self.token.expose(), HIDDEN) } else { text.to_owned() }
    }
}
