//! The port to the VMs.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::clock::BootTime;
use super::cloud::{CloudError, HostKey, HostKeyVerdict};
use super::watch::{Watch, WatchEnd};
use crate::id::InstanceId;
use crate::secret::Secret;

/// One command for a VM.
#[derive(Clone, PartialEq, Eq)]
pub struct ShellCommand {
    /// Shell text; every argument in it that is not the site's own shell text is quoted already.
    pub shell: String,
    /// Whether it needs root (`sudo`, unless the user is root).
    pub privileged: bool,
    /// What it reads; empty = nothing.
    pub stdin: Bytes,
    /// How long it may take, here and on the VM.
    pub deadline: Duration,
    /// Whether it starts or ends a process: only who may act sends it.
    pub acts: bool,
    /// It is handed over before that moment, or not at all.
    pub not_after: Option<BootTime>,
    /// A connection is opened for it, and used by what comes later. Commands that run over the one before go on.
    pub afresh: bool,
}

impl ShellCommand {
    /// A command that only looks, as the login user, and reads nothing.
    pub fn new(shell: impl Into<String>, deadline: Duration) -> Self {
        let shell = shell.into();
        Self {
            shell,
            privileged: false,
            stdin: Bytes::new(),
            deadline,
            acts: false,
            not_after: None,
            afresh: false,
        }
    }
}

impl fmt::Debug for ShellCommand {
    /// Leaves stdin out: it carries tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShellCommand")
            .field("shell", &self.shell)
            .field("privileged", &self.privileged)
            .field("stdin_bytes", &self.stdin.len())
            .field("deadline", &self.deadline)
            .field("acts", &self.acts)
            .field("afresh", &self.afresh)
            .finish()
    }
}

/// What a command left behind, whatever its exit status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Exit status, 0 to 255.
    pub status: i32,
    /// At most 32 MiB.
    pub stdout: Vec<u8>,
    /// At most 32 MiB.
    pub stderr: Vec<u8>,
}

/// Why a command has no exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExecErrorKind {
    /// The VM has no address yet.
    NotReady,
    /// We may not act now, or no longer: nothing was sent.
    NotSent,
    /// Nobody listens there, or no route.
    Refused,
    /// No connection, handshake or login within the deadline.
    ConnectTimeout,
    /// The VM does not accept our key or user.
    Authentication,
    /// The VM's secret cannot be read yet.
    SecretUnreadable,
    /// Wrong secret, no secret to compare with, or a forged host key: no command was run.
    Verification,
    /// The cloud cannot be asked whether this is the VM: no command was run.
    VerifierFailed,
    /// The command did not end within its deadline; it may still run.
    CommandTimeout,
    /// The connection broke while it ran; it may still run.
    ConnectionLost,
    /// It wrote more than 32 MiB.
    OutputTooLarge,
    /// Our own side failed: no ssh client, no file descriptor.
    Local,
}

impl ExecErrorKind {
    /// For logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::NotSent => "not_sent",
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Authentication => "authentication",
            Self::SecretUnreadable => "secret_unreadable",
            Self::Verification => "verification",
            Self::VerifierFailed => "verifier_failed",
            Self::CommandTimeout => "command_timeout",
            Self::ConnectionLost => "connection_lost",
            Self::OutputTooLarge => "output_too_large",
            Self::Local => "local",
        }
    }

    /// Whether there was no connection to send a command over.
    pub fn is_before_any_command(self) -> bool {
        match self {
            Self::NotReady
            | Self::NotSent
            | Self::Refused
            | Self::ConnectTimeout
            | Self::Authentication
            | Self::SecretUnreadable
            | Self::Verification
            | Self::VerifierFailed => true,
            // Of our own faults nobody knows when they struck.
            Self::CommandTimeout | Self::ConnectionLost | Self::OutputTooLarge | Self::Local => false,
        }
    }

    /// Whether it says nothing about the VM, because our own side is the cause, or the cloud's API.
    pub fn is_our_own(self) -> bool {
        match self {
            Self::NotSent | Self::Local | Self::VerifierFailed => true,
            Self::NotReady
            | Self::Refused
            | Self::ConnectTimeout
            | Self::Authentication
            | Self::SecretUnreadable
            | Self::Verification
            | Self::CommandTimeout
            | Self::ConnectionLost
            | Self::OutputTooLarge => false,
        }
    }

    /// Whether somebody answered at its address who did not prove to be this VM.
    pub fn is_unproven(self) -> bool {
        match self {
            Self::SecretUnreadable | Self::Verification => true,
            Self::NotReady
            | Self::NotSent
            | Self::Refused
            | Self::ConnectTimeout
            | Self::Authentication
            | Self::VerifierFailed
            | Self::CommandTimeout
            | Self::ConnectionLost
            | Self::OutputTooLarge
            | Self::Local => false,
        }
    }

    /// Whether a connection had got as far as the verification of the host key.
    pub fn reached_verification(self) -> bool {
        match self {
            Self::NotReady
            | Self::NotSent
            | Self::Refused
            | Self::ConnectTimeout
            | Self::Authentication
            | Self::Local => false,
            Self::SecretUnreadable
            | Self::Verification
            | Self::VerifierFailed
            | Self::CommandTimeout
            | Self::ConnectionLost
            | Self::OutputTooLarge => true,
        }
    }
}

/// A command that has no exit status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExecError {
    /// What policy needs.
    pub kind: ExecErrorKind,
    /// What failed and with what, for people; without secrets.
    pub message: String,
}

/// The VM that an executor talks to. It changes when the cloud's listing does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which VM.
    pub id: InstanceId,
    /// Host, or host:port; empty = not ready.
    pub address: String,
    /// The user to log in as.
    pub user: String,
    /// The secret it must prove itself with; `None` = refused unless the driver verifies the key.
    pub secret: Option<Secret>,
    /// Where on the VM the secret lies.
    pub secret_path: String,
    /// Where a copy of it lies that only root can read; `None` = there is none.
    pub secret_copy: Option<String>,
}

/// A shell on one VM: one multiplexed connection, opened on demand, verified before any command runs,
/// reopened after failure, closed when dropped.
#[async_trait(?Send)]
pub trait Executor {
    /// Runs one command to its end. Commands may run side by side.
    async fn run(&self, command: ShellCommand) -> Result<Output, ExecError>;
    /// Begins a command that goes on until its stdin is closed, or its deadline has passed there. It is given its `stdin`
    /// first; then its stdin stays open for more lines. It uses the connection that is there, and no other: it ends
    /// when that breaks, or when new commands use another one. It must not be in the way of commands: if the server
    /// refuses one of them a session, the watch is ended for it.
    async fn watch(&self, command: ShellCommand) -> Result<Rc<dyn Watch>, WatchEnd> {
        let _ = command;
        Err(WatchEnd::NotSupported)
    }
    /// The VM has another address or secret now.
    fn retarget(&self, target: Target);
    /// The connection there is may be dead without having told us: the next command opens another. Commands that run
    /// over it go on.
    fn forget_connection(&self) {}
    /// Resolves when the open connection breaks; never, if it is closed by us or there is none.
    async fn broken(&self);
}

/// Makes executors; verification by the driver goes through [`HostKeyVerifier`].
pub trait ExecutorFactory {
    /// An executor for that VM; connects when first used.
    fn open(&self, target: Target) -> Rc<dyn Executor>;
}

/// Asks the driver about a host key, by way of the Cloud actor.
#[async_trait(?Send)]
pub trait HostKeyVerifier {
    /// The driver's word.
    async fn verify(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError>;
}
