//! When polls are made, and since when they fail.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{ExchangeEffect, ExchangeFact};
use crate::time::{Timestamp, after, since};

/// The least time from one poll to the next.
const LEAST_REST: Duration = Duration::from_millis(1);

/// The clock of polls. A poll that fails changes nothing: the last good picture stays.
#[derive(Debug, Default)]
pub(super) struct Polls {
    /// The one under way began then.
    pub(super) under_way: Option<Timestamp>,
    /// The next is due then.
    pub(super) next: Option<Timestamp>,
    /// The last that succeeded ended then.
    pub(super) last_success: Option<Timestamp>,
    /// The first of those that have failed since began then.
    pub(super) failing_since: Option<Timestamp>,
    /// The kinds of failure that were told since then.
    failing_kinds: BTreeSet<&'static str>,
    /// The last that was not waited for began then.
    last_early: Option<Timestamp>,
    /// One that is wanted before it is due may begin then.
    wanted_from: Option<Timestamp>,
}

impl Polls {
    /// Whether a poll may begin; if so it has.
    pub(super) fn begin(&mut self, now: Timestamp) -> bool {
        if self.under_way.is_some() {
            return false;
        }
        self.under_way = Some(now);
        self.next = None;
        true
    }

    /// From when on a poll may be made that is wanted, but not due: when it would be due without an event feed. `None`:
    /// one is under way.
    pub(super) fn wanted_from(&self) -> Option<Timestamp> {
        self.wanted_from.filter(|_| self.under_way.is_none())
    }

    /// Whether a poll may begin before it is due: at most one does in each interval. If so it is noted.
    pub(super) fn may_begin_early(&mut self, interval: Duration, now: Timestamp) -> bool {
        let is_rare = self.last_early.is_none_or(|last| since(now, last) >= interval);
        let may = is_rare && self.under_way.is_none();
        if may {
            self.last_early = Some(now);
        }
        may
    }

    /// The next poll is due then, if it was due later.
    pub(super) fn no_later_than(&mut self, at: Timestamp, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if self.next.is_some_and(|next| at < next) {
            self.next = Some(at);
            self.wanted_from = self.wanted_from.map(|from| from.min(at));
            effects.push(ExchangeEffect::PollIn(since(at, now)));
        }
    }

    /// It came to nothing, and is begun anew at once.
    pub(super) fn restart(&mut self) {
        self.under_way = None;
    }

    /// One has ended that began then: the next is an interval after that, but never sooner than this one took; the
    /// site's interval if it is wanted, else the longer one.
    pub(super) fn end(
        &mut self,
        began: Timestamp,
        (interval, longer): (Duration, Duration),
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        self.under_way = None;
        let took = since(now, began);
        let rest_of = |interval: Duration| interval.saturating_sub(took).max(took).max(LEAST_REST);
        self.wanted_from = Some(after(now, rest_of(interval)));
        let rest = rest_of(longer);
        self.next = Some(after(now, rest));
        effects.push(ExchangeEffect::PollIn(rest));
    }

    pub(super) fn failed(
        &mut self,
        began: Timestamp,
        error: String,
        kind: &'static str,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        self.failing_since.get_or_insert(began);
        self.failing_kinds.insert(kind);
        effects.push(ExchangeEffect::Tell(ExchangeFact::PollFailed { began, error, kind }));
    }

    pub(super) fn succeeded(&mut self, now: Timestamp) {
        self.last_success = Some(now);
    }

    /// After a success: tells how long polls had failed, if they had.
    pub(super) fn tell_recovered(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if let Some(began) = self.failing_since.take() {
            let kinds = std::mem::take(&mut self.failing_kinds);
            effects
                .push(ExchangeEffect::Tell(ExchangeFact::PollRecovered { lasted: since(now, began), kinds }));
        }
    }
}
