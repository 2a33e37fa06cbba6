//! The container requests that containers of the spot market are tried for, if the site wants that known (`SpotRetries`).
//!
//! ```text
//!   mounts of new containers are asked for ─► beside them the requests of those that want the spot market
//!        ├ answered ─────────────────────────► sized
//!        ├ 10 s are over ────────────────────► sized without; an answer that comes yet counts
//!        ├ fails, maybe because of one ──────► half of them are asked for at once; one alone, three times
//!        └ the controller is in trouble ─────► sized without; rest, then asked for again, fewer at once
//! ```
//! One call at a time, for at most 50 containers, and none while the site does not want it. A call that is not answered in
//! 10 s gives its place in the line back: no job, and no other call, waits for what is only good to know.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use super::calls::{Purpose, Request};
use super::{Exchange, ExchangeEffect, ExchangeFact};
use crate::id::{ContainerRequestUuid, ContainerUuid};
use crate::ports::{ApiError, ApiErrorKind, Page};
use crate::queue::QueueFact;
use crate::queue::market::RequestsAnswer;
use crate::queue::suspects::may_be_one_record;
use crate::time::{Timestamp, after, since};

/// How many containers' requests one call asks for at most.
const AT_ONCE: usize = 50;
/// So long a call is waited for, and so long a container waits for all of them.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long nothing is asked when the controller is in trouble; twice as long each time that follows.
const REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(600);
/// If so many in a row fail, each asked for alone, it is not for their sake.
const MOST_ALONE: u32 = 4;

/// The call that is made, and who waits for the next.
#[derive(Debug)]
pub(super) struct RequestsLine {
    /// How many the next call asks for; fewer after a failure.
    at_once: usize,
    waiting: VecDeque<ContainerUuid>,
    /// About whom the present call is, and since when.
    call: Option<(Vec<ContainerUuid>, Timestamp)>,
    /// Those whose sizing waits, and since when.
    patient: VecDeque<(Timestamp, Vec<ContainerUuid>)>,
    /// Nothing is asked before then.
    rests_until: Option<Timestamp>,
    /// How long the last rest was; `None`: an answer has come since.
    last_rest: Option<Duration>,
    /// How many have failed in a row, each asked for alone.
    failed_alone: u32,
}

impl Default for RequestsLine {
    fn default() -> Self {
        Self {
            at_once: AT_ONCE,
            waiting: VecDeque::new(),
            call: None,
            patient: VecDeque::new(),
            rests_until: None,
            last_rest: None,
            failed_alone: 0,
        }
    }
}

/// How the line stands, for developers.
#[derive(Debug, Serialize)]
pub struct RequestsState {
    asked: usize,
    asked_since: Option<Timestamp>,
    waiting: usize,
    at_once: usize,
    rests_until: Option<Timestamp>,
}

impl RequestsLine {
    pub(super) fn state(&self) -> RequestsState {
        RequestsState {
            asked: self.call.as_ref().map_or(0, |(asked, _)| asked.len()),
            asked_since: self.call.as_ref().map(|(_, since)| *since),
            waiting: self.waiting.len(),
            at_once: self.at_once,
            rests_until: self.rests_until,
        }
    }

    fn rests(&self, now: Timestamp) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    fn next(&mut self, now: Timestamp) -> Option<Vec<ContainerUuid>> {
        if self.call.is_some() || self.waiting.is_empty() {
            return None;
        }
        let asked: Vec<_> = self.waiting.drain(..self.at_once.min(self.waiting.len())).collect();
        self.call = Some((asked.clone(), now));
        Some(asked)
    }

    /// Those who have waited for long enough.
    fn out_of_patience(&mut self, now: Timestamp) -> Vec<ContainerUuid> {
        let mut over = Vec::new();
        while let Some((_, uuids)) = self.patient.pop_front_if(|(at, _)| since(now, *at) >= PATIENCE) {
            over.extend(uuids);
        }
        over
    }

    /// Rests from now on. All who were asked for, or waited to be.
    fn rest(&mut self, asked: Vec<ContainerUuid>, now: Timestamp) -> Vec<ContainerUuid> {
        let rest = self.last_rest.map_or(REST, |last| LONGEST_REST.min(2 * last));
        (self.last_rest, self.rests_until, self.failed_alone) = (Some(rest), Some(after(now, rest)), 0);
        self.patient.clear();
        asked.into_iter().chain(self.waiting.drain(..)).collect()
    }
}

impl Exchange {
    /// The spot market has taken the instance of these containers. What follows for others is counted when other messages
    /// have had their turn: many may be taken at a time.
    pub fn lost_to_market(&mut self, uuids: &[ContainerUuid], now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        let facts = self.queue.lost_to_market(uuids, now);
        self.tell_sized(facts, &mut effects);
        self.go_on_soon(&mut effects);
        effects
    }

    /// The time of [`ExchangeEffect::RequestsIn`] is over: what has not been answered is waited for no longer.
    pub fn requests_are_due(&mut self, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        let over = self.requests.out_of_patience(now);
        if !over.is_empty() {
            let facts = self.queue.stop_waiting(&over, &self.policy, now);
            self.tell_sized(facts, &mut effects);
        }
        if let Some((asked, _)) = self.requests.call.take_if(|(_, began)| since(now, *began) >= PATIENCE) {
            self.calls.abandon_requests();
            let error = format!("no answer within {} s", PATIENCE.as_secs());
            self.requests_failed(asked, error, ApiErrorKind::Timeout, now, &mut effects);
            self.calls.send(now, &mut effects);
        }
        effects
    }

    /// Of how many containers and requests it is remembered what the market has taken.
    #[cfg(test)]
    pub(crate) fn remembered_losses(&self) -> usize {
        self.queue.remembered_losses()
    }

    /// Counts what everybody has lost, if anything was lost.
    pub(super) fn count_losses(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        let facts = self.queue.count_all_losses(&self.policy, now);
        if !facts.is_empty() {
            self.tell_sized(facts, effects);
        }
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
        if self.requests.rests(now) {
            self.queue.want_requests();
            return;
        }
        let wanted = self.queue.begin_asking_requests(uuids);
        if !wanted.is_empty() {
            self.requests.waiting.extend(&wanted);
            self.requests.patient.push_back((now, wanted));
            effects.push(ExchangeEffect::RequestsIn(PATIENCE));
        }
        self.send_requests(now, effects);
    }

    /// After a poll: asks for the requests of some that were sized without.
    pub(super) fn ask_missing_requests(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if self.policy.sizing.spot_retries.is_some() && !self.requests.rests(now) {
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
                let line = &mut self.requests;
                line.at_once = AT_ONCE.min(2 * line.at_once);
                (line.last_rest, line.failed_alone) = (None, 0);
                if let Some(poison) = page.undecodable.first() {
                    let error =
                        format!("{} of them cannot be read: {}", page.undecodable.len(), poison.reason);
                    effects.push(tell_unread(error, ApiErrorKind::Malformed));
                }
                self.take_requests(&asked, &RequestsAnswer::Told(page.items), now, effects);
            }
            Err(error) => self.requests_failed(asked, error.to_string(), error.kind, now, effects),
        }
        if self.requests.rests(now) {
            return;
        }
        self.send_requests(now, effects);
        if self.requests.call.is_none() {
            let uuids = self.queue.next_without_requests(self.requests.at_once);
            self.ask_requests(&uuids, now, effects);
        }
    }

    /// A call about these has failed. If it may be for the sake of one of them, fewer are asked for at once; one that fails
    /// alone is given up after some times. If not, or if many fail alone, the controller is left alone.
    fn requests_failed(
        &mut self,
        asked: Vec<ContainerUuid>,
        error: String,
        kind: ApiErrorKind,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        effects.push(tell_unread(error, kind));
        let line = &mut self.requests;
        line.at_once = (asked.len() / 2).max(1);
        let is_refusal = may_be_one_record(kind);
        if is_refusal && asked.len() > 1 {
            asked.iter().rev().for_each(|uuid| line.waiting.push_front(*uuid));
            return;
        }
        let is_for_its_own = is_refusal || kind == ApiErrorKind::Timeout;
        if let ([_], true) = (&asked[..], is_for_its_own) {
            line.failed_alone += 1;
            let rests = !is_refusal || line.failed_alone >= MOST_ALONE;
            self.take_requests(&asked, &RequestsAnswer::Unreadable, now, effects);
            if !rests {
                return;
            }
        }
        self.rest(asked, now, effects);
    }

    /// The controller is in trouble: all are sized without, and it is left alone for a while.
    fn rest(&mut self, asked: Vec<ContainerUuid>, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        let asked = self.requests.rest(asked, now);
        self.queue.want_requests();
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

fn tell_unread(error: String, kind: ApiErrorKind) -> ExchangeEffect {
    ExchangeEffect::Tell(ExchangeFact::RequestsUnread { error, kind: kind.as_str() })
}
