//! Where a detached process writes to: the journal, or a file beside the locks.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dispatch_core::id::ContainerUuid;

use crate::RunnerError;
use crate::locks::LockDir;

/// What systemd-cat talks to.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/stdout";

/// An opened place for output, and how people find it.
pub(crate) struct Sink {
    /// To be the process's stderr.
    pub output: Stdio,
    /// For messages.
    pub name: String,
}

/// The journal if there is one, else a file.
pub(crate) fn open(directory: &LockDir, uuid: &ContainerUuid) -> Result<Sink, RunnerError> {
    match journal() {
        Some(output) => Ok(Sink { output, name: "the journal (journalctl -t crunch-run)".to_owned() }),
        None => {
            // Not `.lock`: a list must not take it for a lock.
            let path = directory.file(&format!("crunch-run-{uuid}.log"));
            let file = private_file(&path).map_err(RunnerError::io(format!("create {}", path.display())))?;
            Ok(Sink { output: file.into(), name: path.display().to_string() })
        }
    }
}

/// A pipe to `systemd-cat`, which copies what it reads to the journal until all writers have gone.
fn journal() -> Option<Stdio> {
    // The program may be installed where no systemd runs: without the socket it ends at once, and whoever
    // writes to it would be killed by SIGPIPE.
    UnixStream::connect(JOURNAL_SOCKET).ok()?;
    let mut cat = Command::new("systemd-cat")
        .arg("--identifier=crunch-run")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()?;
    cat.stdin.take().map(Stdio::from)
}

/// A new file that only we can read: the output of a job is nobody else's business.
fn private_file(path: &PathBuf) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().append(true).create_new(true).mode(0o600).open(path)
}
