//! Every key that we read, one row each: name, default, how it is written, where it goes, and a line about it.
//!
//! ```text
//!   row: name · default · unit · place · meaning
//!          │       │        │       │        └──► checked against config/default.yml
//!          │       │        │       └───────────► a field of Settings (or of its Policy)
//!          │       │        └───────────────────► read (units and bounds, with findings) and dump
//!          │       └────────────────────────────► checked against config/default.yml and the recorded defaults
//!          └────────────────────────────────────► read, dumped and documented under this name
//! ```
//! One table a section. It owns what a key is. What several keys mean together, and what is read by a module of its
//! own, is for `decode`. The parameters of a driver are rows of the driver's own description.

mod cloud_vms;
mod containers;
mod services;
mod unit;

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::model::Settings;
use super::section::Section;

pub use cloud_vms::CLOUD_VMS;
pub use containers::CONTAINERS;
pub use services::{API, SYSTEM_LOGS, TLS, TOKENS, WEBSOCKET};
use unit::{Place, Unit};

/// All tables, in the order of the documentation and of `config dump`.
pub static TABLES: [&LazyLock<Table>; 11] = [
    &TOKENS,
    &services::CONTROLLER,
    &services::DISPATCH_CLOUD,
    &WEBSOCKET,
    &TLS,
    &SYSTEM_LOGS,
    &API,
    &services::POSTGRESQL,
    &CONTAINERS,
    &CLOUD_VMS,
    &services::INSTANCE_TYPES,
];

/// The keys of a section.
pub struct Table {
    /// Where the section is, from the cluster on.
    pub path: &'static [&'static str],
    /// Its keys, in the order of the documentation.
    pub keys: Vec<Key>,
}

/// A key of the configuration.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its value if the site says nothing, as `config/default.yml` has it.
    pub default: Value,
    /// A line about it, as `config/default.yml` has it.
    pub meaning: &'static str,
    /// Whether the default is ours alone: the site's other services have another one, or do not know the key.
    pub is_ours: bool,
    read: Box<dyn Fn(&Section<'_>, &mut Settings) + Send + Sync>,
    /// `Null` = there is no value to show.
    dump: Box<dyn Fn(&Settings) -> Value + Send + Sync>,
}

/// A key that is read by its unit into its place.
fn key<T: 'static>(
    name: &'static str,
    default: impl Into<Value>,
    unit: &'static Unit<T>,
    place: Place<T>,
    meaning: &'static str,
) -> Key {
    let Place { get, get_mut } = place;
    Key {
        name,
        default: default.into(),
        meaning,
        is_ours: false,
        read: Box::new(move |section, settings| *get_mut(settings) = (unit.read)(section, name)),
        dump: Box::new(move |settings| (unit.dump)(get(settings))),
    }
}

/// A key that a module of its own reads, when `decode` says.
fn read_elsewhere(
    name: &'static str,
    default: impl Into<Value>,
    dump: fn(&Settings) -> Value,
    meaning: &'static str,
) -> Key {
    let (default, read, dump) =
        (default.into(), Box::new(|_: &Section<'_>, _: &mut Settings| {}), Box::new(dump));
    Key { name, default, meaning, is_ours: false, read, dump }
}

impl Key {
    /// The same, with a default that is ours alone.
    fn ours(self) -> Self {
        Self { is_ours: true, ..self }
    }
}

impl Table {
    /// Reads all keys but these, each with the findings that it gives rise to.
    pub fn read_except(&self, left_out: &[&str], section: &Section<'_>, settings: &mut Settings) {
        for key in self.keys.iter().filter(|key| !left_out.contains(&key.name)) {
            (key.read)(section, settings);
        }
    }

    /// Reads all keys, each with the findings that it gives rise to.
    pub fn read(&self, section: &Section<'_>, settings: &mut Settings) {
        self.read_except(&[], section, settings);
    }

    /// Adds every key with the value in force to the dump of a cluster. Keys without a fixed default come last.
    pub fn dump(&self, settings: &Settings, cluster: &mut Value) {
        let mut section = cluster;
        for name in self.path {
            section = &mut section[*name];
        }
        if section.is_null() {
            *section = Value::Object(Map::new());
        }
        let (fixed, floating): (Vec<_>, Vec<_>) = self.keys.iter().partition(|key| key.name != FLOATING);
        for key in fixed.into_iter().chain(floating) {
            let value = (key.dump)(settings);
            if !value.is_null() {
                section[key.name] = value;
            }
        }
    }
}

/// The one key whose value follows the number of workers if the site does not set it.
const FLOATING: &str = "MaxProbesPerSecond";

/// Puts the defaults that are ours alone into what the site's other services have.
pub fn add_own_defaults(cluster: &mut Value) {
    for table in TABLES {
        for key in table.keys.iter().filter(|key| key.is_ours) {
            let section = table.path.iter().fold(&mut *cluster, |section, name| &mut section[*name]);
            section[key.name] = key.default.clone();
        }
    }
}

#[cfg(test)]
mod tests;
