//! `--kill SIG UUID`: sends one signal, and waits at most a second. The dispatcher decides whether to try
//! again.

use std::os::fd::OwnedFd;

use dispatch_core::id::ContainerUuid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use crate::locks::{LockDir, LockState, Owner};
use crate::{RunnerError, say};

const LONGEST_WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Succeeds if the container has no process, or if its process has ended after the signal.
pub(crate) fn run(directory: &LockDir, signal: Signal, uuid: &ContainerUuid) -> Result<(), RunnerError> {
    let path = directory.lock_file(uuid);
    let bad = |reason: String| RunnerError::BadLockFile { path: path.clone(), reason };
    let state = directory.state(uuid, &directory.lock_all()?)?;
    let (owner, file) = match state {
        LockState::Absent | LockState::Free => return Ok(()),
        // No runner holds what is not ours, so there is no process to end.
        LockState::Foreign(what) => {
            say(&format!("{} is not a lock file of ours and is skipped: {what}", path.display()));
            return Ok(());
        }
        LockState::Starting => return Err(bad("it is empty, the process is being started".to_owned())),
        LockState::Unreadable(reason) => return Err(bad(reason)),
        LockState::Held { owner, file } => (owner, file),
    };
    match owner.process(&file).map_err(RunnerError::io("examine the process"))? {
        None => {
            say(&format!(
                "process {} of container {uuid} has ended; something else holds its lock",
                owner.pid
            ));
            Ok(())
        }
        Some(process) => end(&process, signal, &owner),
    }
}

fn end(process: &OwnedFd, signal: Signal, owner: &Owner) -> Result<(), RunnerError> {
    match pidfd_send_signal(process, signal) {
        Ok(()) => {}
        Err(Errno::SRCH) => return Ok(()),
        Err(error) => return Err(RunnerError::io(format!("signal process {}", owner.pid))(error.into())),
    }
    // A process descriptor becomes readable when the process ends.
    let mut ended = [PollFd::new(process, PollFlags::IN)];
    match poll(&mut ended, Some(&LONGEST_WAIT)) {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => {
            Err(RunnerError::StillAlive { signal: signal.as_raw(), pid: owner.pid, uuid: owner.uuid.clone() })
        }
    }
}
