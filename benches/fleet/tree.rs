//! What a process and its descendants use, as `/proc` tells.

use std::fs;
use std::time::Duration;

/// Ticks of `/proc/PID/stat` in a second: the same on every Linux.
const TICKS: u64 = 100;

/// What a tree of processes uses.
pub struct Usage {
    /// Proportional set size of all of them.
    pub pss_bytes: u64,
    pub processes: usize,
    /// File descriptors of all of them.
    pub descriptors: usize,
    /// Those of the root alone.
    pub own_descriptors: usize,
    /// CPU time since they began, with that of children that have ended.
    pub cpu: Duration,
}

impl Usage {
    /// Of that process and its descendants.
    pub fn of(root: u32) -> Self {
        let tree = tree(root);
        let descriptors = |pid: &u32| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Self {
            pss_bytes: tree.iter().map(|pid| pss(*pid)).sum(),
            processes: tree.len(),
            descriptors: tree.iter().map(descriptors).sum(),
            own_descriptors: descriptors(&root),
            cpu: tree.iter().map(|pid| cpu(*pid)).sum(),
        }
    }
}

/// The fields of a process's `stat` after its name; none if it has ended.
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> =
        pids.filter_map(|pid| Some((pid, stat(pid).get(1)?.parse().ok()?))).collect();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(parents.iter().filter(|(_, its)| *its == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    tree
}

fn pss(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Its own time, and that of its children that have ended: user and system.
fn cpu(pid: u32) -> Duration {
    let ticks = stat(pid).iter().skip(11).take(4).filter_map(|it| it.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 1000 / TICKS)
}
