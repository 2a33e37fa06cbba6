//! The processes of an instance: found by the lock directory in their environment, and by the lock files.
//!
//! Every command is started with `CRUNCH_RUN_LOCKDIR` of its instance, and what it starts inherits that,
//! detached runners included. No pid is remembered: the kernel gives it to others.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// The variable by which the processes of an instance are known.
pub(super) const MARKER: &str = "CRUNCH_RUN_LOCKDIR";

/// Time for a runner to end its container and to report that.
const POLITE: Duration = Duration::from_secs(7);
const FIRM: Duration = Duration::from_secs(5);

/// All processes of instances below a state directory: none should be left when all are destroyed.
pub fn processes_below(state_directory: &Path) -> Vec<i32> {
    let prefix = format!("{MARKER}={}/", state_directory.display());
    marked(|entry| entry.starts_with(prefix.as_bytes()))
        .iter()
        .map(|pid| pid.as_raw_nonzero().get())
        .collect()
}

/// Ends all processes of an instance: asks, waits, then kills until none is left.
pub(super) async fn end(lock_directory: &Path) {
    signal(&of_instance(lock_directory), Signal::TERM);
    if !gone_within(lock_directory, POLITE, None).await {
        gone_within(lock_directory, FIRM, Some(Signal::KILL)).await;
    }
}

/// Kills all processes of an instance, as a power cut does.
pub(super) async fn kill(lock_directory: &Path) {
    gone_within(lock_directory, FIRM, Some(Signal::KILL)).await;
}

/// A process and all its descendants, parents first. A process group would not do: `timeout` makes its own.
pub(super) fn tree(root: Pid) -> Vec<Pid> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).map(|pid| pid.as_raw_nonzero()) {
        next += 1;
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        found.extend(children.split_ascii_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)));
    }
    found
}

/// Gone = not seen twice in a row: in the midst of an exec a process has no environment.
async fn gone_within(lock_directory: &Path, time: Duration, again: Option<Signal>) -> bool {
    let waiting = async {
        let mut looks_in_vain = 0;
        while looks_in_vain < 2 {
            let seen = of_instance(lock_directory);
            looks_in_vain = if seen.is_empty() { looks_in_vain + 1 } else { 0 };
            if let Some(again) = again {
                signal(&seen, again);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(time, waiting).await.is_ok()
}

fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // It may have ended by itself.
        let _ = kill_process(*pid, signal);
    }
}

fn of_instance(lock_directory: &Path) -> Vec<Pid> {
    let entry = format!("{MARKER}={}", lock_directory.display());
    let mut pids = marked(|other| other == entry.as_bytes());
    pids.extend(lock_holders(lock_directory));
    pids
}

/// Processes with such an entry in their environment; never ourselves.
fn marked(is_marker: impl Fn(&[u8]) -> bool) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let is_ours = |pid: &Pid| {
        let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
        *pid != rustix::process::getpid()
            && environment.is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(&is_marker))
    };
    pids.filter(is_ours).collect()
}

#[derive(Deserialize)]
struct LockFile {
    #[serde(rename = "PID")]
    pid: i32,
}

/// Processes named in lock files that somebody holds: a file that nobody holds names a process of the past.
fn lock_holders(lock_directory: &Path) -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir(lock_directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        if !name.starts_with("crunch-run-") || !name.ends_with(".lock") {
            return None;
        }
        let LockFile { pid } = serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok()?;
        let file = File::open(entry.path()).ok()?;
        let is_held = flock(&file, FlockOperation::NonBlockingLockShared).is_err();
        let is_alive = std::fs::metadata(format!("/proc/{pid}/exe")).is_ok();
        if is_held && is_alive {
            Pid::from_raw(pid).filter(|pid| *pid != rustix::process::getpid())
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    struct Killed(Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    /// A process without our variable that holds a lock file, and what the file says of it.
    fn holder(file: &Path) -> Killed {
        std::fs::write(file, "").unwrap();
        let mut command = Command::new("/usr/bin/flock");
        let child =
            command.env_clear().args(["-x", "-F"]).arg(file).args(["/bin/sleep", "1000"]).spawn().unwrap();
        std::fs::write(file, format!(r#"{{"UUID":"x","PID":{}}}"#, child.id())).unwrap();
        let held = || flock(File::open(file).unwrap(), FlockOperation::NonBlockingLockShared).is_err();
        while !held() {
            std::thread::yield_now();
        }
        Killed(child)
    }

    #[test]
    fn a_lock_file_that_is_held_names_a_process_and_one_that_is_not_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("crunch-run-x.lock");
        let holder = holder(&file);
        let pid = Pid::from_raw(i32::try_from(holder.0.id()).unwrap()).unwrap();
        assert_eq!(of_instance(dir.path()), vec![pid]);
        let left_over = dir.path().join("crunch-run-y.lock");
        std::fs::copy(&file, left_over).unwrap();
        std::fs::write(dir.path().join("crunch-run-z.lock"), "").unwrap();
        assert_eq!(of_instance(dir.path()), vec![pid]);
        drop(holder);
        assert_eq!(of_instance(dir.path()), vec![]);
    }

    #[test]
    fn a_process_is_known_by_the_whole_of_its_variable() {
        let dir = tempfile::tempdir().unwrap();
        let spawn = |lock_directory: &Path| {
            let child = Command::new("/bin/sleep").arg("1000").env(MARKER, lock_directory).spawn().unwrap();
            // Its environment is empty until its exec has got that far.
            let environment = format!("/proc/{}/environ", child.id());
            while std::fs::read(&environment).unwrap().is_empty() {
                std::thread::yield_now();
            }
            Killed(child)
        };
        let (ours, neighbour) = (spawn(&dir.path().join("vm-1")), spawn(&dir.path().join("vm-12")));
        let raw = |it: &Killed| Pid::from_raw(i32::try_from(it.0.id()).unwrap()).unwrap();
        assert_eq!(of_instance(&dir.path().join("vm-1")), vec![raw(&ours)]);
        let mut below = processes_below(dir.path());
        below.sort_unstable();
        let mut both = vec![ours.0.id().cast_signed(), neighbour.0.id().cast_signed()];
        both.sort_unstable();
        assert_eq!(below, both);
    }
}
