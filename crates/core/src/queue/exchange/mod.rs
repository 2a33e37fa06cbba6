//! The exchange with the controller: which calls are made, in which order, and what their answers mean to the queue.
//!
//! ```text
//!   hints of the event feed ─► a question about some containers, or an earlier poll              feed
//!   poll is due ─► page by page ─► merge ─► mounts of new containers ─► the next poll is due        polls, mounts
//!                                       └─► requests of those that want the spot market              requests
//!   lock, unlock, cancel ─► one chain of calls a container ─► finished
//!   read_orphan ─► the record of a process without an entry
//!   merge, snapshot ─► a piece ─► GoOn: other messages have their turn ─► the next piece          snapshots
//!        every call ─► the line ─► as many at a time as the limiter allows ─► ExchangeEffect::Call          calls
//! ```
//! On failure: a poll that fails changes nothing, and the next comes in its time. A container whose record cannot
//! be decoded hurts only itself. Nothing is retried here: what failed waits for the next poll. After a 503 nothing
//! is sent for a second, and fewer calls at a time from then on.
//!
//! Owned by the Queue actor, which makes the calls and hands their answers back. Never does: I/O, deciding what
//! should be locked or cancelled (that is `plan`).

mod calls;
mod effect;
mod feed;
mod inspect;
mod mounts;
mod operations;
mod pieces;
mod polls;
mod reload;
mod requests;
mod snapshots;

use std::sync::Arc;
use std::time::Duration;

pub use calls::{CallNumber, Reply, Request};
pub use effect::{ExchangeEffect, ExchangeFact};
pub use feed::FeedStanding;
pub use inspect::ExchangeState;
pub use snapshots::SnapshotAnswer;

use super::hints::Hints;
use super::poll::Asked;
use super::{Answer, ContainerQueue, Merging, Openings, OperationKind, Poll, QueueRefusal};
use crate::container::Record;
use crate::id::{ContainerUuid, TokenUuid};
use crate::policy::Policy;
use crate::ports::{ApiError, Page};
use crate::time::Timestamp;
use calls::{ExchangeCalls, Purpose};
use polls::Polls;
use reload::Resizing;
use requests::RequestsLine;
use snapshots::Snapshots;

/// The exchange with the controller, and the queue that it keeps. Owned by the Queue actor.
#[derive(Debug)]
pub struct Exchange {
    queue: ContainerQueue,
    policy: Arc<Policy>,
    calls: ExchangeCalls,
    polls: Polls,
    hints: Hints,
    /// Whether the last plan, or one that is not known yet, waits for a later picture.
    awaits_picture: bool,
    fetching_mounts: bool,
    /// How many containers' mounts the next call asks for; fewer after a failure.
    mounts_at_once: usize,
    /// Who is tried for which request.
    requests: RequestsLine,
    /// The poll that is being taken in, and whether it has shown a change so far.
    merging: Option<(Merging, bool)>,
    snapshots: Snapshots,
    /// Containers are being sized anew.
    resizing: Option<Resizing>,
    /// [`ExchangeEffect::GoOn`] has been told, and nobody has gone on yet.
    goes_on: bool,
    quiescent: bool,
}

impl Exchange {
    /// Before the first poll.
    pub fn new(policy: Arc<Policy>) -> Self {
        let mut queue = ContainerQueue::new(policy.max_dispatch_attempts);
        queue.set_poll_window(policy.poll_window);
        Self {
            queue,
            policy,
            calls: ExchangeCalls::default(),
            polls: Polls::default(),
            hints: Hints::default(),
            awaits_picture: true,
            fetching_mounts: false,
            mounts_at_once: mounts::MOUNTS_AT_ONCE,
            requests: RequestsLine::default(),
            merging: None,
            snapshots: Snapshots::default(),
            resizing: None,
            goes_on: false,
            quiescent: false,
        }
    }

    // -------------------------------------------------------------- what is asked of it

    /// Begins an operation on a container: its first call.
    ///
    /// # Errors
    /// The reason of the refusal; nothing was changed.
    pub fn begin(
        &mut self,
        uuid: ContainerUuid,
        kind: OperationKind,
        now: Timestamp,
    ) -> Result<Vec<ExchangeEffect>, QueueRefusal> {
        // A plan that was made from the picture before the poll that is being taken in, or under the configuration of
        // before: the next decides anew.
        if self.quiescent || self.merging.is_some() || self.resizing.is_some() {
            return Err(QueueRefusal::Busy);
        }
        if self.queue.is_spared(uuid, &kind) {
            return Err(QueueRefusal::Spared);
        }
        let call = self.queue.begin(uuid, kind)?;
        self.snapshots.are_outdated();
        let mut effects = Vec::new();
        let request = self.request(uuid, call);
        let failed_before = self.queue.has_failed_before(uuid);
        self.calls.submit_operation(uuid, request, failed_before, now, &mut effects);
        Ok(effects)
    }

    /// Reads the record of a process without an entry, unless that is known, under way, or has failed since the
    /// last poll.
    pub fn read_orphan(&mut self, uuid: ContainerUuid, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        if !self.quiescent && self.queue.begin_look(uuid) {
            self.call(Request::Read(uuid), Purpose::Orphan(uuid), now, &mut effects);
        }
        effects
    }

    /// Drops a container that is final, or on hold.
    pub fn forget(&mut self, uuid: ContainerUuid) -> Vec<ExchangeEffect> {
        self.snapshots.are_outdated();
        self.queue.forget(uuid).map(ExchangeFact::Queue).map(ExchangeEffect::Tell).into_iter().collect()
    }

    /// Takes what could be placed after the last plan: it decides how far the next poll looks.
    pub fn set_openings(&mut self, openings: Option<Arc<Openings>>, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        self.awaits_picture = openings.as_ref().is_none_or(|it| it.awaits_picture);
        self.queue.set_openings(openings);
        if self.awaits_picture {
            self.want_poll(now, &mut effects);
        }
        effects
    }

    /// Begins nothing more: no operation, no poll, no further call of a chain. What was begun is read again at the
    /// next start.
    pub fn quiesce(&mut self) {
        self.quiescent = true;
        self.calls.forget_waiting();
    }

    /// When that container was made, by the controller's clock. O(log containers).
    pub fn created_at(&self, uuid: ContainerUuid) -> Option<Timestamp> {
        self.queue.entry(uuid)?.record.created_at
    }

    /// When the controller last answered 503.
    pub fn last_overload(&self) -> Option<Timestamp> {
        self.calls.last_overload()
    }

    /// When the last poll succeeded, at its end.
    pub fn last_success(&self) -> Option<Timestamp> {
        self.polls.last_success
    }

    /// How many calls are waiting or in flight.
    pub fn unfinished_calls(&self) -> usize {
        self.calls.unfinished()
    }

    // -------------------------------------------------------------- time and answers

    /// A poll is due: begins it, if none is under way. Asks who we are first, if that is not known.
    pub fn poll_is_due(&mut self, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        self.poll(now, &mut effects);
        effects
    }

    /// The quiet second is over.
    pub fn resume(&mut self, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        self.calls.send(now, &mut effects);
        effects
    }

    /// Takes the answer of a call.
    pub fn answered(&mut self, number: CallNumber, reply: Reply, now: Timestamp) -> Vec<ExchangeEffect> {
        let mut effects = Vec::new();
        if let Some((purpose, asked)) = self.calls.finish(number, reply.error(), now, &mut effects) {
            self.take(purpose, reply, asked, now, &mut effects);
            self.calls.send(now, &mut effects);
        }
        effects
    }

    fn take(
        &mut self,
        purpose: Purpose,
        reply: Reply,
        asked: Timestamp,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        match (purpose, reply) {
            (Purpose::Me { poll_began }, Reply::Token(me)) => self.take_me(poll_began, me, now, effects),
            (Purpose::Page(mut poll), Reply::Page(page)) => {
                poll.was_sent(asked);
                self.take_page(poll, page, now, effects);
            }
            (Purpose::Hinted(hinted, question), Reply::Page(page)) => {
                self.hinted_answered((hinted, Asked { at: asked, ..question }), page, now, effects);
            }
            (Purpose::Mounts(asked), Reply::Mounts(page)) => self.mounts_answered(asked, page, now, effects),
            (Purpose::SingleMounts(uuid, rest), Reply::Mounts(page)) => {
                self.single_mounts_answered(uuid, rest, page, now, effects);
            }
            (Purpose::Requests, Reply::Requests(page)) => self.requests_answered(page, now, effects),
            (Purpose::Operation(uuid), Reply::Record(record)) => {
                self.operation_answered(uuid, Answer::Record(record), asked, now, effects);
            }
            (Purpose::Operation(uuid), Reply::Standing(standing)) => {
                self.operation_answered(uuid, Answer::Standing(standing), asked, now, effects);
            }
            (Purpose::Orphan(uuid), Reply::Record(record)) => {
                self.orphan_read(uuid, record, asked, now, effects);
            }
            (
                Purpose::Me { .. }
                | Purpose::Page(_)
                | Purpose::Hinted(..)
                | Purpose::Mounts(_)
                | Purpose::SingleMounts(..)
                | Purpose::Requests
                | Purpose::Operation(_)
                | Purpose::Orphan(_),
                reply,
            ) => debug_assert!(false, "an answer to another question: {reply:?}"),
        }
    }

    /// Once told to stop, no chain of calls goes on.
    fn call(
        &mut self,
        request: Request,
        purpose: Purpose,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        if !self.quiescent {
            self.calls.submit(request, purpose, now, effects);
        }
    }

    /// The old snapshot is worthless, and the scheduler should look again.
    fn changed(&mut self, effects: &mut Vec<ExchangeEffect>) {
        self.snapshots.are_outdated();
        effects.push(ExchangeEffect::Changed);
    }

    // -------------------------------------------------------------- polls

    fn poll(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if self.quiescent || !self.polls.begin(now) {
            return;
        }
        match self.queue.begin_poll(now) {
            Some(poll) => self.ask(Box::new(poll), now, effects),
            None => self.call(Request::CurrentToken, Purpose::Me { poll_began: now }, now, effects),
        }
    }

    fn take_me(
        &mut self,
        poll_began: Timestamp,
        me: Result<TokenUuid, ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        match me {
            Ok(me) => {
                self.queue.set_me(me);
                self.snapshots.are_outdated();
                self.polls.restart();
                self.poll(now, effects);
            }
            Err(error) => self.poll_failed(poll_began, error.to_string(), error.kind.as_str(), now, effects),
        }
    }

    fn ask(&mut self, mut poll: Box<Poll>, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        poll.asks(&self.queue, now);
        match poll.question() {
            Some(question) => self.call(Request::List(question), Purpose::Page(poll), now, effects),
            None => self.finish_poll(*poll, now, effects),
        }
    }

    fn take_page(
        &mut self,
        mut poll: Box<Poll>,
        page: Result<Page<Record>, ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        let began = poll.began();
        match page {
            Err(error) if poll.goes_on_after(&error) => self.ask(poll, now, effects),
            Err(error) => {
                self.queue.poll_failed(&poll, error.kind, now);
                self.calls.pause_operations(self.queue.operations_pause_until(now));
                self.poll_failed(began, error.to_string(), error.kind.as_str(), now, effects);
            }
            Ok(page) => match poll.answer(page, &self.queue, &self.policy) {
                Ok(()) => self.ask(poll, now, effects),
                Err(error) => self.poll_failed(began, error.to_string(), "malformed", now, effects),
            },
        }
    }

    fn poll_ends(&mut self, began: Timestamp, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        let intervals = (self.policy.poll_interval, self.poll_interval(now));
        self.polls.end(began, intervals, now, effects);
        self.calls.poll_ended();
        self.end_sparing(now, effects);
        self.follow_hints(now, effects);
        self.calls.send(now, effects);
    }

    /// Longer than the site's, while the event feed tells what happens and nothing waits for a poll.
    fn poll_interval(&self, now: Timestamp) -> Duration {
        let interval = self.policy.poll_interval;
        let lacks_requests = self.policy.sizing.spot_retries.is_some() && self.queue.lacks_requests;
        let waits = self.awaits_picture || self.polls.failing_since.is_some() || lacks_requests;
        let is_rare = !waits && self.queue.waits_for_no_poll();
        if is_rare { self.hints.poll_interval(interval, now) } else { interval }
    }

    fn poll_failed(
        &mut self,
        began: Timestamp,
        error: String,
        kind: &'static str,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        self.polls.failed(began, error, kind, effects);
        self.poll_ends(began, now, effects);
    }
}
