//! Decides whether a failure is our own side's. Only what our own system calls report counts, never a text that a peer
//! has sent or that stands in a client's log: a peer could write anything there.
//!
//! ```text
//!   a system call of ours fails (directory, file, spawn, socket, descriptor) ─┐
//!   no connection, or a lost one ───────► check() ─┬─ one of its calls fails ─┴─► Local, and `trouble` says so
//!                                                  └─ all succeed ─► the failure stays what it was
//!   trouble ── check() succeeds, and nothing of ours has failed for 5 s ──► over
//! ```
//! `check` does what a connection and a command need of this machine: descriptors, and whatever the client needs beside
//! them ([`Dialer::check_own_side`]).

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use dispatch_core::ports::{ExecError, ExecErrorKind};
use rustix::io::Errno;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::failure::error;
use super::line::Dialer;

/// How often it is checked whether trouble is over, and how long nothing of ours may have failed by then.
const RECHECK: Duration = Duration::from_secs(5);
/// What a new connection with a command has open here, with some to spare.
const DESCRIPTORS: usize = 16;

/// How an error begins if this machine lacks something.
pub(super) const NOT_ABLE: &str = "this machine cannot do what ssh needs";

/// What is wrong on our own side: `None` = nothing.
pub type OwnTrouble = watch::Receiver<Option<String>>;

/// Our own side, as far as ssh needs it.
pub(super) struct OwnSide<D> {
    dialer: Rc<D>,
    trouble: watch::Sender<Option<String>>,
    last_failure: Cell<Option<Instant>>,
    watched: Cell<bool>,
}

impl<D: Dialer> OwnSide<D> {
    pub(super) fn new(dialer: Rc<D>, trouble: watch::Sender<Option<String>>) -> Rc<Self> {
        Rc::new(Self { dialer, trouble, last_failure: Cell::new(None), watched: Cell::new(false) })
    }

    /// The same failure, or ours, if our own side is not able to ask.
    pub(super) async fn judge(self: &Rc<Self>, failure: ExecError) -> ExecError {
        match failure.kind {
            ExecErrorKind::Local => {
                self.note(&failure.message);
                failure
            }
            // We have not asked, or the VM has answered.
            ExecErrorKind::NotReady
            | ExecErrorKind::NotSent
            | ExecErrorKind::VerifierFailed
            | ExecErrorKind::CommandTimeout
            | ExecErrorKind::OutputTooLarge => failure,
            ExecErrorKind::Refused
            | ExecErrorKind::ConnectTimeout
            | ExecErrorKind::Authentication
            | ExecErrorKind::SecretUnreadable
            | ExecErrorKind::Verification
            | ExecErrorKind::ConnectionLost => match self.check().await {
                Ok(()) => failure,
                Err(ours) => {
                    self.note(&ours);
                    error(ExecErrorKind::Local, ours)
                }
            },
        }
    }

    fn note(self: &Rc<Self>, trouble: &str) {
        self.last_failure.set(Some(Instant::now()));
        self.trouble.send_if_modified(|known| {
            let news = known.is_none();
            known.get_or_insert_with(|| trouble.to_owned());
            news
        });
        if !self.watched.replace(true) {
            actix_rt::spawn(watch_until_over(Rc::downgrade(self)));
        }
    }

    /// Does what a connection needs of this machine.
    async fn check(&self) -> Result<(), String> {
        open_descriptors().map_err(|source| format!("{NOT_ABLE}: {source}"))?;
        self.dialer.check_own_side().await
    }
}

fn open_descriptors() -> io::Result<()> {
    (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect::<io::Result<Vec<_>>>().map(drop)
}

/// Checks again and again until all is well. It ends with the last executor.
async fn watch_until_over<D: Dialer>(own_side: Weak<OwnSide<D>>) {
    loop {
        sleep(RECHECK).await;
        let Some(own_side) = own_side.upgrade() else { return };
        let is_well = own_side.check().await.is_ok();
        let quiet = own_side.last_failure.get().is_none_or(|at| at.elapsed() >= RECHECK);
        if is_well && quiet {
            own_side.watched.set(false);
            own_side.trouble.send_replace(None);
            return;
        }
    }
}

/// Whether that error of a system call says that this process or this machine has too little of something.
pub(super) fn is_lack(source: &io::Error) -> bool {
    let lacks =
        [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::NOSPC, Errno::DQUOT, Errno::ROFS];
    source.raw_os_error().is_some_and(|raw| lacks.iter().any(|lack| lack.raw_os_error() == raw))
}
