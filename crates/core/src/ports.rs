//! The only ways to the world: a controller, a cloud, and a shell on each VM.
//!
//! Ports are object-safe, used as `Rc<dyn …>` on one thread, and thin: **one method = one remote call**,
//! without retries, paging or pacing inside; those are decisions and live in the core. Every method
//! returns within the deadline it was given or built with. Errors are kinds that policy reacts to;
//! their text is for people and never branched on.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::container::{MountNeeds, Record, Standing};
use crate::id::{ContainerUuid, InstanceId, ProviderType, TokenUuid};
use crate::instance::{Instance, InstanceType, Market, PricePoint, Tags};
use crate::secret::Secret;
use crate::time::Timestamp;

// ---------------------------------------------------------------- the controller

/// One question of a poll: one HTTP call, one page (docs/behaviour.md, "The controller's API").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListQuestion {
    /// Containers locked by `me`, in order of uuid, beyond `after`.
    Mine {
        /// Our lock owner id.
        me: TokenUuid,
        /// The last uuid of the page before.
        after: Option<ContainerUuid>,
    },
    /// Queued containers with priority > 0, highest first, from `offset` on.
    Available {
        /// How many to leave out.
        offset: usize,
    },
    /// These containers, whatever their state. At most 20.
    Known {
        /// Whom we ask for.
        uuids: Vec<ContainerUuid>,
    },
}

/// A record that could not be decoded: it hurts only itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Whose record it is, if that much could be read.
    pub uuid: Option<ContainerUuid>,
    /// Where in the JSON, and what is wrong there.
    pub reason: String,
}

/// One page of a list: what could be read, and what could not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page<T> {
    /// The items that could be decoded, in the server's order.
    pub items: Vec<T>,
    /// Those that could not.
    pub undecodable: Vec<Undecodable>,
}

impl<T> Page<T> {
    /// How many items the server sent. Zero ends paging; nothing else does.
    pub fn len(&self) -> usize {
        self.items.len() + self.undecodable.len()
    }

    /// Whether the server sent nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a call to the controller failed, as far as policy must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ApiErrorKind {
    /// 401: a bad token, or a database outage. Never a reason to drop anything.
    Unauthorized,
    /// 403: not ours to do.
    Forbidden,
    /// 404: no such record.
    NotFound,
    /// 422 and other 4xx: the server refuses; nothing happened.
    Refused,
    /// 503: shed before it was executed; nothing happened.
    Overloaded,
    /// Other 5xx: may have taken effect.
    Server,
    /// No answer within the deadline: may have taken effect.
    Timeout,
    /// The connection failed: may have taken effect.
    Connection,
    /// An answer that is not what was asked for.
    Malformed,
}

impl ApiErrorKind {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Malformed => "malformed",
        }
    }
}

/// A failed call to the controller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct ApiError {
    /// What policy needs.
    pub kind: ApiErrorKind,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What failed and with what, for people; without secrets.
    pub message: String,
    /// The id the call was made under, to be found in the server's logs.
    pub request_id: String,
}

/// The controller. Deadline of each call: `API.RequestTimeout`.
#[async_trait(?Send)]
pub trait ArvadosApi {
    /// Our lock owner id: the uuid of the token we use.
    async fn current_token(&self) -> Result<TokenUuid, ApiError>;
    /// One page of containers.
    async fn list(&self, question: &ListQuestion) -> Result<Page<Record>, ApiError>;
    /// What sizing needs of the mounts of these (at most 50) containers, in one call.
    async fn mounts(&self, uuids: &[ContainerUuid]) -> Result<Page<(ContainerUuid, MountNeeds)>, ApiError>;
    /// One record, as `list` shows it.
    async fn get(&self, uuid: ContainerUuid) -> Result<Record, ApiError>;
    /// Queued → Locked by us. Not idempotent.
    async fn lock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError>;
    /// Locked by us → Queued, or Cancelled if its dispatch attempts are used up.
    async fn unlock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError>;
    /// → Cancelled, with an error text for the user if there is one. Idempotent.
    async fn cancel(&self, uuid: ContainerUuid, error: Option<&str>) -> Result<Standing, ApiError>;
}

// ---------------------------------------------------------------- the cloud

/// What a create asks for.
#[derive(Debug, Clone)]
pub struct CreateOrder {
    /// Which type.
    pub instance_type: std::sync::Arc<InstanceType>,
    /// The site's image id.
    pub image: String,
    /// All tags, default ones included.
    pub tags: Tags,
    /// Shell text run on first boot, under 1 KiB.
    pub init_command: String,
    /// The same as in the tags; drivers derive their idempotency token from it.
    pub secret: Secret,
    /// OpenSSH public key to be let in, if the site wants it deployed.
    pub public_key: Option<String>,
}

/// How far a quota reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QuotaScope {
    /// Only what is bought on that market.
    Market(Market),
    /// Everything.
    All,
}

impl QuotaScope {
    /// Whether what is bought on that market counts.
    pub fn covers(&self, market: Market) -> bool {
        match self {
            Self::All => true,
            Self::Market(held) => *held == market,
        }
    }
}

/// How far a lack of capacity reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CapacityScope {
    /// That provider type on that market.
    Offering,
    /// All types of its quota group on that market.
    QuotaGroup,
    /// Everything.
    All,
}

/// Why a call to the cloud failed, as far as policy must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudErrorKind {
    /// Calls of that kind are refused until then.
    RateLimited {
        /// When to try again.
        until: Timestamp,
    },
    /// The account may not have more.
    Quota(QuotaScope),
    /// The cloud has no more.
    Capacity(CapacityScope),
    /// No such instance.
    NotFound,
    /// Credentials are missing, wrong or expired.
    Unauthorized,
    /// The outcome is unknown: no answer, or a cut one. The call may have taken effect.
    Unknown,
    /// Anything else: the call was refused.
    Other,
}

impl CloudErrorKind {
    /// For metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Quota(_) => "quota",
            Self::Capacity(_) => "capacity",
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::Unknown => "unknown",
            Self::Other => "other",
        }
    }
}

/// A failed call to the cloud.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CloudError {
    /// What policy needs.
    pub kind: CloudErrorKind,
    /// The cloud's own code, for counting.
    pub code: String,
    /// What failed and with what, for people; without secrets.
    pub message: String,
}

/// What a driver says about a host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyVerdict {
    /// It is that instance's key.
    Genuine,
    /// It is not.
    Forged,
    /// This driver cannot tell: the instance's secret must.
    NotSupported,
}

/// A public host key as the SSH handshake showed it: algorithm and base64 text of a `known_hosts` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// The key, base64.
    pub base64: String,
}

/// A cloud. Called by the Cloud actor alone, which paces and counts.
#[async_trait(?Send)]
pub trait CloudDriver {
    /// Orders one VM. Its address may still be empty.
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError>;
    /// All VMs whose tags match, booting and stopping ones included; may lag behind `create`.
    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError>;
    /// Ends a VM. Ending one that is gone is a success.
    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError>;
    /// Merges these tags into those of the VM.
    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError>;
    /// Whether that host key is that VM's.
    async fn verify_host_key(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError>;
    /// Types that share a quota share its name.
    fn quota_group(&self, provider_type: &ProviderType) -> String;
    /// What that VM has cost and costs now, newest first; empty = unknown.
    fn price_history(&self, instance: &Instance, instance_type: &InstanceType) -> Vec<PricePoint> {
        let _ = instance_type;
        instance.price_history.clone()
    }
    /// Waits until something may be changed in the cloud, if anything stands between: whoever paces calls does so
    /// afterwards, so that calls which have waited for the same do not come all at once.
    ///
    /// # Errors
    /// If nothing may be changed: the call would be refused too, and is not sent.
    async fn ready_to_act(&self) -> Result<(), CloudError> {
        Ok(())
    }
    /// Why that VM has ended or is ending, if the last listing of the cloud has told; for people.
    fn end_reason(&self, id: &InstanceId) -> Option<String> {
        let _ = id;
        None
    }
    /// The user to log in as.
    fn remote_user(&self) -> &str;
    /// Where on each VM its secret lies; relative = to the directory that commands run in there.
    fn secret_path(&self) -> String {
        "/var/run/arvados-instance-secret".to_owned()
    }
    /// In which directory on each VM its fence lies, which only root may enter; relative = to the directory that
    /// commands run in there. It outlives a reboot.
    fn fence_directory(&self) -> String {
        "/var/lib/arvados-dispatch-cloud".to_owned()
    }
}

// ---------------------------------------------------------------- a shell on each VM

/// A moment of the clock that also counts the time in which the machine was suspended (`CLOCK_BOOTTIME`): how long
/// the machine had been up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(pub Duration);

/// A sign of life of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// When.
    pub at: BootTime,
    /// For how long the thread that gives it has been computing since it began.
    pub computed: Duration,
}

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
    fn open(&self, target: Target) -> std::rc::Rc<dyn Executor>;
}

/// Asks the driver about a host key, by way of the Cloud actor.
#[async_trait(?Send)]
pub trait HostKeyVerifier {
    /// The driver's word.
    async fn verify(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError>;
}
