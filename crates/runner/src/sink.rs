//! Where a detached process writes its output: to the journal, or to a file beside the locks.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dispatch_core::id::ContainerUuid;

use crate::RunnerError;
use crate::locks::LockDir;

/// The socket to which systemd-cat connects.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/stdout";

/// An open output, and its name for people.
pub(crate) struct Sink {
    /// It becomes the process's stderr.
    pub output: Stdio,
    /// The name for messages.
    pub name: String,
}

/// The journal if there is one, and otherwise a file.
pub(crate) fn open(directory: &LockDir, uuid: &ContainerUuid) -> Result<Sink, RunnerError> {
    match journal(Path::new(JOURNAL_SOCKET), "systemd-cat") {
        Some(output) => Ok(Sink { output, name: "the journal (journalctl -t crunch-run)".to_owned() }),
        None => {
            // The name does not end in `.lock`, so that a list does not take it for a lock.
            let path = directory.file(&format!("crunch-run-{uuid}.log"));
            let file = private_file(&path).map_err(RunnerError::io(format!("create {}", path.display())))?;
            Ok(Sink { output: file.into(), name: path.display().to_string() })
        }
    }
}

/// A pipe to `systemd-cat`, which copies what it reads to the journal until all writers have closed it.
fn journal(socket: &Path, program: &str) -> Option<Stdio> {
    // The program may be installed although systemd does not run. Without the socket it ends at once, and a
    // process that writes to it would be killed by SIGPIPE.
    UnixStream::connect(socket).ok()?;
    let mut cat = Command::new(program)
        .arg("--identifier=crunch-run")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()?;
    cat.stdin.take().map(Stdio::from)
}

/// A new file that only we can read, because other users must not see a container's output.
fn private_file(path: &PathBuf) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().append(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn with_a_journal_output_goes_to_systemd_cat() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, program) = (directory.path().join("socket"), directory.path().join("systemd-cat"));
        let _journal = UnixListener::bind(&socket).unwrap();
        // The script copies to a pipe. Its end is known when the pipe is closed, because no other process
        // holds the pipe.
        let (told, tell) = (directory.path().join("told"), "#!/bin/sh\n(echo \"$1\"; cat) > ");
        assert!(Command::new("mkfifo").arg(&told).status().unwrap().success());
        // Another process writes the script. If we wrote it, a child that a test beside this one forks could
        // hold our descriptor, and a file that is open for writing cannot be executed.
        let mut writer = Command::new("sh");
        writer.args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""]).arg(&program);
        assert!(writer.arg(format!("{tell}{}\n", told.display())).status().unwrap().success());
        let output = journal(&socket, program.to_str().unwrap()).expect("there is a journal");
        Command::new("echo").arg("hello").stdout(output).status().unwrap();
        assert_eq!(std::fs::read_to_string(told).unwrap(), "--identifier=crunch-run\nhello\n");
    }

    #[test]
    fn systemd_cat_without_a_journal_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        assert!(journal(&directory.path().join("socket"), "cat").is_none(), "there is no socket");
        let abandoned = directory.path().join("abandoned");
        drop(UnixListener::bind(&abandoned).unwrap());
        assert!(journal(&abandoned, "cat").is_none(), "no process listens");
    }

    #[test]
    fn a_log_file_is_new_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let victim = directory.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let file = private_file(&path).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
    }
}
