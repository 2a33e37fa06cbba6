//! `--detach`: starts this program once more in the background, and waits until that process is ready.
//!
//! ```text
//!   parent                                   child (`--detached`)
//!   reads all of stdin
//!   locks directory, takes UUID.lock ──fd──▶ holds it for life, as does all that it starts
//!   writes stdin ────────────pipe──────────▶ decodes the configuration
//!                                            installs signal handlers
//!                                            names itself in UUID.lock
//!   prints the line, returns 0 ◀──stdout──── {"UUID","PID"}, then stdout becomes the log
//! ```
//! The child itself writes its id into the lock file. So if the parent is killed half-way, there is either no
//! process, or one that the list shows. Stdin is read before anything is locked, so that a client that stalls
//! does not block every `--list`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::RunnerError;
use crate::args::{DETACHED, Invocation};
use crate::locks::LockDir;
use crate::sink;

/// Starts the container's process; prints `{"UUID","PID"}`.
pub(crate) fn run(
    directory: &LockDir,
    invocation: &Invocation,
    args: &[OsString],
) -> Result<(), RunnerError> {
    let uuid = invocation.uuid()?;
    let mut config = Vec::new();
    if invocation.stdin_config {
        io::stdin().lock().read_to_end(&mut config).map_err(RunnerError::io("read stdin"))?;
    }
    // The directory's lock is held only while this lock is taken, because the start itself may take long.
    let lock_file = directory.take(&uuid, &directory.lock_all()?)?;
    let mut sink = sink::open(directory, &uuid)?;
    let output = std::mem::replace(&mut sink.output, Stdio::null());
    let mut child = spawn(args, &lock_file, output).map_err(RunnerError::io("start the runner's process"))?;
    match handshake(&mut child, &config).map_err(RunnerError::io("talk to the runner's process"))? {
        Some(line) => {
            io::stdout().lock().write_all(line.as_bytes()).map_err(RunnerError::io("write to stdout"))
        }
        None => {
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            let last = sink.last_lines().unwrap_or_else(|| "it has said nothing".to_owned());
            Err(RunnerError::NotReady { status, sink: sink.name, last })
        }
    }
}

fn spawn(args: &[OsString], lock_file: &File, log: Stdio) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("crunch-run").arg(DETACHED).args(args.iter().filter(|argument| !asks_to_detach(argument)));
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    // From here on the process that we start inherits the lock. There is exactly one.
    fcntl_setfd(lock_file, FdFlags::empty())?;
    command.spawn()
}

fn asks_to_detach(argument: &OsString) -> bool {
    argument.to_str().is_some_and(|text| {
        let flag = text.trim_start_matches('-');
        text.starts_with('-') && (flag == "detach" || flag.starts_with("detach="))
    })
}

/// Sends the configuration to the child. Returns the line that the child prints when it is ready; `None` if the
/// child has ended before.
fn handshake(child: &mut Child, config: &[u8]) -> io::Result<Option<String>> {
    let mut stdin = child.stdin.take().expect("piped");
    match stdin.write_all(config) {
        // The child has ended. The missing line shows that.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => drop(stdin),
    }
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line)?;
    Ok(line.ends_with('\n').then_some(line))
}
