//! The event feed: its hints become questions, or bring a poll forward.

use super::calls::{Purpose, Request};
use super::{Exchange, ExchangeEffect, ExchangeFact};
use crate::container::Record;
use crate::ports::{ApiError, Hint, Page};
use crate::queue::hints::{HintContext, HintStep, Hinted};
use crate::queue::poll::Asked;
use crate::time::{Timestamp, since};

/// How the feed stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedStanding {
    /// Whether it is connected.
    pub is_connected: bool,
    /// When it has last told of a container or a container request.
    pub last_heard: Option<Timestamp>,
}

impl Exchange {
    /// The feed has told this.
    pub fn hear(&mut self, hints: impl IntoIterator<Item = Hint>, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        for hint in hints {
            self.take_hint(hint, now, &mut effects);
        }
        self.follow_hints(now, &mut effects);
        effects
    }

    fn take_hint(&mut self, hint: Hint, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        match hint {
            Hint::Container { uuid, state } => {
                let have = self.queue.believed_of(uuid);
                self.hints.container(uuid, state, have, now);
            }
            Hint::Requests => self.hints.requests(now),
            Hint::Everything => self.hints.everything(now),
            Hint::Connected => {
                if self.hints.connected(true, now) {
                    effects.push(ExchangeEffect::Tell(ExchangeFact::FeedConnected));
                }
            }
            Hint::Lost { reason } => {
                self.hints.connected(false, now);
                effects.push(ExchangeEffect::Tell(ExchangeFact::FeedLost { reason }));
            }
        }
    }

    /// A whole poll has shown changes: tells once a connection that the feed should have told of some, and has not.
    pub(super) fn tell_if_feed_is_silent(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if self.hints.is_found_silent(now) {
            effects.push(ExchangeEffect::Tell(ExchangeFact::FeedSilent));
        }
    }

    /// The time of [`ExchangeEffect::HintsIn`] is over.
    pub fn hints_are_due(&mut self, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        self.follow_hints(now, &mut effects);
        effects
    }

    /// How the feed stands.
    pub fn feed(&self) -> FeedStanding {
        FeedStanding { is_connected: self.hints.is_connected(), last_heard: self.hints.last_heard() }
    }

    /// Something waits for a poll: the next comes when it would without an event feed.
    pub(super) fn want_poll(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        self.hints.everything(now);
        self.follow_hints(now, effects);
    }

    pub(super) fn follow_hints(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        // Before the first poll everything is about to be asked anyway.
        if self.quiescent || self.queue.polled_at.is_none() {
            return;
        }
        let context =
            HintContext { last_overload: self.calls.last_overload(), poll_from: self.polls.wanted_from() };
        match self.hints.next(context, now) {
            HintStep::Nothing => {}
            HintStep::Wait(at) => effects.push(ExchangeEffect::HintsIn(since(at, now))),
            HintStep::Poll => self.poll(now, effects),
            HintStep::Ask(hinted) => {
                let request = Request::List(hinted.question());
                let asked = self.queue.asks(now);
                self.call(request, Purpose::Hinted(hinted, asked), now, effects);
            }
        }
    }

    pub(super) fn hinted_answered(
        &mut self,
        (hinted, asked): (Hinted, Asked),
        page: Result<Page<Record>, ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        // A failure is no news, and polls tell of it.
        let news = page
            .map(|page| self.queue.take_hinted(&hinted, page, asked, &self.policy, now))
            .unwrap_or_default();
        let is_news = |uuid: Option<_>| match uuid {
            Some(uuid) => news.of.contains(&uuid),
            None => !news.of.is_empty(),
        };
        self.hints.answered(&hinted, is_news, now);
        effects.extend(news.facts.into_iter().map(ExchangeFact::Queue).map(ExchangeEffect::Tell));
        self.snapshots.are_outdated();
        if news.needs_poll {
            self.hints.everything(now);
        }
        if !news.of.is_empty() {
            self.count_losses(now, effects);
            self.fetch_mounts(now, effects);
            self.changed(effects);
        }
        self.follow_hints(now, effects);
    }
}
