//! What the exchange holds, to be shown to developers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Exchange;
use crate::container::ContainerState;
use crate::id::{ContainerUuid, TokenUuid, TypeName};
use crate::queue::{Call, Entry, Fit, LookOutcome, Operation, OperationKind};
use crate::time::Timestamp;

/// What the exchange holds, and what is in flight since when.
#[derive(Debug, Serialize)]
pub struct ExchangeState {
    containers: Vec<ContainerFacts>,
    /// Records that cannot be decoded, and why.
    unreadable: BTreeMap<ContainerUuid, String>,
    /// What is known of processes without an entry.
    orphans: BTreeMap<ContainerUuid, &'static str>,
    /// Whose locks are ours.
    me: Option<TokenUuid>,
    calls: CallsFacts,
    polls: PollsFacts,
    fetching_mounts: bool,
    /// Told to stop.
    quiescent: bool,
}

#[derive(Debug, Serialize)]
struct ContainerFacts {
    uuid: ContainerUuid,
    state: ContainerState,
    priority: i64,
    locked_by: Option<TokenUuid>,
    first_seen: Timestamp,
    /// The types that it fits, the most preferred first; `None` = its mounts are not read yet.
    instance_types: Option<Vec<TypeName>>,
    /// Why it fits no type.
    fits_nowhere: Option<String>,
    operation: Option<OperationFacts>,
    uncertain: bool,
    unreadable: Option<String>,
    locked_before_start: bool,
    unlocks: u32,
    attempts_nearly_used: bool,
    last_failure: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct OperationFacts {
    kind: &'static str,
    /// The call that is being made.
    call: &'static str,
}

#[derive(Debug, Serialize)]
struct CallsFacts {
    in_flight: Vec<CallFacts>,
    waiting: usize,
    /// How many may be in flight.
    limit: u32,
    /// Nothing is sent before then.
    quiet_until: Option<Timestamp>,
    last_overload: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct CallFacts {
    number: u64,
    call: &'static str,
    since: Timestamp,
}

#[derive(Debug, Serialize)]
struct PollsFacts {
    under_way_since: Option<Timestamp>,
    next: Option<Timestamp>,
    last_success: Option<Timestamp>,
    failing_since: Option<Timestamp>,
}

impl Exchange {
    /// What it holds; O(containers).
    pub fn state(&self, now: Timestamp) -> ExchangeState {
        let queue = self.queue.snapshot();
        let orphan = |outcome: &LookOutcome| match outcome {
            LookOutcome::Absent => "absent",
            LookOutcome::Foreign => "foreign",
        };
        ExchangeState {
            containers: queue.entries.iter().map(|entry| container(entry)).collect(),
            unreadable: queue.unreadable,
            orphans: queue.looked.iter().map(|(uuid, outcome)| (*uuid, orphan(outcome))).collect(),
            me: queue.me,
            calls: self.calls_facts(now),
            polls: PollsFacts {
                under_way_since: self.polls.under_way,
                next: self.polls.next,
                last_success: self.polls.last_success,
                failing_since: self.polls.failing_since,
            },
            fetching_mounts: self.fetching_mounts,
            quiescent: self.quiescent,
        }
    }

    fn calls_facts(&self, now: Timestamp) -> CallsFacts {
        let in_flight = self.calls.in_flight().map(|(number, call)| CallFacts {
            number: number.0,
            call: call.call,
            since: call.since,
        });
        let limiter = self.calls.limiter();
        CallsFacts {
            in_flight: in_flight.collect(),
            waiting: self.calls.waiting(),
            limit: limiter.width(),
            quiet_until: limiter.quiet_until(now),
            last_overload: self.calls.last_overload(),
        }
    }
}

fn container(entry: &Entry) -> ContainerFacts {
    let (instance_types, fits_nowhere) = match &entry.fit {
        Fit::Unsized => (None, None),
        Fit::Types(types) => (Some(types.iter().map(|it| it.name.clone()).collect()), None),
        Fit::Nowhere(why) => (Some(Vec::new()), Some(why.to_string())),
    };
    ContainerFacts {
        uuid: entry.record.uuid,
        state: entry.record.state,
        priority: entry.record.priority,
        locked_by: entry.record.locked_by,
        first_seen: entry.first_seen,
        instance_types,
        fits_nowhere,
        operation: entry.operation.as_ref().map(operation),
        uncertain: entry.uncertain,
        unreadable: entry.unreadable.clone(),
        locked_before_start: entry.locked_before_start,
        unlocks: entry.unlocks,
        attempts_nearly_used: entry.attempts_nearly_used,
        last_failure: entry.last_failure,
    }
}

fn operation(operation: &Operation) -> OperationFacts {
    let kind = match operation.kind {
        OperationKind::Lock => "lock",
        OperationKind::Unlock(_) => "unlock",
        OperationKind::Cancel { .. } => "cancel",
    };
    let call = match operation.call {
        Call::Read => "get",
        Call::Lock => "lock",
        Call::Unlock => "unlock",
        Call::Cancel => "cancel",
    };
    OperationFacts { kind, call }
}
