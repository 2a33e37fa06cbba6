//! The processes of an instance: found by the lock directory in their environment, and by the lock files.
//!
//! Every command is started with `CRUNCH_RUN_LOCKDIR` of its instance, and what it starts inherits that,
//! detached runners included. No pid is remembered: the kernel gives it to others.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// The variable by which the processes of an instance are known.
pub(super) const MARKER: &str = "CRUNCH_RUN_LOCKDIR";

/// Time for a runner to end its container and to report that.
const POLITE: Duration = Duration::from_secs(7);
const FIRM: Duration = Duration::from_secs(5);
/// So often in a row nothing is to be seen before nothing is there.
const LOOKS_IN_VAIN: u32 = 3;

/// What the kernel does with a process is done in a millisecond, if the machine has time for it; unless it
/// hangs in there.
const LONGEST_MOMENT: Duration = Duration::from_secs(1);

/// All processes of instances below a state directory: none should be left when all are destroyed.
pub fn processes_below(state_directory: &Path) -> Vec<i32> {
    let prefix = format!("{MARKER}={}/", state_directory.display());
    marked(|entry| entry.starts_with(prefix.as_bytes()))
        .iter()
        .map(|pid| pid.as_raw_nonzero().get())
        .collect()
}

/// Ends all processes of an instance: asks, and asks who comes later, then kills until none is left.
pub(super) async fn end(lock_directory: &Path) {
    if !gone_within(lock_directory, POLITE, Signal::TERM).await {
        gone_within(lock_directory, FIRM, Signal::KILL).await;
    }
}

/// Kills all processes of an instance, as a power cut does.
pub(super) async fn kill(lock_directory: &Path) {
    gone_within(lock_directory, FIRM, Signal::KILL).await;
}

/// Kills a process and all its descendants. A process group would not do: `timeout` makes its own.
pub(super) fn kill_tree(root: Pid) {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        // Else it could start another one after we have looked.
        stop(pid);
        found.extend(children(pid));
    }
    signal(&found, Signal::KILL);
}

/// Stops a process and waits until it has: a fork that has begun is finished first.
fn stop(pid: Pid) {
    let _ = kill_process(pid, Signal::STOP);
    let patience = Patience::new(LONGEST_MOMENT);
    while !has_stopped(pid) && patience.goes_on() {}
}

/// Whether none of its threads runs or will run. Gone, which has no threads, is as good.
fn has_stopped(pid: Pid) -> bool {
    threads(pid).all(|thread| {
        let stat = std::fs::read_to_string(thread.join("stat")).unwrap_or_default();
        after_name(&stat).chars().next().is_none_or(|state| "TtZX".contains(state))
    })
}

/// Its children; each belongs to the thread that forked it.
fn children(pid: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    for thread in threads(pid) {
        let list = std::fs::read_to_string(thread.join("children")).unwrap_or_default();
        found.extend(list.split_ascii_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)));
    }
    found
}

fn threads(pid: Pid) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(proc_path(pid, "task")).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Gone = not seen several times in a row: what is just being forked is in no list.
async fn gone_within(lock_directory: &Path, time: Duration, request: Signal) -> bool {
    let waiting = async {
        let mut looks_in_vain = 0;
        while looks_in_vain < LOOKS_IN_VAIN {
            let seen = of_instance(lock_directory);
            looks_in_vain = if seen.is_empty() { looks_in_vain + 1 } else { 0 };
            signal(&seen, request);
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
    let patience = Patience::new(LONGEST_MOMENT);
    let is_ours = |pid: &Pid| {
        *pid != rustix::process::getpid()
            && environment(*pid, &patience).split(|byte| *byte == 0).any(&is_marker)
    };
    pids.filter(is_ours).collect()
}

/// A process's environment; empty if it has none, or if it is not ours to read.
fn environment(pid: Pid, patience: &Patience) -> Vec<u8> {
    loop {
        let Ok(bytes) = std::fs::read(proc_path(pid, "environ")) else { return Vec::new() };
        if is_whole(pid, bytes.len()) || !patience.goes_on() {
            return bytes;
        }
    }
}

/// Whether a process's environment is as long as what was read of it. An exec cuts short what is being read.
fn is_whole(pid: Pid, length: usize) -> bool {
    match Layout::read(&std::fs::read_to_string(proc_path(pid, "stat")).unwrap_or_default()) {
        // In the midst of an exec there is a program already, and the kernel has not noted yet where in memory
        // it is, which it does after the environment. Zombies and threads of the kernel have none.
        Some(Layout { end_of_code: 0, .. }) => std::fs::metadata(proc_path(pid, "exe")).is_err(),
        Some(Layout { environment, .. }) => environment == length as u64,
        None => true,
    }
}

/// What a process's `stat` says about its memory.
struct Layout {
    end_of_code: u64,
    /// Its length.
    environment: u64,
}

impl Layout {
    fn read(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = after_name(stat).split_ascii_whitespace().collect();
        // Numbered as in proc(5), where the state is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { end_of_code: field(27)?, environment: field(51)?.saturating_sub(field(50)?) })
    }
}

/// The fields of a `stat` from the third on, the state; the name in parentheses may have some itself.
fn after_name(stat: &str) -> &str {
    stat.rsplit_once(") ").map_or("", |(_, fields)| fields)
}

fn proc_path(pid: Pid, name: &str) -> PathBuf {
    format!("/proc/{}/{name}", pid.as_raw_nonzero()).into()
}

#[derive(Deserialize)]
struct LockFile {
    #[serde(rename = "PID")]
    pid: i32,
}

/// Processes that hold a lock file which names them. One that does not hold it is a process of the past, or
/// a stranger that was given its id.
fn lock_holders(lock_directory: &Path) -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir(lock_directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        if !name.starts_with("crunch-run-") || !name.ends_with(".lock") {
            return None;
        }
        let LockFile { pid } = serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok()?;
        let named = Pid::from_raw(pid).filter(|pid| *pid != rustix::process::getpid())?;
        has_open(named, &entry.path()).then_some(named)
    })
}

/// Whether a process has that very file open; a runner has its lock file open for as long as it lives.
fn has_open(pid: Pid, file: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    let Some(wanted) = identity(file) else { return false };
    std::fs::read_dir(proc_path(pid, "fd"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|it| identity(&it.path()) == Some(wanted))
}

/// How long something that the kernel is about to do is waited for, by looking again and again.
struct Patience {
    started: Instant,
    longest: Duration,
}

impl Patience {
    #[expect(clippy::disallowed_methods, reason = "the kernel's time, not ours: nothing of it can be paused")]
    fn new(longest: Duration) -> Self {
        Self { started: Instant::now(), longest }
    }

    /// Lets others run; whether there is time left.
    fn goes_on(&self) -> bool {
        std::thread::yield_now();
        self.started.elapsed() < self.longest
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{Child, Command};

    use rustix::fs::{FlockOperation, flock};

    use super::*;

    struct Killed(Child);

    impl Killed {
        fn pid(&self) -> Pid {
            Pid::from_raw(self.0.id().cast_signed()).unwrap()
        }
    }

    impl Drop for Killed {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    fn until(what: &str, condition: impl Fn() -> bool) {
        let patience = Patience::new(Duration::from_secs(60));
        while !condition() {
            assert!(patience.goes_on(), "still waiting until {what}");
        }
    }

    /// A process without our variable that holds a lock file, and what the file says of it.
    fn holder(file: &Path) -> Killed {
        std::fs::write(file, "").unwrap();
        let mut command = Command::new("/usr/bin/flock");
        let child =
            command.env_clear().args(["-x", "-F"]).arg(file).args(["/bin/sleep", "1000"]).spawn().unwrap();
        std::fs::write(file, format!(r#"{{"UUID":"x","PID":{}}}"#, child.id())).unwrap();
        let child = Killed(child);
        until("it holds the lock", || {
            flock(File::open(file).unwrap(), FlockOperation::NonBlockingLockShared).is_err()
        });
        child
    }

    #[test]
    fn a_lock_file_that_is_held_names_a_process_and_one_that_is_not_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("crunch-run-x.lock");
        let holder = holder(&file);
        let pid = holder.pid();
        assert_eq!(of_instance(dir.path()), vec![pid]);
        let left_over = dir.path().join("crunch-run-y.lock");
        std::fs::copy(&file, left_over).unwrap();
        std::fs::write(dir.path().join("crunch-run-z.lock"), "").unwrap();
        assert_eq!(of_instance(dir.path()), vec![pid]);
        drop(holder);
        assert_eq!(of_instance(dir.path()), vec![]);
    }

    #[test]
    fn a_stranger_who_was_given_the_id_in_a_lock_file_is_not_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("crunch-run-x.lock");
        let _helper = holder(&file);
        let stranger = Killed(Command::new("/bin/sleep").arg("1000").spawn().unwrap());
        std::fs::write(&file, format!(r#"{{"UUID":"x","PID":{}}}"#, stranger.0.id())).unwrap();
        assert_eq!(of_instance(dir.path()), vec![]);
    }

    #[test]
    fn a_process_is_seen_in_the_midst_of_an_exec_too() {
        let dir = tempfile::tempdir().unwrap();
        // Executes itself again and again.
        let again = "[ $1 = 0 ] || exec /bin/sh -c \"$0\" \"$0\" $(($1 - 1)); exec sleep 1000";
        let mut shell = Command::new("/bin/sh");
        let shell = shell.args(["-c", again, again, "500"]).env(MARKER, dir.path()).spawn().unwrap();
        let (shell, sleeps) = (Killed(shell), |pid| std::fs::read_to_string(proc_path(pid, "comm")));
        until("it has come to its end", || {
            assert_eq!(of_instance(dir.path()), vec![shell.pid()]);
            sleeps(shell.pid()).unwrap() == "sleep\n"
        });
    }

    #[test]
    fn an_empty_environment_is_not_waited_for() {
        let naked = Killed(Command::new("/bin/sleep").arg("1000").env_clear().spawn().unwrap());
        until("its exec is over", || is_whole(naked.pid(), 0));
        assert!(!is_whole(naked.pid(), 1) && !is_whole(rustix::process::getpid(), 0));
    }

    #[test]
    fn a_tree_is_killed_while_it_grows() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..10 {
            let marker = dir.path().join(number.to_string());
            // Forks until it is killed, if that is soon.
            let text = "i=0; while [ $i -lt 500 ]; do (sleep 1000; :) & i=$((i+1)); done; wait";
            let root = Command::new("/bin/sh").args(["-c", text]).env(MARKER, &marker).spawn().unwrap();
            let root = Killed(root);
            until("it has begun to fork", || !children(root.pid()).is_empty());
            kill_tree(root.pid());
            until("all are gone", || of_instance(&marker).is_empty());
        }
    }

    #[test]
    fn a_process_is_known_by_the_whole_of_its_variable() {
        let dir = tempfile::tempdir().unwrap();
        let spawn = |lock_directory: &Path| {
            Killed(Command::new("/bin/sleep").arg("1000").env(MARKER, lock_directory).spawn().unwrap())
        };
        let (ours, neighbour) = (spawn(&dir.path().join("vm-1")), spawn(&dir.path().join("vm-12")));
        assert_eq!(of_instance(&dir.path().join("vm-1")), vec![ours.pid()]);
        let mut below = processes_below(dir.path());
        below.sort_unstable();
        let mut both = vec![ours.0.id().cast_signed(), neighbour.0.id().cast_signed()];
        both.sort_unstable();
        assert_eq!(below, both);
    }
}
