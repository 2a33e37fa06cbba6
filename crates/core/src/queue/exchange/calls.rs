//! The line of calls: each is sent when its turn comes, and its answer is told to whom it concerns.
//!
//! ```text
//!   submit ─► waiting ── Limiter allows one more ─► in flight ── finish ─► what its answer is for
//!                └── quiet second after a 503 ─► ResumeIn ─► send
//! ```

use std::collections::{BTreeMap, VecDeque};

use super::{ExchangeEffect, ExchangeFact};
use crate::container::{MountNeeds, Record, Standing};
use crate::id::{ContainerUuid, TokenUuid};
use crate::ports::{ApiError, ApiErrorKind, ListQuestion, Page};
use crate::queue::Poll;
use crate::queue::limiter::Limiter;
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
    /// To size these containers.
    Mounts(Vec<ContainerUuid>),
    /// To size this container alone, then the rest one by one.
    SingleMounts(ContainerUuid, Vec<ContainerUuid>),
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

    /// Sends in order, as many as the limiter allows.
    pub(super) fn send(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        while !self.waiting.is_empty() && self.limiter.try_start(now) {
            if let Some((request, purpose)) = self.waiting.pop_front() {
                self.last_number += 1;
                let number = CallNumber(self.last_number);
                self.in_flight.insert(number, InFlight { call: request.name(), since: now, purpose });
                effects.push(ExchangeEffect::Call(number, request));
            }
        }
        // What waits for the quiet second after a 503 is not forgotten.
        if let (false, Some(until)) = (self.waiting.is_empty(), self.limiter.quiet_until(now)) {
            effects.push(ExchangeEffect::ResumeIn(since(until, now)));
        }
    }

    /// A call has ended: gives its place back, learns from its outcome, and says what it was for.
    pub(super) fn finish(
        &mut self,
        number: CallNumber,
        error: Option<&ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) -> Option<Purpose> {
        let call = self.in_flight.remove(&number)?;
        let overloaded = error.is_some_and(|error| error.kind == ApiErrorKind::Overloaded);
        self.limiter.finish(overloaded, now);
        if overloaded {
            self.last_overload = Some(now);
            effects.push(ExchangeEffect::Tell(ExchangeFact::Overloaded { limit: self.limiter.width() }));
        }
        Some(call.purpose)
    }

    /// What waits is not sent any more.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn last_overload(&self) -> Option<Timestamp> {
        self.last_overload
    }

    /// How many wait or are in flight.
    pub(super) fn unfinished(&self) -> usize {
        self.in_flight.len() + self.waiting.len()
    }

    pub(super) fn in_flight(&self) -> impl Iterator<Item = (&CallNumber, &InFlight)> {
        self.in_flight.iter()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn limiter(&self) -> &Limiter {
        &self.limiter
    }
}
