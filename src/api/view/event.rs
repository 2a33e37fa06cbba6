//! Events, as the API tells them.

use dispatch_actors::history::Happened;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::description::words;

/// Something that has happened: a line of the log, with the keys that its message has there.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    #[schema(format = DateTime)]
    pub time: String,
    #[schema(schema_with = words::level)]
    pub level: String,
    /// What has happened, in the words of the log.
    pub msg: String,
    #[serde(flatten)]
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    pub facts: Map<String, Value>,
    /// Its number in this process.
    #[serde(default)]
    #[schema(required)]
    pub seq: u64,
}

impl EventView {
    /// As it was told; `None` if it cannot be read, which does not happen to what we have written.
    pub fn of(event: &Happened) -> Option<Self> {
        let told: Self = serde_json::from_str(&event.json).ok()?;
        Some(Self { seq: event.seq, ..told })
    }

    /// One of its facts, if that is a text.
    pub fn text(&self, key: &str) -> &str {
        self.facts.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// A line of the stream of events: a line of the log, with the keys that its message has there.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventLine<'a> {
    /// Its number in this process; of missing events the last one's.
    pub seq: u64,
    /// The process that it is a number of.
    pub boot: &'a str,
    /// Not there where events are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub time: Option<&'a str>,
    #[schema(schema_with = words::level)]
    pub level: &'a str,
    /// What has happened, in the words of the log.
    pub msg: &'a str,
    #[serde(flatten)]
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    pub facts: Map<String, Value>,
}
