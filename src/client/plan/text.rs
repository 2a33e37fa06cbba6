//! A comparison for people: what differs first, then what comes of it.

use std::collections::BTreeMap;

use dispatch_core::id::TypeName;
use serde_json::Value;

use super::changes::{self, Change};
use super::comparison::{Comparison, End, Fate, Side, Steps};
use crate::client::explain::moment;
use crate::client::screen::tidy;
use crate::client::table::{Cell, Table};

/// More containers than fit a screen; all are in the JSON.
const SHOWN: usize = 40;

/// The text. `unused`: keys that were given and that no plan depends on.
pub(super) fn of(comparison: &Comparison, unused: &[String], has_colour: bool) -> String {
    let mut parts = vec![head(comparison, unused)];
    let (present, changed) = (&comparison.present, &comparison.changed);
    if comparison.changes.is_empty() {
        parts.push(Table::facts(side(present)));
        return parts.join("\n\n");
    }
    let rows = side(present).into_iter().zip(side(changed));
    let rows = rows.map(|((name, a), (_, b))| [name, a.as_str(), b.as_str()].map(Cell::plain).to_vec());
    parts.push(Table { columns: &["", "present", "changed"], rows: rows.collect() }.drawn(has_colour));
    let all: Vec<_> = comparison.differences().collect();
    parts.push(fates(&all, has_colour));
    parts.join("\n\n")
}

fn head(comparison: &Comparison, unused: &[String]) -> String {
    let at = moment(&Value::from(comparison.planned_at.to_string()));
    let mut lines =
        vec![format!("From the facts of the service's round at {at}. Nothing is changed by this.")];
    lines.extend(comparison.changes.iter().map(|change| {
        let of = Change::shown;
        tidy(&format!("{}: {} -> {}", change.key, of(&change.present), of(&change.changed)))
    }));
    if comparison.changes.is_empty() {
        lines.push("This configuration is the service's own, as far as a plan depends on it.".to_owned());
    }
    if !unused.is_empty() {
        lines.push(format!(
            "No plan depends on {}; one depends on {}.",
            unused.join(", "),
            changes::those_that_matter()
        ));
    }
    lines.join("\n")
}

/// One configuration's facts, the same names for each.
fn side(of: &Side) -> Vec<(&'static str, String)> {
    let (steps, end) = (&of.at_once, &of.in_the_end);
    vec![
        ("at once: create", types(&steps.create)),
        ("at once: start", steps.start.to_string()),
        ("at once: lock, unlock", format!("{}, {}", steps.lock, steps.unlock)),
        ("at once: shut down", ids(steps)),
        ("at once: cancel", steps.cancel.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ("in the end: created", types(&end.created)),
        ("in the end: shut down", end.shut_down.to_string()),
        ("in the end: started", end.started.to_string()),
        ("in the end: instances", end.instances.to_string()),
        ("in the end: waiting", words(&end.waiting)),
        ("cost an hour", cost(end)),
    ]
}

fn types(of: &BTreeMap<TypeName, usize>) -> String {
    of.iter().map(|(name, count)| format!("{count} x {name}")).collect::<Vec<_>>().join(", ")
}

fn ids(steps: &Steps) -> String {
    steps.shut_down.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn words(of: &BTreeMap<String, usize>) -> String {
    of.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}

fn cost(end: &End) -> String {
    let unknown = match end.without_price {
        0 => String::new(),
        count => format!(", and {count} instances without a configured type"),
    };
    format!("{:.4} now, {:.4} in the end{unknown}", end.per_hour_now, end.per_hour)
}

fn fates(all: &[&Fate], has_colour: bool) -> String {
    if all.is_empty() {
        return "Each container fares the same.".to_owned();
    }
    let row = |fate: &&Fate| {
        let uuid = fate.uuid.to_string();
        [&*uuid, &*fate.present.reason, &*fate.changed.reason].map(Cell::plain).to_vec()
    };
    let rows = all.iter().take(SHOWN).map(row).collect();
    let table = Table { columns: &["container", "present", "changed"], rows }.drawn(has_colour);
    match all.len().saturating_sub(SHOWN) {
        0 => table,
        more => format!("{table}\nand {more} more; --json has all"),
    }
}
