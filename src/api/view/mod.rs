//! The actors' snapshots as JSON: what a client could rely on elsewhere holds here, and more.
//!
//! ```text
//!   Plan + QueueSnapshot + PoolSnapshot ─► Containers ─► EntryView { container, types, explain }
//!   PoolSnapshot ─► Instances
//!   Plan + PoolSnapshot ─► creates: pauses, and what may be created of each type
//! ```
//! Names, types, nesting and values for nothing (`""`, 0, `[]`, null) are part of the interface.

mod container;
mod containers;
pub(in crate::api) mod cost;
pub(in crate::api) mod creates;
pub(in crate::api) mod detail;
mod entry;
mod explain;
mod instance;

pub(super) use containers::Containers;
pub(super) use instance::Instances;

use dispatch_actors::clock;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// How an unknown time is written.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Writes something whose dates are all of our own clock, with the dates that the wall clock gives them now.
fn in_wall_time<T: Serialize, S: Serializer>(it: &T, to: S) -> Result<S::Ok, S::Error> {
    if clock::correction().is_zero() {
        return it.serialize(to);
    }
    let mut value = serde_json::to_value(it).map_err(serde::ser::Error::custom)?;
    show_dates(&mut value);
    value.serialize(to)
}

/// The same with the dates that the wall clock gives.
pub(super) fn wall_dates(mut value: Value) -> Value {
    if !clock::correction().is_zero() {
        show_dates(&mut value);
    }
    value
}

fn show_dates(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Ok(at) = text.parse() {
                *text = clock::shown(at).to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(show_dates),
        Value::Object(fields) => fields.values_mut().for_each(show_dates),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// RFC 3339, or the unknown time.
fn time(at: Option<dispatch_core::time::Timestamp>) -> String {
    at.map_or_else(|| NO_TIME.to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Shown(#[serde(serialize_with = "in_wall_time")] Value);

    #[test]
    fn dates_of_ours_are_shown_as_the_wall_clock_has_them_now() {
        clock::anchor("2030-01-01T00:00:00Z".parse().unwrap());
        let noted =
            json!({ "at": "2030-01-01T00:00:00Z", "text": "at 2030-01-01T00:00:00Z", "n": [1, null] });
        let shown = || serde_json::to_value(Shown(noted.clone())).unwrap();
        assert_eq!(shown(), noted);
        clock::correct_wall_clock(SignedDuration::from_secs(3600));
        let wanted =
            json!({ "at": "2030-01-01T01:00:00Z", "text": "at 2030-01-01T00:00:00Z", "n": [1, null] });
        assert_eq!(shown(), wanted);
    }
}
