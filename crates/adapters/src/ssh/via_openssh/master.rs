//! The ssh master: a child process that holds one connection for as long as we hold the child.
//!
//! ```text
//!   start ── socket appears ──→ Master ── exits by itself ──→ `broken` is told
//!     │                           │
//!     └── exits: its log says why └── dropped: killed at once
//! ```
//! The openssh crate can start a master itself, but such a master lives on when this process is killed. Ours
//! ends with this process (PR_SET_PDEATHSIG), and when it is dropped.
//!
//! **The death signal is sent when the *thread* that started the child ends.** So executors must be used on
//! the main thread, where the arbiter runs, and not on a thread that ends earlier.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::ports::{ExecError, ExecErrorKind};
use rustix::process::Signal;
use tokio::process::{Child, Command};

use super::client::{Client, is_flooded, limit_files};
use super::config::{ALIAS, ClientConfig};
use super::failure::{ConnectFailure, classify, last_line};
use super::runtime::ConnectionDir;
use crate::ssh::failure::error;
use crate::ssh::line::Login;

/// What is said of a server that has made the client write more than it may into its log.
const FLOODED: &str =
    "its server has flooded the ssh client's log: more than 1 MiB, so the connection was ended";

/// A connected ssh master. When it is dropped, it is killed and its directory is removed.
pub(super) struct Master {
    child: Rc<RefCell<Child>>,
    dir: ConnectionDir,
}

impl Master {
    /// Starts a client and waits until it has logged in. Dropping the future ends the client.
    pub(super) async fn start(
        client: &Client,
        dir: ConnectionDir,
        config: &ClientConfig<'_>,
        login: &Login<'_>,
    ) -> Result<Self, ConnectFailure> {
        let child = spawn(client, &dir, config).map_err(|source| {
            let text = format!("cannot run {}: {source}", client.program().display());
            ConnectFailure::Failed(error(ExecErrorKind::Local, text))
        })?;
        let master = Self { child: Rc::new(RefCell::new(child)), dir };
        master.connected(login).await?;
        Ok(master)
    }

    /// The client's socket appears when the login is done. There is no other sign of it.
    async fn connected(&self, login: &Login<'_>) -> Result<(), ConnectFailure> {
        let socket = self.dir.file("master");
        let mut pause = Duration::from_millis(2);
        while !socket.exists() {
            let ended = self.child.borrow_mut().try_wait();
            if !matches!(ended, Ok(None)) {
                return Err(self.why_not_connected(login));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        Ok(())
    }

    fn why_not_connected(&self, login: &Login<'_>) -> ConnectFailure {
        if self.is_flooded() {
            return ConnectFailure::Failed(login.failed(ExecErrorKind::Refused, FLOODED));
        }
        match classify(&self.dir.read("log")) {
            Some((kind, why)) => ConnectFailure::Failed(login.failed(kind, &why)),
            None => ConnectFailure::KeyChanged,
        }
    }

    /// Resolves when the client has ended.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + 'static + use<> {
        let child = Rc::clone(&self.child);
        async move {
            // Whatever the result, there is no connection any more.
            let _ = poll_fn(|context| pin!(child.borrow_mut().wait()).poll(context)).await;
        }
    }

    pub(super) fn dir(&self) -> &ConnectionDir {
        &self.dir
    }

    /// The last line of the client's log, or that its server has flooded it.
    pub(super) fn last_words(&self) -> String {
        if self.is_flooded() { FLOODED.to_owned() } else { last_line(&self.dir.read("log")) }
    }

    /// The same failure, unless its cause is that the server has flooded the log.
    pub(super) fn blame(&self, failure: ExecError) -> ExecError {
        if self.is_flooded() { error(ExecErrorKind::ConnectionLost, FLOODED) } else { failure }
    }

    fn is_flooded(&self) -> bool {
        std::fs::metadata(self.dir.file("log")).is_ok_and(|log| is_flooded(log.len()))
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // An error means that the client has ended already.
        let _ = self.child.borrow_mut().start_kill();
    }
}

fn spawn(client: &Client, dir: &ConnectionDir, config: &ClientConfig<'_>) -> io::Result<Child> {
    dir.write("config", &config.text())?;
    let mut command = Command::from(client.command());
    command.args(["-M", "-N", "-T"]);
    command.arg("-S").arg(dir.file("master"));
    command.arg("-E").arg(dir.file("log"));
    command.arg("-F").arg(dir.file("config"));
    command.arg(ALIAS);
    command.stderr(Stdio::null()).kill_on_drop(true);
    // A Ctrl-C at our terminal must reach this process only.
    command.process_group(0);
    limit_and_die_with_parent(&mut command);
    command.spawn()
}

#[expect(unsafe_code, reason = "pre_exec is the only way to run these calls in the child; rustix has them")]
fn limit_and_die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let in_child = move || {
        limit_files()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // If the parent was killed between fork and prctl, no death signal would ever come.
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::Interrupted.into())
        }
    };
    // SAFETY: between fork and exec only system calls are made; nothing is allocated or locked.
    unsafe { command.pre_exec(in_child) };
}
