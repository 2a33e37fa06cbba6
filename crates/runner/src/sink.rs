//! Where a detached process writes its output: to the journal, or to a file beside the locks.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use dispatch_core::id::ContainerUuid;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::locks::LockDir;
use crate::{RunnerError, say};

/// How long `systemd-cat` may take to read its first line.
const LONGEST_START: Duration = Duration::from_secs(3);

/// How much of what was written is told when a start has failed.
const TAIL_LINES: usize = 5;
const LONGEST_TAIL: usize = 2000;

/// The socket to which systemd-cat connects.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/stdout";

/// An open output, and its name for people.
pub(crate) struct Sink {
    /// It becomes the process's stderr.
    pub output: Stdio,
    /// The name for messages.
    pub name: String,
    written: Written,
}

/// Where what was written can be read again.
enum Written {
    /// In the journal, as the words of that process.
    Journal(u32),
    /// In that file.
    File(PathBuf),
}

impl Sink {
    /// The last lines that were written to it, if they can be read: the words of this process and its children alone.
    pub fn last_lines(&self) -> Option<String> {
        let text = match &self.written {
            Written::Journal(process) => read_journal("journalctl", *process)?,
            Written::File(path) => std::fs::read(path).ok()?,
        };
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(LONGEST_TAIL)..]).into_owned();
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join(" | ");
        (!last.is_empty()).then_some(last)
    }
}

/// What that process has written to the journal. The journal may show it a moment later.
fn read_journal(program: &str, process: u32) -> Option<Vec<u8>> {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "3", program, "--quiet", "--no-pager", "--output=cat", "--lines=20"]);
    command.args(["--identifier=crunch-run", &format!("_PID={process}")]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    Some(command.output().ok()?.stdout)
}

/// The journal if there is one that works, and otherwise a file.
pub(crate) fn open(directory: &LockDir, uuid: &ContainerUuid) -> Result<Sink, RunnerError> {
    match journal(Path::new(JOURNAL_SOCKET), "systemd-cat", uuid) {
        Journal::Works(output, process) => {
            let name = "the journal (journalctl -t crunch-run)".to_owned();
            Ok(Sink { output, name, written: Written::Journal(process) })
        }
        Journal::Absent => file(directory, uuid),
        Journal::Fails(why) => {
            let sink = file(directory, uuid)?;
            say(&format!("systemd-cat does not work ({why}): output goes to {}", sink.name));
            Ok(sink)
        }
    }
}

fn file(directory: &LockDir, uuid: &ContainerUuid) -> Result<Sink, RunnerError> {
    // The name does not end in `.lock`, so that a list does not take it for a lock.
    let path = directory.file(&format!("crunch-run-{uuid}.log"));
    let file = private_file(&path).map_err(RunnerError::io(format!("create {}", path.display())))?;
    Ok(Sink { output: file.into(), name: path.display().to_string(), written: Written::File(path) })
}

/// What is told of a program for the journal that does not live to read its first line.
const ENDED: &str = "it ended at once";

/// What has come of the attempt to write to the journal.
enum Journal {
    /// What is written to this is copied there, as the words of that process.
    Works(Stdio, u32),
    /// There is none, or no program for it.
    Absent,
    /// The program ended, or did not read, for this reason.
    Fails(String),
}

/// A pipe to `systemd-cat`, which copies what it reads to the journal until all writers have closed it.
fn journal(socket: &Path, program: &str, uuid: &ContainerUuid) -> Journal {
    // The program may be installed although systemd does not run.
    if UnixStream::connect(socket).is_err() {
        return Journal::Absent;
    }
    let mut command = Command::new(program);
    command.arg("--identifier=crunch-run").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut cat) = command.process_group(0).spawn() else { return Journal::Absent };
    let Some(mut pipe) = cat.stdin.take() else { return Journal::Absent };
    let line = format!("crunch-run: container {uuid}: its output follows\n");
    match write(&mut pipe, line.as_bytes()).and_then(|()| until_read(&pipe)) {
        Ok(()) => Journal::Works(pipe.into(), cat.id()),
        Err(error) => {
            // An error means that it has ended already.
            let _ = cat.kill();
            let status = cat.wait().map_or_else(|_| String::new(), |status| format!(", {status}"));
            Journal::Fails(format!("{error}{status}"))
        }
    }
}

/// Writes to a program that may have ended already.
fn write(pipe: &mut ChildStdin, line: &[u8]) -> io::Result<()> {
    pipe.write_all(line).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::other(ENDED),
        _ => error,
    })
}

/// Waits until the other end has read all that was written. A program that fails at its start never does, and whatever
/// writes to it later, the container's command among it, would be killed by SIGPIPE.
fn until_read(pipe: &ChildStdin) -> io::Result<()> {
    let pause = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
    for _ in 0..LONGEST_START.as_millis() / 5 {
        if rustix::io::ioctl_fionread(pipe)? == 0 {
            return Ok(());
        }
        // Without a reader the end of the pipe is in error. Nothing else is waited for.
        let mut ends = [PollFd::new(pipe, PollFlags::empty())];
        if rustix::event::poll(&mut ends, Some(&pause))? > 0 {
            return Err(io::Error::other(ENDED));
        }
    }
    Err(io::Error::other("it does not read what it is given"))
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

    fn uuid() -> ContainerUuid {
        "zzzzz-dz642-000000000000001".parse().unwrap()
    }

    /// A program that another process has written. If we wrote it, a child that a test beside this one forks could
    /// hold our descriptor, and a file that is open for writing cannot be executed.
    fn script(path: &Path, shell: &str) {
        let mut writer = Command::new("sh");
        writer.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\""]).arg(path);
        assert!(writer.arg(shell).status().unwrap().success());
    }

    #[test]
    fn with_a_journal_output_goes_to_systemd_cat() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, program) = (directory.path().join("socket"), directory.path().join("systemd-cat"));
        let _journal = UnixListener::bind(&socket).unwrap();
        // The script copies to a pipe. Its end is known when the pipe is closed, because no other process
        // holds the pipe.
        let told = directory.path().join("told");
        assert!(Command::new("mkfifo").arg(&told).status().unwrap().success());
        script(&program, &format!("(echo \"$1\"; cat) > {}", told.display()));
        let reader = std::thread::spawn(move || std::fs::read_to_string(told).unwrap());
        let Journal::Works(output, _) = journal(&socket, program.to_str().unwrap(), &uuid()) else {
            panic!("there is a journal")
        };
        Command::new("echo").arg("hello").stdout(output).status().unwrap();
        let first = format!("crunch-run: container {}: its output follows\n", uuid());
        assert_eq!(reader.join().unwrap(), format!("--identifier=crunch-run\n{first}hello\n"));
    }

    #[test]
    fn systemd_cat_without_a_journal_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let absent = |socket: &Path, program| matches!(journal(socket, program, &uuid()), Journal::Absent);
        assert!(absent(&directory.path().join("socket"), "cat"), "there is no socket");
        let abandoned = directory.path().join("abandoned");
        drop(UnixListener::bind(&abandoned).unwrap());
        assert!(absent(&abandoned, "cat"), "no process listens");
        let socket = directory.path().join("living");
        let _journal = UnixListener::bind(&socket).unwrap();
        assert!(absent(&socket, "/nonexistent/systemd-cat"), "it is not installed");
    }

    #[test]
    fn a_systemd_cat_that_fails_or_does_not_read_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, program) = (directory.path().join("socket"), directory.path().join("systemd-cat"));
        let _journal = UnixListener::bind(&socket).unwrap();
        for (shell, why) in [
            ("exit 1", "it ended at once"),
            ("exec 0<&-; sleep 1000", "it ended at once"),
            ("exec sleep 1000", "it does not read"),
        ] {
            script(&program, shell);
            match journal(&socket, program.to_str().unwrap(), &uuid()) {
                Journal::Fails(text) if text.contains(why) => {}
                Journal::Fails(text) => panic!("{shell}: {text}"),
                Journal::Works(..) | Journal::Absent => panic!("{shell}"),
            }
        }
    }

    #[test]
    fn only_the_words_of_our_own_process_are_read_from_the_journal() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("journalctl");
        script(&program, "[ \"$6\" = _PID=4711 ] || exit 1; echo one; echo two");
        let program = program.to_str().unwrap();
        assert_eq!(read_journal(program, 4711).unwrap(), b"one\ntwo\n");
        assert_eq!(read_journal(program, 4712).unwrap(), b"");
        assert_eq!(read_journal("/nonexistent/journalctl", 4711).unwrap(), b"");
    }

    #[test]
    fn the_last_lines_of_a_file_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let sink = Sink { output: Stdio::null(), name: String::new(), written: Written::File(path.clone()) };
        assert_eq!(sink.last_lines(), None, "there is no file");
        std::fs::write(&path, "").unwrap();
        assert_eq!(sink.last_lines(), None);
        let text: String = (0..1000).map(|n| format!("line {n}\n\n")).collect();
        std::fs::write(&path, text).unwrap();
        assert_eq!(sink.last_lines().unwrap(), "line 995 | line 996 | line 997 | line 998 | line 999");
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
