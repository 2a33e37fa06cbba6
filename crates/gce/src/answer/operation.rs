//! Operations: what becomes of a call that changes something.

use dispatch_cloud_kit::Malformed;
use serde::Deserialize;

use super::error::OperationError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    name: String,
    status: String,
    error: Option<Errors>,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<OperationError>,
}

/// How far an operation is.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Not at its end; its name, by which it is waited for.
    Running(String),
    /// It was done.
    Done,
    /// It has come to nothing.
    Failed(OperationError),
}

/// Reads one.
pub(crate) fn read(body: &str) -> Result<Operation, Malformed> {
    let response: Response = super::read("compute#operation", body)?;
    // An error without words is one, too: what has failed must not look done.
    let failed = response.error.map(|it| it.errors.into_iter().next().unwrap_or_default());
    match (response.status.as_str(), failed) {
        ("DONE", Some(error)) => Ok(Operation::Failed(error)),
        ("DONE", None) => Ok(Operation::Done),
        ("PENDING" | "RUNNING", _) if is_name(&response.name) => Ok(Operation::Running(response.name)),
        ("PENDING" | "RUNNING", _) => Err(Malformed("an operation without a name".to_owned())),
        _ => Err(Malformed("an operation of no known status".to_owned())),
    }
}

/// It becomes part of a path.
fn is_name(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=128).contains(&text.len()) && text.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(more: &str) -> Result<Operation, Malformed> {
        read(&format!(r#"{{"kind":"compute#operation","name":"operation-1-a",{more}}}"#))
    }

    #[test]
    fn an_operation_runs_is_done_or_has_failed() {
        for status in ["PENDING", "RUNNING"] {
            let found = operation(&format!(r#""status":"{status}""#)).unwrap();
            assert!(matches!(found, Operation::Running(name) if name == "operation-1-a"));
        }
        assert!(matches!(operation(r#""status":"DONE""#).unwrap(), Operation::Done));
        let failed = r#""status":"DONE","error":{"errors":[{"code":"A","message":"b"},{"code":"C"}]}"#;
        let Operation::Failed(error) = operation(failed).unwrap() else { panic!("it has failed") };
        assert_eq!(error.refusal().unwrap().code, "A");
        for wordless in [r#"{"errors":[]}"#, "{}", r#"{"errors":[{}]}"#] {
            let found = operation(&format!(r#""status":"DONE","error":{wordless}"#)).unwrap();
            let Operation::Failed(error) = found else { panic!("it has failed: {wordless}") };
            assert!(error.refusal().is_none(), "{wordless}");
        }
    }

    #[test]
    fn what_is_no_operation_is_refused() {
        for text in [
            "",
            "{}",
            "<html>",
            r#"{"kind":"compute#operation"}"#,
            r#"{"kind":"compute#operation","name":"a","status":"LATER"}"#,
            r#"{"kind":"compute#operation","name":"../a","status":"RUNNING"}"#,
            r#"{"kind":"compute#operation","name":"a","status":7}"#,
            r#"{"kind":"compute#instance","name":"a","status":"DONE"}"#,
            r#"{"kind":"compute#operation","name":"a","status":"DONE""#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
