//! The lock directory: one file for each container. It is flocked as long as any process of the container
//! lives.
//!
//! Whoever tries a lock must hold the directory's lock meanwhile. Otherwise the trial by a `--list` could
//! make a simultaneous `--detach` fail, or a file could be removed that has just been locked.
//!
//! Other users may write to `/var/lock`. What is not a regular file of our own user ([`lock_file`]) says nothing, and
//! is never locked, read, written or removed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use dispatch_core::id::ContainerUuid;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::RunnerError;
use crate::lock_file::{self, Opened};

const PREFIX: &str = "crunch-run-";
const SUFFIX: &str = ".lock";

/// The variable that overrides the lock directory, for tests and for the loopback cloud's instances.
pub(crate) const LOCK_DIRECTORY: &str = "CRUNCH_RUN_LOCKDIR";

/// The content of a lock file: the container and its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// The container.
    #[serde(rename = "UUID")]
    pub uuid: String,
    /// The process id of its runner.
    #[serde(rename = "PID")]
    pub pid: i32,
}

/// The state of a container's lock file.
#[derive(Debug)]
pub(crate) enum LockState {
    /// There is no lock file.
    Absent,
    /// It is not locked: its process has ended.
    Free,
    /// It is locked and still empty: the process is being started.
    Starting,
    /// It is locked and names the runner.
    Held {
        /// The runner.
        owner: Owner,
        /// The lock file.
        file: File,
    },
    /// It is locked but names no process, for this reason.
    Unreadable(String),
    /// Somebody else has put it there, and no runner has to do with it. The text says what it is.
    Foreign(String),
}

/// The directory with the lock files; may be a symlink.
#[derive(Debug, Clone)]
pub(crate) struct LockDir(PathBuf);

/// The lock of the whole directory. While it is held, no other runner tries, takes or removes a lock.
#[derive(Debug)]
pub(crate) struct WholeDirectory(
    #[expect(dead_code, reason = "its flock is released when it is closed")] File,
);

impl LockDir {
    /// `CRUNCH_RUN_LOCKDIR`, or `/var/lock`.
    pub fn from_environment() -> Self {
        let directory = std::env::var_os(LOCK_DIRECTORY).filter(|path| !path.is_empty());
        Self(directory.map_or_else(|| PathBuf::from("/var/lock"), PathBuf::from))
    }

    /// The path of a file in this directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A container's lock file.
    pub fn lock_file(&self, uuid: &ContainerUuid) -> PathBuf {
        self.file(&format!("{PREFIX}{uuid}{SUFFIX}"))
    }

    /// Waits for the directory's lock.
    pub fn lock_all(&self) -> Result<WholeDirectory, RunnerError> {
        let path = self.file("crunch-run-all.lock");
        let failed = |error| RunnerError::io(format!("lock {}", path.display()))(error);
        let file =
            lock_file::open(&path, File::options().write(true).create(true)).map_err(failed)?.own(&path)?;
        retry_interrupted(|| flock(&file, FlockOperation::LockExclusive)).map_err(failed)?;
        Ok(WholeDirectory(file))
    }

    /// Takes a container's lock. The file is empty then, because no process is named yet.
    pub fn take(&self, uuid: &ContainerUuid, _whole: &WholeDirectory) -> Result<File, RunnerError> {
        let path = self.lock_file(uuid);
        let failed = |error| RunnerError::io(format!("take {}", path.display()))(error);
        let mut options = File::options();
        options.read(true).write(true).create(true);
        let file = lock_file::open(&path, &mut options).map_err(failed)?.own(&path)?;
        match retry_interrupted(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => file.set_len(0).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(RunnerError::AlreadyRunning { uuid: uuid.to_string(), path });
            }
            Err(error) => return Err(failed(error)),
        }
        Ok(file)
    }

    /// Writes the runner into a lock file that this process holds. It is one write, so that readers see all
    /// of it or nothing.
    pub fn name_owner(&self, owner: &Owner, uuid: &ContainerUuid) -> Result<(), RunnerError> {
        let path = self.lock_file(uuid);
        let failed = |error| RunnerError::io(format!("write {}", path.display()))(error);
        let text = serde_json::to_vec(owner).expect("two plain fields");
        let mut file = lock_file::open(&path, File::options().write(true)).map_err(failed)?.own(&path)?;
        io::Write::write_all(&mut file, &text).map_err(failed)
    }

    /// The containers that have a lock file, in order.
    pub fn containers(&self) -> Result<Vec<ContainerUuid>, RunnerError> {
        let failed = |error| RunnerError::io(format!("list {}", self.0.display()))(error);
        let mut found = Vec::new();
        for entry in self.0.read_dir().map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // `crunch-run-all.lock` matches the pattern, too, but `all` is no uuid.
            let uuid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
            found.extend(uuid.and_then(|uuid| uuid.parse::<ContainerUuid>().ok()));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The state of a container's lock file.
    pub fn state(&self, uuid: &ContainerUuid, _whole: &WholeDirectory) -> Result<LockState, RunnerError> {
        let path = self.lock_file(uuid);
        let failed = |error| RunnerError::io(format!("read {}", path.display()))(error);
        let mut file = match lock_file::open(&path, File::options().read(true)) {
            Ok(Opened::Own(file)) => file,
            Ok(Opened::Foreign(what)) => return Ok(LockState::Foreign(what)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Absent),
            Err(error) => return Err(failed(error)),
        };
        match retry_interrupted(|| flock(&file, FlockOperation::NonBlockingLockShared)) {
            Ok(()) => return Ok(LockState::Free),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(failed(error)),
        }
        let mut text = Vec::new();
        file.by_ref().take(4096).read_to_end(&mut text).map_err(failed)?;
        if text.is_empty() {
            return Ok(LockState::Starting);
        }
        Ok(match serde_json::from_slice::<Owner>(&text) {
            Ok(owner) if owner.uuid == uuid.as_str() => LockState::Held { owner, file },
            Ok(owner) => LockState::Unreadable(format!("it names container {}", owner.uuid)),
            Err(error) => LockState::Unreadable(error.to_string()),
        })
    }

    /// Removes a lock file that is not locked.
    pub fn remove(&self, uuid: &ContainerUuid, _whole: &WholeDirectory) -> Result<(), RunnerError> {
        let path = self.lock_file(uuid);
        std::fs::remove_file(&path).map_err(RunnerError::io(format!("remove {}", path.display())))
    }
}

impl Owner {
    /// A handle on the runner, if it lives: the process with that id that has this lock file open.
    ///
    /// The id alone proves nothing: it may belong to another process by now, and a signal would kill that
    /// one.
    pub fn process(&self, lock_file: &File) -> io::Result<Option<OwnedFd>> {
        // For the system, 0 and negative numbers mean process groups.
        let positive = Some(self.pid).filter(|pid| *pid > 0);
        let Some(pid) = positive.and_then(Pid::from_raw) else { return Ok(None) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(self.has_file_open(lock_file)?.then_some(handle))
    }

    fn has_file_open(&self, lock_file: &File) -> io::Result<bool> {
        let wanted = lock_file.metadata()?;
        let descriptors = match std::fs::read_dir(format!("/proc/{}/fd", self.pid)) {
            Ok(descriptors) => descriptors,
            // This is another user's process, so its open files cannot be read. Whether it handles signals is
            // the only other evidence.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(true),
            Err(_) => return Ok(false),
        };
        let same = |path: PathBuf| {
            std::fs::metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == (wanted.dev(), wanted.ino()))
        };
        Ok(descriptors.filter_map(Result::ok).any(|descriptor| same(descriptor.path())))
    }
}

fn retry_interrupted(mut call: impl FnMut() -> rustix::io::Result<()>) -> io::Result<()> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_recorded_id_is_not_the_runner() {
        let directory = tempfile::tempdir().unwrap();
        let lock_file = File::create(directory.path().join("lock")).unwrap();
        let us = Owner { uuid: "u".to_owned(), pid: std::process::id().cast_signed() };
        assert!(us.process(&lock_file).unwrap().is_some(), "we have it open");
        let elsewhere = File::create(directory.path().join("other")).unwrap();
        let parent = Owner { uuid: "u".to_owned(), pid: std::os::unix::process::parent_id().cast_signed() };
        assert!(parent.process(&elsewhere).unwrap().is_none(), "our parent does not have it open");
    }

    #[test]
    fn impossible_process_ids_name_no_process() {
        let lock_file = tempfile::tempfile().unwrap();
        for pid in [0, -1, i32::MIN, i32::MAX] {
            let owner = Owner { uuid: "u".to_owned(), pid };
            assert!(owner.process(&lock_file).unwrap().is_none(), "{pid}");
        }
    }
}
