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
//! One table a section, and one for the entries of `InstanceTypes`. It owns what a key is. What several keys mean together, and what is read by a module of its
//! own, is for `decode`. The parameters of a driver are rows of the driver's own description.

mod cloud_vms;
mod containers;
mod instance_types;
mod services;
mod unit;

use std::sync::LazyLock;

use serde_json::Value;

use super::model::Settings;
use super::section::Section;

pub use cloud_vms::CLOUD_VMS;
pub use containers::CONTAINERS;
pub use instance_types::{GPU, INSTANCE_TYPE};
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

/// The keys of a section, and what they are read into.
pub struct Table<S: 'static = Settings> {
    /// Where the section is, from the cluster on.
    pub path: &'static [&'static str],
    /// Its keys, in the order of the documentation.
    pub keys: Vec<Key<S>>,
}

/// Reads a key of a section into its place.
type Reader<S> = Box<dyn Fn(&Section<'_>, &mut S) + Send + Sync>;

/// A key of the configuration, and what it is read into.
pub struct Key<S: 'static = Settings> {
    /// Its name.
    pub name: &'static str,
    /// Its value if the site says nothing, as `config/default.yml` has it.
    pub default: Value,
    /// A line about it, as `config/default.yml` has it.
    pub meaning: &'static str,
    /// Whether the default is ours alone: the site's other services have another one, or do not know the key.
    pub is_ours: bool,
    /// Whether the site's other services do not know the key: it is not sent to the VMs either.
    is_private: bool,
    /// Whether a reload takes a new value up; others need a restart.
    pub at_once: bool,
    read: Reader<S>,
    /// `Null` = there is no value to show.
    dump: Box<dyn Fn(&S) -> Value + Send + Sync>,
}

/// A key that is read by its unit into its place.
fn key<S, T>(
    name: &'static str,
    default: impl Into<Value>,
    unit: &'static Unit<T>,
    place: Place<S, T>,
    meaning: &'static str,
) -> Key<S> {
    let Place { get, get_mut } = place;
    Key {
        name,
        default: default.into(),
        meaning,
        is_ours: false,
        is_private: false,
        at_once: false,
        read: Box::new(move |section, into| *get_mut(into) = (unit.read)(section, name)),
        dump: Box::new(move |of| (unit.dump)(get(of))),
    }
}

/// A key that a module of its own reads, when `decode` says.
fn read_elsewhere<S>(
    name: &'static str,
    default: impl Into<Value>,
    dump: fn(&S) -> Value,
    meaning: &'static str,
) -> Key<S> {
    Key {
        name,
        default: default.into(),
        meaning,
        is_ours: false,
        is_private: false,
        at_once: false,
        read: Box::new(|_, _| {}),
        dump: Box::new(dump),
    }
}

impl<S> Key<S> {
    /// The value in force, as `config dump` shows it.
    pub fn shown(&self, of: &S) -> Value {
        (self.dump)(of)
    }

    /// The same, with a default that is ours alone.
    fn ours(self) -> Self {
        Self { is_ours: true, ..self }
    }

    /// The same, and a reload takes a new value up.
    fn at_once(self) -> Self {
        Self { at_once: true, ..self }
    }

    /// The same, a key of this service alone.
    fn private(self) -> Self {
        Self { is_ours: true, is_private: true, ..self }
    }
}

impl<S> Table<S> {
    /// Reads all keys, each with the findings that it gives rise to.
    pub fn read(&self, section: &Section<'_>, into: &mut S) {
        self.read_except(&[], section, into);
    }

    /// Reads all keys but these.
    pub fn read_except(&self, left_out: &[&str], section: &Section<'_>, into: &mut S) {
        for key in self.keys.iter().filter(|key| !left_out.contains(&key.name)) {
            (key.read)(section, into);
        }
    }

    /// Adds every key with the value in force to a map of sections. A key without a fixed default comes last.
    pub fn dump(&self, of: &S, sections: &mut Value) {
        let section = self.path.iter().fold(sections, |section, name| &mut section[*name]);
        let (fixed, floating): (Vec<_>, Vec<_>) = self.keys.iter().partition(|key| key.name != FLOATING);
        for key in fixed.into_iter().chain(floating) {
            let value = (key.dump)(of);
            if !value.is_null() {
                section[key.name] = value;
            }
        }
    }

    fn remove_private(&self, cluster: &mut Value) {
        let section = self.path.iter().try_fold(cluster, |section, name| section.get_mut(*name));
        let Some(section) = section.and_then(Value::as_object_mut) else { return };
        for key in self.keys.iter().filter(|key| key.is_private) {
            section.shift_remove(key.name);
        }
    }

    /// Puts the defaults that are ours alone into what the site's other services have.
    fn add_own_defaults(&self, cluster: &mut Value) {
        let section = self.path.iter().fold(cluster, |section, name| &mut section[*name]);
        for key in self.keys.iter().filter(|key| key.is_ours) {
            section[key.name] = key.default.clone();
        }
    }
}

/// The one key whose value follows the number of workers if the site does not set it.
const FLOATING: &str = "MaxProbesPerSecond";

/// Puts the defaults that are ours alone, and what an instance type looks like, into what the site's other services
/// have.
pub fn add_own_defaults(cluster: &mut Value) {
    TABLES.iter().for_each(|table| table.add_own_defaults(cluster));
    [&INSTANCE_TYPE, &GPU].into_iter().for_each(|table| table.add_own_defaults(cluster));
}

/// Leaves what only this service reads out of what is sent to the VMs.
pub fn remove_private(cluster: &mut Value) {
    TABLES.iter().for_each(|table| table.remove_private(cluster));
}

#[cfg(test)]
mod tests;
