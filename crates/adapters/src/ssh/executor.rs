//! One VM's executor: it opens a connection on demand, shares it among all commands, and notices when it
//! breaks.
//!
//! ```text
//!            run                     logged in and verified
//!   Closed ───────→ Connecting ─────────────────────────────→ Open ──┐
//!     ↑                │ failed, or no command is waiting      │     │ run
//!     ├────────────────┘                                       │ ←───┘
//!     └────────────────────────────────────────────────────────┘
//!        broken · retargeted · asked for afresh · a command was given up (it keeps one of the server's sessions)
//! ```
//! A connection that is no longer current stays open until its last command has ended.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::{Rc, Weak};

use async_trait::async_trait;
use dispatch_core::ports::{ExecError, Executor, HostKey, Output, ShellCommand, Target, Watch, WatchEnd};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared as SharedFuture, WeakShared};
use tokio::sync::watch;

use super::Shared;
use super::connection::{Aftermath, Connection, too_late};
use super::line::{Dialer, Line};
use crate::boot_time;

type Attempt<L> = LocalBoxFuture<'static, Result<Rc<Connection<L>>, ExecError>>;

enum Link<L> {
    Closed,
    /// The reference is weak: when the last command that waits for the attempt is dropped, so are the attempt
    /// and its client.
    Connecting(WeakShared<Attempt<L>>),
    Open(Rc<Connection<L>>),
}

/// A shell on one VM through one of the ssh clients.
pub(super) struct SshExecutor<D: Dialer> {
    inner: Rc<Inner<D>>,
}

struct Inner<D: Dialer> {
    shared: Rc<Shared<D>>,
    target: RefCell<Target>,
    link: RefCell<Link<D::Line>>,
    /// Counts targets, and what was asked for afresh. An attempt that was begun for an earlier one does not become the
    /// current connection.
    generation: Cell<u64>,
    verified: RefCell<Option<HostKey>>,
    breaks: watch::Sender<u64>,
}

impl<D: Dialer> SshExecutor<D> {
    pub(super) fn new(shared: Rc<Shared<D>>, target: Target) -> Self {
        let inner = Inner {
            shared,
            target: RefCell::new(target),
            link: RefCell::new(Link::Closed),
            generation: Cell::new(0),
            verified: RefCell::new(None),
            breaks: watch::Sender::new(0),
        };
        Self { inner: Rc::new(inner) }
    }
}

#[async_trait(?Send)]
impl<D: Dialer> Executor for SshExecutor<D> {
    async fn run(&self, command: ShellCommand) -> Result<Output, ExecError> {
        if command.afresh {
            self.inner.begin_afresh();
        }
        let connection = within(&command, Inner::connected(&self.inner)).await?;
        let mut given_up = GivenUp { inner: &self.inner, connection: &connection, armed: true };
        let result = connection.run(&command, self.inner.shared.settings.deadlines.grace).await;
        given_up.armed = false;
        let failure = match result {
            Ok(output) => return Ok(output),
            Err(failure) => failure,
        };
        match failure.aftermath {
            Aftermath::Intact => {}
            Aftermath::SessionTaken => self.inner.retire(&connection),
            Aftermath::Lost => self.inner.mark_broken(&connection),
        }
        Err(self.inner.shared.own_side.judge(failure.error).await)
    }

    async fn watch(&self, command: ShellCommand) -> Result<Rc<dyn Watch>, WatchEnd> {
        let connection = match &*self.inner.link.borrow() {
            Link::Open(connection) if !connection.is_ended() => Rc::clone(connection),
            Link::Open(_) | Link::Connecting(_) | Link::Closed => return Err(WatchEnd::NoConnection),
        };
        super::watch::begin(connection, command).await
    }

    fn retarget(&self, target: Target) {
        let old = self.inner.target.replace(target.clone());
        if old.id != target.id {
            self.inner.verified.replace(None);
        }
        if (old.id, old.address, old.user) != (target.id, target.address, target.user) {
            self.inner.begin_afresh();
        }
    }

    fn forget_connection(&self) {
        self.inner.begin_afresh();
    }

    async fn broken(&self) {
        // The sender lives in `inner`, so `changed` returns only because of a change.
        let _ = self.inner.breaks.subscribe().changed().await;
    }
}

/// What must be handed over before a certain moment has no longer for its connection.
async fn within<T>(
    command: &ShellCommand,
    connecting: impl Future<Output = Result<T, ExecError>>,
) -> Result<T, ExecError> {
    let Some(end) = command.not_after else { return connecting.await };
    let left = end.0.saturating_sub(boot_time::now().0);
    tokio::time::timeout(left, connecting).await.unwrap_or_else(|_| Err(too_late()))
}

impl<D: Dialer> Inner<D> {
    /// The current connection. There is one attempt at a time, shared by all commands that wait.
    async fn connected(inner: &Rc<Self>) -> Result<Rc<Connection<D::Line>>, ExecError> {
        let current = match &*inner.link.borrow() {
            Link::Open(connection) if !connection.is_ended() => return Ok(Rc::clone(connection)),
            Link::Connecting(attempt) => attempt.upgrade(),
            Link::Open(_) | Link::Closed => None,
        };
        let attempt = current.unwrap_or_else(|| Self::begin(inner));
        attempt.await
    }

    fn begin(inner: &Rc<Self>) -> SharedFuture<Attempt<D::Line>> {
        let attempt = Self::attempt(Rc::clone(inner)).boxed_local().shared();
        let weak = attempt.downgrade().expect("it was not polled yet");
        inner.use_link(Link::Connecting(weak));
        attempt
    }

    async fn attempt(inner: Rc<Self>) -> Result<Rc<Connection<D::Line>>, ExecError> {
        let generation = inner.generation.get();
        let target = inner.target.borrow().clone();
        let known = inner.verified.borrow().clone();
        let opened = Connection::open(&inner.shared, &target, known).await;
        let is_current = inner.generation.get() == generation;
        match opened {
            Ok(connection) => {
                let connection = Rc::new(connection);
                slog::debug!(inner.shared.settings.log, "ssh connected"; "Instance" => target.id.as_str());
                if is_current {
                    inner.verified.replace(Some(connection.line().host_key().clone()));
                    inner.use_link(Link::Open(Rc::clone(&connection)));
                }
                watch_line(&inner, &connection);
                Ok(connection)
            }
            Err(failure) => {
                if is_current {
                    inner.use_link(Link::Closed);
                }
                Err(failure)
            }
        }
    }

    /// A connection that is no longer current is not watched over: a watch would keep it open.
    fn use_link(&self, link: Link<D::Line>) {
        if let Link::Open(before) = self.link.replace(link) {
            before.gate().close(WatchEnd::ConnectionLost);
        }
    }

    /// Lets no new command use the connection there is, nor the one that is being opened. Commands that wait for it, or
    /// run over it, go on.
    fn begin_afresh(&self) {
        self.generation.set(self.generation.get() + 1);
        self.use_link(Link::Closed);
    }

    /// Lets no new command use that connection. Commands that run on it go on.
    fn retire(&self, connection: &Rc<Connection<D::Line>>) {
        if self.is_current(connection) {
            self.use_link(Link::Closed);
        }
    }

    fn is_current(&self, connection: &Rc<Connection<D::Line>>) -> bool {
        matches!(&*self.link.borrow(), Link::Open(open) if Rc::ptr_eq(open, connection))
    }

    /// Retires a connection that has broken, and tells all who wait for a break, once.
    fn mark_broken(&self, connection: &Rc<Connection<D::Line>>) {
        if self.is_current(connection) {
            self.use_link(Link::Closed);
            self.breaks.send_modify(|count| *count += 1);
        }
    }
}

impl<D: Dialer> Drop for Inner<D> {
    fn drop(&mut self) {
        self.use_link(Link::Closed);
    }
}

/// Waits for the end of a connection. The task holds only a weak reference to it, and ends with it.
fn watch_line<D: Dialer>(inner: &Rc<Inner<D>>, connection: &Rc<Connection<D::Line>>) {
    let ended = connection.line().ended();
    let (inner, connection) = (Rc::downgrade(inner), Rc::downgrade(connection));
    actix_rt::spawn(async move {
        ended.await;
        report_break(&inner, &connection);
    });
}

fn report_break<D: Dialer>(inner: &Weak<Inner<D>>, connection: &Weak<Connection<D::Line>>) {
    // If one of them is gone, we have closed the connection ourselves.
    let (Some(inner), Some(connection)) = (inner.upgrade(), connection.upgrade()) else { return };
    connection.mark_ended();
    inner.mark_broken(&connection);
}

/// When dropped, retires the connection of a command whose caller stopped waiting.
struct GivenUp<'a, D: Dialer> {
    inner: &'a Inner<D>,
    connection: &'a Rc<Connection<D::Line>>,
    armed: bool,
}

impl<D: Dialer> Drop for GivenUp<'_, D> {
    fn drop(&mut self) {
        if self.armed {
            self.inner.retire(self.connection);
        }
    }
}
