//! A call that has failed, in the driver: what it means, and what people read.
//!
//! ```text
//!   refused ── table ──► Meaning ┐
//!   no answer ─────────► Unknown ├─ Failure { meaning, code, message } ─ backoff ─► CloudError
//!   not sent ──────────► Other   ┘                        └─ without secrets
//! ```

use std::time::Duration;

use dispatch_core::ports::{CapacityScope, CloudError, CloudErrorKind, QuotaScope};
use dispatch_core::secret::Secret;

/// The most of a cloud's words that is repeated: some messages carry kilobytes of encoded detail.
const LONGEST_TEXT: usize = 400;
/// What is shorter occurs by chance, and is nobody's secret.
const SHORTEST_SECRET: usize = 8;

/// What a failure means to the dispatcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Too many calls: how long to wait is ours to say.
    Throttled,
    /// Too many calls: the cloud says how long to wait.
    ThrottledFor(Duration),
    /// The account may not have more.
    Quota(QuotaScope),
    /// The cloud has no more.
    Capacity(CapacityScope),
    /// No such instance.
    NotFound,
    /// Credentials are missing, wrong or expired, or the account may not be used: no call of ours would be served.
    Unauthorized,
    /// It may have taken effect.
    Unknown,
    /// Refused, or never sent.
    Other,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What policy needs.
    pub meaning: Meaning,
    /// The cloud's code, or a word of ours in lower case where there is none.
    pub code: String,
    /// What failed and with what, for people.
    pub message: String,
}

impl Failure {
    /// An error without an answer of the cloud; `code` is our own word.
    pub fn ours(meaning: Meaning, code: &str, message: impl Into<String>) -> Self {
        Self { meaning, code: code.to_owned(), message: message.into() }
    }

    /// An answer that is none. It may have come after the deed.
    pub fn malformed(why: impl std::fmt::Display) -> Self {
        Self::ours(Meaning::Unknown, "malformed", format!("an answer that is none: {why}"))
    }

    /// Says which call it was.
    pub fn of_call(self, name: &str) -> Self {
        Self { message: format!("{name}: {}", self.message), ..self }
    }

    /// The error of a call that comes before the order: whatever became of it, nothing has been ordered.
    pub fn of_preparation(self) -> Self {
        match self.meaning {
            Meaning::Unknown => Self { meaning: Meaning::Other, ..self },
            _ => self,
        }
    }

    /// Takes a secret out of the message, should the cloud have repeated it.
    pub fn without(self, secret: &Secret) -> Self {
        Self { message: without(self.message, secret), ..self }
    }

    /// The error as the port has it. How long a throttled caller must wait is not known here.
    pub fn into_cloud_error(self) -> CloudError {
        let kind = match &self.meaning {
            Meaning::Quota(scope) => CloudErrorKind::Quota(scope.clone()),
            Meaning::Capacity(scope) => CloudErrorKind::Capacity(*scope),
            Meaning::NotFound => CloudErrorKind::NotFound,
            Meaning::Unauthorized => CloudErrorKind::Unauthorized,
            Meaning::Unknown => CloudErrorKind::Unknown,
            Meaning::Throttled | Meaning::ThrottledFor(_) | Meaning::Other => CloudErrorKind::Other,
        };
        self.into_error(kind)
    }

    /// The error as the port has it, of that kind.
    pub fn into_error(self, kind: CloudErrorKind) -> CloudError {
        CloudError { kind, code: self.code, message: self.message }
    }
}

/// A cloud's words as they may be told. Secrets first: of one that is cut in two, the head would stay.
pub(crate) fn repeatable(words: String, secrets: &[Secret]) -> String {
    secrets.iter().fold(words, without).chars().take(LONGEST_TEXT).collect()
}

fn without(text: String, secret: &Secret) -> String {
    if secret.expose().len() < SHORTEST_SECRET { text } else { text.replace(secret.expose(), "(secret)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_secret_is_taken_out_and_what_is_too_short_for_one_is_not() {
        let failure = Failure::ours(Meaning::Other, "Code", "value 0123456789abcdef is bad");
        let failure = failure.without(&Secret::new("0123456789abcdef")).without(&Secret::new("bad"));
        assert_eq!(failure.message, "value (secret) is bad");
    }

    #[test]
    fn of_a_secret_where_a_text_is_cut_nothing_is_left() {
        let secret = Secret::new("0123456789abcdef");
        for before in LONGEST_TEXT - 16..=LONGEST_TEXT {
            let words = format!("{}{} and so on", ".".repeat(before), secret.expose());
            let told = repeatable(words, std::slice::from_ref(&secret));
            assert!(!told.contains("012") && told.chars().count() == LONGEST_TEXT, "{told}");
        }
    }

    #[test]
    fn nothing_has_been_ordered_by_a_call_that_comes_before_the_order() {
        let of = |meaning| Failure::ours(meaning, "code", "").of_preparation().meaning;
        assert_eq!(of(Meaning::Unknown), Meaning::Other);
        assert_eq!(of(Meaning::Throttled), Meaning::Throttled);
    }
}
