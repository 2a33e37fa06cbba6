//! What a failed call means: its kind, by which the core decides, and a text for people.

use awc::error::{ConnectError, PayloadError, SendRequestError};
use dispatch_core::ports::ApiErrorKind;
use dispatch_core::secret::Secret;
use serde::Deserialize;

/// How much of the server's own error text is repeated, in characters.
const LONGEST_TEXT: usize = 300;

/// The kind follows from the status alone: error texts are for people.
pub(super) fn kind_of_status(status: u16) -> ApiErrorKind {
    match status {
        401 => ApiErrorKind::Unauthorized,
        403 => ApiErrorKind::Forbidden,
        404 => ApiErrorKind::NotFound,
        503 => ApiErrorKind::Overloaded,
        400..=499 => ApiErrorKind::Refused,
        500..=599 => ApiErrorKind::Server,
        // A redirect, or a status that HTTP does not define, does not come from our controller.
        _ => ApiErrorKind::Malformed,
    }
}

pub(super) fn kind_of_send(error: &SendRequestError) -> ApiErrorKind {
    match error {
        SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout) => ApiErrorKind::Timeout,
        SendRequestError::Response(_) => ApiErrorKind::Malformed,
        _ => ApiErrorKind::Connection,
    }
}

pub(super) fn kind_of_body(error: &PayloadError) -> ApiErrorKind {
    match error {
        PayloadError::Overflow | PayloadError::EncodingCorrupted => ApiErrorKind::Malformed,
        _ => ApiErrorKind::Connection,
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// The server's own error text, if its answer contains one. If it repeats our token, the token is removed.
pub(super) fn server_text(body: &str, token: &Secret) -> String {
    let Ok(Errors { errors }) = serde_json::from_str(body) else { return String::new() };
    let text = without(&errors.join("; "), token);
    text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

/// Removes the token from a text, and the secret part of a v2 token.
pub(super) fn without(text: &str, token: &Secret) -> String {
    let whole = token.expose();
    let secret = whole.rsplit('/').next().unwrap_or(whole);
    // A shorter text may occur in the message by chance, and is no real token.
    if secret.len() < 4 {
        text.to_owned()
    } else {
        text.replace(whole, "(secret)").replace(secret, "(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_kind() {
        for (status, kind) in [
            (301, ApiErrorKind::Malformed),
            (400, ApiErrorKind::Refused),
            (401, ApiErrorKind::Unauthorized),
            (403, ApiErrorKind::Forbidden),
            (404, ApiErrorKind::NotFound),
            (422, ApiErrorKind::Refused),
            (500, ApiErrorKind::Server),
            (502, ApiErrorKind::Server),
            (503, ApiErrorKind::Overloaded),
        ] {
            assert_eq!(kind_of_status(status), kind, "{status}");
        }
    }

    #[test]
    fn the_token_is_never_repeated() {
        let token = Secret::new("v2/zzzzz-gj3su-000000000000000/hunter2");
        let body = r#"{"errors":["bad v2/zzzzz-gj3su-000000000000000/hunter2","or hunter2\n"]}"#;
        assert_eq!(server_text(body, &token), "bad (secret); or (secret)");
        assert_eq!(server_text("<html>", &token), "");
    }
}
