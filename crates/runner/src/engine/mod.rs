//! Engine `process`: the container's command as a plain child process. **No isolation: demo and tests only.**
//!
//! ```text
//!   read the record ── not Locked by us ──▶ end, nothing was touched
//!         │                SIGTERM ───────▶ end, nothing was touched (the dispatcher unlocks)
//!     PUT Running
//!         │
//!      command ── ends ─────────▶ PUT Complete, exit_code
//!         ├────── SIGTERM ──────▶ TERM, then KILL to its process group; PUT Cancelled
//!         ├────── our token is refused for 30 min ──▶ the same, and nothing is reported; status 1
//!         └────── cannot start ─▶ PUT Cancelled, runtime_status.error
//! ```
//! The engine uses one thread. Calls that fail for temporary reasons are repeated here, because only this
//! process knows how the command ended. (The dispatcher never repeats a call: its next poll does the same.)

mod command;
mod config;
mod controller;
mod tls;
mod token;

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use dispatch_core::id::ContainerUuid;
use futures_util::future::{Either, select};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Invocation;
use crate::locks::{LockDir, Owner};
use crate::{RunnerError, say};
use command::{Ended, Stop};
use config::Config;
use controller::{Call, Controller};
use token::{Patience, until_revoked};

/// The value of `--runtime-engine` for this engine.
pub(crate) const NAME: &str = "process";

/// How long a start waits for a controller that does not answer. Meanwhile the dispatcher sees our process.
const START_RETRY_TIME: Duration = Duration::from_secs(5 * 60);
/// How long the result of an ended container is sent again to a controller that does not answer.
const REPORT_RETRY_TIME: Duration = Duration::from_secs(15 * 60);

/// Runs the container to its end, in the foreground or as the detached process.
pub(crate) fn run(invocation: &Invocation) -> Result<ExitCode, RunnerError> {
    let uuid = invocation.uuid()?;
    let config = read_config(invocation.stdin_config)?;
    let runtime = actix_rt::Runtime::new().map_err(RunnerError::io("start the runtime"))?;
    runtime.block_on(async {
        // This comes before the lock file names this process: a list checks a named process with SIGUSR2,
        // which kills a process that does not handle it.
        let mut signals = Signals::install()?;
        if invocation.detached {
            announce(&LockDir::from_environment(), &uuid)?;
        }
        say(&format!(
            "container {uuid}: engine `process` has no isolation whatever, for the demo and tests only"
        ));
        run_container(&uuid, &config, &mut signals.terminate, Patience::USUAL).await
    })
}

/// The signals that a runner handles.
struct Signals {
    /// SIGTERM: end the container.
    terminate: Signal,
    /// SIGUSR2: read the prices again. This engine reports no cost, so the signal only shows that the process
    /// is alive.
    _prices: Signal,
}

impl Signals {
    fn install() -> Result<Self, RunnerError> {
        let handle = |kind| signal(kind).map_err(RunnerError::io("handle signals"));
        Ok(Self {
            terminate: handle(SignalKind::terminate())?,
            _prices: handle(SignalKind::user_defined2())?,
        })
    }
}

fn read_config(from_stdin: bool) -> Result<Config, RunnerError> {
    if !from_stdin {
        return Ok(Config::from_environment());
    }
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text).map_err(RunnerError::io("read stdin"))?;
    Config::decode(&text)
}

/// Writes this process into the lock file, tells the parent process, and closes the pipe to it.
fn announce(directory: &LockDir, uuid: &ContainerUuid) -> Result<(), RunnerError> {
    let owner = Owner { uuid: uuid.to_string(), pid: std::process::id().cast_signed() };
    directory.name_owner(&owner, uuid)?;
    let line = serde_json::to_string(&owner).expect("two plain fields");
    // The parent may be gone. That does no harm, because the lock file has the same information.
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    rustix::stdio::dup2_stdout(io::stderr())
        .map_err(|error| RunnerError::io("send stdout to the log")(error.into()))
}

async fn run_container(
    uuid: &ContainerUuid,
    config: &Config,
    terminate: &mut Signal,
    patience: Patience,
) -> Result<ExitCode, RunnerError> {
    let controller = Controller::new(config)?;
    let Either::Left((started, _)) =
        select(Box::pin(start(&controller, uuid, config)), Box::pin(terminate.recv())).await
    else {
        say(&format!("container {uuid}: told to end before it had begun; its record is left as it is"));
        return Ok(ExitCode::FAILURE);
    };
    let Some(job) = started? else { return Ok(ExitCode::FAILURE) };
    say(&format!("container {uuid}: running"));
    let ended = command::run(&job, until_stopped(&controller, terminate, patience)).await;
    say(&format!("container {uuid}: {ended}"));
    let Some(result) = result_of(&ended) else { return Ok(ExitCode::FAILURE) };
    controller.call_with_retries(REPORT_RETRY_TIME, Call::Update(uuid, result)).await?;
    Ok(ExitCode::SUCCESS)
}

async fn until_stopped(controller: &Controller, terminate: &mut Signal, patience: Patience) -> Stop {
    match select(Box::pin(terminate.recv()), Box::pin(until_revoked(controller, patience))).await {
        Either::Left(_) => Stop::Told,
        Either::Right(_) => Stop::Revoked,
    }
}

/// Sets the container Running, if it is locked by our token.
async fn start(
    controller: &Controller,
    uuid: &ContainerUuid,
    config: &Config,
) -> Result<Option<command::Job>, RunnerError> {
    let us = controller.call_with_retries(START_RETRY_TIME, Call::CurrentToken).await?;
    let record = controller.call_with_retries(START_RETRY_TIME, Call::Container(uuid)).await?;
    if record["state"] != "Locked" || record["locked_by_uuid"] != us["uuid"] {
        let (state, owner) = (&record["state"], &record["locked_by_uuid"]);
        say(&format!("container {uuid} is not ours to run: state {state}, locked by {owner}"));
        return Ok(None);
    }
    let job = command::Job::from_record(&record);
    let mut running = json!({"state": "Running"});
    if let Some(address) = config.gateway_address() {
        running["gateway_address"] = Value::from(address);
    }
    controller.call_with_retries(START_RETRY_TIME, Call::Update(uuid, running)).await?;
    Ok(Some(job))
}

/// What is reported; `None` = nothing can be, because the controller does not know us any more.
fn result_of(ended: &Ended) -> Option<Value> {
    match ended {
        Ended::Exited(code) => Some(json!({"state": "Complete", "exit_code": code})),
        Ended::Cancelled => Some(json!({"state": "Cancelled"})),
        Ended::Revoked => None,
        Ended::NotStarted(error) => Some(json!({"state": "Cancelled", "runtime_status": {"error": error}})),
    }
}

#[cfg(test)]
mod tests;
