//! The port to the controller's event feed.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::container::ContainerState;
use crate::id::ContainerUuid;

/// What makes us ask sooner. It may be lost, late, repeated or false, and never replaces an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hint {
    /// A record of this container was created or changed.
    Container {
        /// Which.
        uuid: ContainerUuid,
        /// Its state afterwards, if the event tells it: one that we have already is no news.
        state: Option<ContainerState>,
    },
    /// A container request was created or changed: other containers may be available, or others first.
    Requests,
    /// More containers changed than are told one by one, or what has changed is not known.
    Everything,
    /// The feed is connected now; what has happened before was not told.
    Connected,
    /// The feed is not connected any more, or could not be connected; it tries again by itself.
    Lost {
        /// Why, for people; without secrets.
        reason: String,
    },
}

/// How many messages of each kind the feed has delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedCounts {
    /// Events of containers.
    pub containers: u64,
    /// Events of container requests.
    pub requests: u64,
    /// Events of other objects.
    pub others: u64,
    /// Signs of life without an event.
    pub pings: u64,
    /// Messages that are not what the service sends.
    pub malformed: u64,
}

/// The controller's event feed. It connects, reads, and connects again by itself, whether its hints are taken or not:
/// those that wait are merged by container and bounded ([`Hint::Everything`]), because the service ends a connection
/// that is not read.
#[async_trait(?Send)]
pub trait EventFeed {
    /// The next hint, when there is one. Safe to drop before: nothing is lost.
    async fn next(&self) -> Hint;
    /// What it has delivered until now.
    fn counts(&self) -> FeedCounts;
}
