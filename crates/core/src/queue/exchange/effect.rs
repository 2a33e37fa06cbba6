//! What the exchange wants done, and what it tells.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{CallNumber, Request};
use crate::queue::{Finished, QueueFact, QueueSnapshot};
use crate::time::Timestamp;

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum ExchangeEffect {
    /// Make this call, and hand its answer to [`Exchange::answered`](super::Exchange::answered).
    Call(CallNumber, Request),
    /// Ask [`Exchange::resume`](super::Exchange::resume) after this long, and no longer when that was last asked for.
    ResumeIn(Duration),
    /// Ask [`Exchange::poll_is_due`](super::Exchange::poll_is_due) after this long.
    PollIn(Duration),
    /// Ask [`Exchange::hints_are_due`](super::Exchange::hints_are_due) after this long, and no longer when that was last asked for.
    HintsIn(Duration),
    /// Ask [`Exchange::requests_are_due`](super::Exchange::requests_are_due) after this long.
    RequestsIn(Duration),
    /// Ask [`Exchange::go_on`](super::Exchange::go_on) when other messages have had their turn.
    GoOn,
    /// The snapshot of that number, for all who wait for it or for one before.
    Copied(u64, Arc<QueueSnapshot>),
    /// The queue has changed: the scheduler should look again.
    Changed,
    /// Tell the operator.
    Tell(ExchangeFact),
}

/// What happened, for logs and metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum ExchangeFact {
    /// To a container.
    Queue(QueueFact),
    /// An operation has ended.
    Operation(Finished),
    /// Since the configuration was read anew no type suits these containers: they are cancelled after that, if none is
    /// configured until then.
    NoTypeSinceReload {
        /// How many.
        containers: usize,
        /// Until when they are spared.
        until: Timestamp,
    },
    /// The controller answered 503.
    Overloaded {
        /// How many calls may be in flight from now on.
        limit: u32,
    },
    /// A poll, or the reading of mounts after one, has failed.
    PollFailed {
        /// When it began.
        began: Timestamp,
        /// How it failed.
        error: String,
        /// The same as a label.
        kind: &'static str,
    },
    /// The requests of some containers cannot be read: what the spot market takes from them counts by container.
    RequestsUnread {
        /// How the call has failed.
        error: String,
        /// The same as a label.
        kind: &'static str,
    },
    /// The event feed is connected.
    FeedConnected,
    /// The event feed is not connected.
    FeedLost {
        /// Why.
        reason: String,
    },
    /// The event feed is connected, and has told of nothing, while containers have changed.
    FeedSilent,
    /// A poll has succeeded after some had failed.
    PollRecovered {
        /// How long they had failed.
        lasted: Duration,
        /// The kinds of failure meanwhile.
        kinds: BTreeSet<&'static str>,
    },
}
