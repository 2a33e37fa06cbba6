//! Keys that nobody knows, inside the sections that we read.

use serde_json::Value;

use super::report::Report;
use super::template::{self, SAMPLE};
use super::yaml::{Entry, Kind, Node};

/// The sections that we read. Their other keys, known to the site's other services, are no business of ours.
const OURS: [&[&str]; 9] = [
    &["Services", "Controller"],
    &["Services", "DispatchCloud"],
    &["Services", "Websocket"],
    &["TLS"],
    &["SystemLogs"],
    &["API"],
    &["PostgreSQL"],
    &["Containers"],
    &["InstanceTypes"],
];

/// Warns of unknown keys within our sections, and of sections named almost like ours.
pub fn check(cluster: &Node, path: &str, report: &Report) {
    let template = Some(template::cluster());
    for section in OURS {
        let mut node = Some(cluster);
        let mut like = template;
        let mut at = path.to_owned();
        for key in section {
            node = node.and_then(|node| node.get(key));
            like = template::child(like, key);
            at = format!("{at}.{key}");
        }
        if let Some(node) = node {
            check_map(node, like, &at, report);
        }
    }
    check_top(cluster, path, report);
}

/// Sections that are not ours are ignored silently, unless one looks like a slip of the pen.
fn check_top(cluster: &Node, path: &str, report: &Report) {
    let Kind::Map(entries) = &cluster.kind else { return };
    let known = template::cluster().as_object().expect("it is a map");
    let ours =
        ["ManagementToken", "SystemRootToken", "Services"].into_iter().chain(OURS.iter().map(|it| it[0]));
    for entry in entries.iter().filter(|entry| !known.contains_key(&entry.key.text)) {
        if let Some(near) = nearest(&entry.key.text, ours.clone()) {
            report.unknown_key(
                entry.at,
                &format!("{path}.{}", entry.key.text),
                format!("unknown, ignored (did you mean {near}?)"),
            );
        }
    }
}

fn check_map(node: &Node, template: Option<&Value>, path: &str, report: &Report) {
    let (Kind::Map(entries), Some(known)) = (&node.kind, template.and_then(Value::as_object)) else { return };
    if known.is_empty() {
        return;
    }
    for entry in entries.iter().filter(|entry| entry.key.text != SAMPLE) {
        check_entry(entry, template, &format!("{path}.{}", entry.key.text), report);
    }
}

fn check_entry(entry: &Entry, template: Option<&Value>, path: &str, report: &Report) {
    let key = entry.key.text.as_str();
    let known = template.and_then(Value::as_object);
    match template::child(template, key) {
        // Each driver knows its own.
        Some(_) if key == "DriverParameters" => {}
        Some(Value::Object(_)) if entry.value.is_null() && known.is_some_and(|it| !it.contains_key(key)) => {
            report.doubt(entry.at, path, "null, ignored: write {} for an entry with defaults");
        }
        like @ Some(_) => check_map(&entry.value, like, path, report),
        None => {
            let names = known.into_iter().flatten().map(|(name, _)| name.as_str());
            let hint = nearest(key, names).map_or(String::new(), |near| format!(" (did you mean {near}?)"));
            report.unknown_key(entry.at, path, format!("unknown key, ignored{hint}"));
        }
    }
}

/// The known name that was probably meant.
pub fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = |name: &'a str| {
        let distance =
            if name.eq_ignore_ascii_case(key) { 0 } else { strsim::damerau_levenshtein(name, key) };
        (distance * 4 <= name.len()).then_some((distance, name))
    };
    names.filter(|name| *name != SAMPLE).filter_map(near).min().map(|(_, name)| name)
}
