//! What a site is made of beside its containers: settings, tokens, and what users ask for.

use dispatch_core::id::{ContainerUuid, TokenUuid};

use super::facts::Origin;
use super::state::ContainerSpec;

/// The secret of the token that the dispatcher and crunch-run use, unless the settings have another.
pub const ROOT_TOKEN: &str = "ROOT-TOKEN";
/// The secret of another dispatcher's token: an administrator's, too.
pub const OTHER_DISPATCHER_TOKEN: &str = "OTHER-DISPATCHER-TOKEN";
/// The secret of a user's token: not an administrator's.
pub const USER_TOKEN: &str = "USER-TOKEN";

/// How this site is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Five characters before every identifier.
    pub cluster: String,
    /// The secret of the root token.
    pub root_token: String,
    /// So many locks, and an unlock cancels.
    pub max_dispatch_attempts: u32,
    /// The most that a page may hold, whatever its `limit`.
    pub max_items_per_response: usize,
    /// Pages end early at so many items.
    pub page_items: Option<usize>,
    /// Pages end early at about so many bytes; one item is always sent.
    pub page_bytes: Option<usize>,
    /// Whether everything in records that is empty is null.
    pub nulls: bool,
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
        }
    }
}

/// An API token.
#[derive(Debug, Clone)]
pub struct Token {
    /// The bare secret.
    pub secret: String,
    /// Its identifier: the owner of locks made with it.
    pub uuid: TokenUuid,
    /// Whether it may change containers.
    pub admin: bool,
}

/// Who calls, once that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// With which token.
    pub token: TokenUuid,
    /// Whether it is an administrator's.
    pub admin: bool,
    /// On whose behalf.
    pub origin: Origin,
}

/// What a user submits.
#[derive(Debug, Clone)]
pub struct Submission {
    /// What is to run.
    pub spec: ContainerSpec,
    /// How urgent.
    pub priority: i64,
    /// How many containers may be made for it, one after the other: a Cancelled one is followed by the next.
    pub max_attempts: u32,
}

impl Submission {
    /// One attempt at something, at priority 500.
    pub fn of(spec: ContainerSpec) -> Self {
        Self { spec, priority: 500, max_attempts: 1 }
    }
}

/// A user's wish that something run, with the attempts made so far.
#[derive(Debug, Clone)]
pub struct ContainerRequest {
    /// How many containers may be made for it.
    pub max_attempts: u32,
    /// 0 = its user does not want it any more.
    pub priority: i64,
    /// Its containers, the latest last.
    pub attempts: Vec<ContainerUuid>,
}
