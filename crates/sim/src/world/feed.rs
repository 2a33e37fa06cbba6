//! The controller's event feed as the dispatcher under test hears it, in virtual time.
//!
//! ```text
//!   FakeArvados's history ─► each change ─┬ lost                                 ┌─► next()
//!                                         └ delayed, maybe twice ─► hints that wait ─┘
//!   chance ─► false hints; cuts, after which it connects again and what was told meanwhile is lost
//! ```
//! One per incarnation. It draws from a stream of its own, so that a world without it is the same otherwise.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{EventFeed, FeedCounts, Hint};
use dispatch_core::time::{Timestamp, after};
use futures_util::future::select;
use tokio::sync::Notify;

use super::cable::Cable;
use crate::chance::{Chance, Span};
use crate::clock;
use crate::controller::FakeArvados;
use crate::controller::facts::Fact;

/// The stream of random numbers that a feed's knobs are drawn from.
pub(super) const KNOBS_STREAM: u64 = 78;

/// In which states a container is claimed to be.
const CLAIMED: [ContainerState; 5] = [
    ContainerState::Queued,
    ContainerState::Locked,
    ContainerState::Running,
    ContainerState::Complete,
    ContainerState::Cancelled,
];

/// How the feed behaves.
#[derive(Debug, Clone)]
pub struct FeedKnobs {
    /// How long a hint takes.
    pub delay: Span,
    /// How likely a hint is lost.
    pub lost_rate: f64,
    /// How likely it comes twice.
    pub twice_rate: f64,
    /// How likely a change is accompanied by a false hint: a container of any uuid is claimed to be in any state.
    pub false_rate: f64,
    /// After how long the connection is cut; `None` = never.
    pub cut_after: Option<Span>,
    /// How long it takes to connect.
    pub connects_after: Span,
    /// How likely a hint only says that everything may have changed.
    pub everything_rate: f64,
}

impl Default for FeedKnobs {
    /// All is told, within 20 ms.
    fn default() -> Self {
        Self {
            delay: Span::millis(20),
            lost_rate: 0.0,
            twice_rate: 0.0,
            false_rate: 0.0,
            cut_after: None,
            connects_after: Span::millis(200),
            everything_rate: 0.0,
        }
    }
}

/// The feed of one incarnation.
pub(super) struct SimFeed {
    knobs: FeedKnobs,
    arvados: Rc<RefCell<FakeArvados>>,
    cable: Rc<Cable>,
    chance: RefCell<Chance>,
    changed: Arc<Notify>,
    /// How much of the history was heard.
    heard: Cell<usize>,
    is_connected: Cell<bool>,
    /// When it is cut, or connects.
    turns_at: Cell<Timestamp>,
    waiting: RefCell<BTreeMap<(Timestamp, u64), Hint>>,
    counts: Cell<FeedCounts>,
    number: Cell<u64>,
}

impl SimFeed {
    /// It is about to connect.
    pub(super) fn new(
        knobs: FeedKnobs,
        arvados: Rc<RefCell<FakeArvados>>,
        cable: Rc<Cable>,
        mut chance: Chance,
    ) -> Self {
        let turns_at = after(clock::now(), chance.draw(knobs.connects_after));
        let changed = arvados.borrow().history().changed();
        Self {
            knobs,
            arvados,
            cable,
            chance: RefCell::new(chance),
            changed,
            heard: Cell::new(0),
            is_connected: Cell::new(false),
            turns_at: Cell::new(turns_at),
            waiting: RefCell::default(),
            counts: Cell::default(),
            number: Cell::new(0),
        }
    }

    /// Cuts or connects it, if the time has come.
    fn turn(&self, now: Timestamp) -> Option<Hint> {
        if now < self.turns_at.get() {
            return None;
        }
        let was_connected = self.is_connected.replace(!self.is_connected.get());
        let span = if was_connected { Some(self.knobs.connects_after) } else { self.knobs.cut_after };
        let next = span.map(|span| after(now, self.chance.borrow_mut().draw(span)));
        self.turns_at.set(next.unwrap_or(Timestamp::MAX));
        self.waiting.borrow_mut().clear();
        self.heard.set(self.arvados.borrow().history().entries().len());
        Some(if was_connected { Hint::Lost { reason: "cut".to_owned() } } else { Hint::Connected })
    }

    /// Takes in what has happened since.
    fn hear(&self, now: Timestamp) {
        let arvados = self.arvados.borrow();
        for entry in arvados.history().since(self.heard.get()) {
            for hint in hints_of(&entry.fact) {
                self.count(&hint);
                self.schedule(hint, now);
            }
            if self.chance.borrow_mut().hits(self.knobs.false_rate) {
                let known: Vec<_> = arvados.containers().map(|it| it.uuid).collect();
                self.schedule(self.lie(&known), now);
            }
        }
        self.heard.set(arvados.history().entries().len());
    }

    fn lie(&self, known: &[ContainerUuid]) -> Hint {
        let mut chance = self.chance.borrow_mut();
        let state = CLAIMED[chance.below(CLAIMED.len())];
        // Sometimes one that nobody has ever submitted.
        let uuid = known.get(chance.below(known.len() + 1)).copied();
        uuid.map_or(Hint::Requests, |uuid| Hint::Container { uuid, state: Some(state) })
    }

    fn schedule(&self, hint: Hint, now: Timestamp) {
        let mut chance = self.chance.borrow_mut();
        if chance.hits(self.knobs.lost_rate) {
            return;
        }
        let hint = if chance.hits(self.knobs.everything_rate) { Hint::Everything } else { hint };
        for _ in 0..1 + usize::from(chance.hits(self.knobs.twice_rate)) {
            let at = after(now, chance.draw(self.knobs.delay));
            self.number.set(self.number.get() + 1);
            self.waiting.borrow_mut().insert((at, self.number.get()), hint.clone());
        }
    }

    fn count(&self, hint: &Hint) {
        let mut counts = self.counts.get();
        match hint {
            Hint::Container { .. } => counts.containers += 1,
            Hint::Requests => counts.requests += 1,
            Hint::Everything | Hint::Connected | Hint::Lost { .. } => counts.others += 1,
        }
        self.counts.set(counts);
    }

    /// What is told now, if anything.
    fn now(&self) -> Option<Hint> {
        let now = clock::now();
        if let Some(hint) = self.turn(now) {
            return Some(hint);
        }
        if self.is_connected.get() {
            self.hear(now);
        }
        let mut waiting = self.waiting.borrow_mut();
        let first = waiting.first_entry().filter(|it| it.key().0 <= now)?;
        Some(first.remove())
    }

    fn next_moment(&self) -> Timestamp {
        let first = self.waiting.borrow().keys().next().map(|(at, _)| *at);
        first.map_or(self.turns_at.get(), |at| at.min(self.turns_at.get()))
    }
}

#[async_trait(?Send)]
impl EventFeed for SimFeed {
    async fn next(&self) -> Hint {
        loop {
            let changed = pin!(self.changed.notified());
            if self.cable.is_cut() {
                return std::future::pending().await;
            }
            if let Some(hint) = self.now() {
                return hint;
            }
            let moment = pin!(clock::sleep_until(self.next_moment()));
            select(changed, moment).await;
        }
    }

    fn counts(&self) -> FeedCounts {
        self.counts.get()
    }
}

/// What the real service tells of it: nothing of priorities that are computed anew, but of the requests behind them.
fn hints_of(fact: &Fact) -> Vec<Hint> {
    let container = |uuid: ContainerUuid, state| Hint::Container { uuid, state };
    match fact {
        Fact::Submitted { uuid, .. } => {
            vec![container(*uuid, Some(ContainerState::Queued)), Hint::Requests]
        }
        Fact::Changed { uuid, to, .. } => vec![container(*uuid, Some(*to))],
        Fact::Prioritised { .. } => vec![Hint::Requests, Hint::Everything],
        Fact::Deleted { uuid } => vec![container(*uuid, None)],
        Fact::Refused { .. } | Fact::Struck { .. } => Vec::new(),
    }
}

/// How a feed is drawn: some worlds have none, some a good one.
pub(super) fn draw(chance: &mut Chance) -> Option<FeedKnobs> {
    let rate = |chance: &mut Chance, most: f64| match chance.below(3) {
        0 => 0.0,
        1 => most / 10.0,
        _ => most,
    };
    let slow = chance.hits(0.3);
    let knobs = FeedKnobs {
        delay: Span::between_millis(1, if slow { 30_000 } else { 200 }),
        lost_rate: rate(chance, 1.0),
        twice_rate: rate(chance, 0.5),
        false_rate: rate(chance, 0.5),
        cut_after: chance.hits(0.4).then(|| Span::between_millis(1_000, 600_000)),
        connects_after: Span::between_millis(200, if slow { 60_000 } else { 2_000 }),
        everything_rate: rate(chance, 0.1),
    };
    chance.hits(0.7).then_some(knobs)
}
