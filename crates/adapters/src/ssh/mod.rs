//! A shell on each VM over ssh: [`SshExecutors`] behind `ports::ExecutorFactory`, by one of two ssh clients.
//!
//! ```text
//!   SshExecutors ── setup        what can fail before there is an executor
//!        │ open
//!   SshExecutor ─── executor     one for each VM: shares a connection, notices breaks, reconnects
//!        │ run
//!   Connection ──── connection   one login: deadlines, limits, the meaning of an end
//!     ├─ verify                  before any command: the driver's answer, or the secret
//!     ├─ Gate       watch        the one command that goes on for long, and gives way to others
//!     └─ Line ───── line         what a client does for it ─┬─ via_openssh  the system's client: a process for each
//!   OwnSide ─────── own_side     whether a failure is ours, └─ via_russh    the crate: a thread for all
//!                                by our own system calls
//!   key · endpoint · shell · failure      pure: texts in and out
//! ```
//!
//! What a VM may do and what a failure means is decided here, once for both clients. A client connects, logs in, runs
//! texts in sessions, and says when its connection has ended.

mod connection;
mod endpoint;
mod executor;
mod failure;
mod key;
mod line;
mod own_side;
mod setup;
mod shell;
mod verify;
mod via_openssh;
mod via_russh;
mod watch;

use std::rc::Rc;

use dispatch_core::ports::{Executor, ExecutorFactory, HostKeyVerifier, Target};

use executor::SshExecutor;
pub use key::{KeyError, PublicKeyInfo, check_private_key};
use line::Dialer;
use own_side::OwnSide;
pub use own_side::OwnTrouble;
pub use setup::{ClientSetup, Deadlines, KeyExchange, Options, Prepared, SetupError, SshClient};
use via_openssh::OpenSsh;
use via_russh::Russh;

/// What all executors share, whatever the client.
struct Settings {
    default_port: u16,
    verifier: Rc<dyn HostKeyVerifier>,
    deadlines: Deadlines,
    log: slog::Logger,
}

/// What all executors over one client share.
struct Shared<D: Dialer> {
    settings: Settings,
    dialer: Rc<D>,
    own_side: Rc<OwnSide<D>>,
}

impl<D: Dialer> Shared<D> {
    fn new(dialer: D, settings: Settings, trouble: tokio::sync::watch::Sender<Option<String>>) -> Rc<Self> {
        let dialer = Rc::new(dialer);
        let own_side = OwnSide::new(Rc::clone(&dialer), trouble);
        Rc::new(Self { settings, dialer, own_side })
    }
}

/// Makes executors. What the client has of this machine (a private directory, a thread) is given back when it and the
/// last executor are dropped.
pub struct SshExecutors(Way);

enum Way {
    OpenSsh(Rc<Shared<OpenSsh>>),
    Russh(Rc<Shared<Russh>>),
}

impl ExecutorFactory for SshExecutors {
    fn open(&self, target: Target) -> Rc<dyn Executor> {
        match &self.0 {
            Way::OpenSsh(shared) => Rc::new(SshExecutor::new(Rc::clone(shared), target)),
            Way::Russh(shared) => Rc::new(SshExecutor::new(Rc::clone(shared), target)),
        }
    }
}
