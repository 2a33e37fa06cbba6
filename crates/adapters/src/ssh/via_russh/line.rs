//! One connection that the crate serves.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use dispatch_core::ports::{ExecError, ExecErrorKind, HostKey};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use russh::client::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Error};
use tokio::sync::watch;

use super::failure::FLOODED;
use super::login::wait_for_end;
use super::long::begin;
use super::peer::{Facts, Peer};
use super::thread::Thread;
use super::wire::{Closer, Traffic};
use crate::ssh::failure::error;
use crate::ssh::line::{Ended, Failure, Line, Login, LongCommand};

/// How much of a command's stdin is handed over at once. The crate keeps a buffer for some ten of these as long as the
/// connection stands.
const PIECE: usize = 4096;
/// The number of the stream that is stderr.
const STDERR: u32 = 1;

/// A connection after its login, as it comes from the thread of connections.
pub(super) struct LoggedIn {
    pub handle: Handle<Peer>,
    pub facts: watch::Receiver<Facts>,
    pub traffic: Arc<Traffic>,
    pub host_key: HostKey,
    pub closer: Closer,
}

/// The same, on the actors' thread.
pub(in crate::ssh) struct RusshLine {
    handle: Arc<Handle<Peer>>,
    facts: watch::Receiver<Facts>,
    traffic: Arc<Traffic>,
    host_key: HostKey,
    thread: Rc<Thread>,
    _closer: Closer,
}

impl RusshLine {
    pub(super) fn new(open: LoggedIn, thread: Rc<Thread>) -> Self {
        let LoggedIn { handle, facts, traffic, host_key, closer } = open;
        Self { handle: Arc::new(handle), facts, traffic, host_key, thread, _closer: closer }
    }

    /// Logs what was agreed on, and whether the host key is another one than before: it is verified anew then.
    pub(super) fn tell_login(&self, login: &Login<'_>) {
        let facts = self.facts.borrow();
        slog::debug!(login.log, "ssh keys are exchanged"; "Instance" => login.id.as_str(),
            "KeyExchange" => facts.key_exchange.as_deref().unwrap_or_default());
        if login.known.is_some_and(|known| *known != self.host_key) {
            slog::warn!(login.log, "host key has changed"; "Instance" => login.id.as_str());
        }
    }
}

impl Line for RusshLine {
    fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    /// On the thread of connections: there the crate and this take turns, so that neither fills a buffer alone.
    async fn execute(&self, command: &str, stdin: &Bytes, limit: usize) -> Result<Ended, Failure> {
        let running = execute(Arc::clone(&self.handle), command.to_owned(), stdin.clone(), limit);
        let lost = || Err(Failure::Lost("the thread of ssh connections has ended".to_owned()));
        self.thread.run(running).await.unwrap_or_else(lost)
    }

    async fn begin(&self, command: &str) -> Result<LongCommand<'_>, Failure> {
        begin(&self.thread, Arc::clone(&self.handle), command.to_owned()).await
    }

    async fn is_alive(&self) -> bool {
        !self.handle.is_closed() && self.facts.borrow().end.is_none()
    }

    fn ended(&self) -> impl Future<Output = ()> + 'static {
        wait_for_end(self.facts.clone())
    }

    fn last_words(&self) -> String {
        let facts = self.facts.borrow();
        facts.end.as_ref().map_or_else(|| "nothing was said".to_owned(), |(_, why)| why.clone())
    }

    fn blame(&self, failure: ExecError) -> ExecError {
        if self.traffic.is_flooded() { error(ExecErrorKind::ConnectionLost, FLOODED) } else { failure }
    }
}

async fn execute(
    handle: Arc<Handle<Peer>>,
    command: String,
    stdin: Bytes,
    limit: usize,
) -> Result<Ended, Failure> {
    let channel = handle.channel_open_session().await.map_err(not_opened)?;
    channel.exec(true, command).await.map_err(|error| Failure::Lost(error.to_string()))?;
    let (mut output, input) = channel.split();
    let result = {
        // A command need not read its input.
        let feeding = feed(&input, stdin).map(drop);
        beside(read(&mut output, limit), feeding).await
    };
    if matches!(result, Err(Failure::TooMuch)) {
        // Commands beside it may use the connection for a while, and nobody reads this any more.
        let _ = input.close().await;
    }
    result
}

/// A refused session is told apart from a connection that has ended.
pub(super) fn not_opened(error: Error) -> Failure {
    match error {
        Error::ChannelOpenFailure(_) => Failure::NotStarted(error.to_string()),
        _ => Failure::Lost(error.to_string()),
    }
}

/// What the first comes to; the other goes on beside it, and may end before.
pub(super) async fn beside<T>(first: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    match select(pin!(first), pin!(other)).await {
        Either::Left((result, _)) => result,
        Either::Right(((), first)) => first.await,
    }
}

async fn feed(input: &ChannelWriteHalf<Msg>, mut stdin: Bytes) -> Result<(), Error> {
    while !stdin.is_empty() {
        input.data_bytes(stdin.split_to(PIECE.min(stdin.len()))).await?;
    }
    input.eof().await
}

/// Reads until the server closes the session. A status counts only if that is seen: it may come before the last of the
/// output, and what is cut must not look whole.
async fn read(output: &mut ChannelReadHalf, limit: usize) -> Result<Ended, Failure> {
    let (mut status, mut stdout, mut stderr) = (None, Vec::new(), Vec::new());
    while let Some(message) = output.wait().await {
        match message {
            ChannelMsg::Data { data } => keep(&mut stdout, &data, limit)?,
            ChannelMsg::ExtendedData { data, ext: STDERR } => keep(&mut stderr, &data, limit)?,
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status.min(255) as i32),
            ChannelMsg::Failure => {
                return Err(Failure::NotStarted("the server does not run commands".to_owned()));
            }
            ChannelMsg::Close => return Ok(Ended { status, stdout, stderr }),
            _ => {}
        }
    }
    Ok(Ended { status: None, stdout, stderr })
}

fn keep(stream: &mut Vec<u8>, data: &[u8], limit: usize) -> Result<(), Failure> {
    if stream.len() + data.len() > limit {
        return Err(Failure::TooMuch);
    }
    stream.extend_from_slice(data);
    Ok(())
}
