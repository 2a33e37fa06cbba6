//! One scheduling round: snapshot in, actions and reasons out. Pure and deterministic.
//!
//! ```text
//!                            ┌─ reconcile  containers that have, or had, a process
//!   PlanInput ─► startup ────┤              (startup: what must not be decided yet after a restart)
//!                            └─ assign     the others, in order, onto free capacity (bins) or creates
//! ```
//! Planning twice from the same input gives the same plan, and what is in flight is part of the snapshots, so a
//! second round sends nothing new. The scheduler takes no hints: one code path for start-up, change and recovery.
//!
//! Cost: O(C log C + W log W) for C containers and W workers; placing one container does not depend on the
//! number of workers except for a logarithm (`bins`). A round in which nothing has changed costs one comparison
//! for each container and worker ([`Planner`]). `cargo bench -p dispatch-core` measures both.

mod action;
mod assign;
mod backfill;
mod bins;
mod budget;
mod foresee;
mod input;
mod limits;
mod line;
mod memory;
mod pack;
mod places;
mod planner;
mod priorities;
mod processes;
mod quota;
mod reason;
mod reconcile;
mod record;
mod round;
mod route;
mod shelf;
mod spares;
mod startup;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

pub use action::{Action, PoolAction, QueueAction};
pub use backfill::Firsts;
pub use foresee::{Foresight, foresee};
pub use input::{PlanInput, dated_from};
pub use limits::Limits;
pub use memory::Memory;
pub use planner::Planner;
pub use reason::{WaitReason, Waiting};
pub use record::{Difference, RecordedRound, RoundRecord};

use input::{Clocked, InputSummary};
use round::{Item, Round};
use startup::StartupPhase;

use crate::id::{ContainerUuid, InstanceId};
use crate::pool::Supply;
use crate::queue::Openings;
use crate::time::Timestamp;

/// The result of one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// What is to be done, in the order of the line.
    pub actions: Vec<Action>,
    /// The containers in scheduling order.
    pub order: Vec<ContainerUuid>,
    /// Why each container that has not ended stands where it stands.
    pub waiting: BTreeMap<ContainerUuid, Waiting>,
    /// Numbers for the operator.
    pub facts: PlanFacts,
    /// What could be created when the round was planned.
    pub supply: Arc<Supply>,
    /// Idle instances on which containers have a place that cannot be started yet.
    pub reserved: Arc<BTreeSet<InstanceId>>,
    /// Idle instances that are kept although nothing waits for them (`IdleReserve`).
    #[serde(skip_serializing_if = "is_empty")]
    pub spares: Arc<BTreeSet<InstanceId>>,
    /// What could still be placed after this round; `None` as long as nothing is placed at all.
    pub openings: Option<Arc<Openings>>,
    /// The containers that wait for a quota before all others, and until when others are let past each; `None` = it has just
    /// become the first, or nobody is let past anybody.
    #[serde(skip)]
    pub first_at_quota: BTreeMap<ContainerUuid, Option<Timestamp>>,
    /// The containers that were put on an instance in use, past others that wait for a quota.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub backfilled: BTreeSet<ContainerUuid>,
}

fn is_empty(instances: &Arc<BTreeSet<InstanceId>>) -> bool {
    instances.is_empty()
}

/// Numbers of a round, for metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PlanFacts {
    /// Containers with a process, starting and ended ones included.
    pub with_process: usize,
    /// How many of these have one that lives. For a while after an end the next container may run in its place.
    #[serde(skip)]
    pub living: usize,
    /// Containers that have a place on an instance and no process yet.
    pub allocated_not_started: usize,
    /// Containers that wait because of a quota.
    pub over_quota: usize,
}

/// Plans one round. Without actions before the first successful poll and the first complete listing.
pub fn plan(input: &PlanInput, now: Timestamp) -> Plan {
    let summary = input.summary();
    let clocked = input.clocked(&summary, now);
    plan_clocked(input, &summary, &clocked)
}

fn plan_clocked(input: &PlanInput, summary: &InputSummary, clocked: &Clocked) -> Plan {
    let mut round = Round::new(input, summary, clocked);
    let line = round.line();
    round.plan.order = line.iter().map(|item| round.uuid(*item)).collect();
    match clocked.phase {
        StartupPhase::NotStarted => {
            round.all_wait(&line, &WaitReason::StartingUp);
            round.keep_idle_spares();
        }
        StartupPhase::WaitingForWorkers => {
            round.reconcile();
            round.all_wait(&line, &WaitReason::StartingUp);
            round.keep_idle_spares();
        }
        StartupPhase::AdoptingStarts | StartupPhase::AdoptingLate | StartupPhase::Scheduling => {
            round.reconcile();
            round.assign(&line);
        }
    }
    round.finish()
}
