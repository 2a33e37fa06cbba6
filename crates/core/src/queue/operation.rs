//! Operations on one container, as chains of calls.
//!
//! ```text
//!   Lock    Lock ─ok─► done            Unlock  [Read ─attempts left─►] Unlock ─ok─► done
//!             └─failed─► Read ─► done            └─few left─► refused       └─failed─► Read ─► done
//!   Cancel  Read ─as expected─► Cancel ─ok─► done      Look   Read ─► entry, absent or foreign
//!             └─otherwise─► refused └─failed─► Read ─► done
//! ```
//! A failed call may have taken effect, so the record is read before anything else is decided; if that
//! fails too the entry is `uncertain` until a poll that began later. One operation at a time per container.

use super::entry::Entry;
use super::{ContainerQueue, QueueFact};
use crate::container::{ContainerState, Record, Standing};
use crate::id::{ContainerUuid, TokenUuid};
use crate::ports::{ApiError, ApiErrorKind};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why we give a lock back. Each unlock uses up one of the user's dispatch attempts, so each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UnlockReason {
    /// At quota, and others come first.
    OverQuota,
    /// Supervisors have their share.
    OverSupervisors,
    /// Its process ended and the record is still Locked.
    ProcessEnded,
    /// The user does not want it any more.
    PriorityZero,
}

impl UnlockReason {
    /// All of them, for metrics.
    pub const ALL: [Self; 4] =
        [Self::OverQuota, Self::OverSupervisors, Self::ProcessEnded, Self::PriorityZero];

    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OverQuota => "over_quota",
            Self::OverSupervisors => "over_supervisors",
            Self::ProcessEnded => "crunch_run_exited",
            Self::PriorityZero => "priority_zero",
        }
    }

    /// Whether the container may as well stay locked: then it is not unlocked when few attempts are left.
    fn is_optional(self) -> bool {
        matches!(self, Self::OverQuota | Self::OverSupervisors)
    }
}

/// Why we set a container to Cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelReason {
    /// Running, and its process ended before a poll that still says so.
    ProcessExited,
    /// Running, and on no worker at all.
    NotOnAnyWorker,
    /// No instance type suits it: the text for its user.
    NoSuitableType(String),
}

/// What an operation is to achieve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationKind {
    /// Queued → Locked.
    Lock,
    /// Locked → Queued.
    Unlock(UnlockReason),
    /// → Cancelled, if the record still stands as the decision was made from.
    Cancel {
        /// The reason.
        reason: CancelReason,
        /// How the record stood when that was decided.
        expected: Standing,
    },
}

/// One call to the controller about one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// GET the record.
    Read,
    /// POST lock.
    Lock,
    /// POST unlock.
    Unlock,
    /// PUT state=Cancelled (with the operation's text, if it has one).
    Cancel,
}

/// The answer to a [`Call`].
#[derive(Debug, Clone)]
pub enum Answer {
    /// To a read.
    Record(Result<Record, ApiError>),
    /// To all others.
    Standing(Result<Standing, ApiError>),
}

/// An operation in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What it is to achieve.
    pub kind: OperationKind,
    /// The call that is being made.
    pub call: Call,
    /// How the deciding call failed, if it did: the read now shows what became of it.
    failure: Option<ApiError>,
}

#[cfg(test)]
impl Operation {
    /// One that was sent and is not answered, for snapshots built by hand.
    pub(crate) fn sent(kind: OperationKind) -> Self {
        Self { call: first_call(&kind), kind, failure: None }
    }
}

/// Why an operation was not begun, or not carried through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueRefusal {
    /// No such container in the queue.
    NotInQueue,
    /// Another operation on it is in flight.
    Busy,
    /// We do not know how it stands; a poll will tell.
    Uncertain,
    /// Its state does not allow that.
    WrongState,
    /// Too soon after a failure.
    TooSoon,
    /// One more unlock would use up its dispatch attempts.
    AttemptsNearlyUsed,
    /// The record does not stand as it did when that was decided.
    RecordChanged,
    /// Another dispatcher has it: it is no longer in the queue.
    Foreign,
}

impl QueueRefusal {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotInQueue => "not in queue",
            Self::Busy => "another operation is in flight",
            Self::Uncertain => "the record's state is uncertain",
            Self::WrongState => "the record's state does not allow it",
            Self::TooSoon => "too soon after a failure",
            Self::AttemptsNearlyUsed => "one more unlock would use up its dispatch attempts",
            Self::RecordChanged => "the record has changed",
            Self::Foreign => "another dispatcher has it",
        }
    }
}

/// What an operation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has the wanted effect.
    Done(Standing),
    /// It was not carried through, for this reason.
    Refused(QueueRefusal),
    /// The call failed, and the record shows that it had no effect.
    Failed(ApiError),
    /// The call failed, and so did the read after it.
    Uncertain(ApiError),
}

/// A finished operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// On which container.
    pub uuid: ContainerUuid,
    /// What it was to achieve.
    pub kind: OperationKind,
    /// What it came to.
    pub outcome: Outcome,
}

/// What is to be done after an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make this call next.
    Call(Call),
    /// The operation is over.
    Finished(Finished),
}

/// What a look at the record of a process without an entry came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LookOutcome {
    /// The controller does not know it: its process may go.
    Absent,
    /// Another dispatcher has it: it is left alone.
    Foreign,
}

/// A failed operation is not tried again sooner than this.
const RETRY_AFTER_MS: i64 = 250;

impl ContainerQueue {
    /// Begins an operation: the first call to make, or why not. Stamps the container.
    ///
    /// # Errors
    /// The reason of the refusal; nothing was changed.
    pub fn begin(
        &mut self,
        uuid: ContainerUuid,
        kind: OperationKind,
        now: Timestamp,
    ) -> Result<Call, QueueRefusal> {
        let entry = self.entries.get(&uuid).ok_or(QueueRefusal::NotInQueue)?;
        check(entry, &kind, now)?;
        let call = first_call(&kind);
        let stamp = self.next_stamp();
        let entry = self.entry_mut(uuid).expect("it was there a moment ago");
        entry.changed = stamp;
        entry.operation = Some(Operation { kind, call, failure: None });
        Ok(call)
    }

    /// Takes an answer: the next call, or the end of the operation. `None`: nobody waits for it.
    pub fn answered(&mut self, uuid: ContainerUuid, answer: Answer, now: Timestamp) -> Option<Step> {
        let stamp = self.next_stamp();
        let context = JudgementContext { me: self.me, max_dispatch_attempts: self.max_dispatch_attempts };
        let entry = self.entry_mut(uuid)?;
        let operation = entry.operation.clone()?;
        let answer = checked(answer, uuid);
        entry.changed = stamp;
        let failure = failure_of(&operation, &answer);
        let step = entry.advance(&operation, answer, &context);
        match step {
            Step::Call(call) => entry.operation = Some(Operation { call, failure, ..operation }),
            Step::Finished(ref finished) => {
                entry.conclude(finished, now);
                // A lost lock race: kept, it would look like a container that we have locked.
                if finished.outcome == Outcome::Refused(QueueRefusal::Foreign) {
                    self.remove(uuid);
                }
            }
        }
        Some(step)
    }

    /// Begins a look at a container that has a process but no entry. False: it is under way or known.
    pub fn begin_look(&mut self, uuid: ContainerUuid) -> bool {
        let needless = self.entries.contains_key(&uuid)
            || self.looked.contains_key(&uuid)
            || self.look_failed.contains(&uuid);
        !needless && self.looking.insert(uuid)
    }

    /// Whether the last look at that container failed: it is not repeated before the next poll.
    pub fn has_look_failed(&self, uuid: ContainerUuid) -> bool {
        self.look_failed.contains(&uuid)
    }

    /// Takes the record that a look asked for. Unlike the answer of a lock, it may add an entry: it is a
    /// read of its own, made because a process shows that the container concerns us.
    pub fn looked(
        &mut self,
        uuid: ContainerUuid,
        answer: Result<Record, ApiError>,
        now: Timestamp,
    ) -> Vec<QueueFact> {
        self.looking.remove(&uuid);
        let stamp = self.next_stamp();
        match answer.and_then(|record| about(record, uuid)) {
            Ok(record) if self.is_foreign(&record) => {
                self.looked.insert(uuid, LookOutcome::Foreign);
            }
            Ok(record) => {
                let mut entry = Entry::new(record, now);
                entry.changed = stamp;
                self.entries.entry(uuid).or_insert(Arc::new(entry));
            }
            Err(error) if error.kind == ApiErrorKind::NotFound => {
                self.looked.insert(uuid, LookOutcome::Absent);
            }
            Err(error) if error.kind == ApiErrorKind::Malformed => {
                self.unreadable.insert(uuid, error.message.clone());
                return vec![QueueFact::Unreadable { uuid: Some(uuid), reason: error.message }];
            }
            // No retry loop: the next poll gives it another chance.
            Err(_) => drop(self.look_failed.insert(uuid)),
        }
        Vec::new()
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
fn about(record: Record, uuid: ContainerUuid) -> Result<Record, ApiError> {
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

fn first_call(kind: &OperationKind) -> Call {
    match kind {
        OperationKind::Lock => Call::Lock,
        OperationKind::Unlock(reason) if reason.is_optional() => Call::Read,
        OperationKind::Unlock(_) => Call::Unlock,
        OperationKind::Cancel { .. } => Call::Read,
    }
}

fn check(entry: &Entry, kind: &OperationKind, now: Timestamp) -> Result<(), QueueRefusal> {
    if entry.operation.is_some() {
        return Err(QueueRefusal::Busy);
    }
    if entry.uncertain || entry.unreadable.is_some() {
        return Err(QueueRefusal::Uncertain);
    }
    let recent = |failed: Timestamp| now.duration_since(failed).as_millis() < i128::from(RETRY_AFTER_MS);
    if entry.last_failure.is_some_and(recent) {
        return Err(QueueRefusal::TooSoon);
    }
    let standing = entry.record.standing();
    let allowed = match kind {
        OperationKind::Lock => standing.state == ContainerState::Queued && standing.priority > 0,
        OperationKind::Unlock(_) => standing.state == ContainerState::Locked,
        OperationKind::Cancel { expected, .. } => {
            !standing.state.is_final() && standing.state == expected.state
        }
    };
    if allowed { Ok(()) } else { Err(QueueRefusal::WrongState) }
}

impl Entry {
    fn advance(&mut self, operation: &Operation, answer: Answer, context: &JudgementContext) -> Step {
        let uuid = self.record.uuid;
        let finish = |outcome| Step::Finished(Finished { uuid, kind: operation.kind.clone(), outcome });
        match answer {
            Answer::Standing(Ok(standing)) if is_what_was_asked(&operation.kind, standing, context) => {
                self.take(standing);
                finish(Outcome::Done(standing))
            }
            // An answer that says something else than was asked for is no better than none.
            Answer::Standing(_) => Step::Call(Call::Read),
            Answer::Record(Err(error)) => finish(Outcome::Uncertain(error)),
            Answer::Record(Ok(record)) if is_foreign(&record, context.me) => {
                self.take(record.standing());
                finish(Outcome::Refused(QueueRefusal::Foreign))
            }
            Answer::Record(Ok(record)) => {
                let judgement = self.judge(operation, &record, context);
                self.take(record.standing());
                match judgement {
                    Judgement::Proceed(call) => Step::Call(call),
                    Judgement::End(outcome) => finish(outcome),
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
    }

    fn conclude(&mut self, finished: &Finished, now: Timestamp) {
        self.operation = None;
        self.uncertain = matches!(finished.outcome, Outcome::Uncertain(_));
        match (&finished.outcome, &finished.kind) {
            (Outcome::Done(_), kind) => {
                self.unlocks += u32::from(matches!(kind, OperationKind::Unlock(_)));
                self.locked_before_start = false;
                self.last_failure = None;
            }
            (Outcome::Refused(_) | Outcome::Failed(_) | Outcome::Uncertain(_), _) => {
                self.last_failure = Some(now)
            }
        }
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
        OperationKind::Unlock(_) => {
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
