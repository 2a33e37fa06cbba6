//! The container requests that containers of the spot market are tried for, if the site wants that known (`SpotRetries`).
//!
//! ```text
//!   mounts of new containers are asked for ─► beside them the requests of those that want the spot market
//!        └ answered ─► sized          └ fails ─► sized without; asked for again after the next poll, fewer at once
//! ```
//! One call for at most 50 new containers, and none while the site does not want it.

use super::calls::{Purpose, Request};
use super::{Exchange, ExchangeEffect, ExchangeFact};
use crate::id::{ContainerRequestUuid, ContainerUuid};
use crate::ports::{ApiError, Page};
use crate::queue::market::RequestsAnswer;
use crate::queue::suspects::may_be_one_record;
use crate::time::Timestamp;

/// How many containers' requests one call asks for at most.
pub(super) const REQUESTS_AT_ONCE: usize = 50;

impl Exchange {
    /// The spot market has taken the instance of these containers.
    pub fn lost_to_market(&mut self, uuids: &[ContainerUuid], now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        let facts = self.queue.lost_to_market(uuids, &self.policy, now);
        effects.extend(facts.into_iter().map(ExchangeFact::Queue).map(ExchangeEffect::Tell));
        self.changed(&mut effects);
        effects
    }

    /// Of how many containers and requests it is remembered what the market has taken.
    #[cfg(test)]
    pub(crate) fn remembered_losers(&self) -> usize {
        self.queue.remembered_losers()
    }

    /// Asks for the requests of those of these containers that want the spot market.
    pub(super) fn ask_requests(
        &mut self,
        uuids: &[ContainerUuid],
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        if self.quiescent || self.policy.sizing.spot_retries.is_none() {
            return;
        }
        let asked = self.queue.begin_asking_requests(uuids, self.requests_at_once);
        if !asked.is_empty() {
            self.call(Request::RequestsOf(asked.clone()), Purpose::Requests(asked), now, effects);
        }
    }

    /// Asks for the requests of some that were sized without.
    pub(super) fn ask_missing_requests(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if self.policy.sizing.spot_retries.is_some() {
            let uuids = self.queue.sized_without_requests(self.requests_at_once);
            self.ask_requests(&uuids, now, effects);
        }
    }

    pub(super) fn requests_answered(
        &mut self,
        asked: &[ContainerUuid],
        answer: Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        let answer = match answer {
            Ok(page) => {
                self.requests_at_once = REQUESTS_AT_ONCE.min(2 * self.requests_at_once);
                RequestsAnswer::Told(page.items)
            }
            Err(error) => {
                self.requests_at_once = (asked.len() / 2).max(1);
                let (text, kind) = (error.to_string(), error.kind.as_str());
                effects.push(ExchangeEffect::Tell(ExchangeFact::RequestsUnread { error: text, kind }));
                let may_be_one = asked.len() == 1 && may_be_one_record(error.kind);
                if may_be_one { RequestsAnswer::Unreadable } else { RequestsAnswer::Unavailable }
            }
        };
        let facts = self.queue.take_requests(asked, &answer, &self.policy, now);
        effects.extend(facts.into_iter().map(ExchangeFact::Queue).map(ExchangeEffect::Tell));
        self.changed(effects);
    }
}
