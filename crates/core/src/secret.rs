//! Text that is never printed: tokens, keys, instance secrets.

use std::fmt;
use std::sync::Arc;

/// A secret text. Its `Debug` and `Display` show `(secret)`; only [`Secret::expose`] gives it away.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes the text into custody.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the wire, a pipe or a 0600 file, never for a log or a command line.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = Secret::new("xyzzy");
        assert_eq!(format!("{secret} {secret:?}"), "(secret) (secret)");
    }
}
