//! Processes, as the kernel has them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dispatch_adapters::loopback::processes_below;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// The container's own processes carry it: they inherit nothing from the instance.
pub const MARKER: &str = "E2E_SITE";

/// The numbers of all processes.
pub fn all() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Its arguments, each followed by a blank; empty if it is gone, or has none.
pub fn command_line(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Everything that was started for a site: runners and other commands of its instances, containers.
pub fn of_site(site: &Path, state_directory: &Path) -> BTreeSet<i32> {
    let entry = format!("{MARKER}={}", site.display());
    let is_marked = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|other| other == entry.as_bytes())
    };
    let mut found: BTreeSet<i32> = all().filter(is_marked).collect();
    found.extend(processes_below(state_directory));
    found
}

/// Kills them, and those that they start meanwhile, until none is left.
pub fn kill_all(site: &Path, state_directory: &Path) {
    // Bounded, because a zombie of an impatient system is no reason to hang.
    for _ in 0..1000 {
        let left = of_site(site, state_directory);
        if left.is_empty() {
            return;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::yield_now();
    }
}

#[derive(Deserialize)]
struct Owner {
    #[serde(rename = "UUID")]
    uuid: String,
    #[serde(rename = "PID")]
    pid: i32,
}

/// The runners of all instances, by container, as their lock files name them; only those that are alive.
pub fn runners(state_directory: &Path) -> BTreeMap<String, i32> {
    let mut runners = BTreeMap::new();
    for instance in std::fs::read_dir(state_directory).into_iter().flatten().flatten() {
        let locks = std::fs::read_dir(instance.path().join("lock")).into_iter().flatten().flatten();
        for lock in locks.filter(|it| it.file_name().to_string_lossy().ends_with(".lock")) {
            let content = std::fs::read(lock.path()).unwrap_or_default();
            let Ok(Owner { uuid, pid }) = serde_json::from_slice(&content) else { continue };
            if command_line(pid).contains(&uuid) {
                let other = runners.insert(uuid.clone(), pid);
                assert_eq!(other, None, "{uuid} has runners on two instances");
            }
        }
    }
    runners
}

/// How many runner processes there are for each container, by their command lines: two would be one too many.
pub fn runner_counts(state_directory: &Path) -> BTreeMap<String, usize> {
    let found: BTreeMap<i32, String> = processes_below(state_directory)
        .into_iter()
        .filter_map(|pid| Some((pid, runs_container(&command_line(pid))?)))
        .collect();
    let mut counts = BTreeMap::new();
    for (pid, uuid) in &found {
        // On its way to becoming the container's command, a runner's child looks like the runner.
        let is_child = parent(*pid).is_some_and(|parent| found.get(&parent) == Some(uuid));
        *counts.entry(uuid.clone()).or_insert(0) += usize::from(!is_child);
    }
    counts
}

/// The container that a detached runner's command line names.
fn runs_container(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == "--detached")?;
    words.find(|word| word.contains("-dz642-")).map(str::to_owned)
}

fn parent(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Instances that exist, as the loopback cloud keeps them.
pub fn instances(state_directory: &Path) -> usize {
    let entries = std::fs::read_dir(state_directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("vm-")).count()
}
