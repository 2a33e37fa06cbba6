//! An event, read once when it comes.

use serde_json::{Map, Value};

use super::text::{last, plain, tidy};
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
    /// All facts, with their names.
    pub(super) facts: Vec<String>,
    /// What it is about and the other facts, as short as can be.
    pub(super) more: Vec<String>,
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
            more: more(&event),
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

/// Container and instance by what tells them from others, then what has an interest, then the rest.
fn more(event: &Map<String, Value>) -> Vec<String> {
    const FIRST: [&str; 5] = ["ContainerUUID", "Instance", "By", "Reason", "error"];
    let of = |key: &str| event.get(key).map(plain).unwrap_or_default();
    let mut more = vec![last(&of("ContainerUUID"), 15), of("Instance")];
    let is_named = |fact: &str, key: &str| fact.strip_prefix(key).is_some_and(|rest| rest.starts_with('='));
    let facts: Vec<_> = events::facts(event).map(|fact| tidy(&fact)).collect();
    let interest = FIRST[2..].iter().flat_map(|key| facts.iter().filter(|fact| is_named(fact, key)));
    more.extend(interest.cloned());
    more.extend(facts.iter().filter(|fact| FIRST.iter().all(|key| !is_named(fact, key))).cloned());
    more.retain(|word| !word.is_empty());
    more
}
