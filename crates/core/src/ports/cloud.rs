//! The port to a cloud.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, ProviderType};
use crate::instance::{Instance, InstanceType, Market, PricePoint, Tags};
use crate::secret::Secret;
use crate::time::Timestamp;

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
    /// We may not act now, or no longer: the cloud was not asked, and this says nothing about it.
    NotSent,
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
            Self::NotSent => "not_sent",
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
