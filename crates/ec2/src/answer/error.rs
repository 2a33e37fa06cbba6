//! What EC2 says when it refuses.

use dispatch_cloud_kit::{Refusal, xml};
use serde::Deserialize;

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
    let response: Response = xml::maybe(body)?;
    let first = response.errors.and_then(|it| it.error.into_iter().next());
    let error = first.or(response.error)?;
    Refusal::new(&error.code, &error.message, &response.request_id)
}
