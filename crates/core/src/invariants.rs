//! What no plan may ever ask for: the invariants of the design, as far as a single plan can break them.
//!
//! Written from the rules and not from `plan`: it shares no code with what it checks but the sizing of free
//! capacity. Used by the properties here, the simulator, and debug builds. O(processes + actions), × log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::container::{ContainerState, Standing};
use crate::fit::Free;
use crate::id::{ContainerUuid, InstanceId};
use crate::instance::{IdleBehavior, InstanceType};
use crate::plan::{Action, Limits, Plan};
use crate::policy::Policy;
use crate::pool::{Gate, PoolSnapshot, WorkerSnapshot};
use crate::queue::{CancelReason, Entry, Fit, QueueSnapshot, UnlockReason};
use crate::time::{Timestamp, after};
use crate::worker::State;
use crate::worker::runner::SURFACING;

/// Which invariant was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1: at most one live process per container.
    OneProcess,
    /// I2: nothing that may be alive, or has ended, is cancelled; nothing is concluded too early.
    NoRashCancel,
    /// I5: no more creates, containers or instances than allowed.
    Limits,
    /// I6: nothing on instances that are held, draining, too small, or not there.
    Placement,
    /// I8: hold means hold; nothing busy or unknown makes room.
    Hold,
    /// Only what is in the snapshot is named, and what is being changed is left alone.
    Names,
}

impl Invariant {
    /// Its number in the design, if it has one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneProcess => "I1",
            Self::NoRashCancel => "I2",
            Self::Limits => "I5",
            Self::Placement => "I6",
            Self::Hold => "I8",
            Self::Names => "names",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A plan that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant} violated: {what}")]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// By which action, and how.
    pub what: String,
}

fn require(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}

/// Checks a plan against the snapshots that it was made from.
///
/// # Errors
/// The first violation, in the order of the actions.
pub fn check_plan(
    queue: &QueueSnapshot,
    pool: &PoolSnapshot,
    limits: &Limits,
    policy: &Policy,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), Violation> {
    let mut check = Check::new(queue, pool, limits, policy, now);
    plan.actions.iter().try_for_each(|action| check.action(action))
}

struct Check<'a> {
    queue: &'a QueueSnapshot,
    pool: &'a PoolSnapshot,
    limits: &'a Limits,
    policy: &'a Policy,
    workers: BTreeMap<&'a InstanceId, &'a WorkerSnapshot>,
    alive: BTreeSet<ContainerUuid>,
    has_unknown_workers: bool,
    /// Whether a start that an earlier dispatcher sent may have a process that is not listed yet.
    is_surfacing: bool,
    /// What is left on workers that something is started on.
    free: BTreeMap<&'a InstanceId, (Free, usize)>,
    /// Containers that this plan locks, starts, unlocks or cancels, or creates an instance for.
    decided: BTreeSet<ContainerUuid>,
    shut_down: BTreeSet<&'a InstanceId>,
    placed: usize,
    created: Vec<&'a InstanceType>,
}

impl<'a> Check<'a> {
    fn new(
        queue: &'a QueueSnapshot,
        pool: &'a PoolSnapshot,
        limits: &'a Limits,
        policy: &'a Policy,
        now: Timestamp,
    ) -> Self {
        let alive: BTreeSet<_> = pool.workers.iter().flat_map(WorkerSnapshot::containers).collect();
        let ended = pool.ended.keys().filter(|uuid| !alive.contains(uuid)).count();
        Self {
            placed: alive.len() + ended,
            workers: pool.workers.iter().map(|worker| (&worker.view.id, worker)).collect(),
            has_unknown_workers: pool.has_unknown_workers(),
            is_surfacing: pool.first_listing.is_none_or(|listed| now < after(listed, SURFACING))
                || pool.listings.len() < 3
                || !pool.workers.iter().all(|worker| worker.view.seen_whole),
            free: BTreeMap::new(),
            decided: BTreeSet::new(),
            shut_down: BTreeSet::new(),
            created: Vec::new(),
            alive,
            queue,
            pool,
            limits,
            policy,
        }
    }

    fn action(&mut self, action: &'a Action) -> Result<(), Violation> {
        let started = self.queue.first_poll_began.is_some() && self.pool.first_listing.is_some();
        require(started, Invariant::NoRashCancel, || format!("{action:?} before anything is known"))?;
        match action {
            Action::Lock(uuid) => {
                let entry = self.decides(*uuid, action)?;
                self.is_in(entry, ContainerState::Queued, action)?;
                self.is_placed_once(entry, action)
            }
            Action::Start(order, id) => {
                let entry = self.decides(order.uuid, action)?;
                self.is_in(entry, ContainerState::Locked, action)?;
                self.is_placed_once(entry, action)?;
                self.fits_there(entry, id, action)
            }
            Action::Create(it, uuid) => {
                let entry = self.decides(*uuid, action)?;
                self.is_in(entry, ContainerState::Locked, action)?;
                let unknown = self.has_unknown_workers && self.may_be_elsewhere(entry);
                require(!unknown, Invariant::OneProcess, || format!("{action:?}: it may have a process"))?;
                self.is_within_ceiling(entry, action)?;
                self.may_be_created(entry, it, action)
            }
            Action::Unlock(uuid, reason) => {
                let entry = self.decides(*uuid, action)?;
                self.is_in(entry, ContainerState::Locked, action)?;
                self.is_unlocked_within_ceiling(*reason, action)?;
                let alive = self.alive.contains(uuid) || self.may_be_elsewhere(entry);
                require(!alive, Invariant::OneProcess, || format!("{action:?} while it may have a process"))
            }
            Action::Cancel(uuid, reason, standing) => {
                let entry = self.decides(*uuid, action)?;
                self.may_be_cancelled(entry, reason, standing, action)
            }
            Action::Drop(uuid) => {
                let entry = self.known(*uuid, action)?;
                let done = entry.record.state.is_final()
                    || (entry.record.state == ContainerState::Queued && entry.record.priority <= 0);
                require(done && !self.has_process(*uuid), Invariant::Names, || {
                    format!("{action:?} too early")
                })
            }
            Action::Look(uuid) => {
                let unknown = self.queue.get(*uuid).is_none() && self.alive.contains(uuid);
                require(unknown, Invariant::Names, || format!("{action:?} without need"))
            }
            Action::Kill(uuid, _) => require(self.alive.contains(uuid), Invariant::Names, || {
                format!("{action:?}: no such process")
            }),
            Action::Forget(uuid, _) => {
                let ended = self.pool.ended.contains_key(uuid) && !self.alive.contains(uuid);
                require(ended, Invariant::OneProcess, || format!("{action:?}: it has not ended"))
            }
            Action::ShutDown(id, _) => self.may_be_shut_down(id, action),
        }
    }

    fn has_process(&self, uuid: ContainerUuid) -> bool {
        self.alive.contains(&uuid) || self.pool.ended.contains_key(&uuid)
    }

    /// It may have a process that nobody has shown yet; one that we saw end is no such process.
    fn may_be_elsewhere(&self, entry: &Entry) -> bool {
        (self.has_unknown_workers || self.is_surfacing)
            && entry.locked_before_start
            && entry.record.state == ContainerState::Locked
            && !self.pool.ended.contains_key(&entry.record.uuid)
    }

    fn known(&self, uuid: ContainerUuid, action: &Action) -> Result<&'a Entry, Violation> {
        let entry = self.queue.get(uuid).map(|entry| &**entry);
        let missing =
            || Violation { invariant: Invariant::Names, what: format!("{action:?}: not in the queue") };
        entry.ok_or_else(missing)
    }

    /// One decision a container and plan, and none about what is being changed.
    fn decides(&mut self, uuid: ContainerUuid, action: &Action) -> Result<&'a Entry, Violation> {
        let entry = self.known(uuid, action)?;
        require(!entry.is_undecidable(), Invariant::Names, || format!("{action:?}: hands off"))?;
        require(self.decided.insert(uuid), Invariant::OneProcess, || format!("{action:?}: decided twice"))?;
        Ok(entry)
    }

    fn is_in(&self, entry: &Entry, state: ContainerState, action: &Action) -> Result<(), Violation> {
        require(entry.record.state == state, Invariant::Names, || {
            format!("{action:?} of one that is {}", entry.record.state)
        })
    }

    /// It has no process that could not be seen, either.
    fn is_placed_once(&mut self, entry: &Entry, action: &Action) -> Result<(), Violation> {
        let elsewhere = self.may_be_elsewhere(entry);
        require(!elsewhere, Invariant::OneProcess, || format!("{action:?}: it may have a process"))?;
        self.is_within_ceiling(entry, action)
    }

    /// It wants to run, has no process of any attempt, and is within the ceiling.
    fn is_within_ceiling(&mut self, entry: &Entry, action: &Action) -> Result<(), Violation> {
        let free_of_processes = !self.has_process(entry.record.uuid);
        require(free_of_processes, Invariant::OneProcess, || format!("{action:?}: it has a process"))?;
        require(entry.record.priority > 0, Invariant::Placement, || format!("{action:?}: it is on hold"))?;
        self.placed += 1;
        let ceiling = self.limits.ceiling as usize;
        require(ceiling == 0 || self.placed <= ceiling, Invariant::Limits, || {
            format!("{action:?} is number {} under a ceiling of {ceiling}", self.placed)
        })
    }

    /// Beyond the ceiling no lock is given back for others' sake.
    fn is_unlocked_within_ceiling(&self, reason: UnlockReason, action: &Action) -> Result<(), Violation> {
        let ceiling = self.limits.ceiling as usize;
        let within = ceiling == 0 || self.placed < ceiling;
        let forced = matches!(reason, UnlockReason::ProcessEnded | UnlockReason::PriorityZero);
        require(within || forced, Invariant::Limits, || {
            format!("{action:?} with {} placed under a ceiling of {ceiling}", self.placed)
        })
    }

    fn fits_there(&mut self, entry: &Entry, id: &'a InstanceId, action: &Action) -> Result<(), Violation> {
        let no =
            |why: &str| Violation { invariant: Invariant::Placement, what: format!("{action:?}: {why}") };
        let worker = *self.workers.get(id).ok_or_else(|| no("no such instance"))?;
        let ready = worker.view.state.is_ready() && worker.view.behavior == IdleBehavior::Run;
        if !ready || worker.missing || self.shut_down.contains(id) {
            return Err(no("it does not take containers"));
        }
        if worker.view.stale.contains(&entry.record.uuid) {
            return Err(no("its lock is still held there"));
        }
        let it = worker.view.instance_type.as_ref().ok_or_else(|| no("its type is not configured"))?;
        if !entry.types().iter().any(|eligible| eligible.name == it.name) {
            return Err(no("its type is not eligible"));
        }
        let (mut free, containers) = match self.free.get(id) {
            Some(known) => *known,
            None => self.free_on(worker, it).ok_or_else(|| no("what runs there is not known"))?,
        };
        let most = self.policy.max_containers_per_instance as usize;
        if !free.fits(&entry.needs) || (most > 0 && containers >= most) {
            return Err(no("it does not fit"));
        }
        free.take(&entry.needs);
        self.free.insert(id, (free, containers + 1));
        Ok(())
    }

    fn free_on(&self, worker: &WorkerSnapshot, it: &InstanceType) -> Option<(Free, usize)> {
        let mut free = Free::all_of(it);
        let mut containers = 0;
        for uuid in worker.containers() {
            let entry = self.queue.get(uuid).filter(|entry| entry.fit != Fit::Unsized)?;
            free.take(&entry.needs);
            containers += 1;
        }
        Some((free, containers))
    }

    fn may_be_created(
        &mut self,
        entry: &Entry,
        it: &'a InstanceType,
        action: &Action,
    ) -> Result<(), Violation> {
        let eligible = entry.types().iter().any(|eligible| eligible.name == it.name);
        require(eligible, Invariant::Placement, || format!("{action:?}: its type is not eligible"))?;
        let open = self.pool.gates.get(&it.name) == Some(&Gate::Open);
        require(open, Invariant::Limits, || format!("{action:?}: the gate is not open"))?;
        let again = self.created.iter().any(|other| other.name == it.name);
        let second_trial = again && self.pool.on_trial.contains(&it.name);
        require(!second_trial, Invariant::Limits, || format!("{action:?}: another is being tried"))?;
        self.created.push(it);
        let total = self.created.len();
        let numbers = [self.pool.creates_left, self.pool.instances_left];
        let within = numbers.into_iter().flatten().all(|left| total <= left);
        require(within, Invariant::Limits, || format!("{action:?} is one too many"))?;
        let near =
            self.pool.near_quota_left.iter().all(|(scope, left)| {
                self.created.iter().filter(|it| scope.covers(it.market())).count() <= *left
            });
        require(near, Invariant::Limits, || format!("{action:?} is more than one beyond the quota"))
    }

    fn may_be_cancelled(
        &self,
        entry: &Entry,
        reason: &CancelReason,
        standing: &Standing,
        action: &Action,
    ) -> Result<(), Violation> {
        let uuid = entry.record.uuid;
        let ended = self.pool.ended.get(&uuid);
        let right = match reason {
            CancelReason::ProcessExited => {
                let seen_since = ended.is_some_and(|ended| self.queue.polled_at > Some(ended.at));
                entry.record.state == ContainerState::Running && seen_since
            }
            CancelReason::NotOnAnyWorker => {
                let proofs =
                    self.pool.listings.iter().filter(|began| Some(**began) > self.queue.first_poll_began);
                let running = entry.record.state == ContainerState::Running;
                let foreign = self.pool.workers.iter().any(|worker| !worker.view.ours);
                let may_be_unseen = self.has_unknown_workers || (self.is_surfacing && foreign);
                running && ended.is_none() && !may_be_unseen && proofs.count() >= 3
            }
            CancelReason::NoSuitableType(_) => entry.is_waiting() && !self.may_be_elsewhere(entry),
        };
        let alive = self.alive.contains(&uuid);
        let as_seen = *standing == entry.record.standing();
        require(right && !alive && as_seen, Invariant::NoRashCancel, || format!("{action:?}"))
    }

    fn may_be_shut_down(&mut self, id: &'a InstanceId, action: &Action) -> Result<(), Violation> {
        let Some(worker) = self.workers.get(id) else {
            return require(false, Invariant::Names, || format!("{action:?}: no such instance"));
        };
        let state = matches!(worker.view.state, State::Idle | State::Booting);
        let empty = worker.containers().next().is_none() && !self.free.contains_key(id);
        let may = state
            && empty
            && worker.view.seen_whole
            && worker.view.behavior != IdleBehavior::Hold
            && self.shut_down.insert(id);
        require(may, Invariant::Hold, || format!("{action:?} of one that is {}", worker.view.state))
    }
}
