//! `config/default.yml` and the tables say the same: each key's comment is its row's meaning, each default its row's.

use std::collections::BTreeMap;

use super::*;
use crate::settings::report::Report;
use crate::settings::yaml::{self, Node};
use crate::settings::{DEFAULTS, DRIVERS, merge};

/// The comment above each key of a file, by its path from the cluster on. Its lines are joined by spaces.
fn comments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines() {
        let (indent, line) = (line.len() - line.trim_start().len(), line.trim());
        if let Some(words) = line.strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        let Some((key, _)) = line.split_once(':') else {
            comment.clear();
            continue;
        };
        while path.last().is_some_and(|(outer, _)| *outer >= indent) {
            path.pop();
        }
        path.push((indent, key));
        let names: Vec<_> = path.iter().skip(2).map(|(_, key)| *key).collect();
        found.insert(names.join("."), std::mem::take(&mut comment).join(" "));
    }
    found
}

/// What is documented of a key.
struct Row {
    path: String,
    default: &'static Value,
    meaning: &'static str,
    is_ours: bool,
}

fn rows_of<S>(table: &'static Table<S>) -> impl Iterator<Item = Row> {
    table.keys.iter().map(|key| Row {
        path: table.path.iter().copied().chain([key.name]).collect::<Vec<_>>().join("."),
        default: &key.default,
        meaning: key.meaning,
        is_ours: key.is_ours,
    })
}

fn rows() -> Vec<Row> {
    let entries = [&INSTANCE_TYPE, &GPU].into_iter().flat_map(|table| rows_of(table));
    TABLES.into_iter().flat_map(|table| rows_of(table)).chain(entries).collect()
}

fn documented_cluster() -> Value {
    let tree = yaml::read(DEFAULTS).unwrap().tree;
    let cluster = tree.get("Clusters").and_then(|it| it.get("xxxxx")).unwrap();
    let report = Report::new("default.yml".into());
    let json = merge::to_json(&Node::clone(cluster), None, "", &report);
    report.finish().unwrap();
    json
}

#[test]
fn every_row_is_documented_with_its_meaning_and_its_default() {
    let (comments, cluster) = (comments(DEFAULTS), documented_cluster());
    for Row { path, default, meaning, .. } in rows() {
        let comment = comments.get(&path).unwrap_or_else(|| panic!("{path} is not in default.yml"));
        assert_eq!(comment, meaning, "{path}");
        let documented = path.split('.').fold(&cluster, |value, name| &value[name]);
        // What is documented of a map are its entries.
        let is_map = default.is_object() && documented.is_object();
        assert!(is_map || documented == default, "{path}: {documented}, not {default}");
    }
}

#[test]
fn every_documented_key_has_a_row() {
    let paths: Vec<_> = rows().into_iter().map(|row| row.path).collect();
    let of_its_own = |path: &str| {
        ["InternalURLs", "Connection", "ResourceTags", "DriverParameters"].iter().any(|it| path.contains(it))
    };
    for path in comments(DEFAULTS).into_keys().filter(|path| !path.is_empty() && !of_its_own(path)) {
        let has_row = paths.contains(&path);
        let is_section = paths.iter().any(|row| row.starts_with(&format!("{path}.")));
        assert!(has_row || is_section, "{path} has no row");
    }
}

#[test]
fn every_parameter_of_a_driver_is_documented_with_its_meaning() {
    let files = [
        DEFAULTS,
        include_str!("../../../config/azure.example.yml"),
        include_str!("../../../config/gce.example.yml"),
        include_str!("../../../config/loopback.yml"),
    ];
    assert_eq!(DRIVERS.len(), files.len(), "each driver has a file that documents its parameters");
    for (driver, file) in DRIVERS.iter().zip(files) {
        let comments = comments(file);
        for parameter in driver.parameters() {
            let path = format!("Containers.CloudVMs.DriverParameters.{}", parameter.name);
            assert_eq!(comments.get(&path).map(String::as_str), Some(parameter.meaning), "{path}");
        }
    }
}

#[test]
fn only_defaults_that_are_ours_differ_from_those_of_the_sites_other_services() {
    let recorded: Value = serde_json::from_str(include_str!("../cluster-defaults.json")).unwrap();
    for Row { path, default, is_ours, .. } in rows() {
        let theirs = path.split('.').fold(&recorded, |value, name| &value[name]);
        let is_number = theirs.as_f64().is_some_and(|it| Some(it) == number(default));
        let is_map = default.is_object() && theirs.is_object();
        assert_eq!(
            theirs == default || is_number || is_map,
            !is_ours,
            "{path}: ours {default}, theirs {theirs}"
        );
    }
}

/// A number, or bytes of a size in MiB.
fn number(value: &Value) -> Option<f64> {
    let mebibytes = value.as_str().and_then(|text| text.strip_suffix("MiB"));
    value.as_f64().or_else(|| Some(mebibytes?.parse::<f64>().ok()? * 1_048_576.0))
}
