//! The line of calls: each is sent when its turn comes, and its answer is told to whom it concerns.
//!
//! ```text
//!   submit ─► waiting ───┬─ Limiter allows one more ─► in flight ── finish ─► what its answer is for
//!   begin ─► operations ─┘
//!                └── quiet second after a 503, or a pause of operations ─► ResumeIn ─► send
//! ```
//! The first calls of operations come after all others, so that polls go on while many containers are locked. They
//! wait while the controller is in trouble, or while a poll is made that may show that they are not wanted any more.
//! Until it is sent an operation can be withdrawn.

use std::collections::{BTreeMap, VecDeque};

use super::{ExchangeEffect, ExchangeFact};
use crate::container::{MountNeeds, Record, Standing};
use crate::id::{ContainerRequestUuid, ContainerUuid, TokenUuid};
use crate::ports::{ApiError, ApiErrorKind, ListQuestion, Page};
use crate::queue::Poll;
use crate::queue::hints::Hinted;
use crate::queue::limiter::Limiter;
use crate::queue::poll::Asked;
use crate::time::{Timestamp, since};

/// Identifies a call, so that its answer finds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallNumber(pub u64);

/// A call to the controller, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Who are we?
    CurrentToken,
    /// One page of containers.
    List(ListQuestion),
    /// What sizing needs of the mounts of these.
    Mounts(Vec<ContainerUuid>),
    /// The container requests that these are tried for.
    RequestsOf(Vec<ContainerUuid>),
    /// One record.
    Read(ContainerUuid),
    /// Queued → Locked.
    Lock(ContainerUuid),
    /// Locked → Queued.
    Unlock(ContainerUuid),
    /// → Cancelled, with a text for the user if there is one.
    Cancel(ContainerUuid, Option<String>),
}

impl Request {
    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CurrentToken => "current",
            Self::List(ListQuestion::Mine { .. }) => "list_mine",
            Self::List(ListQuestion::Available { .. }) => "list_available",
            Self::List(ListQuestion::Known { .. }) => "list_known",
            Self::Mounts(_) => "mounts",
            Self::RequestsOf(_) => "container_requests",
            Self::Read(_) => "get",
            Self::Lock(_) => "lock",
            Self::Unlock(_) => "unlock",
            Self::Cancel(..) => "cancel",
        }
    }
}

/// The answer to a [`Request`].
#[derive(Debug, Clone)]
pub enum Reply {
    /// To `CurrentToken`.
    Token(Result<TokenUuid, ApiError>),
    /// To `List`.
    Page(Result<Page<Record>, ApiError>),
    /// To `Mounts`.
    Mounts(Result<Page<(ContainerUuid, MountNeeds)>, ApiError>),
    /// To `RequestsOf`.
    Requests(Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError>),
    /// To `Read`.
    Record(Result<Record, ApiError>),
    /// To `Lock`, `Unlock` and `Cancel`.
    Standing(Result<Standing, ApiError>),
}

impl Reply {
    /// How the call failed, if it did.
    pub fn error(&self) -> Option<&ApiError> {
        match self {
            Self::Token(answer) => answer.as_ref().err(),
            Self::Page(answer) => answer.as_ref().err(),
            Self::Mounts(answer) => answer.as_ref().err(),
            Self::Requests(answer) => answer.as_ref().err(),
            Self::Record(answer) => answer.as_ref().err(),
            Self::Standing(answer) => answer.as_ref().err(),
        }
    }
}

/// What a call's answer is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// To know whose locks are ours; the poll that waits for it began then.
    Me { poll_began: Timestamp },
    /// The next page of a poll.
    Page(Box<Poll>),
    /// To follow hints of the event feed.
    Hinted(Hinted, Asked),
    /// To size these containers.
    Mounts(Vec<ContainerUuid>),
    /// To size this container alone, then the rest one by one.
    SingleMounts(ContainerUuid, Vec<ContainerUuid>),
    /// To know the requests of containers.
    Requests,
    /// The operation on this container.
    Operation(ContainerUuid),
    /// To know what the process of this container is, which has no entry.
    Orphan(ContainerUuid),
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) call: &'static str,
    pub(super) since: Timestamp,
    pub(super) purpose: Purpose,
}

/// The calls that wait, and those in flight.
#[derive(Debug, Default)]
pub(super) struct ExchangeCalls {
    limiter: Limiter,
    waiting: VecDeque<(Request, Purpose)>,
    /// First calls of operations.
    operations: VecDeque<(ContainerUuid, Request)>,
    /// The same of containers for which something has failed before.
    second_tries: VecDeque<(ContainerUuid, Request)>,
    /// No operation is begun before then.
    paused_until: Option<Timestamp>,
    /// No operation is begun before a poll has ended.
    waits_for_poll: bool,
    in_flight: BTreeMap<CallNumber, InFlight>,
    last_number: u64,
    last_overload: Option<Timestamp>,
}

impl ExchangeCalls {
    /// Puts a call at the end of the line, and sends what may be sent.
    pub(super) fn submit(
        &mut self,
        request: Request,
        purpose: Purpose,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        self.waiting.push_back((request, purpose));
        self.send(now, effects);
    }

    /// Puts the first call of an operation at the end of its line, and sends what may be sent. Those of containers
    /// for which something has failed before come after all others.
    pub(super) fn submit_operation(
        &mut self,
        uuid: ContainerUuid,
        request: Request,
        failed_before: bool,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        match failed_before {
            true => self.second_tries.push_back((uuid, request)),
            false => self.operations.push_back((uuid, request)),
        }
        self.send(now, effects);
    }

    /// No operation is begun before then; `None` = there is no reason to wait.
    pub(super) fn pause_operations(&mut self, until: Option<Timestamp>) {
        self.paused_until = until;
    }

    /// No operation is begun before [`ExchangeCalls::withdraw_operations`] or [`ExchangeCalls::poll_ended`].
    pub(super) fn wait_for_poll(&mut self) {
        self.waits_for_poll = true;
    }

    pub(super) fn waits_for_poll(&self) -> bool {
        self.waits_for_poll
    }

    pub(super) fn poll_ended(&mut self) {
        self.waits_for_poll = false;
    }

    /// Takes back the operations whose first call was not sent.
    pub(super) fn withdraw_operations(&mut self) -> Vec<ContainerUuid> {
        self.operations.drain(..).chain(self.second_tries.drain(..)).map(|(uuid, _)| uuid).collect()
    }

    /// Sends in order, as many as the limiter allows.
    pub(super) fn send(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        while self.has_next(now) && self.limiter.try_start(now) {
            let operation = |(uuid, request)| (request, Purpose::Operation(uuid));
            let mut first_try = || self.operations.pop_front().or_else(|| self.second_tries.pop_front());
            let next = self.waiting.pop_front().or_else(|| first_try().map(operation));
            if let Some((request, purpose)) = next {
                self.last_number += 1;
                let number = CallNumber(self.last_number);
                self.in_flight.insert(number, InFlight { call: request.name(), since: now, purpose });
                effects.push(ExchangeEffect::Call(number, request));
            }
        }
        if let Some(at) = self.resumes_at(now) {
            effects.push(ExchangeEffect::ResumeIn(since(at, now)));
        }
    }

    fn has_next(&self, now: Timestamp) -> bool {
        let held = self.waits_for_poll || self.pause(now).is_some();
        !self.waiting.is_empty() || self.operations_waiting() > 0 && !held
    }

    fn operations_waiting(&self) -> usize {
        self.operations.len() + self.second_tries.len()
    }

    fn pause(&self, now: Timestamp) -> Option<Timestamp> {
        self.paused_until.filter(|until| now < *until)
    }

    /// When what waits for a moment may be sent: nothing that waits is forgotten.
    fn resumes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let quiet = self.limiter.quiet_until(now);
        if !self.waiting.is_empty() {
            return quiet;
        }
        quiet.max(self.pause(now)).filter(|_| self.operations_waiting() > 0)
    }

    /// A call has ended: gives its place back, learns from its outcome, and says what it was for and when it was sent.
    pub(super) fn finish(
        &mut self,
        number: CallNumber,
        error: Option<&ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) -> Option<(Purpose, Timestamp)> {
        let call = self.in_flight.remove(&number)?;
        let overloaded = error.is_some_and(|error| error.kind == ApiErrorKind::Overloaded);
        self.limiter.finish(overloaded, now);
        if overloaded {
            self.last_overload = Some(now);
            effects.push(ExchangeEffect::Tell(ExchangeFact::Overloaded { limit: self.limiter.width() }));
        }
        Some((call.purpose, call.since))
    }

    /// The calls about requests are not waited for any longer: they give their places back, and what is answered yet tells
    /// nobody.
    pub(super) fn abandon_requests(&mut self) {
        let is_about_them = |purpose: &Purpose| matches!(purpose, Purpose::Requests);
        self.waiting.retain(|(_, purpose)| !is_about_them(purpose));
        for _ in self.in_flight.extract_if(.., |_, call| is_about_them(&call.purpose)) {
            self.limiter.give_back();
        }
    }

    /// What waits is not sent any more.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.operations.clear();
        self.second_tries.clear();
    }

    pub(super) fn last_overload(&self) -> Option<Timestamp> {
        self.last_overload
    }

    /// How many wait or are in flight.
    pub(super) fn unfinished(&self) -> usize {
        self.in_flight.len() + self.waiting()
    }

    pub(super) fn in_flight(&self) -> impl Iterator<Item = (&CallNumber, &InFlight)> {
        self.in_flight.iter()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() + self.operations_waiting()
    }

    pub(super) fn limiter(&self) -> &Limiter {
        &self.limiter
    }
}
