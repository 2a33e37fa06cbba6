//! Runs the container's command as a child in a process group of its own, until it ends.

use crate::locks::LOCK_DIRECTORY;
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::{Either, select};
use rustix::process::{Pid, kill_process_group};
use serde_json::Value;
use tokio::process::{Child, Command};

/// How long a command may take to end after SIGTERM. This is much shorter than the dispatcher's
/// `TimeoutTERM`.
const GRACE: Duration = Duration::from_secs(5);
/// The command's `PATH`, unless its record sets another.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is to be run, according to the container's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// The program and its arguments. They are never interpreted by a shell.
    pub command: Vec<String>,
    /// The command's whole environment, except for `PATH`. It inherits nothing of ours.
    pub environment: BTreeMap<String, String>,
    /// Its working directory; empty or `.` = our own.
    pub cwd: String,
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// It ended by itself; the number is 128 + n if it was killed by signal n.
    Exited(i32),
    /// It was ended because we received SIGTERM.
    Cancelled,
    /// It was ended because our token has been revoked.
    Revoked,
    /// It could not be started, for that reason.
    NotStarted(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Cancelled => f.write_str("ended because we were told to"),
            Self::Revoked => f.write_str("ended because our token has been revoked"),
            Self::NotStarted(error) => f.write_str(error),
        }
    }
}

impl Job {
    /// Reads the record's fields. Null and values that are not text count as missing.
    pub fn from_record(record: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            command: record["command"].as_array().into_iter().flatten().filter_map(text).collect(),
            environment: (record["environment"].as_object().into_iter().flatten())
                .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
                .collect(),
            cwd: text(&record["cwd"]).unwrap_or_default(),
        }
    }

    fn spawn(&self) -> Result<Child, String> {
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err("the container has no command".to_owned());
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).process_group(0);
        command.env_clear().env("PATH", DEFAULT_PATH).envs(&self.environment);
        // The loopback cloud finds the processes of an instance by this variable, and ends them with the
        // instance.
        if let Some(directory) = std::env::var_os(LOCK_DIRECTORY) {
            command.env(LOCK_DIRECTORY, directory);
        }
        if !matches!(self.cwd.as_str(), "" | ".") {
            // Without this check, a missing directory would be reported like a missing program.
            if !Path::new(&self.cwd).is_dir() {
                return Err(format!("the working directory `{}` does not exist here", self.cwd));
            }
            command.current_dir(&self.cwd);
        }
        command.spawn().map_err(|error| format!("cannot execute `{program}`: {error}"))
    }
}

/// Why a command is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// We have received SIGTERM.
    Told,
    /// Our token has been revoked.
    Revoked,
}

/// Runs the command until it ends. When `stop` returns, ends it.
pub(super) async fn run(job: &Job, stop: impl Future<Output = Stop>) -> Ended {
    let mut child = match job.spawn() {
        Ok(child) => child,
        Err(error) => return Ended::NotStarted(error),
    };
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it was not waited for yet");
    // The command's own end is checked first: a command that has ended by itself was not cancelled.
    let exited = match select(Box::pin(child.wait()), Box::pin(stop)).await {
        Either::Left((status, _)) => Ok(status),
        Either::Right((stop, _)) => Err(stop),
    };
    let ended = match exited {
        Ok(Ok(status)) => Ended::Exited(exit_code(status)),
        Ok(Err(error)) => Ended::NotStarted(format!("cannot wait for the command: {error}")),
        Err(stop) => {
            end(&mut child, group).await;
            match stop {
                Stop::Told => Ended::Cancelled,
                Stop::Revoked => Ended::Revoked,
            }
        }
    };
    // What the command left in the background ends with it, as in a real container. It is no error if nothing
    // is left.
    let _ = kill_process_group(group, rustix::process::Signal::KILL);
    ended
}

async fn end(child: &mut Child, group: Pid) {
    let _ = kill_process_group(group, rustix::process::Signal::TERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        let _ = kill_process_group(group, rustix::process::Signal::KILL);
        let _ = child.wait().await;
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
