//! The log catalogue: every message that this program logs, once, with its level and its keys.
//!
//! Operators search logs by message and filter by key, so both are an interface: a message is constant,
//! its facts are keys. The table of the catalogue is made from here, and a test holds a run's log
//! against it.
//!
//! ```text
//!   event!(log, catalogue::CREATE_FAILED, "error" => %error, "InstanceType" => %name);
//!          │    └ level, message, keys     └ debug builds: a key that the event does not have is a bug
//!          └ a child logger: one an actor, one a worker (Instance, Address, InstanceType)
//! ```
//! Debug = for those who look for a fault · info = a state changed · warning = something had to be given
//! up · error = an operator must act.

mod events;
mod repeats;

use std::fmt::Write;

pub use events::*;
pub use repeats::Repeats;
#[doc(hidden)]
pub use slog;
use slog::{BorrowedKV, Level, Logger, Record, RecordStatic};

/// One message that is logged.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// The level.
    pub level: Level,
    /// The constant text: lower-case, no full stop.
    pub message: &'static str,
    /// The facts that it may carry, beside those of [`CONTEXT_KEYS`].
    pub keys: &'static [&'static str],
    /// What it tells an operator, for the table of the catalogue.
    pub meaning: &'static str,
}

/// Keys that any event may carry: whom it is about, and how often it was left out.
pub const CONTEXT_KEYS: [&str; 8] =
    ["PID", "ClusterID", "ContainerUUID", "Instance", "Address", "InstanceType", "RequestID", "Repeated"];

/// Logs an event of the catalogue: `event!(logger, EVENT, "Key" => value, …)`, values as slog takes them
/// (`value`, `%display`, `?debug`).
#[macro_export]
macro_rules! event {
    ($logger:expr, $event:expr $(,)?) => {
        $crate::event!(@ $logger, $event, )
    };
    ($logger:expr, $event:expr, $($facts:tt)+) => {
        $crate::event!(@ $logger, $event, $($facts)+)
    };
    (@ $logger:expr, $event:expr, $($facts:tt)*) => {{
        let event: &$crate::catalogue::Event = &$event;
        let place = $crate::catalogue::slog::record_static!(event.level, "");
        $crate::catalogue::emit(&$logger, event, &place, $crate::catalogue::slog::b!($($facts)*));
    }};
}

/// What [`event!`] does, once the facts are borrowed.
#[doc(hidden)]
pub fn emit(logger: &Logger, event: &Event, place: &RecordStatic<'_>, facts: BorrowedKV<'_>) {
    let message = format_args!("{}", event.message);
    let record = Record::new(place, &message, facts);
    if cfg!(debug_assertions) {
        check_keys(event, &record);
    }
    logger.log(&record);
}

/// The name of a level in our logs: debug, info, warning or error.
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    }
}

/// The catalogue as a Markdown table, for the documentation.
pub fn markdown(events: &[&Event]) -> String {
    let mut table = "| message | level | keys | meaning |\n|---|---|---|---|\n".to_owned();
    for event in events {
        let (level, keys) = (level_name(event.level), event.keys.join(", "));
        writeln!(table, "| {} | {level} | {keys} | {} |", event.message, event.meaning)
            .expect("a String takes everything");
    }
    table
}

/// `docs/logs.md`: the whole catalogue, in its parts. `head` is what stands before them.
pub fn page(head: &str) -> String {
    let mut page = head.to_owned();
    let mut rest = ALL;
    for (index, (title, _)) in SECTIONS.iter().enumerate() {
        let next = SECTIONS.get(index + 1).map(|(_, first)| first.message);
        let end = rest.iter().position(|event| Some(event.message) == next).unwrap_or(rest.len());
        let (part, later) = rest.split_at(end);
        write!(page, "\n## {title}\n\n{}", markdown(part)).expect("a String takes everything");
        rest = later;
    }
    page
}

/// Fails on a key that the event is not known to carry: it would be missing from the table.
fn check_keys(event: &Event, record: &Record<'_>) {
    /// Sees keys, whatever the values.
    struct Keys<'a>(&'a Event);
    impl slog::Serializer for Keys<'_> {
        fn emit_arguments(&mut self, key: slog::Key, _value: &std::fmt::Arguments<'_>) -> slog::Result {
            // A key's type depends on whether some crate of the build asks slog for dynamic keys.
            let key = key.to_string();
            let known = self.0.keys.iter().chain(&CONTEXT_KEYS).any(|known| *known == key);
            assert!(known, "`{}` has no key `{key}` in the catalogue", self.0.message);
            Ok(())
        }
    }
    // A value that cannot be shown is its own logger's affair.
    let _ = slog::KV::serialize(&record.kv(), record, &mut Keys(event));
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::Deserialize;
    use slog::{Drain, OwnedKVList, o};

    use super::*;

    #[derive(Deserialize)]
    struct Recorded {
        level: String,
        msg: String,
        keys: BTreeSet<String>,
    }

    /// The text of every source file of the workspace that may log, the catalogue aside.
    fn sources() -> String {
        fn read(directory: &std::path::Path, text: &mut String) {
            for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.ends_with("catalogue") {
                    continue;
                }
                if path.is_dir() {
                    read(&path, text);
                } else if path.extension().is_some_and(|it| it == "rs")
                    && !path.ends_with("catalogue/events.rs")
                {
                    text.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let mut text = String::new();
        for folder in [
            "actors/src",
            "src",
            "crates/adapters/src",
            "crates/ec2/src",
            "crates/azure/src",
            "crates/gce/src",
        ] {
            read(&root.join(folder), &mut text);
        }
        text
    }

    #[test]
    fn every_event_is_logged_somewhere() {
        let sources = sources();
        let declared = include_str!("events.rs").lines().filter_map(|line| {
            let (name, rest) = line.trim().split_once(" =")?;
            let constant = name.chars().all(|it| it.is_ascii_uppercase() || it == '_' || it.is_ascii_digit());
            (constant && !rest.starts_with('>')).then_some(name)
        });
        let mut count = 0;
        for (name, event) in declared.zip(ALL) {
            let by_name = sources.contains(name);
            // Adapters do not know the catalogue: theirs are told by their text.
            let by_text = sources.contains(&format!("\"{}\"", event.message));
            assert!(by_name || by_text, "{name} is never logged");
            count += 1;
        }
        assert_eq!(count, ALL.len());
    }

    /// Messages of the recording that operators search for, or that we log too.
    const SHARED: [&str; 23] = [
        "listening",
        "adding container to queue",
        "cancel container with no suitable instance type",
        "request",
        "response",
        "loaded initial instance list",
        "lock succeeded",
        "creating new instance",
        "instance appeared in cloud",
        "boot probe succeeded",
        "probes succeeded, instance is in service",
        "starting container",
        "crunch-run process started",
        "set idle behavior",
        "killing crunch-run process",
        "sending signal",
        "crunch-run process ended",
        "cancelling container because state=Running after crunch-run exited",
        "container finished -- dropping from queue",
        "dropping container from queue",
        "cancelling container because not running on any worker",
        "shutting down",
        "instance disappeared in cloud",
    ];

    #[test]
    fn recorded_messages_have_their_level_and_keys() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/reference/log-lines.json");
        let recorded: Vec<Recorded> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let ours: BTreeMap<&str, &Event> = ALL.iter().map(|event| (event.message, *event)).collect();
        for message in SHARED {
            let line = recorded.iter().find(|line| line.msg == message).unwrap();
            let event = ours.get(message).unwrap_or_else(|| panic!("`{message}` is not in the catalogue"));
            assert_eq!(level_name(event.level), line.level, "{message}");
            let known =
                |key: &&String| event.keys.contains(&key.as_str()) || CONTEXT_KEYS.contains(&key.as_str());
            let missing: Vec<_> = line.keys.iter().filter(|key| !known(key)).collect();
            // Of the reference's request queue: we have none.
            let queueing = message == "response" && missing == ["priority", "queue"];
            assert!(missing.is_empty() || queueing, "{message}: {missing:?}");
        }
    }

    /// Messages that operators search for and that the recording has none of.
    const SEARCHED_FOR: [&str; 25] = [
        "waiting for other process to release lock",
        "create failed",
        "quota error -- waiting for next instance shutdown",
        "capacity error -- pausing instance create calls",
        "suspending remote calls due to rate-limit error",
        "installing runner binary on worker",
        "crunch-run process detected",
        "shutdown worker",
        "kill attempt unsuccessful",
        "crunch-run process abandoned",
        "error starting crunch-run process",
        "container on hold -- dropping from queue",
        "container not found by controller (deleted?)",
        "error updating queue",
        "sync failed",
        "boot probe failed",
        "boot failed",
        "instance unresponsive, shutting down",
        "probe failed",
        "probe reported broken instance",
        "unkillable container, draining worker",
        "worker still listed after shutdown; retrying",
        "unlock because pool capacity is used by higher priority containers",
        "requeueing locked container",
        "starts fail on this instance",
    ];

    #[test]
    fn messages_that_are_searched_for_exist() {
        for message in SEARCHED_FOR {
            assert!(ALL.iter().any(|event| event.message == message), "`{message}` is not in the catalogue");
        }
    }

    #[test]
    fn messages_are_unique_and_in_house_style() {
        let mut seen = BTreeSet::new();
        for event in ALL {
            let message = event.message;
            assert!(seen.insert(message), "`{message}` is there twice");
            assert!(message.starts_with(|first: char| first.is_ascii_lowercase()), "{message}");
            assert!(!message.ends_with('.') && !message.contains(['{', '\n', '|']), "{message}");
            assert!(!event.meaning.trim().is_empty(), "{message}");
            let keys: BTreeSet<_> = event.keys.iter().collect();
            assert_eq!(keys.len(), event.keys.len(), "{message} has a key twice");
        }
    }

    /// Sends each record on as level, message and keys with values, the logger's own included.
    struct Capture(std::sync::mpsc::Sender<(Level, String, BTreeMap<String, String>)>);
    impl Drain for Capture {
        type Ok = ();
        type Err = slog::Never;
        fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
            struct Collect(BTreeMap<String, String>);
            impl slog::Serializer for Collect {
                fn emit_arguments(
                    &mut self,
                    key: slog::Key,
                    value: &std::fmt::Arguments<'_>,
                ) -> slog::Result {
                    self.0.insert(key.to_string(), value.to_string());
                    Ok(())
                }
            }
            let mut collect = Collect(BTreeMap::new());
            slog::KV::serialize(&record.kv(), record, &mut collect).unwrap();
            slog::KV::serialize(values, record, &mut collect).unwrap();
            self.0.send((record.level(), record.msg().to_string(), collect.0)).unwrap();
            Ok(())
        }
    }

    #[test]
    fn an_event_is_logged_with_its_level_message_and_facts() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let logger = Logger::root(Capture(sender).fuse(), o!("Instance" => "i-1"));
        let error = "no such host".to_owned();
        event!(logger, SYNC_FAILED, "error" => %error, "Repeated" => 3);
        event!(logger, READY);
        let (level, message, facts) = receiver.recv().unwrap();
        assert_eq!((level, message.as_str()), (SYNC_FAILED.level, "sync failed"));
        let expected = [("Instance", "i-1"), ("Repeated", "3"), ("error", "no such host")];
        assert!(facts.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected), "{facts:?}");
        assert_eq!(receiver.recv().unwrap().1, READY.message);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "`ready` has no key `Colour` in the catalogue")]
    fn a_key_that_is_not_in_the_catalogue_is_a_bug() {
        let logger = Logger::root(slog::Discard, o!());
        event!(logger, READY, "Colour" => "green");
    }

    #[test]
    fn the_table_has_a_row_a_message() {
        let table = markdown(ALL);
        assert_eq!(table.lines().count(), ALL.len() + 2);
        assert!(table.contains("| creating new instance | info | "), "{table}");
        assert!(table.lines().all(|line| line.matches('|').count() == 5), "{table}");
    }

    #[test]
    fn the_page_has_each_event_once_in_the_part_where_it_is_declared() {
        let page = page("# Logs\n");
        for event in ALL {
            assert_eq!(page.matches(&format!("\n| {} | ", event.message)).count(), 1, "{}", event.message);
        }
        let declared = include_str!("events.rs");
        let comments = declared.lines().filter(|line| line.trim().starts_with("// -----")).count();
        assert_eq!(comments, SECTIONS.len(), "each part of the file is a part of the page");
        for (title, first) in SECTIONS {
            let (_, part) = page.split_once(&format!("## {title}\n")).unwrap();
            let row = part.lines().nth(3).unwrap();
            assert!(row.starts_with(&format!("| {} | ", first.message)), "{title}: {row}");
            let (_, part) = declared.split_once(&format!("--- {}", title.to_lowercase())).unwrap();
            let message = part.split('"').nth(1).unwrap();
            assert_eq!(message, first.message, "{title} begins with another event");
        }
    }

    #[test]
    fn levels_are_named_as_in_the_field() {
        assert_eq!(level_name(Level::Warning), "warning");
        assert_eq!(level_name(Level::Critical), "error");
    }
}
