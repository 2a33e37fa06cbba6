//! A watch over an open connection: a command that goes on for long and must be in nobody's way.
//!
//! ```text
//!                  a session is opened              its user drops it, or the gate closes
//!   begin ─► task ────────────────────► lines ─────────────────────────────────────────► stdin closed ─► ended there
//!              └ refused, or no answer    └ it ends by itself, or prints too much                └ not soon: a stray
//! ```
//! **Gate.** A server allows few sessions on a connection, so at most one watch has one, until it has ended there. When
//! a command is refused a session, or the connection is not used any more, the gate closes for good: the watch ends, and
//! the command waits for that. A stray keeps a session until the VM itself ends it, so that no other is begun meanwhile.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::ports::{LONGEST_WATCH, ShellCommand, Watch, WatchEnd};
use futures_util::FutureExt;
use futures_util::future::select;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::Connection;
use super::line::{Failure, Line, LongCommand};
use super::shell::wrap;
use crate::watch::{Remote, ends};

/// How long the server may take to open a session for a watch.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
/// How long a watch may take to end on the VM when its stdin was closed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// How long its end may take to be told after its last output.
const STATUS_WITHIN: Duration = Duration::from_secs(5);
/// The VM ends a watch that has overrun this much later at the latest.
const LEEWAY: Duration = Duration::from_secs(5);

/// The most bytes that may wait to be written to its stdin.
const MOST_UNWRITTEN: usize = 64 << 10;

/// Whether there may be a watch over a connection.
pub(super) struct Gate {
    /// Why there may be none any more.
    closed: watch::Sender<Option<WatchEnd>>,
    /// A watch has a session, or asks for one.
    is_taken: Cell<bool>,
    left: Notify,
    /// An earlier watch may go on there until then.
    stray_until: Cell<Option<Instant>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            closed: watch::Sender::new(None),
            is_taken: Cell::new(false),
            left: Notify::new(),
            stray_until: Cell::new(None),
        }
    }
}

impl Gate {
    /// Ends the watch there is, and lets no other begin.
    pub(super) fn close(&self, why: WatchEnd) {
        self.closed.send_if_modified(|closed| closed.replace(why).is_none());
    }

    /// Closes the gate for a command that was refused a session. Whether a watch has made room for it.
    pub(super) async fn make_room(&self) -> bool {
        let was_taken = self.is_taken.get();
        self.close(WatchEnd::FewSessions);
        was_taken && self.is_left_within(ENDS_WITHIN + STATUS_WITHIN).await
    }

    /// Resolves when the gate closes, with the reason.
    async fn closes(&self) -> WatchEnd {
        let mut closed = self.closed.subscribe();
        let why = closed.wait_for(Option::is_some).await.ok().and_then(|why| *why);
        // The sender lives as long as the gate.
        why.unwrap_or(WatchEnd::ConnectionLost)
    }

    async fn is_left_within(&self, patience: Duration) -> bool {
        let left = async {
            while self.is_taken.get() {
                self.left.notified().await;
            }
        };
        timeout(patience, left).await.is_ok()
    }

    /// Takes the one place, as soon as the watch before has left it.
    async fn enter(&self) -> Result<Place<'_>, WatchEnd> {
        let is_left = self.is_left_within(ENDS_WITHIN + STATUS_WITHIN).await;
        let is_stray = self.stray_until.get().is_some_and(|until| Instant::now() < until);
        if !is_left || is_stray {
            return Err(WatchEnd::Lingering);
        }
        // It may have closed meanwhile, or another may have been faster.
        if let Some(why) = *self.closed.borrow() {
            return Err(why);
        }
        if self.is_taken.replace(true) {
            return Err(WatchEnd::Lingering);
        }
        Ok(Place(self))
    }
}

/// The place of the one watch. It is free again when this is dropped.
struct Place<'a>(&'a Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.is_taken.set(false);
        self.0.left.notify_waiters();
    }
}

/// Begins a watch over that connection. What has been begun ends if the caller does not wait for it.
pub(super) async fn begin<L: Line>(
    connection: Rc<Connection<L>>,
    order: ShellCommand,
) -> Result<Rc<dyn Watch>, WatchEnd> {
    let (handle, remote) = ends();
    let (began, has_begun) = oneshot::channel();
    actix_rt::spawn(async move { live(&connection, &order, remote, began).await });
    has_begun.await.unwrap_or(Err(WatchEnd::ConnectionLost)).map(|()| handle)
}

/// The life of a watch.
async fn live<L: Line>(
    connection: &Connection<L>,
    order: &ShellCommand,
    mut remote: Remote,
    began: oneshot::Sender<Result<(), WatchEnd>>,
) {
    let gate = connection.gate();
    let place = match gate.enter().await {
        Ok(place) => place,
        Err(end) => {
            // An error means that nobody waits for it any more.
            let _ = began.send(Err(end));
            return;
        }
    };
    let overruns_at = Instant::now() + order.deadline + LEEWAY;
    let command = match open(connection, &wrap(order, connection.user())).await {
        Ok(command) => command,
        Err(end) => {
            match end {
                WatchEnd::Hangs => gate.stray_until.set(Some(overruns_at)),
                WatchEnd::FewSessions => gate.close(end),
                _ => {}
            }
            drop(place);
            let _ = began.send(Err(end));
            return;
        }
    };
    let LongCommand { stdin, stdout, status } = command;
    // Nobody may wait for it any more: then it is ended in order, like any other.
    let is_wanted = began.send(Ok(())).is_ok();
    let mut talk = Talk { stdin: Some(stdin), stdout, unwritten: order.stdin.to_vec() };
    let end = match is_wanted {
        true => talk.go_on(gate, &mut remote, overruns_at).await,
        false => Some(WatchEnd::ConnectionLost),
    };
    // Closed, so that the command ends.
    talk.stdin = None;
    let has_ended = match timeout(ENDS_WITHIN, talk.drain()).await {
        Ok(true) => timeout(STATUS_WITHIN, status).await.ok(),
        Ok(false) | Err(_) => None,
    };
    if has_ended.is_none() {
        gate.stray_until.set(Some(overruns_at));
    }
    // Only now a command that needs the session is told that it is free.
    drop(place);
    let end = match (end, has_ended) {
        (Some(end), _) => end,
        (None, Some(Some(status))) => WatchEnd::Exited(Some(status)),
        (None, Some(None)) if connection.line().is_alive().await => WatchEnd::Exited(None),
        (None, Some(_)) => WatchEnd::ConnectionLost,
        (None, None) => WatchEnd::Hangs,
    };
    remote.end(end);
}

/// Opens a session for it.
async fn open<'a, L: Line>(connection: &'a Connection<L>, sent: &str) -> Result<LongCommand<'a>, WatchEnd> {
    let failure = match timeout(BEGINS_WITHIN, connection.line().begin(sent)).await {
        Ok(Ok(command)) => return Ok(command),
        Ok(Err(failure)) => failure,
        Err(_) => return Err(WatchEnd::Hangs),
    };
    Err(match failure {
        Failure::OwnSide(_) => WatchEnd::Local,
        _ if connection.line().is_alive().await => WatchEnd::FewSessions,
        _ => WatchEnd::ConnectionLost,
    })
}

/// The streams of the command.
struct Talk<'a> {
    stdin: Option<Box<dyn AsyncWrite + Unpin + 'a>>,
    stdout: Box<dyn AsyncRead + Unpin + 'a>,
    unwritten: Vec<u8>,
}

impl Talk<'_> {
    /// Passes lines on in both directions. Why that is over; `None` = the command prints no more.
    async fn go_on(&mut self, gate: &Gate, remote: &mut Remote, overruns_at: Instant) -> Option<WatchEnd> {
        let mut buffer = [0; 4096];
        loop {
            match self.news(gate, remote, overruns_at, &mut buffer).await {
                News::Over(why) => return Some(why),
                // Its user has dropped it, and hears nothing any more.
                News::Added(None) => return Some(WatchEnd::ConnectionLost),
                News::Added(Some(line)) => self.unwritten.extend(line.bytes().chain([b'\n'])),
                News::Written(Ok(length)) => drop(self.unwritten.drain(..length)),
                // It reads no more; it may still print.
                News::Written(Err(_)) => self.stdin = None,
                News::Printed(Ok(0) | Err(_)) => return None,
                News::Printed(Ok(length)) => {
                    if let Err(end) = remote.printed(&buffer[..length]) {
                        return Some(end);
                    }
                }
            }
            if self.unwritten.len() > MOST_UNWRITTEN {
                return Some(WatchEnd::Hangs);
            }
        }
    }

    /// What happens next; of what happens at once, the end comes first.
    async fn news(
        &mut self,
        gate: &Gate,
        remote: &mut Remote,
        overruns_at: Instant,
        buffer: &mut [u8],
    ) -> News {
        let closes = gate.closes().map(News::Over);
        let overruns = sleep_until(overruns_at).map(|()| News::Over(WatchEnd::Hangs));
        let added = remote.added().map(News::Added);
        let written = write(&mut self.stdin, &self.unwritten).map(News::Written);
        let printed = self.stdout.read(buffer).map(News::Printed);
        first(closes, first(overruns, first(added, first(written, printed)))).await
    }

    /// Reads until the command has closed its output, and drops what it prints. False = it floods.
    async fn drain(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let mut read = 0;
        while let Ok(length @ 1..) = self.stdout.read(&mut buffer).await {
            read += length;
            if read > LONGEST_WATCH {
                return false;
            }
        }
        true
    }
}

/// What happens to a watch.
enum News {
    /// It is over.
    Over(WatchEnd),
    /// It is given a line; `None` = its user has dropped it.
    Added(Option<String>),
    /// So much of what it was given is written.
    Written(io::Result<usize>),
    /// So much has been read of what it printed.
    Printed(io::Result<usize>),
}

/// Writes some of it, if there is any. What a command does not read any more is as good as written.
async fn write(stdin: &mut Option<impl AsyncWrite + Unpin>, bytes: &[u8]) -> io::Result<usize> {
    match stdin {
        _ if bytes.is_empty() => pending().await,
        Some(stdin) => stdin.write(bytes).await,
        None => Ok(bytes.len()),
    }
}

/// What comes first of the two, the first if both are there.
async fn first<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    select(pin!(one), pin!(other)).await.factor_first().0
}
