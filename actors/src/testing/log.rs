//! The log as data.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use slog::{Drain, Level, Logger, OwnedKVList, Record, o};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub level: Level,
    pub message: String,
    pub facts: BTreeMap<String, String>,
}

/// All lines of a logger.
pub struct Lines(Receiver<Line>);

impl Lines {
    pub fn new() -> (Logger, Self) {
        let (sender, receiver) = channel();
        (Logger::root(Tap(sender).fuse(), o!()), Self(receiver))
    }

    /// The lines since the last look.
    pub fn take(&self) -> Vec<Line> {
        self.0.try_iter().collect()
    }

    /// The messages since the last look.
    pub fn messages(&self) -> Vec<String> {
        self.take().into_iter().map(|line| line.message).collect()
    }
}

struct Tap(Sender<Line>);

impl Drain for Tap {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        let mut facts = Facts(BTreeMap::new());
        slog::KV::serialize(values, record, &mut facts).unwrap();
        slog::KV::serialize(&record.kv(), record, &mut facts).unwrap();
        let line = Line { level: record.level(), message: record.msg().to_string(), facts: facts.0 };
        // The test may be over before the last line.
        let _ = self.0.send(line);
        Ok(())
    }
}

struct Facts(BTreeMap<String, String>);

impl slog::Serializer for Facts {
    fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}
