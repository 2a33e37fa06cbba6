//! Why a container stands where it stands: for machines, with the evidence.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::plan::Waiting;
use dispatch_core::pool::{FailedStarts, Gate, PauseReason, PoolSnapshot, QuotaReason, Supply};
use dispatch_core::queue::{Call, CancelReason, Entry, Operation, OperationKind, Setback};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The answer to `container explain`.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    /// The reason in one word; the words for waiting containers are the planner's.
    reason: String,
    /// From 1; null if it stands in no line.
    position: Option<usize>,
    /// What the reason rests on.
    evidence: Map<String, Value>,
    /// Whether an instance of each of its types may be created now.
    creates: BTreeMap<&'a str, Value>,
    /// The instances that have a process of it.
    instances: &'a [InstanceId],
    /// Where its last attempt came to nothing.
    last_failed_instance: &'a str,
    /// What is being changed about its record now.
    operation: Option<Value>,
    /// When the last such change, or the reading of its mounts, failed or was refused.
    last_failure: Option<String>,
    /// What failed then: what, how often in a row, the answer, and the end of the back-off.
    setback: Option<&'a Setback>,
    /// Its starts that came to nothing: how many in a row, where, and how the last one failed.
    failed_starts: Option<&'a FailedStarts>,
    /// The outcome of the last one is not known: nothing is decided until a poll tells.
    uncertain: bool,
    /// It was Locked by our token before this process had locked anything.
    locked_before_start: bool,
    /// How often this process has unlocked it; each time costs it a dispatch attempt.
    unlocks: u32,
    /// One more unlock would use up its dispatch attempts.
    attempts_nearly_used: bool,
    /// Why its record cannot be read.
    undecodable: &'a str,
}

/// Where containers are, and what may be created.
#[derive(Debug)]
pub struct Places {
    pool: Arc<PoolSnapshot>,
    supply: Arc<Supply>,
    /// The instances that have a process, by container.
    holders: BTreeMap<ContainerUuid, Vec<InstanceId>>,
}

impl Places {
    /// O(processes × log).
    pub fn new(pool: Arc<PoolSnapshot>, supply: Arc<Supply>) -> Self {
        let mut holders = BTreeMap::<_, Vec<_>>::new();
        for worker in &pool.workers {
            for uuid in worker.containers() {
                holders.entry(uuid).or_default().push(worker.view.id.clone());
            }
        }
        Self { pool, supply, holders }
    }

    /// The pool that they are made of.
    pub fn pool(&self) -> &PoolSnapshot {
        &self.pool
    }

    fn holders(&self, uuid: ContainerUuid) -> &[InstanceId] {
        self.holders.get(&uuid).map_or(&[], Vec::as_slice)
    }

    fn last_failed(&self, uuid: ContainerUuid) -> &str {
        self.failed_starts(uuid).map_or("", |failed| failed.instance.as_str())
    }

    fn failed_starts(&self, uuid: ContainerUuid) -> Option<&FailedStarts> {
        self.pool.fleet.failed_starts.get(&uuid)
    }

    /// Whether instances of the entry's types may be created now.
    fn creates<'a>(&self, entry: &'a Entry) -> BTreeMap<&'a str, Value> {
        let gate_of = |name| self.supply.gates.get(name).map(gate);
        entry.types().iter().filter_map(|it| Some((it.name.as_str(), gate_of(&it.name)?))).collect()
    }
}

impl<'a> Explanation<'a> {
    /// Of an entry.
    pub fn of(entry: &'a Entry, waiting: Option<&Waiting>, places: &'a Places) -> Self {
        let (reason, evidence) = match waiting {
            Some(waiting) => split(waiting),
            None => (without_plan(entry.record.state).to_owned(), Map::new()),
        };
        let uuid = entry.record.uuid;
        Self {
            reason,
            position: waiting.and_then(|waiting| waiting.position),
            evidence,
            creates: places.creates(entry),
            instances: places.holders(uuid),
            last_failed_instance: places.last_failed(uuid),
            operation: entry.operation.as_ref().map(operation),
            last_failure: entry.setback.as_ref().map(|setback| setback.at.to_string()),
            setback: entry.setback.as_ref(),
            failed_starts: places.failed_starts(uuid),
            uncertain: entry.uncertain,
            locked_before_start: entry.locked_before_start,
            unlocks: entry.unlocks,
            attempts_nearly_used: entry.attempts_nearly_used,
            undecodable: entry.unreadable.as_deref().unwrap_or_default(),
        }
    }

    /// Of a record that could never be read.
    pub fn undecodable(uuid: ContainerUuid, why: &'a str, places: &'a Places) -> Self {
        Self {
            reason: "undecodable".to_owned(),
            position: None,
            evidence: Map::new(),
            creates: BTreeMap::new(),
            instances: places.holders(uuid),
            last_failed_instance: "",
            operation: None,
            last_failure: None,
            setback: None,
            failed_starts: None,
            uncertain: false,
            locked_before_start: false,
            unlocks: 0,
            attempts_nearly_used: false,
            undecodable: why,
        }
    }
}

/// The planner's reason, and the rest of what it says.
fn split(waiting: &Waiting) -> (String, Map<String, Value>) {
    let Ok(Value::Object(mut evidence)) = serde_json::to_value(&waiting.reason) else {
        unreachable!("a tagged enum of plain structs is a JSON object")
    };
    let reason = evidence.remove("reason").and_then(|it| it.as_str().map(str::to_owned));
    (reason.expect("its tag is a text"), evidence)
}

/// Nothing is planned for what runs or has ended, and not yet for what has just been seen.
fn without_plan(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Queued | ContainerState::Locked => "not_planned_yet",
        ContainerState::Running => "running",
        ContainerState::Complete => "complete",
        ContainerState::Cancelled => "cancelled",
    }
}

fn gate(gate: &Gate) -> Value {
    match gate {
        Gate::Open => json!({ "state": "open" }),
        Gate::Paused(cause) => json!({ "state": "paused", "cause": cause as &PauseReason }),
        Gate::AtQuota(cause) => json!({ "state": "at_quota", "cause": cause as &QuotaReason }),
        Gate::AtCapacity(until) => json!({ "state": "at_capacity", "until": until.to_string() }),
    }
}

fn operation(operation: &Operation) -> Value {
    let (kind, reason) = match &operation.kind {
        OperationKind::Lock => ("lock", ""),
        OperationKind::Unlock(reason) => ("unlock", reason.as_str()),
        OperationKind::Requeue { error } => ("requeue", error.as_str()),
        OperationKind::Cancel { reason, .. } => ("cancel", cancel_reason(reason)),
    };
    let call = match operation.call {
        Call::Read => "read",
        Call::Lock => "lock",
        Call::Unlock => "unlock",
        Call::Cancel => "cancel",
    };
    json!({ "kind": kind, "reason": reason, "call": call })
}

fn cancel_reason(reason: &CancelReason) -> &str {
    match reason {
        CancelReason::ProcessExited => "crunch_run_exited",
        CancelReason::NotOnAnyWorker => "not_on_any_worker",
        CancelReason::NoSuitableType(text) => text,
    }
}
