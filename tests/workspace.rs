//! The house's walls: dependencies point one way, every licence goes with AGPL-3.0, every log line is in the catalogue.
//!
//! `deny.toml` says the same for `cargo deny`; a test here keeps the two together.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId, Target};
use dispatch_actors::catalogue::{ALL, CONTEXT_KEYS};
use slog::Level;
use spdx::{Expression, ParseMode};

const ROOT: &str = "arvados-dispatch-cloud";
const SIM: &str = "dispatch-sim";
const TEST_HTTPS: &str = "dispatch-test-https";

/// Crate → the crates of this workspace that it may depend on. Tests may use the simulator, too, and what is for tests only.
const WALLS: [(&str, &[&str]); 12] = [
    (
        ROOT,
        &[
            "dispatch-core",
            "dispatch-actors",
            "dispatch-adapters",
            "dispatch-authorities",
            "dispatch-ec2",
            "dispatch-azure",
            "dispatch-gce",
            "crunch-runner",
            SIM,
        ],
    ),
    ("dispatch-actors", &["dispatch-core"]),
    ("dispatch-core", &[]),
    ("dispatch-authorities", &[]),
    ("dispatch-adapters", &["dispatch-authorities", "dispatch-core"]),
    ("dispatch-cloud-kit", &["dispatch-authorities", "dispatch-core"]),
    ("dispatch-ec2", &["dispatch-cloud-kit", "dispatch-core"]),
    ("dispatch-azure", &["dispatch-cloud-kit", "dispatch-core"]),
    ("dispatch-gce", &["dispatch-cloud-kit", "dispatch-core"]),
    ("crunch-runner", &["dispatch-authorities", "dispatch-core"]),
    (SIM, &["dispatch-core", "dispatch-actors"]),
    (TEST_HTTPS, &[]),
];

/// Crate → what it must not reach, by any way: the core decides, it does not wait, log or talk.
const OUT_OF_REACH: [(&str, &[&str]); 1] = [(
    "dispatch-core",
    &[
        "tokio",
        "actix",
        "actix-rt",
        "actix-web",
        "awc",
        "slog",
        "openssh",
        "russh",
        "rustix",
        "rand",
        "prometheus",
    ],
)];

/// Crate of others → the crates of ours that may depend on it directly.
const KEEPERS: [(&str, &[&str]); 5] = [
    ("openssh", &["dispatch-adapters"]),
    ("russh", &["dispatch-adapters", ROOT]),
    ("actix", &[ROOT, "dispatch-actors", SIM]),
    ("tokio-postgres", &[ROOT, "tokio-postgres-rustls"]),
    ("aws-config", &["dispatch-ec2"]),
];

/// Compatible with AGPL-3.0; where a crate offers a choice, one of these is enough.
const LICENCES: [&str; 8] =
    ["AGPL-3.0-only", "Apache-2.0", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib"];

/// For this platform only: what is built elsewhere need not have been fetched.
fn metadata() -> Metadata {
    let version = Command::new("rustc").arg("-vV").output().expect("cargo test runs beside a rustc");
    let version = String::from_utf8(version.stdout).unwrap();
    let host =
        version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc -vV names its host");
    let options = ["--locked", "--filter-platform", host].map(str::to_owned);
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .other_options(options)
        .exec()
        .unwrap()
}

fn direct(package: &Package, with_tests: bool) -> BTreeSet<&str> {
    let wanted =
        package.dependencies.iter().filter(|it| with_tests || it.kind != DependencyKind::Development);
    wanted.map(|it| it.name.as_str()).collect()
}

#[test]
fn dependencies_of_the_house_point_one_way() {
    let metadata = metadata();
    let members = metadata.workspace_packages();
    let names: BTreeSet<&str> = members.iter().map(|it| it.name.as_str()).collect();
    let walls: BTreeMap<_, _> = WALLS.into();
    for package in &members {
        let name = package.name.as_str();
        let allowed = walls.get(name).unwrap_or_else(|| panic!("{name} has no line in WALLS"));
        for other in direct(package, false).intersection(&names) {
            assert!(allowed.contains(other), "{name} must not depend on {other}");
        }
        for other in direct(package, true).intersection(&names) {
            let in_tests = allowed.contains(other) || [SIM, TEST_HTTPS].contains(other);
            assert!(in_tests, "tests of {name} must not depend on {other}");
        }
    }
}

#[test]
fn the_core_reaches_no_runtime_no_network_and_no_log() {
    let metadata = metadata();
    for (name, forbidden) in OUT_OF_REACH {
        let reached = reachable(&metadata, name);
        assert!(reached.contains("serde"), "the graph of {name} was followed");
        for other in forbidden {
            assert!(!reached.contains(other), "{name} reaches {other}");
        }
    }
}

/// The names of everything that a member is built from, tests aside.
fn reachable<'a>(metadata: &'a Metadata, member: &str) -> BTreeSet<&'a str> {
    let resolve = metadata.resolve.as_ref().expect("metadata has a graph");
    let packages: BTreeMap<&PackageId, &Package> = metadata.packages.iter().map(|it| (&it.id, it)).collect();
    let start = metadata.workspace_packages().into_iter().find(|it| it.name.as_str() == member).unwrap();
    let mut left = vec![&start.id];
    let mut seen = BTreeSet::new();
    while let Some(id) = left.pop() {
        let node = resolve.nodes.iter().find(|node| node.id == *id).unwrap();
        let built = node
            .deps
            .iter()
            .filter(|dep| dep.dep_kinds.iter().any(|it| it.kind != DependencyKind::Development));
        left.extend(built.map(|dep| &dep.pkg).filter(|id| seen.insert(*id)));
    }
    seen.into_iter().map(|id| packages[id].name.as_str()).collect()
}

#[test]
fn what_talks_to_the_world_is_kept_by_its_keepers() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        for (kept, keepers) in KEEPERS {
            let uses = direct(package, false).contains(kept);
            assert!(
                !uses || keepers.contains(&package.name.as_str()),
                "{} must not depend on {kept}",
                package.name
            );
        }
    }
}

/// Each would cost a clean build half a minute, for what others of our dependencies do as well.
#[test]
fn what_was_left_out_for_its_build_time_stays_out() {
    let metadata = metadata();
    let reached = reachable(&metadata, ROOT);
    for name in
        ["icu_normalizer", "hyper", "aws-smithy-http-client", "aws-lc-sys", "openssl-sys", "encoding_rs_io"]
    {
        assert!(!reached.contains(name), "{name}: see the comments in Cargo.toml");
    }
    assert!(reached.contains("aws-config"), "the reader reads");
}

#[test]
fn every_licence_goes_with_ours() {
    let metadata = metadata();
    assert!(metadata.packages.len() > 100, "the graph is complete");
    for package in &metadata.packages {
        let text = package.license.as_deref().unwrap_or_else(|| panic!("{} names no licence", package.name));
        let licence = Expression::parse_mode(text, ParseMode::LAX).unwrap();
        let is_allowed = licence.evaluate(|it| {
            it.addition.is_none() && it.license.id().is_some_and(|id| LICENCES.contains(&id.name))
        });
        assert!(is_allowed, "{} {}: {text}", package.name, package.version);
    }
}

/// Adapters and drivers cannot see the catalogue; operators search there for what they log all the same.
#[test]
fn what_adapters_and_drivers_log_is_in_the_catalogue() {
    let mut found = 0;
    for path in sources(&["crates/adapters/src", "crates/ec2/src", "crates/azure/src", "crates/gce/src"]) {
        let text = std::fs::read_to_string(&path).unwrap();
        for call in text.split("slog::").skip(1) {
            let Some((level, rest)) = call.split_once("!(") else { continue };
            let Ok(level) = Level::from_str(level) else { continue };
            let (facts, _) = rest.split_once(");").expect("a call ends");
            let mut quoted = facts.split('"').skip(1).step_by(2);
            let message = quoted.next().expect("a message");
            let event = ALL.iter().find(|event| event.message == message);
            let event =
                event.unwrap_or_else(|| panic!("{}: not in the catalogue: {message}", path.display()));
            assert_eq!(event.level, level, "{message}");
            for key in quoted {
                assert!(event.keys.contains(&key) || CONTEXT_KEYS.contains(&key), "{message}: {key}");
            }
            found += 1;
        }
    }
    assert!(found >= 7, "{found}: how do they log now?");
}

fn sources(folders: &[&str]) -> Vec<PathBuf> {
    let mut folders: Vec<_> = folders.iter().map(PathBuf::from).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| path.extension().is_some_and(|it| it == "rs"));
    files
}

#[test]
fn our_own_crates_are_agpl_and_not_published() {
    for package in metadata().workspace_packages() {
        assert_eq!(package.license.as_deref(), Some("AGPL-3.0-only"), "{}", package.name);
        assert_eq!(package.publish.as_deref(), Some([].as_slice()), "{}", package.name);
    }
}

/// The last lines of `cargo bench` are the ratios of its last benchmark.
#[test]
fn cargo_bench_runs_no_test_harness() {
    for package in metadata().workspace_packages() {
        let is_harnessed = |target: &&Target| target.is_lib() || target.is_bin();
        let harnessed = package.targets.iter().filter(is_harnessed).count();
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        let left_out = manifest.lines().filter(|line| *line == "bench = false").count();
        assert_eq!(left_out, harnessed, "bench = false: {}", package.manifest_path);
    }
}

#[test]
fn deny_toml_says_the_same() {
    let text = include_str!("../deny.toml");
    let quoted = |names: &[&str]| names.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", ");
    assert!(text.contains(&format!("allow = [{}]", quoted(&LICENCES))), "the list of licences");
    let rules = |crates: &[(&'static str, Vec<&'static str>)]| {
        for (name, wrappers) in crates {
            let rule = format!("{{ crate = \"{name}\", wrappers = [{}]", quoted(wrappers));
            assert!(text.contains(&rule), "deny.toml lacks {rule}");
        }
    };
    rules(&KEEPERS.map(|(name, keepers)| (name, keepers.to_vec())));
    let inner = WALLS.iter().filter(|(name, _)| !matches!(*name, ROOT | "dispatch-core" | TEST_HTTPS));
    let walls: Vec<_> = inner
        .map(|(name, _)| {
            let users = WALLS.iter().filter(|(_, allowed)| allowed.contains(name));
            (*name, users.map(|(user, _)| *user).collect())
        })
        .collect();
    rules(&walls);
}

/// The names of the types that a source file defines, tests left out.
fn types_defined_in(text: &str) -> Vec<String> {
    let definition = |line: &str| {
        let line = line.trim_start().trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ");
        let line = line.trim_start_matches("pub ");
        let (kind, rest) = line.split_once(' ')?;
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
        matches!(kind, "struct" | "enum" | "trait").then_some(name)
    };
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    before_tests.lines().filter_map(definition).filter(|name| !name.is_empty()).collect()
}

#[test]
fn no_two_types_of_core_and_actors_have_one_name() {
    let mut places = BTreeMap::<String, Vec<String>>::new();
    for file in sources(&["crates/core/src", "actors/src"]) {
        let shown = file.display().to_string();
        let is_test = ["tests", "testing", "naive", "fixtures"].iter().any(|it| shown.contains(it));
        if !is_test {
            for name in types_defined_in(&std::fs::read_to_string(&file).unwrap()) {
                places.entry(name).or_default().push(shown.clone());
            }
        }
    }
    assert!(places.len() > 200, "only {} types were found", places.len());
    places.retain(|_, files| files.len() > 1);
    assert_eq!(places, BTreeMap::new(), "a reader must know which one is meant");
}
