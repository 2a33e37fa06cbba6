//! What the HTTP threads are given.

use std::sync::Arc;
use std::time::Duration;

use dispatch_actors::clock;
use dispatch_actors::history::HistoryHandle;
use dispatch_actors::metrics::RequestMetrics;
use dispatch_actors::system::Handles;
use dispatch_core::policy::Policy;
use dispatch_core::queue::rarest_poll_interval;
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;
use prometheus::Registry;
use slog::Logger;
use tokio::sync::watch;

use super::error::Refusal;

/// What the HTTP threads are given: handles to ask, nothing to own.
#[derive(Clone)]
pub struct ApiState {
    /// The working dispatcher; `None` while another one holds the lock (standby).
    pub active: watch::Receiver<Option<Active>>,
    /// A client that shows it is answered; empty = no client is.
    pub management_token: Secret,
    /// The series of `/metrics`.
    pub registry: Registry,
    /// Where requests are counted.
    pub requests: RequestMetrics,
    /// What the site's configuration says now.
    pub site: watch::Receiver<SiteRules>,
    /// Whether the runner that is to be deployed can be read, or why not.
    pub runner: watch::Receiver<Result<(), String>>,
    /// What has happened.
    pub history: HistoryHandle,
    /// The log.
    pub log: Logger,
}

/// What the site's configuration says of what is shown.
#[derive(Debug, Clone)]
pub struct SiteRules {
    /// The site's wishes.
    pub policy: Arc<Policy>,
    /// What is healthy.
    pub health: HealthPolicy,
}

/// The dispatcher while it works.
#[derive(Clone)]
pub struct Active {
    /// Its actors.
    pub handles: Handles,
    /// When they were started: the age of a poll or listing that has not succeeded yet counts from here.
    pub since: Timestamp,
    /// What is wrong on our own side.
    pub trouble: watch::Receiver<Option<String>>,
}

impl Active {
    /// These actors, started now.
    pub fn now(handles: Handles, trouble: watch::Receiver<Option<String>>) -> Self {
        Self { handles, since: clock::now(), trouble }
    }
}

/// What is healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthPolicy {
    /// How often the queue is polled at least.
    pub poll_interval: Duration,
    /// How often the cloud is listed.
    pub sync_interval: Duration,
    /// Within how long each actor must answer, here and elsewhere.
    pub actor_answer: Duration,
}

impl HealthPolicy {
    /// The intervals of the site, with or without an event feed, and 5 s for actors.
    pub fn new(policy: &Policy, has_feed: bool) -> Self {
        let poll_interval = policy.poll_interval;
        Self {
            poll_interval: if has_feed { rarest_poll_interval(poll_interval) } else { poll_interval },
            sync_interval: policy.sync_interval,
            actor_answer: Duration::from_secs(5),
        }
    }
}

impl ApiState {
    /// The site's wishes now.
    pub(super) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.site.borrow().policy)
    }

    /// What is healthy now.
    pub(super) fn health(&self) -> HealthPolicy {
        self.site.borrow().health
    }

    /// The working dispatcher.
    pub(super) fn active(&self) -> Result<Active, Refusal> {
        self.active.borrow().clone().ok_or(Refusal::Standby)
    }
}
