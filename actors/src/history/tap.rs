//! Turns what is logged into events: each line of the catalogue that tells of a change.
//!
//! An event is a log line, so what is to be seen in one place is to be seen in the other, under the same name and keys;
//! but it does not depend on the level that the site logs at.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dispatch_core::id::ContainerUuid;
use dispatch_core::time::Timestamp;
use serde_json::{Map, Value};
use slog::{Drain, KV as _, Level, OwnedKVList, Record, Serializer};
use tokio::sync::mpsc::Sender;

use crate::catalogue::{self, level_name};
use crate::clock;

/// One value is cut at that many bytes, its length being told.
const LONGEST_VALUE: usize = 1_000;

/// Requests tell of no change by themselves: what they order has an event of its own.
const LEFT_OUT: [&str; 2] = [catalogue::REQUEST.message, catalogue::RESPONSE.message];
/// Changes that happen too often to be in the log of every site.
const OFTEN: [&str; 2] = [catalogue::LOCK_SUCCEEDED.message, catalogue::SSH_CONNECTED.message];

/// The messages that are events.
pub(super) fn events() -> BTreeSet<&'static str> {
    let told = |event: &&&catalogue::Event| {
        let is_told = event.level.is_at_least(Level::Info) && !LEFT_OUT.contains(&event.message);
        is_told || OFTEN.contains(&event.message)
    };
    catalogue::ALL.iter().filter(told).map(|event| event.message).collect()
}

/// Where records are sent to as events. Those that find no room are left out, and counted.
pub(super) struct Tap {
    pub(super) messages: BTreeSet<&'static str>,
    pub(super) left_out: Arc<AtomicU64>,
    pub(super) to: Sender<Told>,
}

/// What has been logged.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) container: Option<ContainerUuid>,
    pub(super) instance: Arc<str>,
    pub(super) json: Arc<str>,
}

impl Drain for Tap {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        let message = record.msg().to_string();
        if !self.messages.contains(message.as_str()) {
            return Ok(());
        }
        let mut facts = LoggedFacts(Map::new());
        // A value that cannot be shown is its own logger's affair.
        let _ = values.serialize(record, &mut facts);
        let _ = record.kv().serialize(record, &mut facts);
        let LoggedFacts(facts) = facts;
        let text = |key: &str| facts.get(key).and_then(Value::as_str).unwrap_or_default();
        let container = text("ContainerUUID").parse().ok();
        let instance = Arc::from(text("Instance"));
        let json = line(clock::wall_time(), record.level(), &message, &facts);
        if self.to.try_send(Told { container, instance, json: json.into() }).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A JSON object of one line.
fn line(at: Timestamp, level: Level, message: &str, facts: &Map<String, Value>) -> String {
    let mut event = Map::new();
    event.insert("time".to_owned(), format!("{at:.6}").into());
    event.insert("level".to_owned(), level_name(level).into());
    event.insert("msg".to_owned(), message.into());
    event.extend(facts.iter().map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(event).to_string()
}

/// Collects facts as JSON.
struct LoggedFacts(Map<String, Value>);

impl LoggedFacts {
    fn add(&mut self, key: slog::Key, value: impl Into<Value>) -> slog::Result {
        self.0.insert(key.to_string(), value.into());
        Ok(())
    }

    fn add_text(&mut self, key: slog::Key, text: &str) -> slog::Result {
        if text.len() <= LONGEST_VALUE {
            return self.add(key, text);
        }
        let end = text.floor_char_boundary(LONGEST_VALUE);
        self.add(key, format!("{}… ({} bytes)", &text[..end], text.len()))
    }
}

impl Serializer for LoggedFacts {
    fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.add_text(key, &value.to_string())
    }

    fn emit_str(&mut self, key: slog::Key, value: &str) -> slog::Result {
        self.add_text(key, value)
    }

    fn emit_bool(&mut self, key: slog::Key, value: bool) -> slog::Result {
        self.add(key, value)
    }

    fn emit_u64(&mut self, key: slog::Key, value: u64) -> slog::Result {
        self.add(key, value)
    }

    fn emit_i64(&mut self, key: slog::Key, value: i64) -> slog::Result {
        self.add(key, value)
    }

    fn emit_usize(&mut self, key: slog::Key, value: usize) -> slog::Result {
        self.add(key, value)
    }

    fn emit_u32(&mut self, key: slog::Key, value: u32) -> slog::Result {
        self.add(key, value)
    }

    fn emit_f64(&mut self, key: slog::Key, value: f64) -> slog::Result {
        self.add(key, value)
    }
}
