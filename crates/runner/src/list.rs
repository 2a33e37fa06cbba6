//! `--list`: prints which containers have a process here, which have only a helper, and whether the VM is
//! broken.

use std::io::Write;

use dispatch_core::id::ContainerUuid;
use rustix::process::{Signal, pidfd_send_signal};

use crate::locks::{LockDir, LockState, WholeDirectory};
use crate::{RunnerError, lock_file, prices, say};

/// Prints one line for each process. Reads stdin only if prices come on it.
pub(crate) fn run(directory: &LockDir, stdin_prices: bool) -> Result<(), RunnerError> {
    // If prices cannot be stored, the list is printed all the same, so that the VM does not look dead.
    if stdin_prices && let Err(error) = prices::store(directory, std::io::stdin().lock()) {
        say(&error.to_string());
    }
    let lines = lines(directory)?;
    std::io::stdout().lock().write_all(lines.as_bytes()).map_err(RunnerError::io("write to stdout"))
}

fn lines(directory: &LockDir) -> Result<String, RunnerError> {
    let mut lines = String::new();
    let whole = directory.lock_all()?;
    for uuid in directory.containers()? {
        match line(directory, &uuid, &whole) {
            Ok(Some(line)) => lines.extend([line.as_str(), "\n"]),
            Ok(None) => {}
            // A file that cannot be read must not hide the others. It shows that a start was made, so the
            // container counts as running.
            Err(error) => {
                say(&error.to_string());
                lines.extend([uuid.as_str(), "\n"]);
            }
        }
    }
    if directory.file("crunch-run-broken").exists() {
        lines.push_str("broken\n");
    }
    Ok(lines)
}

fn line(
    directory: &LockDir,
    uuid: &ContainerUuid,
    whole: &WholeDirectory,
) -> Result<Option<String>, RunnerError> {
    let path = directory.lock_file(uuid);
    let failed = |error| RunnerError::io(format!("examine {}", path.display()))(error);
    // An empty file means that a process is being started. This is checked first, because other starters may
    // lock and write in another order.
    if lock_file::is_own_and_empty(&path) {
        return Ok(None);
    }
    match directory.state(uuid, whole)? {
        LockState::Absent | LockState::Starting => Ok(None),
        LockState::Free => directory.remove(uuid, whole).map(|()| None),
        LockState::Foreign(what) => {
            say(&format!("{} is not a lock file of ours and is skipped: {what}", path.display()));
            Ok(None)
        }
        LockState::Unreadable(reason) => Err(RunnerError::BadLockFile { path, reason }),
        LockState::Held { owner, file } => {
            let process = owner.process(&file).map_err(failed)?;
            // Every runner handles SIGUSR2: it reads the prices again.
            let alive = process.is_some_and(|process| pidfd_send_signal(process, Signal::USR2).is_ok());
            Ok(Some(if alive { uuid.to_string() } else { format!("{uuid} stale") }))
        }
    }
}
