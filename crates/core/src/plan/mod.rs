//! One scheduling round: snapshot in, actions and reasons out. Pure and deterministic.
//!
//! ```text
//!   queue ─┐                ┌─ reconcile  containers that have, or had, a process
//!   pool ──┼─► stale ───────┤              (stale: what must not be decided after a restart yet)
//!   limits ┘                └─ assign     the others, in order, onto free capacity (bins) or creates
//! ```
//! Planning twice without news plans the same, and what is in flight is part of the snapshots, so a second
//! round sends nothing new. The scheduler takes no hints: one code path for start-up, change and recovery.
//!
//! Cost: O(C log C + W log W) for C containers and W workers; placing one container does not depend on the
//! number of workers but for a logarithm (`bins`). A round without news costs one comparison a container and
//! worker ([`Planner`]). `cargo bench -p dispatch-core` measures both.

mod assign;
mod bins;
mod budget;
mod hosts;
mod limits;
mod line;
mod places;
mod planner;
mod processes;
mod quota;
mod reason;
mod reconcile;
mod round;
mod shelf;
mod stale;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use limits::Limits;
pub use planner::Planner;
pub use reason::{WaitReason, Waiting};

use round::{Item, Round};
use stale::Phase;

use crate::container::Standing;
use crate::id::{ContainerUuid, InstanceId};
use crate::instance::InstanceType;
use crate::policy::Policy;
use crate::pool::PoolSnapshot;
use crate::queue::{CancelReason, QueueSnapshot, UnlockReason};
use crate::time::Timestamp;
use crate::worker::{AttemptOutcome, KillReason, ShutdownReason, StartOrder};

/// A request to Queue or Pool, who check again and may refuse.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Queue: Queued → Locked.
    Lock(ContainerUuid),
    /// Queue: Locked → Queued.
    Unlock(ContainerUuid, UnlockReason),
    /// Queue: → Cancelled, if the record still stands like that.
    Cancel(ContainerUuid, CancelReason, Standing),
    /// Queue: drop a container that is final or on hold.
    Drop(ContainerUuid),
    /// Queue: read the record of a process that has no entry.
    Look(ContainerUuid),
    /// Pool: start the container there.
    Start(StartOrder, InstanceId),
    /// Pool: create an instance of that type; the container is the first that wants it.
    Create(Arc<InstanceType>, ContainerUuid),
    /// Pool: shut the instance down.
    ShutDown(InstanceId, ShutdownReason),
    /// Pool: end the container's processes.
    Kill(ContainerUuid, KillReason),
    /// Pool: forget its ended process, whose attempt came to that.
    Forget(ContainerUuid, AttemptOutcome),
}

/// What one round came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What is to be done, in the order of the line.
    pub actions: Vec<Action>,
    /// The containers in scheduling order.
    pub order: Vec<ContainerUuid>,
    /// Why each container that has not ended stands where it stands.
    pub waiting: BTreeMap<ContainerUuid, Waiting>,
    /// Numbers for the operator.
    pub facts: PlanFacts,
}

/// Numbers of a round, for metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanFacts {
    /// Containers with a process, starting and ended ones included.
    pub with_process: usize,
    /// Containers that have a place on an instance and no process yet.
    pub allocated_not_started: usize,
    /// Containers that wait because of a quota.
    pub over_quota: usize,
}

/// Plans one round. Empty before the first successful poll and the first complete listing.
pub fn plan(
    queue: &QueueSnapshot,
    pool: &PoolSnapshot,
    limits: &Limits,
    policy: &Policy,
    now: Timestamp,
) -> Plan {
    let inputs = Inputs { queue, pool, limits, policy, has_unknown_workers: pool.has_unknown_workers() };
    plan_in(inputs.phase(now), inputs)
}

/// What a round is made from.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    queue: &'a QueueSnapshot,
    pool: &'a PoolSnapshot,
    limits: &'a Limits,
    policy: &'a Policy,
    /// Follows from the pool, at the cost of a look at each worker.
    has_unknown_workers: bool,
}

impl Inputs<'_> {
    fn phase(&self, now: Timestamp) -> Phase {
        stale::phase(self.queue, self.pool, self.has_unknown_workers, self.policy, now)
    }
}

/// The phase is all that depends on the time.
fn plan_in(phase: Phase, inputs: Inputs<'_>) -> Plan {
    let mut round = Round::new(inputs, phase != Phase::Scheduling);
    let line = round.line();
    round.plan.order = line.iter().map(|item| round.uuid(*item)).collect();
    match phase {
        Phase::NotStarted => round.all_wait(&line, &WaitReason::StartingUp),
        Phase::WaitingForWorkers => {
            round.reconcile();
            round.all_wait(&line, &WaitReason::StartingUp);
        }
        Phase::Surfacing | Phase::Scheduling => {
            round.reconcile();
            round.assign(&line);
        }
    }
    round.finish()
}
