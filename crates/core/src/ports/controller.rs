//! The port to the controller.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::container::{MountNeeds, Record, Standing};
use crate::id::{ContainerRequestUuid, ContainerUuid, TokenUuid};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items that could be decoded, in the server's order.
    pub items: Vec<T>,
    /// Those that could not.
    pub undecodable: Vec<Undecodable>,
}

impl<T> Default for Page<T> {
    /// The server sent nothing.
    fn default() -> Self {
        Self { items: Vec::new(), undecodable: Vec::new() }
    }
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
    /// We may not act now, or no longer: the controller was not asked, and this says nothing about it.
    NotSent,
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
            Self::NotSent => "not_sent",
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
    /// The container requests that these (at most 50) containers are tried for, in one call; a pair each. A container may be
    /// tried for several.
    async fn requests_of(
        &self,
        uuids: &[ContainerUuid],
    ) -> Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError>;
    /// One record, as `list` shows it.
    async fn get(&self, uuid: ContainerUuid) -> Result<Record, ApiError>;
    /// Queued → Locked by us. Not idempotent.
    async fn lock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError>;
    /// Locked by us → Queued, or Cancelled if its dispatch attempts are used up.
    async fn unlock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError>;
    /// → Cancelled, with an error text for the user if there is one. Idempotent.
    async fn cancel(&self, uuid: ContainerUuid, error: Option<&str>) -> Result<Standing, ApiError>;
}
