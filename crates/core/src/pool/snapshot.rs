//! What `plan` and the management API see of the pool.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Pool;
use super::creates::{CreateId, PendingCreate};
use super::holds::{Gate, QuotaReason};
use super::widths::Width;
use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::instance::{IdleBehavior, Instance};
use crate::ports::QuotaScope;
use crate::time::Timestamp;
use crate::worker::{ProcessView, State, View};

/// Why a process is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedWhy {
    /// It ended on a living worker.
    Exited,
    /// It never began: its start command was not sent.
    NotStarted,
    /// Its instance is gone.
    InstanceGone,
}

/// A process that has ended and is not forgotten yet.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedProcess {
    /// Whose.
    pub uuid: ContainerUuid,
    /// When we saw that.
    pub at: Timestamp,
    /// Where it ran.
    pub instance: InstanceId,
    /// How it ended.
    pub why: EndedWhy,
}

/// A worker, as `plan` sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSnapshot {
    /// Its last view.
    pub view: Arc<View>,
    /// Containers whose start was sent and is not in the view yet.
    pub sent: Vec<ContainerUuid>,
    /// The last listing lacked it.
    pub missing: bool,
    /// As the cloud last showed it.
    pub instance: Arc<Instance>,
}

impl WorkerSnapshot {
    /// The containers that count as processes on it.
    pub fn containers(&self) -> impl Iterator<Item = ContainerUuid> + '_ {
        let viewed = self.view.processes.iter().map(|process| process.uuid);
        viewed.chain(self.sent.iter().copied().filter(|uuid| self.process(*uuid).is_none()))
    }

    /// The process of that container, as far as the view shows one. O(log processes).
    pub fn process(&self, uuid: ContainerUuid) -> Option<&ProcessView> {
        let position = self.view.processes.binary_search_by_key(&uuid, |it| it.uuid).ok()?;
        Some(&self.view.processes[position])
    }

    /// **The** predicate: whether containers may be placed on it, or reserved for it, at all.
    pub fn is_placeable(&self) -> bool {
        self.view.state != State::Shutdown
            && self.view.behavior == IdleBehavior::Run
            && self.view.instance_type.is_some()
            && !self.missing
    }
}

/// The pool at one moment.
#[derive(Debug, Clone, Default)]
pub struct PoolSnapshot {
    /// All workers, by id.
    pub workers: Vec<WorkerSnapshot>,
    /// Creates in flight, oldest first.
    pub pending: Vec<(CreateId, PendingCreate)>,
    /// Processes that have ended and are not forgotten yet.
    pub ended: BTreeMap<ContainerUuid, EndedProcess>,
    /// The worker of a container's last attempt that came to nothing.
    pub last_failed: BTreeMap<ContainerUuid, InstanceId>,
    /// Whether instances of each configured type may be created.
    pub gates: BTreeMap<TypeName, Gate>,
    /// Types of which at most one may be on its way.
    pub on_trial: BTreeSet<TypeName>,
    /// How many creates may be sent now; `None` = no limit.
    pub creates_left: Option<usize>,
    /// How many instances may still be added; `None` = no limit.
    pub instances_left: Option<usize>,
    /// By scope: beyond that many more, creates wait until what fitted the quota before is seen running.
    pub near_quota_left: BTreeMap<QuotaScope, usize>,
    /// How many instances there were when the cloud last refused one more, of types of which it has.
    pub widths: BTreeMap<TypeName, Width>,
    /// Types refused for quota while no instance existed, and when: a retry serves another.
    pub refused_types: BTreeMap<TypeName, Timestamp>,
    /// When the first complete listing began.
    pub first_listing: Option<Timestamp>,
    /// When the last [`LISTINGS_KEPT`](super::LISTINGS_KEPT) complete listings began, latest last.
    pub listings: Vec<Timestamp>,
    /// Whether the runner to deploy can be read.
    pub runner_readable: bool,
}

impl PoolSnapshot {
    /// Whether any worker's processes are not known yet. One that never answered does not become known by
    /// being destroyed: its processes may live until it is gone.
    pub fn has_unknown_workers(&self) -> bool {
        self.workers.iter().any(|worker| {
            let View { state, ours, last_success, .. } = &*worker.view;
            match state {
                State::Unknown => true,
                State::Shutdown => !ours && last_success.is_none(),
                State::Booting | State::Idle | State::Running => false,
            }
        })
    }

    /// Whether no instance of any type may be created for quota: the gauge `at_quota`.
    pub fn at_quota(&self) -> bool {
        !self.gates.is_empty() && self.gates.values().all(|gate| matches!(gate, Gate::AtQuota(_)))
    }

    /// Whether `MaxInstances` is what stops creates.
    pub fn at_max_instances(&self) -> bool {
        self.gates.values().any(|gate| *gate == Gate::AtQuota(QuotaReason::MaxInstances))
    }
}

impl Pool {
    /// The present state. O(workers + ended + types).
    pub fn snapshot(&self, now: Timestamp) -> PoolSnapshot {
        let census = self.census();
        let left = |most: usize, used: usize| (most > 0).then(|| most.saturating_sub(used));
        let catalog = self.policy.catalog.types();
        PoolSnapshot {
            workers: self.workers.values().map(|slot| slot.snapshot()).collect(),
            pending: self.creates.iter().map(|(id, create)| (*id, create.clone())).collect(),
            ended: self.ended.clone(),
            last_failed: self.last_failed.clone(),
            gates: catalog.iter().map(|it| (it.name.clone(), self.gate_by(it, &census, now))).collect(),
            on_trial: catalog
                .iter()
                .filter(|it| self.holds.is_on_trial(it))
                .map(|it| it.name.clone())
                .collect(),
            creates_left: left(self.policy.max_concurrent_creates as usize, self.creates_in_flight()),
            instances_left: left(self.policy.max_instances as usize, census.total()),
            near_quota_left: self.holds.near_quota_left(&census),
            widths: catalog
                .iter()
                .filter_map(|it| Some((it.name.clone(), self.holds.width_of(it)?)))
                .collect(),
            refused_types: self.holds.refused_types().clone(),
            first_listing: self.first_listing,
            listings: self.listings.clone(),
            runner_readable: self.runner_readable,
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
        }
    }
}
