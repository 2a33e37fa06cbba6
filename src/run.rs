//! `run`: the service, from its configuration to its end. SIGHUP reads the configuration anew (`reload`), and the
//! certificate.
//!
//! ```text
//!   configuration ─┬─ a database is configured ─► Standby ─ the lock is ours ─┐     ┌─ lock lost ─► exit 1, at once
//!                  │                                 └─ signal ─► exit 0      ├─► Application
//!                  └─ none ───────────────────────────────────────────────────┘     └─ signal ─► calls end, exit 0
//! ```

use std::io;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context, Result};
use dispatch_actors::lease::Lease;
use dispatch_actors::{catalogue, event};
use futures_util::future::{Either, select};
use sd_notify::NotifyState;
use slog::Logger;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::app::{Application, Standby, Told};
use crate::cli::{self, Options, Run};
use crate::descriptors;
use crate::lock::{self, Database, Held};
use crate::recording::Recording;
use crate::reload::{Read, Reloader};
use crate::settings::{FindingKind, Loaded};
use crate::telemetry::{self, LogLevel};

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

    /// A clean-up is under way because of that signal. If it was Ctrl-C, the next Ctrl-C ends it, and the process.
    /// Other signals do not: a terminal that has gone is no wish of anybody's.
    pub async fn end_at_the_next(mut self, first: &str, what: &str) {
        if first == "SIGINT" && self.interrupt.recv().await.is_some() {
            cli::complain(format!("{what}: SIGINT again: the clean-up is not finished"));
            std::process::exit(1);
        }
    }

    /// Waits for a signal: one to stop, or SIGHUP.
    async fn next(&mut self) -> Wish {
        let Self { terminate, interrupt, hangup } = self;
        let (terminate, interrupt) = (pin!(terminate.recv()), pin!(interrupt.recv()));
        match select(select(terminate, interrupt), pin!(hangup.recv())).await {
            Either::Left((Either::Left(_), _)) => Wish::Stop("SIGTERM"),
            Either::Left((Either::Right(_), _)) => Wish::Stop("SIGINT"),
            Either::Right(_) => Wish::Reload,
        }
    }

    /// Waits for a signal to stop, its name. On SIGHUP the certificate is read anew, and the configuration, which is taken up
    /// when that is done.
    async fn stop_or_reload(
        &mut self,
        reloading: &mut Reloading<'_>,
        certificate: impl Fn(),
        take_up: impl Fn(&Loaded),
    ) -> &'static str {
        loop {
            let news = match select(pin!(self.next()), pin!(reloading.read())).await {
                Either::Left((wish, _)) => Either::Left(wish),
                Either::Right((read, _)) => Either::Right(read),
            };
            match news {
                Either::Left(Wish::Stop(signal)) => return signal,
                Either::Left(Wish::Reload) => {
                    certificate();
                    reloading.begin();
                }
                Either::Right(read) => reloading.take_up(read, &take_up),
            }
        }
    }
}

/// What a signal wants.
enum Wish {
    Stop(&'static str),
    Reload,
}

/// How the service ended, if nothing was wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It was told to.
    Stopped,
    /// Another process may have the lock.
    LockLost,
}

/// Runs the service until a signal. Exit 0 after a signal, 1 if it cannot run, or may not any more.
pub fn run(options: &Options, command: &Run) -> ExitCode {
    let loaded = match options.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            cli::complain(error);
            return ExitCode::FAILURE;
        }
    };
    let (log, level, guard) = telemetry::logger(loaded.settings.logs, &loaded.settings.policy.cluster_id);
    let system = actix_rt::System::new();
    let recording = command.record.as_ref().map(|it| Recording::new(it, command.record_limit));
    let outcome = system.block_on(serve(options, &loaded, recording, (log, level)));
    if matches!(outcome, Ok(Ending::LockLost)) {
        // Nothing on the arbiter runs any more. Taking it apart could wait for a call or a file; the process's
        // end waits for nothing, and its children end with it.
        guard.flush_soon();
        std::process::exit(1);
    }
    drop(system);
    drop(guard);
    match outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    options: &Options,
    loaded: &Loaded,
    recording: Option<Recording>,
    (log, level): (Logger, LogLevel),
) -> Result<Ending> {
    // A standby must not find out in months.
    recording.as_ref().map(Recording::check).transpose()?;
    let told = Told { recording, ..Told::recorded(log) };
    let log = told.log.clone();
    tell_findings(loaded, &log);
    descriptors::tell_doubt(&loaded.settings, &log);
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let mut reloading = Reloading::new(options, level, loaded, &log);
    let settings = &loaded.settings;
    let Some(database) = Database::new(&settings.postgresql, &settings.policy.cluster_id)? else {
        event!(log, catalogue::NO_LOCK, "Reason" => "PostgreSQL.Connection has neither host nor dbname");
        let application = Application::build(loaded, Lease::unlimited(), told).await?;
        notify(&[NotifyState::Ready]);
        return Ok(work(application, &mut reloading, &mut signals, &log).await);
    };
    let standby = Standby::listen(loaded, told).await?;
    notify(&[NotifyState::Ready, NotifyState::Status("standby: waiting for the lock")]);
    let Some(mut held) = stand_by(&standby, &database, &mut reloading, (&mut signals, &log)).await else {
        standby.stop().await;
        event!(log, catalogue::STOPPED);
        return Ok(Ending::Stopped);
    };
    let (server, lease) = (held.server().to_owned(), held.lease());
    let active = async {
        let application = standby.activate(lease).await?;
        notify(&[NotifyState::Status("active: holds the lock")]);
        Ok(work(application, &mut reloading, &mut signals, &log).await)
    };
    // The lock first: where both are ready it is the more urgent.
    match select(pin!(held.lost()), pin!(active)).await {
        Either::Left((error, _)) => {
            event!(log, catalogue::LOCK_LOST, "Database" => server, "error" => %error, "Code" => error.code());
            Ok(Ending::LockLost)
        }
        Either::Right((ending, _)) => ending,
    }
}

/// Waits for the lock; `None`: for nothing any more, we are to stop.
async fn stand_by(
    standby: &Standby<'_>,
    database: &Database,
    reloading: &mut Reloading<'_>,
    (signals, log): (&mut Signals, &Logger),
) -> Option<Held> {
    let (certificate, take_up) =
        (|| standby.reload_certificate(), |new: &Loaded| standby.use_configuration(new));
    let signal = pin!(signals.stop_or_reload(reloading, certificate, take_up));
    match select(signal, pin!(lock::acquire(database, log))).await {
        Either::Left((signal, _)) => {
            stopping(signal, log);
            None
        }
        Either::Right((held, _)) => Some(held),
    }
}

/// Works until a signal, and a little longer: calls in flight may end.
async fn work(
    application: Application,
    reloading: &mut Reloading<'_>,
    signals: &mut Signals,
    log: &Logger,
) -> Ending {
    let certificate = || application.reload_certificate();
    let take_up = |new: &Loaded| application.use_configuration(new);
    let signal = signals.stop_or_reload(reloading, certificate, take_up).await;
    stopping(signal, log);
    application.stop().await;
    event!(log, catalogue::STOPPED);
    Ending::Stopped
}

/// The configuration in force, and how it is read anew.
struct Reloading<'a> {
    reloader: Reloader,
    present: Loaded,
    /// The file is being read.
    reading: Option<oneshot::Receiver<Read>>,
    /// And is to be read once more: it may have been changed meanwhile.
    again: bool,
    log: &'a Logger,
}

impl<'a> Reloading<'a> {
    fn new(options: &Options, level: LogLevel, loaded: &Loaded, log: &'a Logger) -> Self {
        let reloader = Reloader::new(options.clone(), level, log.clone());
        Self { reloader, present: loaded.clone(), reading: None, again: false, log }
    }

    fn begin(&mut self) {
        match self.reading {
            Some(_) => self.again = true,
            None => self.reading = Some(self.reloader.begin()),
        }
    }

    /// What has been read; for ever, if nothing is.
    async fn read(&mut self) -> Read {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let read = reading.await.unwrap_or_else(|_| Err("it could not be read".to_owned()));
        self.reading = None;
        read
    }

    fn take_up(&mut self, read: Read, by: &impl Fn(&Loaded)) {
        if let Some(loaded) = self.reloader.take_up(&self.present, read) {
            tell_findings(&loaded, self.log);
            by(&loaded);
            self.present = loaded;
        }
        if std::mem::take(&mut self.again) {
            self.begin();
        }
    }
}

fn stopping(signal: &str, log: &Logger) {
    event!(log, catalogue::STOPPING, "Signal" => signal);
    notify(&[NotifyState::Stopping]);
}

/// systemd, if it is there, is told; if it is not, nobody is.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

/// What is doubtful in the configuration.
fn tell_findings(loaded: &Loaded, log: &Logger) {
    for finding in &loaded.warnings {
        let message = format!("{finding}");
        match finding.kind {
            FindingKind::UnknownKey => {
                event!(log, catalogue::UNKNOWN_KEY, "Path" => &finding.path, "Reason" => message)
            }
            FindingKind::Doubtful | FindingKind::Twice | FindingKind::Unsafe | FindingKind::Problem => {
                event!(log, catalogue::DOUBTFUL_SETTING, "Path" => &finding.path, "Reason" => message);
            }
        }
    }
}
