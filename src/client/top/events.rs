//! An event, read once when it comes.

use serde_json::{Map, Value};

use super::text::{plain, tidy};
use crate::client::events;

/// Something that has happened.
#[derive(Debug)]
pub(super) struct Happening {
    /// Its process and its number there.
    pub(super) key: String,
    /// As the service has told it; empty if it does not say when.
    pub(super) time: String,
    pub(super) level: String,
    pub(super) message: String,
    /// With their names.
    pub(super) facts: Vec<String>,
}

impl Happening {
    /// As the service tells it.
    pub fn of(event: Map<String, Value>) -> Self {
        let of = |key: &str| event.get(key).map(plain).unwrap_or_default();
        Self {
            key: format!("{} {}", of("boot"), of("seq")),
            time: of("time"),
            level: of("level"),
            message: of("msg"),
            facts: events::facts(&event).map(|fact| tidy(&fact)).collect(),
        }
    }

    /// Whether that is in one of its facts, such as a container's UUID.
    pub fn mentions(&self, wanted: &str) -> bool {
        wanted.is_empty() || self.facts.iter().any(|fact| fact.contains(wanted))
    }

    /// Hours, minutes and seconds.
    pub fn clock(&self) -> &str {
        self.time.get(11..19).unwrap_or("        ")
    }
}
