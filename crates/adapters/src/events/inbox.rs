//! Where the connection's task leaves hints and [`super::Feed`] takes them; both live on one thread.

use std::cell::{Cell, RefCell};

use dispatch_core::ports::{FeedCounts, Hint};
use tokio::sync::Notify;

use super::message::Told;
use super::waiting::Waiting;

/// Hints that wait, and how many messages of each kind have come.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: RefCell<Waiting>,
    counts: Cell<FeedCounts>,
    arrived: Notify,
}

impl Inbox {
    pub fn add(&self, hint: Hint) {
        self.waiting.borrow_mut().add(hint);
        self.arrived.notify_one();
    }

    /// Counts what a message has told; what is about our containers waits as a hint.
    pub fn tell(&self, told: Told) {
        let mut counts = self.counts.get();
        let (count, hint) = match told {
            Told::Container { uuid, state } => {
                (&mut counts.containers, Some(Hint::Container { uuid, state }))
            }
            Told::Requests => (&mut counts.requests, Some(Hint::Requests)),
            Told::ChangedRequest => {
                // Of those that run only a poll tells.
                self.waiting.borrow_mut().want_poll_too();
                (&mut counts.requests, Some(Hint::Requests))
            }
            Told::ClosedRequest => (&mut counts.requests, None),
            Told::Other => (&mut counts.others, None),
            Told::Ping => (&mut counts.pings, None),
            // An answer after the first one has no question.
            Told::Malformed | Told::Answer(_) => (&mut counts.malformed, None),
        };
        *count += 1;
        self.counts.set(counts);
        if let Some(hint) = hint {
            self.add(hint);
        }
    }

    pub fn counts(&self) -> FeedCounts {
        self.counts.get()
    }

    /// The next hint, when there is one.
    pub async fn take(&self) -> Hint {
        loop {
            // In a statement of its own: the borrow must end before we wait.
            let waiting = self.waiting.borrow_mut().take();
            if let Some(hint) = waiting {
                return hint;
            }
            self.arrived.notified().await;
        }
    }
}
