//! What a site has besides its containers: settings, tokens, and users' requests.

use std::time::Duration;

use dispatch_core::id::{ContainerUuid, TokenUuid};

use super::facts::Origin;
use super::state::ContainerSpec;

/// The secret of the token that the dispatcher and crunch-run use, unless the settings name another.
pub const ROOT_TOKEN: &str = "ROOT-TOKEN";
/// The secret of another dispatcher's token. It is an administrator's token, too.
pub const OTHER_DISPATCHER_TOKEN: &str = "OTHER-DISPATCHER-TOKEN";
/// The secret of a user's token. It is not an administrator's token.
pub const USER_TOKEN: &str = "USER-TOKEN";

/// How this site is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The five characters at the beginning of every identifier.
    pub cluster: String,
    /// The secret of the root token.
    pub root_token: String,
    /// After this many locks, an unlock cancels the container.
    pub max_dispatch_attempts: u32,
    /// The most items that a page may have, whatever its `limit`.
    pub max_items_per_response: usize,
    /// Pages end early after this many items.
    pub page_items: Option<usize>,
    /// Pages end early after about this many bytes, but have at least one item.
    pub page_bytes: Option<usize>,
    /// Whether every empty value of a record is null.
    pub nulls: bool,
    /// How often the event feed gives a sign of life, if it has nothing to tell.
    pub ping_interval: Duration,
    /// A client of the event feed for which more messages than this are waiting is cut off.
    pub event_queue: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster: "zzzzz".to_owned(),
            root_token: ROOT_TOKEN.to_owned(),
            max_dispatch_attempts: 10,
            max_items_per_response: 1000,
            page_items: None,
            page_bytes: None,
            nulls: false,
            ping_interval: Duration::from_secs(60),
            event_queue: 64,
        }
    }
}

/// An API token.
#[derive(Debug, Clone)]
pub struct Token {
    /// The bare secret.
    pub secret: String,
    /// Its identifier. It owns the locks that are made with the token.
    pub uuid: TokenUuid,
    /// Whether it may change containers.
    pub admin: bool,
}

/// The caller of a call, once its token is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The token of the call.
    pub token: TokenUuid,
    /// Whether it is an administrator's token.
    pub admin: bool,
    /// On whose behalf the call is made.
    pub origin: Origin,
}

/// What a user submits.
#[derive(Debug, Clone)]
pub struct Submission {
    /// What is to be run.
    pub spec: ContainerSpec,
    /// The priority.
    pub priority: i64,
    /// How many containers may be made for it, one after another: a Cancelled one is followed by the next.
    pub max_attempts: u32,
}

impl Submission {
    /// One attempt, with priority 500.
    pub fn of(spec: ContainerSpec) -> Self {
        Self { spec, priority: 500, max_attempts: 1 }
    }
}

/// A user's request that something be run, with the attempts made so far.
#[derive(Debug, Clone)]
pub struct ContainerRequest {
    /// How many containers may be made for it.
    pub max_attempts: u32,
    /// The priority; 0 = its user does not want it any more.
    pub priority: i64,
    /// Its containers; the latest is the last.
    pub attempts: Vec<ContainerUuid>,
}
