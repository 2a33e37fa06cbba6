//! Whether an answer is what a client of the recorded one can read.

use serde_json::Value;

/// What `ours` lacks of `theirs`: keys, JSON types, and values for nothing (`""`, 0, `[]`, null, false).
/// Empty if a client of theirs can read ours.
pub fn missing(theirs: &Value, ours: &Value, filled: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    compare("$", theirs, ours, filled, &mut found);
    found
}

fn compare(path: &str, theirs: &Value, ours: &Value, filled: &[&str], found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs {
                match ours.get(key) {
                    Some(our) => compare(&format!("{path}.{key}"), value, our, filled, found),
                    None => found.push(format!("{path}.{key} is missing")),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if !theirs.is_empty() => {
            if ours.is_empty() {
                found.push(format!("{path} is empty"));
            }
            let like = theirs.iter().chain(std::iter::repeat(&theirs[theirs.len() - 1]));
            for ((index, our), their) in ours.iter().enumerate().zip(like) {
                compare(&format!("{path}[{index}]"), their, our, filled, found);
            }
        }
        // Never a float: 2^53 is not the end of integers.
        (Value::Number(theirs), Value::Number(ours)) if theirs.is_i64() && !ours.is_i64() => {
            found.push(format!("{path} is {ours}, not an integer"));
        }
        _ => {
            let may_be_filled = filled.iter().any(|key| path.ends_with(key)) && kind(theirs) == kind(ours);
            if is_nothing(theirs) && theirs != ours && !may_be_filled {
                found.push(format!("{path} is {ours}, not {theirs}"));
            } else if kind(theirs) != kind(ours) {
                found.push(format!("{path} is {ours}, of another type than {theirs}"));
            }
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn the_comparator_sees_what_a_client_would_trip_over() {
    use serde_json::json;
    let theirs = json!({"a": "", "b": 1, "c": [], "d": null, "e": [{"f": 1}], "p": 7});
    let same = json!({"a": "", "b": 2, "c": [], "d": null, "e": [{"f": 2, "g": 1}], "p": 8, "more": 1});
    assert!(missing(&theirs, &same, &[]).is_empty());
    let worse = json!({"a": null, "b": "1", "c": null, "d": "", "e": [{}], "p": 8.5});
    assert_eq!(missing(&theirs, &worse, &[]).len(), 6);
}
