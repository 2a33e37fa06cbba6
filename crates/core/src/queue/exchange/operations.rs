//! The calls of operations on containers, and of reads of orphans' records.

use super::calls::{Purpose, Request};
use super::{Exchange, ExchangeEffect, ExchangeFact};
use crate::container::Record;
use crate::id::ContainerUuid;
use crate::ports::ApiError;
use crate::queue::{Answer, Call, CancelReason, OperationKind, Step};
use crate::time::Timestamp;

impl Exchange {
    /// Makes the next call of a container's operation.
    pub(super) fn go_on(
        &mut self,
        uuid: ContainerUuid,
        call: Call,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        let request = match call {
            Call::Read => Request::Read(uuid),
            Call::Lock => Request::Lock(uuid),
            Call::Unlock => Request::Unlock(uuid),
            Call::Cancel => Request::Cancel(uuid, self.cancel_text(uuid)),
        };
        self.call(request, Purpose::Operation(uuid), now, effects);
    }

    /// What the user is told about a cancel, if there is anything to tell.
    fn cancel_text(&self, uuid: ContainerUuid) -> Option<String> {
        match &self.queue.operation(uuid)?.kind {
            OperationKind::Cancel { reason: CancelReason::NoSuitableType(text), .. } => Some(text.clone()),
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
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        self.snapshot = None;
        match self.queue.answered(uuid, answer, now) {
            Some(Step::Call(call)) => self.go_on(uuid, call, now, effects),
            Some(Step::Finished(finished)) => {
                effects.push(ExchangeEffect::Tell(ExchangeFact::Operation(finished)));
                self.changed(effects);
            }
            None => {}
        }
    }

    pub(super) fn orphan_read(
        &mut self,
        uuid: ContainerUuid,
        record: Result<Record, ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        let facts = self.queue.looked(uuid, record, now);
        effects.extend(facts.into_iter().map(ExchangeFact::Queue).map(ExchangeEffect::Tell));
        // A read that came to nothing is no news: a nudge would only have it asked again at once, and again.
        if !self.queue.has_look_failed(uuid) {
            self.fetch_mounts(now, effects);
            self.changed(effects);
        }
    }
}
