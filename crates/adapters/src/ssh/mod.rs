//! A shell on each VM, over the system's ssh client: [`SshExecutors`] behind `ports::ExecutorFactory`.
//!
//! ```text
//!   SshExecutors ── runtime      private directory: key, one directory a connection
//!        │ open
//!   SshExecutor ─── executor     one a VM: shares, notices, reopens
//!        │ run
//!   Connection ──── connection   one login: deadlines, limits, what an end means
//!     ├─ Master     master       the ssh process that holds it
//!     ├─ Session    session      one command's streams and exit status
//!     └─ verify                  before any command: the driver's word, or the secret
//!   key · endpoint · config · shell · failure      pure: texts in and out
//! ```
//!
//! Each connection is one `ssh -M` process of ours (1.3 MB), which the openssh crate speaks the multiplexing
//! protocol to. It ends when the executor is dropped, and when we are killed. Nothing of the user's own ssh
//! configuration is read. **Use it on the main thread** (see `master`).

mod config;
mod connection;
mod endpoint;
mod executor;
mod failure;
mod key;
mod master;
mod runtime;
mod session;
mod shell;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::ports::{Executor, ExecutorFactory, HostKeyVerifier, Target};
use dispatch_core::secret::Secret;

use executor::SshExecutor;
pub use key::{KeyError, PublicKeyInfo, check_private_key};
use runtime::Runtime;

/// How long things may take that are not the command itself.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From dialling to the end of the login.
    pub connect: Duration,
    /// Reading the secret, or the driver's answer.
    pub secret: Duration,
    /// Beyond a command's own deadline, so that the VM's timeout acts first and the connection stays.
    pub grace: Duration,
}

impl Default for Deadlines {
    /// 30 s, 30 s, 3 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            secret: Duration::from_secs(30),
            grace: Duration::from_secs(3),
        }
    }
}

/// What an [`SshExecutors`] is made from.
#[derive(Clone)]
pub struct Options {
    /// The key we log in with, as PEM; it reaches the client as a 0600 file in the runtime directory.
    pub private_key: Secret,
    /// The port of addresses that carry none.
    pub default_port: u16,
    /// Where our private directory is made; made itself (0700) if missing. At most 41 characters.
    pub runtime_dir: PathBuf,
    /// The ssh client, usually `ssh`.
    pub ssh_program: PathBuf,
    /// Asks the driver about host keys.
    pub verifier: Rc<dyn HostKeyVerifier>,
    /// See [`Deadlines`].
    pub deadlines: Deadlines,
    /// Where to log.
    pub log: slog::Logger,
}

/// Why no executor can be made here. One line each.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not installed, or not executable.
    #[error("cannot run {}: {source} (is the package openssh-client installed?)", program.display())]
    NoClient {
        /// What was to be run.
        program: PathBuf,
        /// Why it could not.
        source: io::Error,
    },
    /// Runs, but does not like to say its version.
    #[error("{} is not an OpenSSH client: `-V` ended with {status}", program.display())]
    StrangeClient {
        /// What was run.
        program: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// Cannot be made or written to.
    #[error("cannot use ssh runtime directory {}: {source}", path.display())]
    RuntimeDirectory {
        /// The directory that was given.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Sockets have short names.
    #[error("ssh runtime directory {} is too long: at most {longest} characters", path.display())]
    RuntimeDirectoryTooLong {
        /// The directory that was given.
        path: PathBuf,
        /// What would fit.
        longest: usize,
    },
    /// The client's configuration cannot hold it.
    #[error("ssh runtime directory {path:?} has a quote, backslash, %, $ or control character in it")]
    RuntimeDirectoryName {
        /// The directory that was given.
        path: PathBuf,
    },
    /// Not a key that we can use.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What all executors share.
struct Settings {
    default_port: u16,
    ssh_program: PathBuf,
    verifier: Rc<dyn HostKeyVerifier>,
    deadlines: Deadlines,
    log: slog::Logger,
}

/// Makes executors. Its private directory goes when it and the last executor are dropped.
pub struct SshExecutors {
    settings: Rc<Settings>,
    runtime: Rc<Runtime>,
}

/// Everything that can fail is done; executors only need to know whom to ask about host keys.
pub struct Prepared {
    ssh_program: PathBuf,
    runtime: Runtime,
}

impl Prepared {
    /// Checks the client and the key, and makes the private directory.
    ///
    /// # Errors
    /// If there is no ssh client, the key is not usable, or the directory cannot be made.
    pub fn new(private_key: &Secret, ssh_program: PathBuf, runtime_dir: &Path) -> Result<Self, SetupError> {
        check_client(&ssh_program)?;
        let key = key::to_openssh(private_key.expose())?;
        Ok(Self { ssh_program, runtime: Runtime::new(runtime_dir, &key)? })
    }

    /// Makes executors; see [`Options`] for what these are.
    pub fn into_executors(
        self,
        verifier: Rc<dyn HostKeyVerifier>,
        default_port: u16,
        deadlines: Deadlines,
        log: slog::Logger,
    ) -> SshExecutors {
        let settings = Settings { default_port, ssh_program: self.ssh_program, verifier, deadlines, log };
        SshExecutors { settings: Rc::new(settings), runtime: Rc::new(self.runtime) }
    }
}

impl SshExecutors {
    /// [`Prepared::new`] and [`Prepared::into_executors`] in one.
    ///
    /// # Errors
    /// If there is no ssh client, the key is not usable, or the directory cannot be made.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let prepared = Prepared::new(&options.private_key, options.ssh_program, &options.runtime_dir)?;
        Ok(prepared.into_executors(options.verifier, options.default_port, options.deadlines, options.log))
    }
}

impl ExecutorFactory for SshExecutors {
    fn open(&self, target: Target) -> Rc<dyn Executor> {
        Rc::new(SshExecutor::new(Rc::clone(&self.settings), Rc::clone(&self.runtime), target))
    }
}

fn check_client(program: &Path) -> Result<(), SetupError> {
    let mut version = Command::new(program);
    version.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status =
        version.status().map_err(|source| SetupError::NoClient { program: program.to_owned(), source })?;
    if status.success() {
        Ok(())
    } else {
        Err(SetupError::StrangeClient { program: program.to_owned(), status })
    }
}
