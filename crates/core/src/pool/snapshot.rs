//! The pool as the management API and metrics see it, together with what `plan` reads of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::WorkerPool;
use super::creates::{CreateId, PendingCreate};
use super::fleet::{CreateInFlight, Fleet};
use super::refusals::Refusal;
use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::instance::Instance;
use crate::time::Timestamp;
use crate::worker::{ProcessView, View};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedWhy {
    /// It ended on a living worker.
    Exited,
    /// It never began: its start command was not sent, or our own side failed.
    NotStarted,
    /// Its instance is gone.
    InstanceGone,
}

/// A process that has ended and is not forgotten yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedProcess {
    /// The container.
    pub uuid: ContainerUuid,
    /// When we saw that it had ended.
    pub at: Timestamp,
    /// The instance on which it ran.
    pub instance: InstanceId,
    /// How it ended.
    pub why: EndedWhy,
    /// How its start command failed, if it did.
    pub error: Option<String>,
}

/// A worker, as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSnapshot {
    /// Its last view.
    pub view: Arc<View>,
    /// Containers whose start was sent and is not in the view yet.
    pub sent: Vec<ContainerUuid>,
    /// Whether the last listing lacked it.
    pub missing: bool,
    /// The instance as the cloud last showed it.
    pub instance: Arc<Instance>,
    /// What the cloud has announced to a process there, if it will take the instance away.
    pub spot_notice: Option<Arc<str>>,
}

impl WorkerSnapshot {
    /// The containers that count as processes on it.
    pub fn containers(&self) -> impl Iterator<Item = ContainerUuid> + '_ {
        let viewed = self.view.processes.iter().map(|process| process.uuid);
        viewed.chain(self.sent.iter().copied().filter(|uuid| self.process(*uuid).is_none()))
    }

    /// How many starts there are not confirmed yet.
    fn starting(&self) -> usize {
        self.sent.len() + self.view.processes.iter().filter(|process| process.unconfirmed).count()
    }

    /// The process of that container, as far as the view shows one. O(log processes).
    pub fn process(&self, uuid: ContainerUuid) -> Option<&ProcessView> {
        let position = self.view.processes.binary_search_by_key(&uuid, |it| it.uuid).ok()?;
        Some(&self.view.processes[position])
    }
}

/// The pool at one moment.
#[derive(Debug, Clone, Default)]
pub struct PoolSnapshot {
    /// What a planning round reads.
    pub fleet: Arc<Fleet>,
    /// All workers, by id.
    pub workers: Vec<WorkerSnapshot>,
    /// Creates in flight, oldest first.
    pub pending: Vec<(CreateId, PendingCreate)>,
    /// The cloud's last refusal for each type.
    pub refusals: BTreeMap<TypeName, Refusal>,
}

impl PoolSnapshot {
    /// Creates and starts that are not answered yet. O(processes).
    pub fn in_flight(&self) -> usize {
        let starting = self.workers.iter().map(WorkerSnapshot::starting);
        let creates = self.pending.iter().filter(|(_, create)| create.doubtful.is_none());
        starting.sum::<usize>() + creates.count() + self.fleet.shown_before_answer
    }
}

impl WorkerPool {
    /// The present state. O(workers + ended).
    pub fn snapshot(&self) -> PoolSnapshot {
        PoolSnapshot {
            fleet: Arc::new(self.fleet()),
            workers: self.workers.values().map(|slot| slot.snapshot()).collect(),
            pending: self.creates.iter().map(|(id, create)| (*id, create.clone())).collect(),
            refusals: self.refusals.by_type().clone(),
        }
    }

    fn fleet(&self) -> Fleet {
        let in_flight =
            |create: &PendingCreate| CreateInFlight::new(&create.instance_type, create.doubtful.is_some());
        Fleet {
            hosts: self.workers.values().map(|slot| Arc::clone(&slot.host)).collect(),
            creates: self.creates.values().map(in_flight).collect(),
            shown_before_answer: self.shown_before_answer.len(),
            ended: self.ended.clone(),
            failed_starts: self.failed_starts.clone(),
            holds: self.holds.clone(),
            first_listing: self.first_listing,
            listings: self.listings.clone(),
            spaced_listings: self.spaced_listings.len(),
            runner_readable: self.runner_readable,
            outage: self.outage.is_on(),
            own_side_fails: self.own_side_fails,
            cordons: Arc::clone(&self.cordons),
            interruptions: self.interruptions.ranks(),
        }
    }
}

impl super::Slot {
    fn snapshot(&self) -> WorkerSnapshot {
        WorkerSnapshot {
            view: Arc::clone(&self.view),
            sent: self.sent.keys().copied().collect(),
            missing: self.missing.is_some(),
            instance: Arc::clone(&self.instance),
            spot_notice: self.spot_notice.clone(),
        }
    }
}
