//! The site's websocket service: [`Feed`] behind `ports::EventFeed`.
//!
//! ```text
//!   dial ─► session ─► frames ─► message ─► inbox ─► Feed::next
//!    ▲         │       (≤ 2 MiB)  (ours?)   (merged, bounded)
//!    └ backoff ┴─ Lost{reason}
//! ```
//! It owns one connection, and the task that keeps it and reads it, whether hints are taken or not: the service cuts
//! off who does not read. Never does: deciding what a hint is worth, and showing its URL, which has the token.

mod backoff;
mod dial;
mod frames;
mod inbox;
mod message;
mod session;
#[cfg(test)]
mod tests;
mod waiting;

use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_core::ports::{EventFeed, FeedCounts, Hint};
use dispatch_core::secret::Secret;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use url::Url;

use crate::tls::NoAuthorities;
use backoff::Backoff;
use dial::Dialer;
use inbox::Inbox;
use session::{Session, Terms};

/// What a [`Feed`] is made from.
pub struct Options {
    /// `ws://` or `wss://`, with the path; without the token. They are tried in this order for each connection.
    pub urls: Vec<Url>,
    /// The token is sent in the URL, and never shown.
    pub token: Secret,
    /// Our cluster's five characters: events about objects of others are no hints.
    pub cluster: String,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// The deadline of each attempt to connect, and of the answer to our subscription.
    pub timeout: Duration,
    /// How often the service gives a sign of life when nothing happens.
    pub ping_interval: Duration,
    /// From 0 to 1: how much of the second half of each delay before a new attempt is waited for.
    pub chance: Box<dyn FnMut() -> f64>,
}

/// Why a feed cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no URL.
    #[error("no URL of the event feed")]
    NoUrl,
    /// The URL is neither ws nor wss, or has no host.
    #[error("`{0}` is not a ws or wss URL")]
    BadUrl(String),
    /// This system has no certificate authorities.
    #[error(transparent)]
    NoAuthorities(#[from] NoAuthorities),
}

/// The event feed, through awc. It is not `Send`: it must be made and used on the arbiter. Dropping it ends the
/// connection.
pub struct Feed {
    inbox: Rc<Inbox>,
    task: JoinHandle<()>,
}

impl Feed {
    /// Begins to connect; what becomes of it is told by [`Hint::Connected`] and [`Hint::Lost`].
    ///
    /// # Errors
    /// If a URL is not ws(s), or this system has no certificate authorities.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let Options { urls, token, cluster, insecure, timeout, ping_interval, chance } = options;
        let dialer = Dialer::new(urls, token, insecure, timeout)?;
        // Two signs of life may be missing, and a third late.
        let silence = ping_interval * 2 + ping_interval / 12;
        let terms = Terms { cluster, answer: timeout, silence };
        let inbox = Rc::new(Inbox::default());
        let task = actix_rt::spawn(keep(dialer, terms, chance, Rc::clone(&inbox)));
        Ok(Self { inbox, task })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait(?Send)]
impl EventFeed for Feed {
    async fn next(&self) -> Hint {
        self.inbox.take().await
    }

    fn counts(&self) -> FeedCounts {
        self.inbox.counts()
    }
}

/// Connects, reads until the end, and connects again, for ever.
async fn keep(dialer: Dialer, terms: Terms, mut chance: Box<dyn FnMut() -> f64>, inbox: Rc<Inbox>) {
    let mut backoff = Backoff::new();
    loop {
        let (stood, reason) = match dialer.dial().await {
            Ok(frames) => {
                let (stood, ended) = Session::new(frames, &inbox, &terms).run().await;
                (stood, ended.to_string())
            }
            Err(reason) => (Duration::ZERO, reason),
        };
        inbox.add(Hint::Lost { reason });
        sleep(backoff.after(stood, chance())).await;
    }
}
