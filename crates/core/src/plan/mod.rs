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
//! Cost: O(C log C + W log W) for C containers and W workers; placing one container costs O(types × shapes
//! of free capacity), whatever the number of workers.

mod assign;
mod bins;
mod limits;
mod reason;
mod reconcile;
mod shelf;
mod stale;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use limits::Limits;
pub use reason::{WaitReason, Waiting};

use crate::container::{ContainerState, Standing};
use crate::id::{ContainerUuid, InstanceId};
use crate::instance::InstanceType;
use crate::policy::Policy;
use crate::pool::{EndedProcess, PoolSnapshot};
use crate::queue::{CancelReason, Entry, QueueSnapshot, UnlockReason};
use crate::time::Timestamp;
use crate::worker::{KillReason, ShutdownReason, State};

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
    Start(ContainerUuid, InstanceId),
    /// Pool: create an instance of that type; the container is the first that wants it.
    Create(Arc<InstanceType>, ContainerUuid),
    /// Pool: shut the instance down.
    ShutDown(InstanceId, ShutdownReason),
    /// Pool: end the container's processes.
    Kill(ContainerUuid, KillReason),
    /// Pool: forget its ended process; true = the container had left the state Locked.
    Forget(ContainerUuid, bool),
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
    /// The most supervisors at a time; 0 = no limit.
    pub max_supervisors: usize,
}

/// What is known of a container's processes.
#[derive(Debug, Clone, Default)]
struct Processes<'a> {
    /// Living ones, as far as we know.
    alive: usize,
    /// How many of them can be signalled and are not.
    can_be_killed: usize,
    ended: Option<&'a EndedProcess>,
}

impl Processes<'_> {
    fn is_any(&self) -> bool {
        self.alive > 0 || self.ended.is_some()
    }
}

/// One round in progress.
struct Round<'a> {
    queue: &'a QueueSnapshot,
    pool: &'a PoolSnapshot,
    limits: &'a Limits,
    policy: &'a Policy,
    processes: BTreeMap<ContainerUuid, Processes<'a>>,
    has_unknown_workers: bool,
    plan: Plan,
}

/// Plans one round. Empty before the first successful poll and the first complete listing.
pub fn plan(
    queue: &QueueSnapshot,
    pool: &PoolSnapshot,
    limits: &Limits,
    policy: &Policy,
    now: Timestamp,
) -> Plan {
    let mut round = Round {
        queue,
        pool,
        limits,
        policy,
        processes: processes(pool),
        has_unknown_workers: pool.has_unknown_workers(),
        plan: Plan::default(),
    };
    let line = round.line();
    round.plan.order = line.iter().map(|entry| entry.record.uuid).collect();
    match stale::phase(queue, pool, policy, now) {
        stale::Phase::NotStarted => round.all_wait(&line, &WaitReason::StartingUp),
        stale::Phase::WaitingForWorkers => {
            round.reconcile();
            round.all_wait(&line, &WaitReason::StartingUp);
        }
        stale::Phase::Scheduling => {
            round.reconcile();
            round.assign(&line);
        }
    }
    round.plan
}

fn processes(pool: &PoolSnapshot) -> BTreeMap<ContainerUuid, Processes<'_>> {
    let mut processes = BTreeMap::<ContainerUuid, Processes<'_>>::new();
    for worker in &pool.workers {
        for uuid in worker.containers() {
            let killing = worker.process(uuid).is_some_and(|process| process.killing);
            let known = processes.entry(uuid).or_default();
            known.alive += 1;
            // Processes on a worker in shutdown count as alive until the instance is gone.
            known.can_be_killed += usize::from(!killing && worker.view.state != State::Shutdown);
        }
    }
    for (uuid, ended) in &pool.ended {
        processes.entry(*uuid).or_default().ended = Some(ended);
    }
    processes
}

/// The order of the line: the order of the fields is the policy.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// First those with a process, so that supervisors are counted.
    without_process: bool,
    /// Then Locked before Queued: a higher priority that arrives causes no lock/unlock churn.
    not_locked: bool,
    priority: std::cmp::Reverse<i64>,
    first_seen: Timestamp,
    uuid: ContainerUuid,
}

impl<'a> Round<'a> {
    /// The containers in scheduling order.
    fn line(&self) -> Vec<&'a Entry> {
        let mut line: Vec<_> = self.queue.entries.iter().map(|entry| (self.rank(entry), &**entry)).collect();
        line.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        line.into_iter().map(|(_, entry)| entry).collect()
    }

    fn rank(&self, entry: &Entry) -> Rank {
        Rank {
            without_process: !self.has_process(entry.record.uuid),
            not_locked: entry.record.state != ContainerState::Locked,
            priority: std::cmp::Reverse(entry.record.priority),
            first_seen: entry.first_seen,
            uuid: entry.record.uuid,
        }
    }

    fn has_process(&self, uuid: ContainerUuid) -> bool {
        self.processes.get(&uuid).is_some_and(Processes::is_any)
    }

    fn act(&mut self, action: Action) {
        self.plan.actions.push(action);
    }

    fn wait(&mut self, uuid: ContainerUuid, position: Option<usize>, reason: WaitReason) {
        self.plan.waiting.insert(uuid, Waiting { position, reason });
    }

    fn all_wait(&mut self, line: &[&Entry], reason: &WaitReason) {
        let mut position = 0;
        let open =
            |entry: &&&Entry| matches!(entry.record.state, ContainerState::Queued | ContainerState::Locked);
        for entry in line.iter().filter(open) {
            let (uuid, state) = (entry.record.uuid, entry.record.state);
            if self.has_process(uuid) {
                let previous = state == ContainerState::Queued;
                let reason = if previous { WaitReason::PreviousAttempt } else { WaitReason::Allocated };
                self.wait(uuid, None, reason);
            } else if entry.record.priority <= 0 {
                self.wait(uuid, None, WaitReason::PriorityZero { state });
            } else {
                position += 1;
                self.wait(uuid, Some(position), reason.clone());
            }
        }
        self.plan.facts.with_process = self.processes.len();
    }
}
