//! One verified connection: it is opened to an address, and then runs commands.

use std::cell::Cell;
use std::time::Duration;

use dispatch_core::ports::{ExecError, ExecErrorKind, HostKey, Output, ShellCommand, Target};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::endpoint::Endpoint;
use super::failure::error;
use super::line::{Dialer, Ended, Failure, Line, Login};
use super::shell::{remote_seconds, wrap};
use super::verify::verify;
use super::watch::Gate;
use super::{Settings, Shared};
use crate::boot_time;

/// A server allows ten sessions on a connection. Two are left: for a watch, and for a command that was given up.
const SESSIONS: usize = 8;
/// The most bytes that a command may write to one of its streams.
const LONGEST_STREAM: usize = 32 << 20;

/// Why a command has no exit status, and what that means for its connection.
pub(super) struct RunFailure {
    pub error: ExecError,
    pub aftermath: Aftermath,
}

/// The state of a connection after a command on it has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aftermath {
    /// The connection can be used as before.
    Intact,
    /// One of the server's sessions may be taken until the connection ends.
    SessionTaken,
    /// The connection is broken.
    Lost,
}

/// An open connection to a VM that has proven itself. It is closed when this is dropped.
pub(super) struct Connection<L> {
    line: L,
    slots: Semaphore,
    gate: Gate,
    /// How many slots there are; taken ones are included.
    sessions: Cell<usize>,
    user: String,
    ended: Cell<bool>,
}

impl<L: Line> Connection<L> {
    /// Connects, logs in and verifies the VM. `known` is the key that was verified earlier.
    pub(super) async fn open<D: Dialer<Line = L>>(
        shared: &Shared<D>,
        target: &Target,
        known: Option<HostKey>,
    ) -> Result<Self, ExecError> {
        match Self::try_open(&*shared.dialer, &shared.settings, target, known).await {
            Ok(connection) => Ok(connection),
            Err(failure) => Err(shared.own_side.judge(failure).await),
        }
    }

    async fn try_open<D: Dialer<Line = L>>(
        dialer: &D,
        settings: &Settings,
        target: &Target,
        known: Option<HostKey>,
    ) -> Result<Self, ExecError> {
        let endpoint = Endpoint::parse(&target.address, settings.default_port)?;
        check_user(&target.user)?;
        let login = Login {
            endpoint: &endpoint,
            user: &target.user,
            id: &target.id,
            known: known.as_ref(),
            deadline: settings.deadlines.connect,
            log: &settings.log,
        };
        let line = dialer.dial(&login).await?;
        if known.as_ref() != Some(line.host_key()) {
            let verified = verify(settings, target, &line).await;
            verified.map_err(|failure| line.blame(failure))?;
        }
        Ok(Self {
            line,
            slots: Semaphore::new(SESSIONS),
            gate: Gate::default(),
            sessions: Cell::new(SESSIONS),
            user: target.user.clone(),
            ended: Cell::new(false),
        })
    }

    pub(super) fn line(&self) -> &L {
        &self.line
    }

    /// Whom we have logged in as.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// Whether there may be a watch.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Remembers that the connection has ended.
    pub(super) fn mark_ended(&self) {
        self.ended.set(true);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    /// Runs a command within its deadline and `grace`. During the grace time, the VM's own timeout acts
    /// first.
    pub(super) async fn run(&self, command: &ShellCommand, grace: Duration) -> Result<Output, RunFailure> {
        let started = Instant::now();
        let sent = wrap(command, &self.user);
        let running = self.in_session(&sent, command);
        match timeout(command.deadline.saturating_add(grace), running).await {
            Ok(Ok(ended)) => self.interpret(ended, command, started.elapsed().as_secs()).await,
            Ok(Err(Failure::TooLate)) => Err(RunFailure { error: too_late(), aftermath: Aftermath::Intact }),
            Ok(Err(Failure::TooMuch)) => {
                let error = error(ExecErrorKind::OutputTooLarge, "command wrote more than 32 MiB");
                Err(RunFailure { error, aftermath: Aftermath::SessionTaken })
            }
            Ok(Err(Failure::OwnSide(why))) => {
                let error = error(ExecErrorKind::Local, format!("cannot open a session: {why}"));
                Err(RunFailure { error, aftermath: Aftermath::Intact })
            }
            Ok(Err(Failure::NotStarted(why) | Failure::Lost(why))) => Err(self.lost(&why)),
            Err(_) => Err(timed_out(command, Aftermath::SessionTaken)),
        }
    }

    /// Waits for a free session and runs the command in it. A server that allows fewer sessions than we
    /// assumed refuses to open one. Then nothing was run; a watch gives its session up, or the assumed number is
    /// reduced, and the command waits for one of the open sessions.
    async fn in_session(&self, sent: &str, command: &ShellCommand) -> Result<Ended, Failure> {
        let mut retries_left = 20;
        loop {
            let slot = self.slots.acquire().await.expect("it is never closed");
            if command.not_after.is_some_and(|end| end <= boot_time::now()) {
                return Err(Failure::TooLate);
            }
            let result = self.line.execute(sent, &command.stdin, LONGEST_STREAM).await;
            let refused = matches!(result, Err(Failure::NotStarted(_))) && self.line.is_alive().await;
            if !refused || retries_left == 0 {
                return result;
            }
            if self.gate.make_room().await {
                continue;
            }
            if self.sessions.get() > 1 {
                self.sessions.set(self.sessions.get() - 1);
                slot.forget();
            } else {
                // The server closes its last session a moment after we have received the command's end.
                retries_left -= 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Interprets a command's end. The VM's own timeout shows as 124, as 137, or as a death by signal after
    /// the deadline.
    async fn interpret(
        &self,
        ended: Ended,
        command: &ShellCommand,
        seconds: u64,
    ) -> Result<Output, RunFailure> {
        let over_time = seconds >= remote_seconds(command.deadline);
        let output = |status, ended: Ended| Output { status, stdout: ended.stdout, stderr: ended.stderr };
        match ended.status {
            Some(124 | 137) if over_time => Err(timed_out(command, Aftermath::Intact)),
            Some(status) => Ok(output(status, ended)),
            None if !self.line.is_alive().await => Err(self.lost("no exit status")),
            None if over_time => Err(timed_out(command, Aftermath::Intact)),
            // The command was killed by a signal. The ssh client itself would exit with 255.
            None => Ok(output(255, ended)),
        }
    }

    fn lost(&self, why: &str) -> RunFailure {
        let text = format!("connection lost: {why} (ssh: {})", self.line.last_words());
        RunFailure { error: error(ExecErrorKind::ConnectionLost, text), aftermath: Aftermath::Lost }
    }
}

/// What the caller may no longer do when everything is ready for it.
pub(super) fn too_late() -> ExecError {
    error(ExecErrorKind::NotSent, "not sent: it could not be handed over in the time in which we may act")
}

/// The name may become a quoted word of a client's configuration, so it must be harmless there.
fn check_user(user: &str) -> Result<(), ExecError> {
    let bad =
        user.is_empty() || user.chars().any(|c| c.is_control() || c.is_whitespace() || "\"'\\%$".contains(c));
    if bad {
        Err(error(ExecErrorKind::Authentication, format!("{user:?} cannot be a remote user's name")))
    } else {
        Ok(())
    }
}

fn timed_out(command: &ShellCommand, aftermath: Aftermath) -> RunFailure {
    let text = format!("command did not end in {} s", command.deadline.as_secs_f64());
    RunFailure { error: error(ExecErrorKind::CommandTimeout, text), aftermath }
}
