//! Finds and ends the processes of an instance, by the lock directory in their environment and by the lock
//! files.
//!
//! Every command is started with its instance's `CRUNCH_RUN_LOCKDIR`. The processes that it starts inherit
//! the variable, detached runners too. Process ids are never remembered, because the kernel gives them to
//! other processes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// The variable by which the processes of an instance are found.
pub(super) const MARKER: &str = "CRUNCH_RUN_LOCKDIR";

/// How long processes may take to end after SIGTERM: a runner must end its container and report that.
const TERM_WAIT: Duration = Duration::from_secs(7);
/// How long to wait for processes to disappear after SIGKILL.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// No process is left once this many searches in a row have found none.
const EMPTY_SEARCHES: u32 = 3;

/// How long to wait for the kernel to finish a change to a process. This usually takes a millisecond, but
/// takes longer on a busy machine, and never ends for a process that hangs in the kernel.
const KERNEL_WAIT: Duration = Duration::from_secs(1);

/// All processes of instances below a state directory. None should be left when all instances are destroyed.
pub fn processes_below(state_directory: &Path) -> Vec<i32> {
    let prefix = format!("{MARKER}={}/", state_directory.display());
    marked(|entry| entry.starts_with(prefix.as_bytes()))
        .iter()
        .map(|pid| pid.as_raw_nonzero().get())
        .collect()
}

/// Ends all processes of an instance: sends SIGTERM, also to processes that start meanwhile, and then SIGKILL
/// until none is left.
pub(super) async fn end(lock_directory: &Path) {
    if !gone_within(lock_directory, TERM_WAIT, Signal::TERM).await {
        gone_within(lock_directory, KILL_WAIT, Signal::KILL).await;
    }
}

/// Kills all processes of an instance, as a power cut does.
pub(super) async fn kill(lock_directory: &Path) {
    gone_within(lock_directory, KILL_WAIT, Signal::KILL).await;
}

/// Kills a process and all its descendants. Killing the process group is not enough, because `timeout` makes
/// one of its own.
pub(super) fn kill_tree(root: Pid) {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        // The process is stopped first, so that it cannot start another one after its children were listed.
        stop(pid);
        found.extend(children(pid));
    }
    signal(&found, Signal::KILL);
}

/// Stops a process and waits until it has stopped. A fork that has begun is finished first.
fn stop(pid: Pid) {
    let _ = kill_process(pid, Signal::STOP);
    let deadline = KernelDeadline::new(KERNEL_WAIT);
    while !has_stopped(pid) && deadline.has_time_left() {}
}

/// Whether none of its threads runs or will run. A process that is gone has no threads, and so counts as stopped.
fn has_stopped(pid: Pid) -> bool {
    threads(pid).all(|thread| {
        let stat = std::fs::read_to_string(thread.join("stat")).unwrap_or_default();
        fields_after_name(&stat).chars().next().is_none_or(|state| "TtZX".contains(state))
    })
}

/// The children of a process. Each child belongs to the thread that forked it.
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

/// Whether all processes are gone within that time. Several searches must find none, because a process that
/// is just being forked is in no list.
async fn gone_within(lock_directory: &Path, time: Duration, request: Signal) -> bool {
    let waiting = async {
        let mut empty_searches = 0;
        while empty_searches < EMPTY_SEARCHES {
            let seen = of_instance(lock_directory);
            empty_searches = if seen.is_empty() { empty_searches + 1 } else { 0 };
            signal(&seen, request);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(time, waiting).await.is_ok()
}

fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // The process may have ended by itself.
        let _ = kill_process(*pid, signal);
    }
}

fn of_instance(lock_directory: &Path) -> Vec<Pid> {
    let entry = format!("{MARKER}={}", lock_directory.display());
    let mut pids = marked(|other| other == entry.as_bytes());
    pids.extend(lock_holders(lock_directory));
    pids
}

/// The processes that have such an entry in their environment, without this process.
fn marked(is_marker: impl Fn(&[u8]) -> bool) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let deadline = KernelDeadline::new(KERNEL_WAIT);
    let is_ours = |pid: &Pid| {
        *pid != rustix::process::getpid()
            && environment(*pid, &deadline).split(|byte| *byte == 0).any(&is_marker)
    };
    pids.filter(is_ours).collect()
}

/// A process's environment. It is empty if the process has none, or if we may not read it.
fn environment(pid: Pid, deadline: &KernelDeadline) -> Vec<u8> {
    loop {
        let Ok(bytes) = std::fs::read(proc_path(pid, "environ")) else { return Vec::new() };
        if is_whole(pid, bytes.len()) || !deadline.has_time_left() {
            return bytes;
        }
    }
}

/// Whether all of a process's environment was read. An exec during the reading cuts it short.
fn is_whole(pid: Pid, length: usize) -> bool {
    match Layout::read(&std::fs::read_to_string(proc_path(pid, "stat")).unwrap_or_default()) {
        // During an exec the process has a program already, but the kernel notes the position of its code in
        // memory only after that of its environment. Zombies and kernel threads have no program.
        Some(Layout { end_of_code: 0, .. }) => std::fs::metadata(proc_path(pid, "exe")).is_err(),
        Some(Layout { environment, .. }) => environment == length as u64,
        None => true,
    }
}

/// What a process's `stat` says about its memory.
struct Layout {
    end_of_code: u64,
    /// The length of its environment.
    environment: u64,
}

impl Layout {
    fn read(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = fields_after_name(stat).split_ascii_whitespace().collect();
        // Fields are numbered as in proc(5), where the state is field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { end_of_code: field(27)?, environment: field(51)?.saturating_sub(field(50)?) })
    }
}

/// The fields of a `stat` from field 3 (the state) on. The name in parentheses before it may itself contain
/// spaces and parentheses.
fn fields_after_name(stat: &str) -> &str {
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

/// The processes that hold a lock file which names them. If a named process does not hold the file, the
/// runner has ended, or its id now belongs to another process.
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

/// Whether a process has that very file open. A runner keeps its lock file open for as long as it lives.
fn has_open(pid: Pid, file: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    let Some(wanted) = identity(file) else { return false };
    std::fs::read_dir(proc_path(pid, "fd"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|it| identity(&it.path()) == Some(wanted))
}

/// A deadline for a change that the kernel is about to make; the caller checks again and again.
struct KernelDeadline {
    started: Instant,
    longest: Duration,
}

impl KernelDeadline {
    #[expect(clippy::disallowed_methods, reason = "the kernel's time, not ours: nothing of it can be paused")]
    fn new(longest: Duration) -> Self {
        Self { started: Instant::now(), longest }
    }

    /// Lets other threads run. Returns whether there is time left.
    fn has_time_left(&self) -> bool {
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
        let deadline = KernelDeadline::new(Duration::from_secs(60));
        while !condition() {
            assert!(deadline.has_time_left(), "still waiting until {what}");
        }
    }

    /// A process without our variable that holds a lock file, with the content of the file.
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
    fn only_a_lock_file_that_is_held_names_a_process() {
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
    fn a_process_that_only_has_the_id_in_a_lock_file_is_not_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("crunch-run-x.lock");
        let _helper = holder(&file);
        let stranger = Killed(Command::new("/bin/sleep").arg("1000").spawn().unwrap());
        std::fs::write(&file, format!(r#"{{"UUID":"x","PID":{}}}"#, stranger.0.id())).unwrap();
        assert_eq!(of_instance(dir.path()), vec![]);
    }

    #[test]
    fn a_process_is_found_during_an_exec() {
        let dir = tempfile::tempdir().unwrap();
        // The process executes itself again and again.
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
            // The process forks until it is killed, or has forked 500 times.
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
