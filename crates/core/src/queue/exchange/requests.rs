//! The container requests that containers of the spot market are tried for, if the site wants that known (`SpotRetries`).
//!
//! ```text
//!   mounts of new containers are asked for ─► beside them the requests of those that want the spot market
//!        └ answered ─► sized      └ fails, or takes too long ─► sized without; asked for again after a later poll
//! ```
//! One call at a time, for at most 50 containers, and none while the site does not want it. It is never waited for longer
//! than 10 s, and gives its place in the line back then: no job, and no other call, waits for what is only good to know.

use std::time::Duration;

use super::calls::{Purpose, Request};
use super::{Exchange, ExchangeEffect, ExchangeFact};
use crate::id::{ContainerRequestUuid, ContainerUuid};
use crate::ports::{ApiError, Page};
use crate::queue::QueueFact;
use crate::queue::market::RequestsAnswer;
use crate::queue::suspects::may_be_one_record;
use crate::time::{Timestamp, after, since};

/// How many containers' requests one call asks for at most.
const AT_ONCE: usize = 50;
/// So long a call is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long nothing is asked after a call that has failed for no fault of a container.
const REST: Duration = Duration::from_secs(60);

/// The call that is made, and who waits for the next.
#[derive(Debug)]
pub(super) struct RequestsLine {
    /// How many the next call asks for; fewer after a failure.
    at_once: usize,
    waiting: Vec<ContainerUuid>,
    /// About whom the present call is, and since when.
    call: Option<(Vec<ContainerUuid>, Timestamp)>,
    /// Nothing is asked before then.
    rests_until: Option<Timestamp>,
}

impl Default for RequestsLine {
    fn default() -> Self {
        Self { at_once: AT_ONCE, waiting: Vec::new(), call: None, rests_until: None }
    }
}

impl RequestsLine {
    fn next(&mut self, now: Timestamp) -> Option<Vec<ContainerUuid>> {
        if self.call.is_some() || self.waiting.is_empty() {
            return None;
        }
        let asked: Vec<_> = self.waiting.drain(..self.at_once.min(self.waiting.len())).collect();
        self.call = Some((asked.clone(), now));
        Some(asked)
    }

    /// All who are asked for, or wait to be.
    fn give_up(&mut self) -> Vec<ContainerUuid> {
        let called = self.call.take().map(|(asked, _)| asked).unwrap_or_default();
        called.into_iter().chain(std::mem::take(&mut self.waiting)).collect()
    }
}

impl Exchange {
    /// The spot market has taken the instance of these containers.
    pub fn lost_to_market(&mut self, uuids: &[ContainerUuid], now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        let facts = self.queue.lost_to_market(uuids, &self.policy, now);
        self.tell_sized(facts, &mut effects);
        effects
    }

    /// The time of [`ExchangeEffect::RequestsIn`] is over: a call that has not been answered is waited for no longer.
    pub fn requests_are_due(&mut self, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        if self.requests.call.as_ref().is_some_and(|(_, began)| since(now, *began) >= PATIENCE) {
            self.calls.abandon_requests(now);
            let error = format!("no answer within {} s", PATIENCE.as_secs());
            effects.push(ExchangeEffect::Tell(ExchangeFact::RequestsUnread { error, kind: "timeout" }));
            self.rest(now, &mut effects);
            self.calls.send(now, &mut effects);
        }
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
        if self.requests.rests_until.is_some_and(|until| now < until) {
            self.queue.want_requests();
            return;
        }
        let wanted = self.queue.begin_asking_requests(uuids);
        self.requests.waiting.extend(wanted);
        self.send_requests(now, effects);
    }

    /// After a poll: asks for the requests of some that were sized without.
    pub(super) fn ask_missing_requests(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        let rests = self.requests.rests_until.is_some_and(|until| now < until);
        if self.policy.sizing.spot_retries.is_some() && !rests {
            let uuids = self.queue.first_without_requests(self.requests.at_once);
            self.ask_requests(&uuids, now, effects);
        }
    }

    fn send_requests(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if let Some(asked) = self.requests.next(now) {
            self.call(Request::RequestsOf(asked), Purpose::Requests, now, effects);
            effects.push(ExchangeEffect::RequestsIn(PATIENCE));
        }
    }

    pub(super) fn requests_answered(
        &mut self,
        answer: Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        let Some((asked, _)) = self.requests.call.take() else { return };
        match answer {
            Ok(page) => {
                self.requests.at_once = AT_ONCE.min(2 * self.requests.at_once);
                self.take_requests(&asked, &RequestsAnswer::Told(page.items), now, effects);
            }
            Err(error) => {
                let (text, kind) = (error.to_string(), error.kind.as_str());
                effects.push(ExchangeEffect::Tell(ExchangeFact::RequestsUnread { error: text, kind }));
                self.requests.at_once = (asked.len() / 2).max(1);
                let is_alone = asked.len() == 1;
                if !may_be_one_record(error.kind) {
                    self.requests.call = Some((asked, now));
                    return self.rest(now, effects);
                }
                let answer = if is_alone { RequestsAnswer::Unreadable } else { RequestsAnswer::Unavailable };
                self.take_requests(&asked, &answer, now, effects);
            }
        }
        self.send_requests(now, effects);
        if self.requests.call.is_none() {
            let uuids = self.queue.next_without_requests(self.requests.at_once);
            self.ask_requests(&uuids, now, effects);
        }
    }

    /// The controller is in trouble: all are sized without, and it is left alone for a while.
    fn rest(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        self.requests.rests_until = Some(after(now, REST));
        self.queue.want_requests();
        let asked = self.requests.give_up();
        self.take_requests(&asked, &RequestsAnswer::Unavailable, now, effects);
    }

    fn take_requests(
        &mut self,
        asked: &[ContainerUuid],
        answer: &RequestsAnswer,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        let facts = self.queue.take_requests(asked, answer, &self.policy, now);
        self.tell_sized(facts, effects);
    }

    fn tell_sized(&mut self, facts: Vec<QueueFact>, effects: &mut Vec<ExchangeEffect>) {
        effects.extend(facts.into_iter().map(ExchangeFact::Queue).map(ExchangeEffect::Tell));
        self.changed(effects);
    }
}
