//! The chains of calls of operations.
//!
//! ```text
//!   Lock     Lock ─ok─► done            Unlock  [Read ─attempts left─►] Unlock ─ok─► done
//!              └─failed─► Read ─► done            └─few left─► refused       └─failed─► Read ─► done
//!   Requeue  Read ─attempts left─► Unlock ─ok─► done
//!              └─none left─► Cancel with the error     └─failed─► Read ─► done
//!   Cancel   Read ─as expected─► Cancel ─ok─► done
//!              └─otherwise─► refused └─failed─► Read ─► done
//! ```
//! A failed call may have taken effect, so the record is read before anything else is decided; if that
//! fails too the entry is `uncertain` until a poll that began later. It is not read a second time after a refusal
//! (403, 422 and the like): then nothing has happened. It is not read at all after a call that was not sent, because we
//! may not act now: the operation ends as if it had not been begun. One operation at a time per container.

use std::sync::Arc;

use super::ContainerQueue;
use super::entry::Entry;
use super::operation::{Answer, Call, Finished, Operation, OperationKind, Outcome, QueueRefusal, Step};
use super::setback::Setback;
use super::shared_failures::SharedFailures;
use crate::container::{ContainerState, Record, Standing};
use crate::id::{ContainerUuid, TokenUuid};
use crate::ports::{ApiError, ApiErrorKind};
use crate::time::Timestamp;

impl ContainerQueue {
    /// Begins an operation: the first call to make, or why not. Stamps the container.
    ///
    /// # Errors
    /// The reason of the refusal; nothing was changed.
    pub fn begin(&mut self, uuid: ContainerUuid, kind: OperationKind) -> Result<Call, QueueRefusal> {
        let entry = self.entries.get(&uuid).ok_or(QueueRefusal::NotInQueue)?;
        check(entry, &kind)?;
        let call = first_call(&kind);
        let stamp = self.next_stamp();
        let entry = self.entry_mut(uuid).expect("it was there a moment ago");
        let changed_before = std::mem::replace(&mut entry.changed, stamp);
        entry.operation = Some(Operation { kind, call, failure: None, has_read: false, changed_before });
        Ok(call)
    }

    /// Takes back an operation whose first call was not sent: a poll has newer news, and the plan decides anew.
    pub fn withdraw(&mut self, uuid: ContainerUuid) {
        let Some(entry) = self.entry_mut(uuid) else { return };
        if let Some(operation) = entry.operation.take() {
            entry.changed = operation.changed_before;
        }
    }

    /// Takes an answer: the next call, or the end of the operation. `None`: nobody waits for it.
    pub fn answered(&mut self, uuid: ContainerUuid, answer: Answer, now: Timestamp) -> Option<Step> {
        let stamp = self.next_stamp();
        let context = JudgementContext { me: self.me, max_dispatch_attempts: self.max_dispatch_attempts };
        let entry = self.entries.get_mut(&uuid).map(Arc::make_mut)?;
        let operation = entry.operation.clone()?;
        let answer = checked(answer, uuid);
        (entry.changed, entry.changed_at) = (stamp, Some(now));
        let failure = failure_of(&operation, &answer);
        let step = entry.advance(&operation, answer, &context);
        match step {
            Step::Call(call) => {
                let has_read = operation.has_read || operation.call == Call::Read;
                entry.operation = Some(Operation { call, failure, has_read, ..operation });
            }
            Step::Finished(ref finished) => {
                entry.conclude(finished, &mut self.shared_failures, now);
                self.note_success(finished, now);
                // A lost lock race: kept, it would look like a container that we have locked.
                if finished.outcome == Outcome::Refused(QueueRefusal::Foreign) {
                    self.remove(uuid);
                }
            }
        }
        Some(step)
    }

    /// The first success after an outage gives all who failed in it another try. O(containers), once an outage.
    fn note_success(&mut self, finished: &Finished, now: Timestamp) {
        let is_done = matches!(finished.outcome, Outcome::Done(_));
        if !is_done || !self.shared_failures.succeeded(finished.kind.cause(), now) {
            return;
        }
        let cause = finished.kind.cause();
        self.fallen.outage_is_over(cause);
        for entry in self.entries.values_mut().filter(|entry| entry.is_set_back(cause)) {
            if let Some(setback) = &mut Arc::make_mut(entry).setback {
                setback.outage_is_over(cause);
            }
        }
    }

    pub(super) fn is_foreign(&self, record: &Record) -> bool {
        is_foreign(record, self.me)
    }
}

/// Locked or Running under another owner.
fn is_foreign(record: &Record, me: Option<TokenUuid>) -> bool {
    let held = matches!(record.state, ContainerState::Locked | ContainerState::Running);
    held && record.locked_by != me
}

/// The record, if it is that container's.
pub(super) fn about(record: Record, uuid: ContainerUuid) -> Result<Record, ApiError> {
    let message = || format!("asked for the record of {uuid}, the answer is that of {}", record.uuid);
    if record.uuid == uuid { Ok(record) } else { Err(malformed(message())) }
}

fn checked(answer: Answer, uuid: ContainerUuid) -> Answer {
    match answer {
        Answer::Record(answer) => Answer::Record(answer.and_then(|record| about(record, uuid))),
        Answer::Standing(answer) => Answer::Standing(answer),
    }
}

fn malformed(message: String) -> ApiError {
    ApiError { kind: ApiErrorKind::Malformed, status: None, message, request_id: String::new() }
}

/// Whether the server has surely done nothing, and says so.
fn is_refusal(kind: ApiErrorKind) -> bool {
    matches!(kind, ApiErrorKind::Forbidden | ApiErrorKind::Refused)
}

/// What a judgement needs beside the record.
struct JudgementContext {
    me: Option<TokenUuid>,
    max_dispatch_attempts: u32,
}

/// The failure that the next read is to explain, if the call was the deciding one.
fn failure_of(operation: &Operation, answer: &Answer) -> Option<ApiError> {
    match answer {
        Answer::Standing(Err(error)) => Some(error.clone()),
        Answer::Standing(Ok(standing)) => {
            Some(malformed(format!("the answer says {}, which was not asked for", standing.state)))
        }
        Answer::Record(_) => operation.failure.clone(),
    }
}

pub(super) fn first_call(kind: &OperationKind) -> Call {
    match kind {
        OperationKind::Lock => Call::Lock,
        OperationKind::Unlock(reason) if reason.is_optional() => Call::Read,
        OperationKind::Unlock(_) => Call::Unlock,
        OperationKind::Requeue { .. } | OperationKind::Cancel { .. } => Call::Read,
    }
}

fn check(entry: &Entry, kind: &OperationKind) -> Result<(), QueueRefusal> {
    if entry.operation.is_some() {
        return Err(QueueRefusal::Busy);
    }
    if entry.uncertain || entry.unreadable.is_some() || entry.absence.is_some() {
        return Err(QueueRefusal::Uncertain);
    }
    if entry.is_set_back(kind.cause()) {
        return Err(QueueRefusal::SetBack);
    }
    let standing = entry.record.standing();
    let allowed = match kind {
        OperationKind::Lock => standing.state == ContainerState::Queued && standing.priority > 0,
        OperationKind::Unlock(_) | OperationKind::Requeue { .. } => standing.state == ContainerState::Locked,
        OperationKind::Cancel { expected, .. } => {
            !standing.state.is_final() && standing.state == expected.state
        }
    };
    if allowed { Ok(()) } else { Err(QueueRefusal::WrongState) }
}

impl Entry {
    fn advance(&mut self, operation: &Operation, answer: Answer, context: &JudgementContext) -> Step {
        let (uuid, believed) = (self.record.uuid, self.record.standing());
        let finish = |outcome, picture_is_old| {
            Step::Finished(Finished { uuid, kind: operation.kind.clone(), outcome, picture_is_old })
        };
        match answer {
            Answer::Standing(Ok(standing)) if is_what_was_asked(&operation.kind, standing, context) => {
                self.take(standing);
                finish(Outcome::Done(standing), false)
            }
            Answer::Standing(Err(error)) if error.kind == ApiErrorKind::NotSent => {
                finish(Outcome::Refused(QueueRefusal::NotSent), false)
            }
            // The record was read a moment before, and the server refuses: nothing has happened to it.
            Answer::Standing(Err(error)) if operation.has_read && is_refusal(error.kind) => {
                finish(Outcome::Failed(error), false)
            }
            // An answer that says something else than was asked for is no better than none.
            Answer::Standing(_) => Step::Call(Call::Read),
            Answer::Record(Err(error)) => {
                let is_deleted = error.kind == ApiErrorKind::NotFound;
                finish(Outcome::Uncertain(error), is_deleted)
            }
            Answer::Record(Ok(record)) if is_foreign(&record, context.me) => {
                self.take(record.standing());
                finish(Outcome::Refused(QueueRefusal::Foreign), true)
            }
            Answer::Record(Ok(record)) => {
                let judgement = self.judge(operation, &record, context);
                self.take(record.standing());
                match judgement {
                    Judgement::Proceed(call) => Step::Call(call),
                    Judgement::End(outcome @ Outcome::Done(_)) => finish(outcome, false),
                    Judgement::End(outcome) => finish(outcome, record.standing() != believed),
                }
            }
        }
    }

    /// What a read means to the operation that asked for it.
    fn judge(&mut self, operation: &Operation, record: &Record, context: &JudgementContext) -> Judgement {
        let standing = record.standing();
        let changed = Judgement::End(Outcome::Refused(QueueRefusal::RecordChanged));
        if operation.failure.is_some() {
            return Judgement::End(after_failure(operation, standing, context));
        }
        match &operation.kind {
            OperationKind::Lock => Judgement::Proceed(Call::Lock),
            OperationKind::Unlock(_) if standing.state != ContainerState::Locked => changed,
            OperationKind::Unlock(_) => {
                let most = context.max_dispatch_attempts.saturating_sub(1);
                self.attempts_nearly_used = record.lock_count.is_none_or(|count| count >= most);
                match self.attempts_nearly_used {
                    true => Judgement::End(Outcome::Refused(QueueRefusal::AttemptsNearlyUsed)),
                    false => Judgement::Proceed(Call::Unlock),
                }
            }
            OperationKind::Requeue { .. } if standing.state != ContainerState::Locked => changed,
            OperationKind::Requeue { .. } => {
                let is_last = record.lock_count.is_some_and(|count| count >= context.max_dispatch_attempts);
                Judgement::Proceed(if is_last { Call::Cancel } else { Call::Unlock })
            }
            OperationKind::Cancel { expected, .. } => {
                let same = standing.state == expected.state && standing.locked_by == expected.locked_by;
                if same { Judgement::Proceed(Call::Cancel) } else { changed }
            }
        }
    }

    fn take(&mut self, standing: Standing) {
        self.record.state = standing.state;
        self.record.priority = standing.priority;
        self.record.locked_by = standing.locked_by;
        self.absence = None;
    }

    fn conclude(&mut self, finished: &Finished, shared: &mut SharedFailures, now: Timestamp) {
        self.operation = None;
        self.uncertain = matches!(finished.outcome, Outcome::Uncertain(_));
        let (cause, before) = (finished.kind.cause(), self.setback.take());
        self.setback = match &finished.outcome {
            Outcome::Done(standing) => {
                self.unlocks += u32::from(is_unlocked(&finished.kind, *standing));
                let was_requeued = matches!(finished.kind, OperationKind::Requeue { .. });
                self.cancelled_unstarted |= was_requeued && standing.state == ContainerState::Cancelled;
                self.locked_before_start = false;
                self.locked_at = (standing.state == ContainerState::Locked).then_some(now);
                None
            }
            // It stays locked until it is started, which is no failure; nor is what only we are the cause of.
            Outcome::Refused(QueueRefusal::AttemptsNearlyUsed | QueueRefusal::NotSent) => before,
            Outcome::Refused(refusal) => {
                let error = refusal.as_str().to_owned();
                Some(Setback::until_next_poll(before.as_ref(), cause, error, now))
            }
            Outcome::Failed(error) | Outcome::Uncertain(error) => {
                let is_shared = shared.failed(cause, finished.uuid, error.kind, now);
                Some(Setback::after(before.as_ref(), cause, error.to_string(), is_shared, now))
            }
        };
    }
}

/// Whether an unlock has been made, which costs a dispatch attempt.
fn is_unlocked(kind: &OperationKind, standing: Standing) -> bool {
    match kind {
        OperationKind::Unlock(_) => true,
        OperationKind::Requeue { .. } => standing.state == ContainerState::Queued,
        OperationKind::Lock | OperationKind::Cancel { .. } => false,
    }
}

enum Judgement {
    Proceed(Call),
    End(Outcome),
}

/// Whether the container stands as the operation wanted it to.
fn is_what_was_asked(kind: &OperationKind, standing: Standing, context: &JudgementContext) -> bool {
    match kind {
        OperationKind::Lock => standing.state == ContainerState::Locked && standing.locked_by == context.me,
        // Cancelled is an answer to unlock too: its dispatch attempts were used up.
        OperationKind::Unlock(_) | OperationKind::Requeue { .. } => {
            matches!(standing.state, ContainerState::Queued | ContainerState::Cancelled)
        }
        OperationKind::Cancel { .. } => standing.state == ContainerState::Cancelled,
    }
}

/// What a failed call has come to, by the record as it stands now.
fn after_failure(operation: &Operation, standing: Standing, context: &JudgementContext) -> Outcome {
    match &operation.failure {
        _ if is_what_was_asked(&operation.kind, standing, context) => Outcome::Done(standing),
        Some(error) => Outcome::Failed(error.clone()),
        None => Outcome::Refused(QueueRefusal::RecordChanged),
    }
}
