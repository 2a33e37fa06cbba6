//! What has changed in a configuration that was read anew, and what of it holds at once.
//!
//! ```text
//!   rows of the tables, as `config dump` shows them ─┐
//!   instance types, one by one ──────────────────────┼─► changes: path, before, now, at once or after a restart
//!   secrets, and what only others read: that it has ─┘
//! ```
//! A secret is never shown: neither the one before nor the one now. Nor is what may have one in it: shell text, lists, and
//! whatever is no plain word. Of what only the site's other programs read not even the names below a section are shown,
//! because we do not know what is secret there; it matters if it is sent to the VMs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::dump::HIDDEN;
use super::model::Settings;
use super::report::without_userinfo;
use super::table::TABLES;

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
        let is_untold = |it: &Change| changes.iter().all(|told| told.path != it.path);
        let secrets: Vec<_> = self.changed_secrets(new).into_iter().filter(is_untold).collect();
        changes.extend(secrets);
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
                changes.push(Change::of(path, before, now, key.at_once));
            });
        }
        changes
    }

    /// What of our keys is shown as before, and is another one in the file: a secret, or a URL with a password. And what a
    /// file has in it that the configuration names.
    fn changed_secrets(&self, new: &Self) -> Vec<Change> {
        let mut secrets = BTreeSet::new();
        for (table, key) in rows() {
            let now = key.shown(new);
            let path = path_of(table, key);
            let raw = |of: &Self| path.iter().try_fold(&of.cluster.0, |at, name| at.get(name)).cloned();
            let (Some(was), Some(is)) = (raw(self), raw(new)) else { continue };
            differences(&was, &is, &mut path.clone(), &mut |path, was, is| {
                let hides = |value: &Value| value.as_str().is_some_and(|text| text.contains('@'));
                let is_hidden = is_shown_as_secret(&now, &path[path_of(table, key).len()..]);
                if is_hidden || hides(was) || hides(is) {
                    secrets.insert(path.to_vec());
                }
            });
        }
        if self.containers.private_key.pem.expose() != new.containers.private_key.pem.expose() {
            secrets.insert(["Containers", "DispatchPrivateKey"].map(str::to_owned).to_vec());
        }
        secrets.iter().map(|path| Change::hidden(path)).collect()
    }

    /// Sections and keys that only the site's other programs read: the VMs are sent them with every start.
    fn changed_for_others(&self, new: &Self) -> Vec<Change> {
        let ours: Vec<Vec<String>> = rows().map(|(table, key)| path_of(table, key)).collect();
        let mut sections = BTreeSet::new();
        differences(&self.cluster.0, &new.cluster.0, &mut Vec::new(), &mut |path, _, _| {
            if !ours.iter().any(|it| path.starts_with(it)) {
                sections.insert(path.first().cloned().unwrap_or_default());
            }
        });
        let change = |name: &String| Change::hidden(&[name.clone(), "(what others read)".to_owned()]);
        sections.iter().map(change).collect()
    }
}

const INSTANCE_TYPES: &str = "InstanceTypes";

/// What stands for a value of which we do not know whether it is a secret.
const UNSHOWN: &str = "(not shown)";
/// A longer word may be anything.
const LONGEST_WORD: usize = 64;
/// Below these everything may be a secret.
const OPAQUE: [&str; 3] = ["DriverParameters", "ResourceTags", "Connection"];

impl Change {
    fn of(path: &[String], before: &Value, now: &Value, at_once: bool) -> Self {
        let is_open = !path.iter().any(|name| OPAQUE.contains(&name.as_str()));
        let shown = |value: &Value| if is_open { text(path, value) } else { UNSHOWN.to_owned() };
        Self { path: named(path), before: shown(before), now: shown(now), at_once }
    }

    /// That it has changed, and nothing more.
    fn hidden(path: &[String]) -> Self {
        let hidden = || HIDDEN.to_owned();
        Self { path: named(path), before: hidden(), now: hidden(), at_once: false }
    }
}

/// The names from the cluster on; a URL among them without who logs in there.
fn named(path: &[String]) -> String {
    let names: Vec<_> = path.iter().map(|name| without_userinfo(name)).collect();
    names.join(".")
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

/// Whether what is shown below those names is a secret.
fn is_shown_as_secret(shown: &Value, below: &[String]) -> bool {
    below.iter().try_fold(shown, |at, name| at.get(name)).is_some_and(|value| value == HIDDEN)
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

/// As a configuration has it, on one line, if it cannot have a secret in it.
fn text(path: &[String], value: &Value) -> String {
    let is_of_types = path.first().is_some_and(|name| name == INSTANCE_TYPES);
    match value {
        Value::Null => String::new(),
        Value::Number(number)
            if number.as_u64() == Some(0) && path.last().is_some_and(|it| it == "MaxInstances") =>
        {
            "0 (no limit)".to_owned()
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text == HIDDEN || is_plain_word(text) => text.clone(),
        Value::Object(_) if is_of_types => value.to_string(),
        Value::String(_) | Value::Array(_) | Value::Object(_) => UNSHOWN.to_owned(),
    }
}

/// A duration, a level, the id of an image: no shell text, no header, no URL with a password.
fn is_plain_word(text: &str) -> bool {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-+/:".contains(it);
    text.len() <= LONGEST_WORD && text.chars().all(is_plain)
}
