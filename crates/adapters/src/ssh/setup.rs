//! What executors are made from, and everything that can fail before there is one.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::ports::HostKeyVerifier;
use dispatch_core::secret::Secret;
use tokio::sync::watch;

use super::key::KeyError;
use super::own_side::OwnTrouble;
use super::via_openssh::{self, OpenSsh};
use super::via_russh::{self, Russh};
use super::{Settings, Shared, SshExecutors, Way};

/// Which ssh client makes the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SshClient {
    /// The system's, a process for each connection. It is what the administrators of a site know and keep up to date,
    /// and it attacks nobody but itself if it has a fault.
    #[default]
    OpenSsh,
    /// The crate russh, inside this process: a fraction of the memory, and no process.
    Russh,
}

impl SshClient {
    /// The most file descriptors that this process has open for one VM.
    pub fn descriptors_of_a_vm(self) -> u64 {
        match self {
            Self::OpenSsh => via_openssh::DESCRIPTORS_OF_A_VM,
            Self::Russh => via_russh::DESCRIPTORS_OF_A_VM,
        }
    }
}

/// An ssh client, with what it needs of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientSetup {
    /// See [`SshClient::OpenSsh`].
    OpenSsh {
        /// The program, usually `ssh`.
        program: PathBuf,
        /// The directory in which our private directory is made. It is made itself (0700) if missing. At most 41
        /// characters. The private key is given to the program as a 0600 file there.
        runtime_dir: PathBuf,
    },
    /// See [`SshClient::Russh`].
    Russh,
}

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
    /// The private key that we log in with, as PEM.
    pub private_key: Secret,
    /// The port for addresses without one.
    pub default_port: u16,
    /// See [`ClientSetup`].
    pub client: ClientSetup,
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
    /// The thread on which connections are served cannot be started.
    #[error("cannot start the thread for ssh connections: {0}")]
    Thread(#[source] io::Error),
    /// The private key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Everything that can fail has been done. To make executors, only the remaining options are needed.
pub struct Prepared {
    client: PreparedClient,
    trouble: watch::Sender<Option<String>>,
}

enum PreparedClient {
    OpenSsh(OpenSsh),
    Russh(Russh),
}

impl Prepared {
    /// Checks the key and whatever the client needs of this machine.
    ///
    /// # Errors
    /// If the key cannot be used, there is no such client, or its directory or thread cannot be made.
    pub fn new(
        private_key: &Secret,
        client: ClientSetup,
        key_exchange: KeyExchange,
    ) -> Result<Self, SetupError> {
        let client = match client {
            ClientSetup::OpenSsh { program, runtime_dir } => {
                PreparedClient::OpenSsh(OpenSsh::new(private_key, program, &runtime_dir, key_exchange)?)
            }
            ClientSetup::Russh => PreparedClient::Russh(Russh::new(private_key, key_exchange)?),
        };
        Ok(Self { client, trouble: watch::Sender::new(None) })
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
        let settings = Settings { default_port, verifier, deadlines, log };
        SshExecutors(match self.client {
            PreparedClient::OpenSsh(dialer) => Way::OpenSsh(Shared::new(dialer, settings, self.trouble)),
            PreparedClient::Russh(dialer) => Way::Russh(Shared::new(dialer, settings, self.trouble)),
        })
    }
}

impl SshExecutors {
    /// [`Prepared::new`] and [`Prepared::into_executors`] in one.
    ///
    /// # Errors
    /// See [`Prepared::new`].
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let prepared = Prepared::new(&options.private_key, options.client, options.key_exchange)?;
        Ok(prepared.into_executors(options.verifier, options.default_port, options.deadlines, options.log))
    }
}
