//! Why a container stands where it stands: for machines, with the evidence.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::plan::Waiting;
use dispatch_core::pool::{FailedStarts, PoolSnapshot, Supply};
use dispatch_core::queue::Entry;
use serde::Serialize;
use utoipa::ToSchema;

use super::detail::{Ahead, ReservedOn, TypeVerdict};
use super::gate::GateView;
use super::left::Left;
use super::reason::{EvidenceView, split};
use super::shown;
use super::trouble::{FailedStartsView, OperationView, SetbackView};
use crate::api::description::words;

/// Why a container stands where it stands. What only one container that is asked for alone is told comes last.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Explanation<'a> {
    /// The reason in one word; the words for waiting containers are the planner's.
    #[schema(schema_with = words::reason)]
    pub(super) reason: &'static str,
    /// From 1; null if it stands in no line.
    #[schema(required)]
    position: Option<usize>,
    /// What the reason rests on.
    evidence: EvidenceView<'a>,
    /// Whether an instance of each of its types may be created now.
    creates: BTreeMap<&'a str, GateView<'a>>,
    /// The instances that have a process of it.
    #[schema(value_type = Vec<String>)]
    instances: &'a [InstanceId],
    /// Where its last attempt came to nothing.
    last_failed_instance: &'a str,
    /// What is being changed about its record now.
    #[schema(required)]
    operation: Option<OperationView<'a>>,
    /// When the last such change, or the reading of its mounts, failed or was refused.
    #[schema(required, format = DateTime)]
    last_failure: Option<String>,
    /// What failed then: what, how often in a row, the answer, and the end of the back-off.
    #[schema(required)]
    setback: Option<SetbackView<'a>>,
    /// Its starts that came to nothing: how many in a row, where, and how the last one failed.
    #[schema(required)]
    failed_starts: Option<FailedStartsView<'a>>,
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
    /// Each configured type, and the rule that excludes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) types: Option<Vec<TypeVerdict<'a>>>,
    /// The reason, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) in_words: Option<&'static str>,
    /// What has to happen, or to be done, for it to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) remedy: Option<&'static str>,
    /// Those that stand before it; null if it stands in no line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Ahead>)]
    pub(super) ahead: Option<Option<Ahead>>,
    /// The instance on which it has its place; null if that does not exist yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ReservedOn>)]
    pub(super) reserved_on: Option<Option<ReservedOn<'a>>>,
    /// Until when containers behind it may start on instances in use (`BackfillPatience`): it is the first that waits for a
    /// quota. In the past: nobody is put before it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(super) others_let_past_until: Option<String>,
    /// What the cloud has announced to its process: its instance will be taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) spot_notice: Option<&'a str>,
    /// How many instances the spot market has taken from it, or from those that were tried before for the same request, as far
    /// as this process knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) market_losses: Option<u32>,
    /// Whether it is placed on demand for that, although it wants the spot market (`SpotRetries`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) moved_on_demand: Option<bool>,
    /// When it has left the queue. All else is as if nothing were known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    left_at: Option<String>,
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
    fn creates<'a>(&self, entry: &'a Entry) -> BTreeMap<&'a str, GateView<'a>> {
        let gate_of = |name| self.supply.gates.get(name).copied().map(GateView::of);
        entry.types().iter().filter_map(|it| Some((it.name.as_str(), gate_of(&it.name)?))).collect()
    }
}

impl<'a> Explanation<'a> {
    /// Of an entry.
    pub fn of(entry: &'a Entry, waiting: Option<&'a Waiting>, places: &'a Places) -> Self {
        let (reason, evidence) = match waiting {
            Some(waiting) => split(&waiting.reason),
            None => (without_plan(entry.record.state), EvidenceView::default()),
        };
        let uuid = entry.record.uuid;
        Self {
            reason,
            position: waiting.and_then(|waiting| waiting.position),
            evidence,
            creates: places.creates(entry),
            instances: places.holders(uuid),
            last_failed_instance: places.last_failed(uuid),
            operation: entry.operation.as_ref().map(OperationView::of),
            last_failure: entry.setback.as_ref().map(|setback| shown(setback.at)),
            setback: entry.setback.as_ref().map(SetbackView::of),
            failed_starts: places.failed_starts(uuid).map(FailedStartsView::of),
            uncertain: entry.uncertain,
            locked_before_start: entry.locked_before_start,
            unlocks: entry.unlocks,
            attempts_nearly_used: entry.attempts_nearly_used,
            undecodable: entry.unreadable.as_deref().unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Of a record that could never be read.
    pub fn undecodable(uuid: ContainerUuid, why: &'a str, places: &'a Places) -> Self {
        let instances = places.holders(uuid);
        Self { reason: "undecodable", instances, undecodable: why, ..Self::default() }
    }

    /// Of one that has left the queue.
    pub fn left(uuid: ContainerUuid, left: &Left, places: &'a Places) -> Self {
        Self {
            reason: left.reason,
            in_words: Some(left.words),
            left_at: left.at.map(|at| at.to_string()),
            instances: places.holders(uuid),
            ..Self::default()
        }
    }
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

/// The words of those for which nothing is planned.
pub(in crate::api) const UNPLANNED: [&str; 7] =
    ["not_planned_yet", "running", "complete", "cancelled", "undecodable", "deleted", "beyond_horizon"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_without_a_plan_is_described() {
        use ContainerState::{Cancelled, Complete, Locked, Queued, Running};
        for state in [Queued, Locked, Running, Complete, Cancelled] {
            assert!(UNPLANNED.contains(&without_plan(state)), "{state}");
        }
    }
}
