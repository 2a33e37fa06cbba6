//! The container's command as a child in a process group of its own, and its end.

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
use tokio::signal::unix::Signal;

/// How long a command may take to end after SIGTERM. Well below the dispatcher's `TimeoutTERM`.
const GRACE: Duration = Duration::from_secs(5);
/// What a command finds programs by, unless its record says otherwise.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is to be run, from the container's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// The program and its arguments; never interpreted by a shell.
    pub command: Vec<String>,
    /// Its whole environment, `PATH` aside: nothing of ours is handed down.
    pub environment: BTreeMap<String, String>,
    /// Where it runs; empty or `.` = where we are.
    pub cwd: String,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself; 128 + n if by signal n.
    Exited(i32),
    /// Because we were told to end it.
    Cancelled,
    /// It never began, for that reason.
    NotStarted(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Cancelled => f.write_str("ended because we were told to"),
            Self::NotStarted(error) => f.write_str(error),
        }
    }
}

impl Job {
    /// Reads the record's fields; null and what is not text counts as absent.
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
        // What belongs to an instance of the loopback cloud is found by this, and ended with it.
        if let Some(directory) = std::env::var_os(LOCK_DIRECTORY) {
            command.env(LOCK_DIRECTORY, directory);
        }
        if !matches!(self.cwd.as_str(), "" | ".") {
            // Else the error of a missing directory reads like that of a missing program.
            if !Path::new(&self.cwd).is_dir() {
                return Err(format!("the working directory `{}` does not exist here", self.cwd));
            }
            command.current_dir(&self.cwd);
        }
        command.spawn().map_err(|error| format!("cannot execute `{program}`: {error}"))
    }
}

/// Runs the command until it ends, or until SIGTERM comes and it has been ended.
pub(super) async fn run(job: &Job, terminate: &mut Signal) -> Ended {
    let mut child = match job.spawn() {
        Ok(child) => child,
        Err(error) => return Ended::NotStarted(error),
    };
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it was not waited for yet");
    // The command's own end is looked at first: what has ended by itself was not cancelled.
    let exited = match select(Box::pin(child.wait()), Box::pin(terminate.recv())).await {
        Either::Left((status, _)) => Some(status),
        Either::Right(_) => None,
    };
    let ended = match exited {
        Some(Ok(status)) => Ended::Exited(exit_code(status)),
        Some(Err(error)) => Ended::NotStarted(format!("cannot wait for the command: {error}")),
        None => {
            end(&mut child, group).await;
            Ended::Cancelled
        }
    };
    // As with a container: what the command left in the background ends with it. Nobody there is no error.
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
