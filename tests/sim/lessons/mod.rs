//! What went wrong elsewhere, and which tests prove that it cannot happen here.
//!
//! ```text
//!   learned  each lesson, by number ─┐
//!   starred  each rule that was      ├─► the tests that fail if its rule is removed
//!            mended elsewhere's way ─┘
//!   stories  those that only the whole dispatcher can show
//! ```
//! The tables name tests anywhere in the workspace, the cheapest layer that can show it first: a unit of
//! the core, an actor in paused time, a story, a real ssh. Each was seen to fail with its rule taken out.
//! The tests below keep the tables true: a test that is renamed or removed is missed here.

mod learned;
mod starred;
mod stories;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use learned::LEARNED;
use starred::STARRED;

#[test]
fn every_lesson_has_its_tests() {
    let numbers: Vec<_> = LEARNED.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=58).collect::<Vec<_>>());
    assert_all_exist(LEARNED.iter().map(|(_, lesson, tests)| (*lesson, *tests)));
}

#[test]
fn every_starred_rule_has_its_tests() {
    assert_all_exist(STARRED.iter().copied());
}

fn assert_all_exist(rows: impl Iterator<Item = (&'static str, &'static [&'static str])>) {
    let tests = tests_of_the_workspace();
    assert!(tests.contains("every_lesson_has_its_tests"), "the reader finds itself");
    for (what, named) in rows {
        assert!(!named.is_empty(), "no test: {what}");
        let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
        assert!(missing.is_empty(), "{what}: there is no test {missing:?}");
    }
}

/// The names of all functions that are run as tests, wherever they stand.
fn tests_of_the_workspace() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    let mut directories: Vec<PathBuf> = ["actors", "crates", "src", "tests"].map(|it| root.join(it)).into();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                tests.extend(tests_in(&std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    tests
}

/// A function below a test's attribute, with nothing but other attributes and comments between, or one that is named to
/// the macro that makes a test of it for each ssh client (`crates/adapters/tests/suite`).
fn tests_in(source: &str) -> Vec<String> {
    let mut tests = Vec::new();
    let (mut is_test, mut is_ignored, mut is_for_both) = (false, false, false);
    for line in source.lines().map(str::trim) {
        is_for_both = (is_for_both || line.starts_with("for_both_clients!(")) && line != ");";
        if is_for_both {
            tests.extend(line.strip_suffix(',').map(str::to_owned));
        } else if line.starts_with("#[") {
            is_test |= line.ends_with("test]") || line.contains("::test(");
            is_ignored |= line.starts_with("#[ignore");
        } else if !line.starts_with("//") {
            let function = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some(name) = function.filter(|_| is_test && !is_ignored) {
                tests.extend(name.split(['(', '<']).next().map(str::to_owned));
            }
            (is_test, is_ignored) = (false, false);
        }
    }
    tests
}

#[test]
fn only_functions_that_are_run_as_tests_count() {
    let source = "
        #[test]
        /// What it proves.
        fn plain() {}
        #[actix::test]
        async fn in_an_actor() {}
        #[test]
        #[ignore = \"slow\"]
        fn never_run() {}
        #[test]
        const NOT: u8 = 1;
        fn helper() {}
        async fn suite(client: SshClient) {}
        async fn of_no_suite(client: SshClient) {}
        for_both_clients!(
            suite,
        );
        last,
    ";
    assert_eq!(tests_in(source), ["plain", "in_an_actor", "suite"]);
}
