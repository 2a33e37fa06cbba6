//! The walls between actors.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ACTORS: [&str; 5] = ["queue", "pool", "worker", "scheduler", "cloud"];

/// The sources of a module, its tests aside: tests may play other actors' parts.
fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module);
    let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let is_source = |path: &PathBuf| path.is_file() && !path.ends_with("tests.rs");
    let files: Vec<_> =
        paths.filter(is_source).map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// The modules of this crate that a source names, in comments too: `crate::a`, `crate::{a, b::c}`.
fn named(text: &str) -> BTreeSet<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let paths = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default(),
            None => rest.split([',', ';', '\n']).next().unwrap_or_default(),
        };
        for path in paths.split(',').map(str::trim).filter(|path| !path.is_empty()) {
            names.insert(&path[..path.find(|c| !is_word(c)).unwrap_or(path.len())]);
        }
    }
    names
}

#[test]
fn names_are_found_wherever_they_stand() {
    let text = "use crate::pool::{GetPool, PoolView};\nuse crate::{\n    clock, worker::Worker,\n};\n/// See [`crate::cloud`].";
    assert_eq!(named(text), ["clock", "cloud", "pool", "worker"].into());
}

#[test]
fn no_actor_knows_another_or_the_system_that_makes_them() {
    for actor in ACTORS {
        for (path, text) in sources(actor) {
            let names = named(&text);
            let others = ACTORS.iter().filter(|other| **other != actor).chain(&["system"]);
            for other in others {
                assert!(!names.contains(other), "{} names crate::{other}", path.display());
            }
            assert!(!text.contains("super::super::"), "{}: name it from the crate", path.display());
        }
    }
}

#[test]
fn messages_know_no_actor() {
    for (path, text) in sources("messages") {
        let names = named(&text);
        for actor in ACTORS.iter().chain(&["system"]) {
            assert!(!names.contains(actor), "{} names crate::{actor}", path.display());
        }
    }
}
