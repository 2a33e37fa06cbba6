//! What would take long is done a piece at a time: a poll of a large queue is taken in, a snapshot of it is copied.
//!
//! ```text
//!   a piece ─► GoOn ─► other messages, of this actor and of others, have their turn ─► the next piece
//! ```
//! What fits into a piece is done at once.

use super::{Exchange, ExchangeEffect, ExchangeFact};
use crate::queue::{Merging, Poll, QueueFact};
use crate::time::Timestamp;

impl Exchange {
    /// Goes on with what was cut into pieces.
    pub fn go_on(&mut self, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        self.goes_on = false;
        if let Some((merging, had_news)) = self.merging.take() {
            let began = merging.began();
            self.merge_on(Some(merging), (began, had_news), now, &mut effects);
        }
        self.resize_on(now, &mut effects);
        self.count_losses(now, &mut effects);
        self.copy_on(&mut effects);
        effects
    }

    pub(super) fn go_on_soon(&mut self, effects: &mut Vec<ExchangeEffect>) {
        if !std::mem::replace(&mut self.goes_on, true) {
            effects.push(ExchangeEffect::GoOn);
        }
    }

    pub(super) fn finish_poll(&mut self, poll: Poll, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        let began = poll.began();
        // What waits in the line was decided from an older picture: the next plan decides anew.
        for uuid in self.calls.withdraw_operations() {
            self.queue.withdraw(uuid);
        }
        let merging = self.queue.begin_merge(poll, now);
        self.merge_on(merging, (began, false), now, effects);
    }

    /// Takes the next piece of a poll in: one that fits into a piece is taken in at once.
    fn merge_on(
        &mut self,
        merging: Option<Merging>,
        (began, had_news): (Timestamp, bool),
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        self.snapshots.are_outdated();
        let mut facts = Vec::new();
        let merging =
            merging.and_then(|it| self.queue.go_on_merging(it, self.policy.pieces.entries, &mut facts));
        let had_news = had_news || facts.iter().any(|fact| matches!(fact, QueueFact::StateChanged { .. }));
        if merging.is_none() {
            self.hints.polled(began);
            self.polls.succeeded(now);
            if had_news {
                self.tell_if_feed_is_silent(now, effects);
            }
        }
        effects.extend(facts.into_iter().map(ExchangeFact::Queue).map(ExchangeEffect::Tell));
        match merging {
            Some(merging) => {
                self.merging = Some((merging, had_news));
                self.go_on_soon(effects);
            }
            None => {
                self.polls.tell_recovered(now, effects);
                self.count_losses(now, effects);
                self.changed(effects);
                self.fetch_mounts(now, effects);
                self.ask_missing_requests(now, effects);
                self.poll_ends(began, now, effects);
            }
        }
    }
}
