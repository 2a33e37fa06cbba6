//! `crunch-run`'s personality on an instance: starts, lists and ends the processes of containers.
//!
//! It owns the lock directory's files and nothing else; the container's record belongs to the controller,
//! and whether a process should exist is the dispatcher's decision.
//!
//! ```text
//!  --detach UUID ── under crunch-run-all.lock: open + flock crunch-run-UUID.lock
//!        │  spawn ourselves with that descriptor; stdin by a pipe; output to the journal or a file
//!        ▼
//!  --detached ──── handlers for SIGTERM and SIGUSR2 ── {"UUID","PID"} into the lock file ── "ready"
//!        │                                                                                    │
//!        ▼                                                     parent prints the same and returns 0
//!  engine `process`: Locked by us? ─ PUT Running ─ command ─ PUT Complete | Cancelled
//!
//!  --list          flocked? no → leftover, removed · yes, process alive → UUID · dead → UUID stale
//!  --kill SIG UUID signal once, wait at most 1 s
//!  other engines   exec the crunch-run of PATH, before anything is read or locked
//! ```
//!
//! The flock belongs to the open file, so it lasts until the runner *and* everything that it has started are
//! gone. `stale` means that the runner is dead, but a helper of it still holds the lock.

mod args;
mod detach;
mod engine;
mod error;
mod kill;
mod list;
mod lock_file;
mod locks;
mod prices;
mod real;
mod sink;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use args::{Invocation, Mode};
pub use error::RunnerError;
use locks::LockDir;

/// Whether a program of that name (`argv[0]`) must behave as `crunch-run`. This includes `crunch-run~MD5`.
pub fn is_personality(argv0: &OsStr) -> bool {
    let name = Path::new(argv0).file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b"crunch-run")
}

/// Runs as `crunch-run` with these arguments, without `argv[0]` and the name of a subcommand.
///
/// It must be called before any thread is started, because descriptors are handed to a child. The exit code
/// is 0 for success, 1 for failure, and 2 for arguments that cannot be read. It does not panic if stderr is
/// closed.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: &[OsString]) -> Result<ExitCode, RunnerError> {
    let invocation = Invocation::parse(args)?;
    let success = |()| ExitCode::SUCCESS;
    match &invocation.mode {
        Mode::List { stdin_prices } => list::run(&LockDir::from_environment(), *stdin_prices).map(success),
        Mode::Kill { signal, uuid } => kill::run(&LockDir::from_environment(), *signal, uuid).map(success),
        Mode::Run if invocation.engine != engine::NAME => Err(real::exec(args)),
        Mode::Detach if invocation.engine != engine::NAME => Err(real::exec(args)),
        Mode::Detach => detach::run(&LockDir::from_environment(), &invocation, args).map(success),
        Mode::Run => engine::run(&invocation),
    }
}

/// Prints one line to stderr. It is no error if stderr is closed.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "crunch-run: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployed_runner_is_known_by_its_name() {
        for name in
            ["crunch-run", "/usr/bin/crunch-run", "/tmp/x/crunch-run~d41d8cd98f00b204e9800998ecf8427e"]
        {
            assert!(is_personality(OsStr::new(name)), "{name}");
        }
        for name in ["", "arvados-dispatch-cloud", "/crunch-run/x", "my-crunch-run"] {
            assert!(!is_personality(OsStr::new(name)), "{name}");
        }
    }
}
