//! History: owns the last events, for whoever asks what has changed.
//!
//! ```text
//!   any thread ─ event! ─► logger ─┬─► the log
//!                                  └─► Tap: JSON ─ bounded channel ─► History: number (a thread of its own)
//!   HTTP threads ─ GetEvents{since} ─────────────────────────────────────────►    │
//!        ▲                                                                        │
//!        └──────────────── watch: the number of the latest ◄──────────────────────┘
//! ```
//! Whoever follows asks for what comes after the number that he has, a page at a time, and waits for the next number.
//! So a reader that is slow, or does not read at all, costs nothing here: it finds a gap, and is told so.
//!
//! Never does: holding up who logs, or the arbiter on which everything is planned.

mod ring;
mod tap;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Actor, AsyncContext, Context, Handler, MessageResult, StreamHandler};
use dispatch_core::id::ContainerUuid;
use rand::Rng;
use slog::{Drain, Duplicate, Logger, o};
use tokio::sync::{mpsc, watch};

pub use ring::Happened;
use ring::Ring;
use tap::{Tap, Told};

/// A page ends with the event that fills it: whoever does not read holds one.
const PAGE_BYTES: usize = 32 << 10;
/// How many events may wait to be taken in.
const WAITING: usize = 10_000;

/// Whom or what events are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Only those of that container.
    pub container: Option<ContainerUuid>,
    /// Only those of that instance.
    pub instance: Option<String>,
}

impl About {
    fn covers(&self, event: &Happened) -> bool {
        self.container.is_none_or(|uuid| event.container == Some(uuid))
            && self.instance.as_deref().is_none_or(|id| *event.instance == *id)
    }
}

/// The events after that number, oldest first.
#[derive(Debug, actix::Message)]
#[rtype(result = "EventPage")]
pub struct GetEvents {
    /// The number of the last that the caller has; 0 = none.
    pub since: u64,
    /// How many at most.
    pub most: usize,
    /// Which.
    pub about: About,
}

/// The last events of that kind, oldest first.
#[derive(Debug, actix::Message)]
#[rtype(result = "EventPage")]
pub struct GetLastEvents {
    /// How many at most.
    pub most: usize,
    /// Which.
    pub about: About,
}

/// The service ends: whoever follows is told nothing any more, so that nobody waits for him.
#[derive(Debug, Clone, Copy, actix::Message)]
#[rtype(result = "()")]
pub struct EndFollowing;

/// The number after which the last events of that kind begin.
#[derive(Debug, actix::Message)]
#[rtype(result = "u64")]
pub struct FindLastEvents {
    /// How many at most.
    pub most: usize,
    /// Which.
    pub about: About,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Happened>,
    /// Where the next page begins: the number of the last event that has been looked at.
    pub seen: u64,
    /// The number of the oldest event that is kept; 0 = none has happened.
    pub oldest: u64,
}

/// The actor.
pub struct History {
    ring: Ring,
    /// The number of the latest event.
    seq: u64,
    /// Tells it to those who follow; `None` = nobody is to follow any more.
    latest: Option<watch::Sender<u64>>,
    /// Events that found no room in the channel since the last one that did.
    left_out: Arc<AtomicU64>,
    incoming: Option<mpsc::Receiver<Told>>,
}

/// Whom to ask for events, from any thread.
#[derive(Debug, Clone)]
pub struct HistoryHandle {
    /// The actor.
    pub history: actix::Addr<History>,
    /// The number of the latest event.
    pub latest: watch::Receiver<u64>,
    /// Names this process: numbers of another one mean other events.
    pub boot: Arc<str>,
}

/// A logger that records events besides, and whom to ask for them. The actor lives on a thread of its own, which ends with
/// the process.
///
/// # Panics
/// If there is no actix system on this thread, or the system has no thread for it.
pub fn recorded(log: Logger, random: &mut dyn Rng) -> (Logger, HistoryHandle) {
    let (to, incoming) = mpsc::channel(WAITING);
    let left_out = Arc::<AtomicU64>::default();
    let tap = Tap { messages: tap::events(), left_out: Arc::clone(&left_out), to };
    let log = Logger::root(Duplicate::new(log, tap).ignore_res(), o!());
    let (latest, seen) = watch::channel(0);
    let mut boot = [0_u8; 8];
    random.fill_bytes(&mut boot);
    let boot = boot.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let history = History::start_in_arbiter(&actix::Arbiter::new().handle(), move |_| History {
        ring: Ring::default(),
        seq: 0,
        latest: Some(latest),
        left_out,
        incoming: Some(incoming),
    });
    (log, HistoryHandle { history, latest: seen, boot: boot.into() })
}

impl Actor for History {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(crate::MAILBOX);
        if let Some(mut incoming) = self.incoming.take() {
            ctx.add_stream(futures_util::stream::poll_fn(move |context| incoming.poll_recv(context)));
        }
    }
}

impl StreamHandler<Told> for History {
    fn handle(&mut self, told: Told, _: &mut Context<Self>) {
        self.seq += 1 + self.left_out.swap(0, Ordering::Relaxed);
        let (seq, Told { container, instance, json }) = (self.seq, told);
        self.ring.push(Happened { seq, container, instance, json });
        if let Some(latest) = &self.latest {
            latest.send_replace(seq);
        }
    }
}

impl Handler<GetEvents> for History {
    type Result = MessageResult<GetEvents>;

    /// O(events after that number); for those about one thing all of them are looked at.
    fn handle(&mut self, message: GetEvents, _: &mut Context<Self>) -> Self::Result {
        let mut page = self.empty_page(message.since);
        let mut bytes = 0;
        for event in self.ring.after(message.since) {
            if page.events.len() >= message.most || bytes >= PAGE_BYTES {
                break;
            }
            page.seen = event.seq;
            if message.about.covers(event) {
                bytes += event.json.len();
                page.events.push(event.clone());
            }
        }
        MessageResult(page)
    }
}

impl Handler<GetLastEvents> for History {
    type Result = MessageResult<GetLastEvents>;

    /// O(events).
    fn handle(&mut self, message: GetLastEvents, _: &mut Context<Self>) -> Self::Result {
        let mut page = self.empty_page(self.seq);
        let of = self.ring.after(0).rev().filter(|event| message.about.covers(event));
        page.events = of.take(message.most).cloned().collect();
        page.events.reverse();
        MessageResult(page)
    }
}

impl Handler<FindLastEvents> for History {
    type Result = MessageResult<FindLastEvents>;

    /// O(events).
    fn handle(&mut self, message: FindLastEvents, _: &mut Context<Self>) -> Self::Result {
        let of = self.ring.after(0).rev().filter(|event| message.about.covers(event));
        let first = of.take(message.most).last();
        MessageResult(first.map_or(self.seq, |event| event.seq - 1))
    }
}

impl Handler<EndFollowing> for History {
    type Result = ();

    fn handle(&mut self, _: EndFollowing, _: &mut Context<Self>) {
        self.latest = None;
    }
}

impl History {
    fn empty_page(&self, seen: u64) -> EventPage {
        EventPage { events: Vec::new(), seen, oldest: self.ring.oldest().unwrap_or(0) }
    }
}
