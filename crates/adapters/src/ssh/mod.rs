//! A shell on each VM, over the system's ssh client: [`SshExecutors`] behind `ports::ExecutorFactory`.
//!
//! ```text
//!   SshExecutors ── runtime      private directory: key, a directory for each connection
//!        │ open
//!   SshExecutor ─── executor     one for each VM: shares a connection, notices breaks, reconnects
//!        │ run
//!   Connection ──── connection   one login: deadlines, limits, the meaning of an end
//!     ├─ Master     master       the ssh process that holds it
//!     ├─ Session    session      one command's streams and exit status
//!     ├─ Gate       watch        the one command that goes on for long, and gives way to others
//!     └─ verify                  before any command: the driver's answer, or the secret
//!   OwnSide ─────── own_side     whether a failure is ours, by our own system calls
//!   Client ──────── client       the program: its environment, its limits, what it can do
//!   key · endpoint · config · shell · failure      pure: texts in and out
//! ```
//!
//! Each connection is one `ssh -M` process of ours (1.3 MB). The openssh crate speaks the multiplexing
//! protocol to it. The process ends when the executor is dropped, and when this process is killed. The user's
//! own ssh configuration is not read. **Use it on the main thread** (see `master`).

mod client;
mod config;
mod connection;
mod endpoint;
mod executor;
mod failure;
mod key;
mod master;
mod own_side;
mod runtime;
mod session;
mod shell;
mod verify;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::ports::{Executor, ExecutorFactory, HostKeyVerifier, Target};
use dispatch_core::secret::Secret;

use client::Client;
use executor::SshExecutor;
pub use key::{KeyError, PublicKeyInfo, check_private_key};
use own_side::OwnSide;
pub use own_side::OwnTrouble;
use runtime::Runtime;

/// The most file descriptors that this process has open for one VM: eight commands at a time and a watch, each with a
/// socket and pipes, and its ssh client. Measured by a test.
pub const DESCRIPTORS_OF_A_VM: u64 = 32;

/// How long everything besides the command itself may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From the start of the connection to the end of the login.
    pub connect: Duration,
    /// How long it may take to read the secret, or to get the driver's answer.
    pub secret: Duration,
    /// Time beyond a command's own deadline, so that the VM's timeout acts first and the connection stays.
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

/// Which key exchanges are preferred. What a server does not offer is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyExchange {
    /// Those that withstand a quantum computer, if the client has any: what is recorded today, the site's root token
    /// among it, cannot be read by one either.
    #[default]
    PostQuantum,
    /// Curve25519 alone: it costs a fraction of the CPU time.
    Fast,
}

/// What an [`SshExecutors`] is made from.
#[derive(Clone)]
pub struct Options {
    /// The private key that we log in with, as PEM. It is given to the client as a 0600 file in the runtime
    /// directory.
    pub private_key: Secret,
    /// The port for addresses without one.
    pub default_port: u16,
    /// The directory in which our private directory is made. It is made itself (0700) if missing. At most 41
    /// characters.
    pub runtime_dir: PathBuf,
    /// The ssh client, usually `ssh`.
    pub ssh_program: PathBuf,
    /// See [`KeyExchange`].
    pub key_exchange: KeyExchange,
    /// Asks the driver about host keys.
    pub verifier: Rc<dyn HostKeyVerifier>,
    /// See [`Deadlines`].
    pub deadlines: Deadlines,
    /// The logger.
    pub log: slog::Logger,
}

/// Why no executor can be made on this machine. Each error is one line.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The ssh client is not installed, or is not executable.
    #[error("cannot run {}: {source} (is the package openssh-client installed?)", program.display())]
    NoClient {
        /// The program.
        program: PathBuf,
        /// Why it could not be run.
        source: io::Error,
    },
    /// The program runs, but `-V` fails.
    #[error("{} is not an OpenSSH client: `-V` ended with {status}", program.display())]
    StrangeClient {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The directory cannot be made, or cannot be written to.
    #[error("cannot use ssh runtime directory {}: {source}", path.display())]
    RuntimeDirectory {
        /// The given directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The path is too long for the name of a socket.
    #[error("ssh runtime directory {} is too long: at most {longest} characters", path.display())]
    RuntimeDirectoryTooLong {
        /// The given directory.
        path: PathBuf,
        /// The longest path that fits.
        longest: usize,
    },
    /// The path cannot be written into the client's configuration.
    #[error("ssh runtime directory {path:?} has a quote, backslash, %, $ or control character in it")]
    RuntimeDirectoryName {
        /// The given directory.
        path: PathBuf,
    },
    /// The private key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What all executors share.
struct Settings {
    default_port: u16,
    client: Client,
    /// The line of the client's configuration about key exchanges.
    key_exchange: String,
    verifier: Rc<dyn HostKeyVerifier>,
    deadlines: Deadlines,
    own_side: Rc<OwnSide>,
    log: slog::Logger,
}

/// Makes executors. Its private directory is removed when it and the last executor are dropped.
pub struct SshExecutors {
    settings: Rc<Settings>,
    runtime: Rc<Runtime>,
}

/// Everything that can fail has been done. To make executors, only the remaining options are needed.
pub struct Prepared {
    client: Client,
    key_exchange: KeyExchange,
    runtime: Runtime,
    trouble: tokio::sync::watch::Sender<Option<String>>,
}

impl Prepared {
    /// Checks the client and the key, and makes the private directory.
    ///
    /// # Errors
    /// If there is no ssh client, the key cannot be used, or the directory cannot be made.
    pub fn new(private_key: &Secret, ssh_program: PathBuf, runtime_dir: &Path) -> Result<Self, SetupError> {
        let client = Client::new(ssh_program)?;
        let key = key::to_openssh(private_key.expose())?;
        let (runtime, trouble) = (Runtime::new(runtime_dir, &key)?, tokio::sync::watch::Sender::new(None));
        Ok(Self { client, key_exchange: KeyExchange::default(), runtime, trouble })
    }

    /// With those key exchanges, instead of the ones that withstand a quantum computer.
    #[must_use]
    pub fn with_key_exchange(self, key_exchange: KeyExchange) -> Self {
        Self { key_exchange, ..self }
    }

    /// What is wrong on our own side, from now on.
    pub fn trouble(&self) -> OwnTrouble {
        self.trouble.subscribe()
    }

    /// Makes executors; the parameters are explained at [`Options`].
    pub fn into_executors(
        self,
        verifier: Rc<dyn HostKeyVerifier>,
        default_port: u16,
        deadlines: Deadlines,
        log: slog::Logger,
    ) -> SshExecutors {
        let runtime = Rc::new(self.runtime);
        let own_side = OwnSide::new(self.client.clone(), Rc::clone(&runtime), self.trouble);
        let (client, key_exchange) = (self.client, self.key_exchange);
        let key_exchange = client.key_exchange_line(key_exchange);
        let settings = Settings { default_port, client, key_exchange, verifier, deadlines, own_side, log };
        SshExecutors { settings: Rc::new(settings), runtime }
    }
}

impl SshExecutors {
    /// [`Prepared::new`] and [`Prepared::into_executors`] in one.
    ///
    /// # Errors
    /// If there is no ssh client, the key cannot be used, or the directory cannot be made.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let prepared = Prepared::new(&options.private_key, options.ssh_program, &options.runtime_dir)?;
        let prepared = prepared.with_key_exchange(options.key_exchange);
        Ok(prepared.into_executors(options.verifier, options.default_port, options.deadlines, options.log))
    }
}

impl ExecutorFactory for SshExecutors {
    fn open(&self, target: Target) -> Rc<dyn Executor> {
        Rc::new(SshExecutor::new(Rc::clone(&self.settings), Rc::clone(&self.runtime), target))
    }
}
