//! `run`: the service, from its configuration to its end.

use std::io;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context, Result};
use dispatch_actors::{catalogue, event};
use futures_util::future::{Either, select};
use sd_notify::NotifyState;
use slog::Logger;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::Application;
use crate::cli::{self, Options};
use crate::settings::{FindingKind, Loaded};
use crate::telemetry;

/// The signals that the service knows.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on they no longer end the process.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop; its name. Here SIGHUP is one: the terminal has gone.
    pub async fn stop(&mut self) -> &'static str {
        let Self { terminate, interrupt, hangup } = self;
        let (terminate, interrupt) = (pin!(terminate.recv()), pin!(interrupt.recv()));
        match select(select(terminate, interrupt), pin!(hangup.recv())).await {
            Either::Left((Either::Left(_), _)) => "SIGTERM",
            Either::Left((Either::Right(_), _)) => "SIGINT",
            Either::Right(_) => "SIGHUP",
        }
    }

    /// Waits for a signal to stop, its name; certificates are read anew on SIGHUP meanwhile.
    async fn stop_or_reload(&mut self, reload: impl Fn()) -> &'static str {
        let Self { terminate, interrupt, hangup } = self;
        loop {
            let (terminate, interrupt) = (pin!(terminate.recv()), pin!(interrupt.recv()));
            match select(select(terminate, interrupt), pin!(hangup.recv())).await {
                Either::Left((Either::Left(_), _)) => return "SIGTERM",
                Either::Left((Either::Right(_), _)) => return "SIGINT",
                Either::Right(_) => reload(),
            }
        }
    }
}

/// Runs the service until a signal. Exit 0 after a signal, 1 if it cannot run.
pub fn run(options: &Options) -> ExitCode {
    let loaded = match options.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            cli::complain(error);
            return ExitCode::FAILURE;
        }
    };
    let (log, guard) = telemetry::logger(loaded.settings.logs, &loaded.settings.cluster_id);
    let outcome = actix_rt::System::new().block_on(serve(&loaded, log));
    drop(guard);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(loaded: &Loaded, log: Logger) -> Result<()> {
    tell_findings(loaded, &log);
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let application = Application::build(loaded, log.clone()).await?;
    notify(NotifyState::Ready);
    let signal = signals.stop_or_reload(|| application.reload_certificate()).await;
    event!(log, catalogue::STOPPING, "Signal" => signal);
    notify(NotifyState::Stopping);
    application.stop().await;
    event!(log, catalogue::STOPPED);
    Ok(())
}

/// systemd, if it is there, is told; if it is not, nobody is.
fn notify(state: NotifyState<'_>) {
    let _ = sd_notify::notify(&[state]);
}

/// What is doubtful in the configuration, and what this version does not do with it yet.
fn tell_findings(loaded: &Loaded, log: &Logger) {
    for finding in &loaded.warnings {
        let message = format!("{finding}");
        match finding.kind {
            FindingKind::UnknownKey => {
                event!(log, catalogue::UNKNOWN_KEY, "Path" => &finding.path, "Reason" => message)
            }
            FindingKind::Doubtful | FindingKind::Problem => {
                event!(log, catalogue::DOUBTFUL_SETTING, "Path" => &finding.path, "Reason" => message);
            }
        }
    }
    let ignored = |path: &str, reason: &str| {
        event!(log, catalogue::IGNORED_KEY, "Path" => path, "Reason" => reason);
    };
    let settings = &loaded.settings;
    if settings.websocket.is_some() {
        ignored("Services.Websocket.ExternalURL", "event hints are not built in yet: the queue is polled");
    }
    if settings.postgresql.is_configured() {
        ignored(
            "PostgreSQL.Connection",
            "the one-dispatcher lock is not built in yet: run no other dispatcher",
        );
    }
}
