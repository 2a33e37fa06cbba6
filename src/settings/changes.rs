//! What has changed in a configuration that was read anew, and what of it holds at once.
//!
//! ```text
//!   rows of the tables, as `config dump` shows them ─┐
//!   instance types, one by one ──────────────────────┼─► changes: path, before, now, at once or after a restart
//!   secrets, and what only others read: that it has ─┘
//! ```
//! A secret is never shown: neither the one before nor the one now. Of what only the site's other programs read no value is
//! shown either, because we do not know what is secret there; it matters if it is sent to the VMs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::dump::HIDDEN;
use super::model::Settings;
use super::table::TABLES;

/// What is told at most of what only others read.
const MOST_OF_OTHERS: usize = 10;

/// A key whose value is another than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key, from the cluster on.
    pub path: String,
    /// Its value before; empty = there was none.
    pub before: String,
    /// Its value now; empty = there is none.
    pub now: String,
    /// Whether it holds at once; else after a restart.
    pub at_once: bool,
}

impl Settings {
    /// These settings, with what may change while we work taken from others.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        let mut settings = self.clone();
        settings.policy = self.policy.reloaded(&new.policy);
        settings.containers.preemptible_price_factor = new.containers.preemptible_price_factor;
        settings.logs.level = new.logs.level;
        settings.cluster.0[INSTANCE_TYPES] = new.cluster.0[INSTANCE_TYPES].clone();
        settings
    }

    /// What is another value in those settings.
    pub fn changes_to(&self, new: &Self) -> Vec<Change> {
        let mut changes = self.changed_keys(new);
        changes.extend(self.changed_secrets(new));
        if self.policy.sizing.keep_buffers_per_vcpu > 0 {
            changes.extend(self.changed_for_others(new));
        }
        changes
    }

    /// Those of our keys whose value can be shown.
    fn changed_keys(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (table, key) in rows() {
            let mut path = path_of(table, key);
            differences(&key.shown(self), &key.shown(new), &mut path, &mut |path, before, now| {
                changes.push(Change::of(path.join("."), before, now, key.at_once));
            });
        }
        changes
    }

    /// What of our keys is shown as a secret, now as before, and is another one.
    fn changed_secrets(&self, new: &Self) -> Vec<Change> {
        let mut secrets = BTreeSet::new();
        for (table, key) in rows() {
            hidden_in_both(&key.shown(self), &key.shown(new), &mut path_of(table, key), &mut secrets);
        }
        let raw = |of: &Self, path: &[String]| {
            path.iter().try_fold(&of.cluster.0, |at, name| at.get(name)).cloned()
        };
        let changed = secrets.iter().filter(|path| raw(self, path) != raw(new, path));
        changed.map(|path| Change::of(path.join("."), &HIDDEN.into(), &HIDDEN.into(), false)).collect()
    }

    /// Sections and keys that only the site's other programs read: the VMs are sent them with every start.
    fn changed_for_others(&self, new: &Self) -> Vec<Change> {
        let mut differing = BTreeSet::new();
        differences(&self.cluster.0, &new.cluster.0, &mut Vec::new(), &mut |path, _, _| {
            differing.insert(path.join("."));
        });
        let ours: Vec<String> = rows().map(|(table, key)| path_of(table, key).join(".")).collect();
        let is_ours = |path: &String| ours.iter().any(|it| path == it || path.starts_with(&format!("{it}.")));
        let others: Vec<_> = differing.into_iter().filter(|path| !is_ours(path)).collect();
        let shown = others.iter().take(MOST_OF_OTHERS);
        let change = |path: &String| Change::of(path.clone(), &UNSHOWN.into(), &UNSHOWN.into(), false);
        let mut changes: Vec<_> = shown.map(change).collect();
        if let Some(more) = others.len().checked_sub(MOST_OF_OTHERS).filter(|more| *more > 0) {
            changes.push(change(&format!("(and {more} more)")));
        }
        changes
    }
}

const INSTANCE_TYPES: &str = "InstanceTypes";

/// What stands for a value of which we do not know whether it is a secret.
const UNSHOWN: &str = "(not shown)";

impl Change {
    fn of(path: String, before: &Value, now: &Value, at_once: bool) -> Self {
        Self { path, before: text(before), now: text(now), at_once }
    }
}

fn rows() -> impl Iterator<Item = (&'static [&'static str], &'static super::Key)> {
    TABLES.into_iter().flat_map(|table| table.keys.iter().map(|key| (table.path, key)))
}

fn path_of(table: &[&str], key: &super::Key) -> Vec<String> {
    table.iter().copied().chain([key.name]).map(str::to_owned).collect()
}

/// The names below a map of things, such as instance types.
fn keys_of(value: &Value) -> BTreeSet<String> {
    value.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect()
}

/// Where both have a secret.
fn hidden_in_both(before: &Value, now: &Value, at: &mut Vec<String>, into: &mut BTreeSet<Vec<String>>) {
    if before == HIDDEN && now == HIDDEN {
        into.insert(at.clone());
    }
    for name in keys_of(now) {
        at.push(name.clone());
        hidden_in_both(&before[name.as_str()], &now[name.as_str()], at, into);
        at.pop();
    }
}

/// Where two trees differ: at a leaf, or where only one of them goes on.
fn differences(
    before: &Value,
    now: &Value,
    at: &mut Vec<String>,
    found: &mut dyn FnMut(&[String], &Value, &Value),
) {
    match (before, now) {
        (Value::Object(_), Value::Object(_)) => {
            for name in keys_of(before).union(&keys_of(now)) {
                at.push(name.clone());
                differences(&before[name.as_str()], &now[name.as_str()], at, found);
                at.pop();
            }
        }
        _ if before == now => {}
        _ => found(at, before, now),
    }
}

/// As a configuration has it, on one line.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
