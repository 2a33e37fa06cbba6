//! What a dispatcher's log says of containers: this dispatcher's or the Go program's, whose messages and keys are the same
//! where they matter here.
//!
//! ```text
//!   line ─→ JSON behind whatever stands before it (journald) ─→ time, msg, ContainerUUID ─→ Sighting of that container
//!     └ anything else is counted and skipped: half a line, another program's, one that was there already
//! ```
//! Lines are read one by one and not kept. Never fails on what a line says, only if the file cannot be read.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use dispatch_core::id::ContainerUuid;
use dispatch_core::time::Timestamp;
use serde_json::{Map, Value};

use super::past::Lines;

/// No line of a dispatcher is longer. What is beyond belongs to no line that can be understood.
const LONGEST_LINE: u64 = 4 << 20;

/// What logs have said so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// By container.
    pub(super) sightings: BTreeMap<ContainerUuid, Sighting>,
    /// What became of the lines.
    pub(super) lines: Lines,
    /// The latest moment of any line.
    pub(super) ends: Timestamp,
}

/// What was said of one container.
#[derive(Debug, Clone, Default)]
pub(super) struct Sighting {
    /// When it was named first.
    pub(super) first: Timestamp,
    /// The types that it was allowed on.
    pub(super) types: Vec<String>,
    /// Its priority.
    pub(super) priority: Option<i64>,
    /// Starts of its processes.
    pub(super) starts: Vec<Start>,
    /// When a process was found that somebody had started before.
    pub(super) detected: Option<Timestamp>,
    /// Ends of its processes.
    pub(super) ends: Vec<Timestamp>,
    /// When it was finished, whoever saw its process end.
    pub(super) finished: Option<Timestamp>,
    /// The other lines about it: when, and what.
    others: Vec<(Timestamp, String)>,
}

/// The start of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) at: Timestamp,
    pub(super) instance: String,
    pub(super) instance_type: String,
}

/// What a line says.
struct Said {
    at: Timestamp,
    message: String,
    keys: Map<String, Value>,
}

impl Log {
    /// Reads one more file to its end.
    pub(super) fn read(&mut self, mut reader: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&line);
            if !text.trim().is_empty() {
                self.note_line(text.trim());
            }
        }
    }

    fn note_line(&mut self, line: &str) {
        self.lines.all += 1;
        let Some(said) = understood(line) else {
            self.lines.not_understood += 1;
            return;
        };
        self.ends = self.ends.max(said.at);
        let uuid = said.text("ContainerUUID").parse::<ContainerUuid>();
        let Ok(uuid) = uuid else {
            self.lines.of_no_container += 1;
            return;
        };
        let sighting = self.sightings.entry(uuid).or_insert_with(|| Sighting::since(said.at));
        match sighting.note(&said) {
            true => self.lines.used += 1,
            false => self.lines.repeated += 1,
        }
    }
}

/// What a line says; `None` = it is not a line of a dispatcher, or only a part of one.
fn understood(line: &str) -> Option<Said> {
    let json = &line[line.find('{')?..];
    let Ok(Value::Object(mut keys)) = serde_json::from_str(json) else { return None };
    // As `journalctl -o json` wraps it.
    if let Some(Value::String(message)) = keys.get("MESSAGE") {
        keys = serde_json::from_str(&message[message.find('{')?..]).ok()?;
    }
    let at = keys.get("time")?.as_str()?.parse().ok()?;
    let message = keys.get("msg")?.as_str()?.to_owned();
    Some(Said { at, message, keys })
}

impl Said {
    fn text(&self, key: &str) -> &str {
        self.keys.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A whole number, which may be written as text.
    fn number(&self, key: &str) -> Option<i64> {
        let value = self.keys.get(key)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    /// Names: a list of them, or separated by commas.
    fn names(&self, key: &str) -> Vec<String> {
        match self.keys.get(key) {
            Some(Value::Array(names)) => {
                names.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
            }
            Some(Value::String(names)) => {
                names.split([',', ' ']).filter(|it| !it.is_empty()).map(str::to_owned).collect()
            }
            Some(_) | None => Vec::new(),
        }
    }
}

impl Sighting {
    fn since(first: Timestamp) -> Self {
        Self { first, ..Self::default() }
    }

    /// Takes in what a line says; false if it was said already.
    fn note(&mut self, said: &Said) -> bool {
        self.first = self.first.min(said.at);
        self.priority = said.number("Priority").or(self.priority);
        match said.message.as_str() {
            "crunch-run process started" => {
                let start = Start {
                    at: said.at,
                    instance: said.text("Instance").to_owned(),
                    instance_type: said.text("InstanceType").to_owned(),
                };
                add(&mut self.starts, start)
            }
            "crunch-run process ended" => add(&mut self.ends, said.at),
            "crunch-run process detected" => is_news(&mut self.detected, said.at),
            "container finished -- dropping from queue" => is_news(&mut self.finished, said.at),
            message => {
                let types = said.names("InstanceTypes");
                if !types.is_empty() {
                    self.types = types;
                }
                add(&mut self.others, (said.at, message.to_owned()))
            }
        }
    }
}

fn add<T: PartialEq>(all: &mut Vec<T>, one: T) -> bool {
    let is_news = !all.contains(&one);
    if is_news {
        all.push(one);
    }
    is_news
}

/// Keeps the later of two moments; false if it is the same.
fn is_news(known: &mut Option<Timestamp>, at: Timestamp) -> bool {
    let is_news = *known != Some(at);
    *known = Some(known.map_or(at, |known| known.max(at)));
    is_news
}

#[cfg(test)]
mod tests;
