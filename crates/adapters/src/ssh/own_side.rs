//! Decides whether a failure is our own side's. Only what our own system calls report counts, never a text that a peer
//! has sent or that stands in the client's log: a peer could write anything there.
//!
//! ```text
//!   a system call of ours fails (directory, file, spawn, descriptor) ─────────┐
//!   no connection, or a lost one ───────► check() ─┬─ one of its calls fails ─┴─► Local, and `trouble` says so
//!                                                  └─ all succeed ─► the failure stays what it was
//!   trouble ── check() succeeds, and nothing of ours has failed for 5 s ──► over
//! ```
//! `check` does what a connection and a command need of this machine: a directory, its files with content, a socket,
//! the key, descriptors, and the client as a program that runs (`ssh -G` reads a configuration, looks up our user and
//! ends; it talks to nobody).

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::rc::{Rc, Weak};
use std::time::Duration;

use dispatch_core::ports::{ExecError, ExecErrorKind};
use rustix::io::Errno;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::client::Client;
use super::failure::{error, last_line};
use super::runtime::Runtime;

/// How often it is checked whether trouble is over, and how long nothing of ours may have failed by then.
const RECHECK: Duration = Duration::from_secs(5);
/// For how long the client counts as a program that runs.
const CLIENT_WORKS_FOR: Duration = Duration::from_secs(10);
/// What an answer of `ssh -G` may take. A slower one says nothing.
const ANSWER_OF_CLIENT: Duration = Duration::from_secs(5);
/// What a small file takes of a disk.
const BLOCK: usize = 4096;
/// What a new connection with a command has open here.
const DESCRIPTORS: usize = 16;

/// What is wrong on our own side: `None` = nothing.
pub type OwnTrouble = watch::Receiver<Option<String>>;

/// Our own side, as far as ssh needs it.
pub(super) struct OwnSide {
    client: Client,
    runtime: Rc<Runtime>,
    trouble: watch::Sender<Option<String>>,
    last_failure: Cell<Option<Instant>>,
    client_worked: Cell<Option<Instant>>,
    watched: Cell<bool>,
}

impl OwnSide {
    pub(super) fn new(
        client: Client,
        runtime: Rc<Runtime>,
        trouble: watch::Sender<Option<String>>,
    ) -> Rc<Self> {
        let (last_failure, client_worked) = (Cell::new(None), Cell::new(None));
        Rc::new(Self { client, runtime, trouble, last_failure, client_worked, watched: Cell::new(false) })
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
        self.check_files().map_err(|source| format!("this machine cannot do what ssh needs: {source}"))?;
        if self.client_worked.get().is_some_and(|at| at.elapsed() < CLIENT_WORKS_FOR) {
            return Ok(());
        }
        self.check_client().await?;
        self.client_worked.set(Some(Instant::now()));
        Ok(())
    }

    fn check_files(&self) -> io::Result<()> {
        let dir = self.runtime.connection_dir()?;
        // As much room as a connection takes: the one that failed may have left less than that.
        for file in ["config", "known_hosts", "log"] {
            dir.write(file, &"x".repeat(BLOCK))?;
        }
        drop(UnixListener::bind(dir.file("socket"))?);
        File::open(self.runtime.key_file())?;
        (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect::<io::Result<Vec<_>>>()?;
        Ok(())
    }

    async fn check_client(&self) -> Result<(), String> {
        let name = self.client.program().display();
        let mut command = Command::from(self.client.command());
        command.args(["-G", "-F", "/dev/null", "vm"]).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().map_err(|source| format!("cannot run {name}: {source}"))?;
        match timeout(ANSWER_OF_CLIENT, child.wait_with_output()).await {
            Ok(Ok(output)) if !output.status.success() => {
                let why = last_line(&String::from_utf8_lossy(&output.stderr));
                Err(format!("{name} does not work here: {}: {why}", output.status))
            }
            Ok(Err(source)) => Err(format!("cannot wait for {name}: {source}")),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }
}

/// Checks again and again until all is well. It ends with the last executor.
async fn watch_until_over(own_side: Weak<OwnSide>) {
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
