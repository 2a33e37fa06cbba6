//! What an ssh client has to do: [`Dialer`] opens a connection, [`Line`] is one. Everything else is the same for both
//! clients.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use dispatch_core::id::InstanceId;
use dispatch_core::ports::{ExecError, ExecErrorKind, HostKey};
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use super::endpoint::Endpoint;
use super::failure::error;

/// One way to connect. All executors share it.
pub(super) trait Dialer: 'static {
    /// What it opens.
    type Line: Line;

    /// Connects and logs in, with whatever host key the server shows: it is not verified yet. Dropping the future ends
    /// the attempt.
    async fn dial(&self, login: &Login<'_>) -> Result<Self::Line, ExecError>;

    /// Does what a connection and a command need of this machine, and talks to nobody. The error says which of it
    /// failed.
    async fn check_own_side(&self) -> Result<(), String>;
}

/// Where and as whom to log in.
pub(super) struct Login<'a> {
    pub endpoint: &'a Endpoint,
    pub user: &'a str,
    pub id: &'a InstanceId,
    /// The host key that was verified earlier. A server that has several is asked for this one.
    pub known: Option<&'a HostKey>,
    pub deadline: Duration,
    pub log: &'a slog::Logger,
}

impl Login<'_> {
    /// What is said when the deadline has passed.
    pub(super) fn out_of_time(&self) -> ExecError {
        let (endpoint, seconds) = (self.endpoint, self.deadline.as_secs_f64());
        error(ExecErrorKind::ConnectTimeout, format!("no login at {endpoint} in {seconds} s"))
    }

    /// What is said of a failure before the login.
    pub(super) fn failed(&self, kind: ExecErrorKind, why: &str) -> ExecError {
        error(kind, format!("cannot connect to {}: {why}", self.endpoint))
    }
}

/// An open connection after its login. It is closed when this is dropped.
pub(super) trait Line: 'static {
    /// The key that the server has shown, and has proven to hold.
    fn host_key(&self) -> &HostKey;

    /// Runs a command to its end. Each of its streams may have at most `limit` bytes.
    async fn execute(&self, command: &str, stdin: &Bytes, limit: usize) -> Result<Ended, Failure>;

    /// Begins a command that goes on for long.
    async fn begin(&self, command: &str) -> Result<LongCommand<'_>, Failure>;

    /// Whether it stands, as far as this machine knows.
    async fn is_alive(&self) -> bool;

    /// Resolves when it has ended.
    fn ended(&self) -> impl Future<Output = ()> + 'static;

    /// Why it has ended, as far as this is known: one line.
    fn last_words(&self) -> String;

    /// The same failure, unless its cause is that the server has flooded us.
    fn blame(&self, failure: ExecError) -> ExecError;
}

/// A command that runs. What it writes to stderr is dropped.
pub(super) struct LongCommand<'a> {
    /// Dropping it closes the command's stdin.
    pub stdin: Box<dyn AsyncWrite + Unpin + 'a>,
    pub stdout: Box<dyn AsyncRead + Unpin + 'a>,
    /// Resolves when it has ended, after the end of its stdout; `None` = killed by a signal, or the connection was lost.
    pub status: LocalBoxFuture<'a, Option<i32>>,
}

/// How a command ended.
pub(super) struct Ended {
    /// `None` = the command was killed by a signal, or the connection was lost.
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Why nothing is known about a command's end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command wrote more to one of its streams than is allowed.
    TooMuch,
    /// No session was opened, so nothing was run.
    NotStarted(String),
    /// A system call of ours failed for lack of something, so nothing was run.
    OwnSide(String),
    /// The time in which it might be handed over was over, so nothing was run.
    TooLate,
    /// The connection failed.
    Lost(String),
}
