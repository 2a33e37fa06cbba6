//! What Compute Engine says when it refuses, at once or in an operation.
//!
//! ```text
//!   at once       {error: {errors: [{reason}], message, status, details: [{reason}]}}   notFound, quotaExceeded
//!   an operation  {error: {errors: [{code, message, errorDetails}]}}                    QUOTA_EXCEEDED
//!                  the name of a quota ─► the head of the message, where the table looks for it
//! ```

use dispatch_cloud_kit::{Refusal, json};
use serde::Deserialize;

#[derive(Deserialize)]
struct Response {
    error: Error,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    errors: Vec<Reason>,
    #[serde(default)]
    details: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

/// Compute Engine's own words in an answer, if it has any. Its front end has no `errors`, but a status.
pub(crate) fn read(body: &str) -> Option<Refusal> {
    let Response { error } = json::maybe(body)?;
    let reason = |all: Vec<Reason>| all.into_iter().map(|it| it.reason).find(|it| !it.is_empty());
    let code = reason(error.errors).or_else(|| reason(error.details)).unwrap_or(error.status);
    Refusal::new(&code, &with_quota(&code, &error.message, None), "")
}

/// An error of an operation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    error_details: Vec<Detail>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    quota_info: Option<QuotaInfo>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuotaInfo {
    #[serde(default)]
    metric_name: String,
    #[serde(default)]
    limit_name: String,
}

impl OperationError {
    /// What is refused; `None` = its code is none.
    pub fn refusal(&self) -> Option<Refusal> {
        let info = self.error_details.iter().find_map(|it| it.quota_info.as_ref());
        Refusal::new(&self.code, &with_quota(&self.code, &self.message, info), "")
    }
}

/// A message that begins with the name of the quota, in quotes, as the table of errors wants it.
fn with_quota(code: &str, message: &str, info: Option<&QuotaInfo>) -> String {
    if !code.to_ascii_lowercase().starts_with("quota") {
        return message.to_owned();
    }
    match info.and_then(QuotaInfo::name).or_else(|| quoted(message)) {
        Some(name) => format!("quota '{name}': {message}"),
        None => message.to_owned(),
    }
}

impl QuotaInfo {
    /// `N2_CPUS` of `N2-CPUS-per-project-region` or of `compute.googleapis.com/n2_cpus`.
    fn name(&self) -> Option<String> {
        let limit = self.limit_name.split("-per-").next().unwrap_or_default();
        let metric = self.metric_name.rsplit('/').next().unwrap_or_default();
        let name = [metric, limit].into_iter().find(|it| !it.is_empty())?;
        is_name(name).then(|| name.to_ascii_uppercase().replace('-', "_"))
    }
}

/// `N2_CPUS` of `Quota 'N2_CPUS' exceeded.  Limit: 24.0 in region us-central1.`
fn quoted(message: &str) -> Option<String> {
    let name = message.split('\'').nth(1)?;
    is_name(name).then(|| name.to_ascii_uppercase())
}

fn is_name(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=80).contains(&text.len()) && text.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Option<String> {
        read(body).map(|it| it.code)
    }

    #[test]
    fn the_word_is_the_first_reason_else_that_of_the_details_else_the_status() {
        let whole = r#"{"error":{"code":404,"message":"The resource was not found","errors":[{"message":"x",
            "domain":"global","reason":"notFound"}],"status":"NOT_FOUND"}}"#;
        let refusal = read(whole).unwrap();
        assert_eq!(
            (refusal.code.as_str(), refusal.message.as_str()),
            ("notFound", "The resource was not found")
        );
        let details = r#"{"error":{"code":403,"details":[{"@type":"a"},{"reason":"SERVICE_DISABLED"}]}}"#;
        assert_eq!(code(details).as_deref(), Some("SERVICE_DISABLED"));
        assert_eq!(code(r#"{"error":{"status":"UNAVAILABLE"}}"#).as_deref(), Some("UNAVAILABLE"));
    }

    #[test]
    fn what_is_no_refusal_of_its_is_none() {
        let texts = [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"error":"invalid_grant"}"#,
            r#"{"error":{}}"#,
            r#"{"error":{"status":"two words"}}"#,
            r#"{"error":{"errors":"notFound"}}"#,
        ];
        for text in texts {
            assert_eq!(code(text), None, "{text}");
        }
    }

    fn of_operation(text: &str) -> Refusal {
        serde_json::from_str::<OperationError>(text).unwrap().refusal().unwrap()
    }

    #[test]
    fn a_quota_is_named_by_its_metric_else_by_its_limit_else_by_the_message() {
        let with = |more: &str| {
            let text = format!(r#"{{"code":"QUOTA_EXCEEDED","message":"Quota 'CPUS' exceeded."{more}}}"#);
            of_operation(&text).message
        };
        let info = |info: &str| format!(r#","errorDetails":[{{"help":{{}}}},{{"quotaInfo":{{{info}}}}}]"#);
        assert!(with("").starts_with("quota 'CPUS': Quota"), "{}", with(""));
        let metric = with(&info(r#""metricName":"compute.googleapis.com/n2_cpus","limitName":"X""#));
        assert!(metric.starts_with("quota 'N2_CPUS': "), "{metric}");
        let limit = with(&info(r#""limitName":"PREEMPTIBLE-CPUS-per-project-region""#));
        assert!(limit.starts_with("quota 'PREEMPTIBLE_CPUS': "), "{limit}");
        let strange = with(&info(r#""metricName":"a b""#));
        assert!(strange.starts_with("quota 'CPUS': "), "{strange}");
    }

    #[test]
    fn only_quotas_have_such_names() {
        let text = r#"{"code":"RESOURCE_NOT_FOUND","message":"The resource 'projects/x' was not found"}"#;
        assert_eq!(of_operation(text).message, "The resource 'projects/x' was not found");
        let body =
            r#"{"error":{"message":"Quota 'INSTANCES' exceeded.","errors":[{"reason":"quotaExceeded"}]}}"#;
        assert!(read(body).unwrap().message.starts_with("quota 'INSTANCES': "));
    }
}
