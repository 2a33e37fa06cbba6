//! The calls of operations on containers, and of reads of orphans' records.

use super::calls::{Purpose, Request};
use super::{Exchange, ExchangeEffect, ExchangeFact};
use crate::container::Record;
use crate::id::ContainerUuid;
use crate::ports::ApiError;
use crate::queue::{Answer, Call, CancelReason, OperationKind, Outcome, Step};
use crate::time::Timestamp;

impl Exchange {
    pub(super) fn request(&self, uuid: ContainerUuid, call: Call) -> Request {
        match call {
            Call::Read => Request::Read(uuid),
            Call::Lock => Request::Lock(uuid),
            Call::Unlock => Request::Unlock(uuid),
            Call::Cancel => Request::Cancel(uuid, self.cancel_text(uuid)),
        }
    }

    /// What the user is told about a cancel, if there is anything to tell.
    fn cancel_text(&self, uuid: ContainerUuid) -> Option<String> {
        match &self.queue.operation(uuid)?.kind {
            OperationKind::Cancel { reason: CancelReason::NoSuitableType(text), .. }
            | OperationKind::Requeue { error: text } => Some(text.clone()),
            OperationKind::Cancel {
                reason: CancelReason::ProcessExited | CancelReason::NotOnAnyWorker,
                ..
            }
            | OperationKind::Lock
            | OperationKind::Unlock(_) => None,
        }
    }

    pub(super) fn operation_answered(
        &mut self,
        uuid: ContainerUuid,
        answer: Answer,
        asked: Timestamp,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        self.snapshots.are_outdated();
        let is_record = matches!(&answer, Answer::Record(Ok(record)) if record.uuid == uuid);
        let is_standing = matches!(&answer, Answer::Standing(Ok(_)));
        let step = self.queue.answered(uuid, answer, now);
        // A standing that was not asked for is read again.
        if is_record || is_standing && matches!(step, Some(Step::Finished(_))) {
            self.queue.note_asked(uuid, asked);
        }
        match step {
            Some(Step::Call(call)) => {
                let request = self.request(uuid, call);
                self.call(request, Purpose::Operation(uuid), now, effects);
            }
            Some(Step::Finished(finished)) => {
                if !matches!(finished.outcome, Outcome::Done(_)) {
                    // What became of the container only a poll tells, which may be rare.
                    self.want_poll(now, effects);
                }
                let others_may_be_stale = finished.picture_is_old && finished.kind == OperationKind::Lock;
                effects.push(ExchangeEffect::Tell(ExchangeFact::Operation(finished)));
                self.calls.pause_operations(self.queue.operations_pause_until(now));
                if others_may_be_stale {
                    self.poll_before_others_are_tried(now, effects);
                }
                self.changed(effects);
            }
            None => {}
        }
    }

    /// One container cannot be locked because its record has changed since the last poll, and those of others may
    /// have, too: a user may have cancelled them all. They are not tried one by one; a poll shows them. At most one
    /// such poll is made in each `PollInterval`.
    fn poll_before_others_are_tried(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if self.polls.may_begin_early(self.policy.poll_interval, now) {
            self.calls.wait_for_poll();
            self.poll(now, effects);
        }
    }

    pub(super) fn orphan_read(
        &mut self,
        uuid: ContainerUuid,
        record: Result<Record, ApiError>,
        asked: Timestamp,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        let facts = self.queue.looked(uuid, record, asked, now);
        effects.extend(facts.into_iter().map(ExchangeFact::Queue).map(ExchangeEffect::Tell));
        // A read that came to nothing is no news: a nudge would only have it asked again at once, and again.
        if !self.queue.has_look_failed(uuid) {
            self.fetch_mounts(now, effects);
            self.changed(effects);
        }
    }
}
