//! Listens to the event feed.
//!
//! ```text
//!   EventFeed ─ the next hint ─► 10 ms, and what else is there by then ─► core::queue::Exchange::hear ─► effects
//! ```
//! So a flood of events is a hundred batches a second at most, and the feed has merged what waits meanwhile.

use std::rc::Rc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context};
use dispatch_core::ports::{EventFeed, FeedCounts, Hint};
use futures_util::FutureExt;

use super::Queue;
use crate::clock;
use crate::metrics::FEED_KINDS;

/// Hints come in batches, this far apart.
const BATCHES_APART: Duration = Duration::from_millis(10);
/// The most hints in a batch.
const BATCH: usize = 256;
/// How often what the feed has delivered is counted.
const COUNTED_EVERY: Duration = Duration::from_secs(5);

impl Queue {
    /// Listens for as long as the actor lives.
    pub(super) fn listen(&mut self, ctx: &mut Context<Self>) {
        let Some(feed) = self.feed.clone() else { return };
        ctx.run_interval(COUNTED_EVERY, |act, _| act.count_messages());
        Self::hear_next(feed, ctx);
    }

    fn hear_next(feed: Rc<dyn EventFeed>, ctx: &mut Context<Self>) {
        let batch = async move {
            let hints = next_batch(&*feed).await;
            (feed, hints)
        };
        ctx.spawn(actix::fut::wrap_future(batch).map(|(feed, hints), act: &mut Self, ctx| {
            let effects = act.exchange.hear(hints, clock::now());
            act.metrics.event_feed_connected.set(f64::from(act.exchange.feed().is_connected));
            act.perform(effects, ctx);
            Self::hear_next(feed, ctx);
        }));
    }

    /// What the feed has delivered since it was last counted.
    pub(super) fn count_messages(&mut self) {
        let Some(feed) = &self.feed else { return };
        let now = feed.counts();
        let before = std::mem::replace(&mut self.counted, now);
        for ((kind, now), before) in FEED_KINDS.into_iter().zip(by_kind(now)).zip(by_kind(before)) {
            let more = now.saturating_sub(before);
            self.metrics.event_feed_events.with_label_values(&[kind]).inc_by(more);
        }
    }
}

/// In the order of [`FEED_KINDS`].
fn by_kind(counts: FeedCounts) -> [u64; FEED_KINDS.len()] {
    let FeedCounts { containers, requests, others, pings, malformed } = counts;
    [containers, requests, others, pings, malformed]
}

async fn next_batch(feed: &dyn EventFeed) -> Vec<Hint> {
    let mut hints = vec![feed.next().await];
    tokio::time::sleep(BATCHES_APART).await;
    while hints.len() < BATCH
        && let Some(hint) = feed.next().now_or_never()
    {
        hints.push(hint);
    }
    hints
}
