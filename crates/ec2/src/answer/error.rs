//! What EC2 says when it refuses.

use serde::Deserialize;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: String,
    /// The whole message; it is cut after secrets were removed from it.
    pub message: String,
    /// The request's id, for Amazon's support; may be empty.
    pub request_id: String,
}

/// EC2's form, and that of the gateway before it: with and without `<Errors>`.
#[derive(Deserialize)]
struct Response {
    #[serde(rename = "Errors")]
    errors: Option<Errors>,
    #[serde(rename = "Error")]
    error: Option<Error>,
    #[serde(rename = "RequestID", alias = "RequestId", default)]
    request_id: String,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(rename = "Error", default)]
    error: Vec<Error>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(rename = "Code")]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

/// EC2's own words, if the body has any.
pub(crate) fn read(body: &str) -> Option<Refusal> {
    let response: Response = quick_xml::de::from_str(body).ok()?;
    let first = response.errors.and_then(|it| it.error.into_iter().next());
    let error = first.or(response.error)?;
    let code = word(&error.code)?;
    Some(Refusal { code, message: on_a_line(&error.message), request_id: on_a_line(&response.request_id) })
}

/// A code is a word: it becomes a label of a metric.
fn word(code: &str) -> Option<String> {
    let is_word = !code.is_empty()
        && code.len() <= 80
        && code.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c));
    is_word.then(|| code.to_owned())
}

fn on_a_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
