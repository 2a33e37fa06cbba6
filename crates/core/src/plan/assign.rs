//! Containers without a process, in order, onto free capacity or creates.
//!
//! ```text
//!   supervisor over its share ─► waits, others go on
//!   beyond the ceiling ────────► all wait, nothing is touched
//!   fits an instance ──────────► Queued: lock · Locked: start there, or wait for it to boot
//!   fits none ─► a type's gate is open ─► Queued: lock · Locked: create
//!             ─► paused ────► waits as it is
//!             ─► at quota ──► it and all after it are over quota: unlock, make room
//!             ─► no capacity ► skipped, others go on
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bins::{Bins, Place, PlaceId};
use super::{Action, Round, WaitReason};
use crate::container::ContainerState;
use crate::fit::Free;
use crate::id::{InstanceId, TypeName};
use crate::instance::{InstanceType, Market};
use crate::pool::{Gate, PauseReason, QuotaReason, WorkerSnapshot};
use crate::queue::{Entry, Fit, OperationKind, UnlockReason};
use crate::worker::{ShutdownReason, State};

/// What may still be created in this round.
struct Budget {
    creates: Option<usize>,
    instances: Option<usize>,
    near_quota: Option<usize>,
    /// Types of which at most one may be on its way, and one is planned.
    tried: BTreeSet<TypeName>,
}

/// Whether anything may be created for a container, and of which type.
enum Order {
    Create(Arc<InstanceType>),
    Paused(TypeName, PauseReason),
    AtQuota(QuotaReason),
    AtCapacity,
}

struct Assignment<'r, 'a> {
    round: &'r mut Round<'a>,
    bins: Bins,
    /// The place of each worker that takes containers.
    places: BTreeMap<&'a InstanceId, PlaceId>,
    workers: BTreeMap<PlaceId, &'a WorkerSnapshot>,
    budget: Budget,
    placed: usize,
    supervisors: usize,
    max_supervisors: usize,
    position: usize,
    supervisor_position: usize,
    /// At quota with nothing running, a retry serves another type than those that were refused.
    skip_refused: bool,
    /// Types whose market is at quota and has someone waiting: who wants only these waits behind.
    over_quota_types: BTreeSet<TypeName>,
    first_over_quota: bool,
}

/// How a container fared.
enum Verdict {
    GoOn,
    /// Nobody after it is placed, for this reason.
    Stop(WaitReason),
}

impl<'a> Round<'a> {
    pub(super) fn assign(&mut self, line: &[&'a Entry]) {
        let mut assignment = Assignment::new(self, line);
        let mut rest = line.iter();
        let mut stop = None;
        for entry in rest.by_ref() {
            if let Verdict::Stop(reason) = assignment.place(entry) {
                stop = Some(reason);
                break;
            }
        }
        if let Some(reason) = stop {
            for entry in rest {
                assignment.leave_behind(entry, &reason);
            }
        }
        assignment.make_room();
        let max_supervisors = assignment.max_supervisors;
        self.plan.facts.max_supervisors = max_supervisors;
    }
}

impl<'r, 'a> Assignment<'r, 'a> {
    fn new(round: &'r mut Round<'a>, line: &[&'a Entry]) -> Self {
        let pool = round.pool;
        let mut bins = Bins::new(round.policy.max_containers_per_instance as usize);
        let (mut places, mut workers) = (BTreeMap::new(), BTreeMap::new());
        for worker in &pool.workers {
            if let Some(place) = place_of(worker, round) {
                let id = bins.add(place);
                places.insert(&worker.view.id, id);
                workers.insert(id, worker);
            }
        }
        for (_, create) in &pool.pending {
            bins.add(new_place(&create.instance_type));
        }
        let with_process = round.processes.len();
        round.plan.facts.with_process = with_process;
        let on_processes = line.iter().filter(|it| round.has_process(it.record.uuid));
        Self {
            supervisors: on_processes.filter(|it| it.record.scheduling.supervisor).count(),
            max_supervisors: round.limits.max_supervisors(round.policy),
            skip_refused: others_than_refused_are_wanted(round, line),
            budget: Budget {
                creates: pool.creates_left,
                instances: pool.instances_left,
                near_quota: pool.near_quota_left,
                tried: BTreeSet::new(),
            },
            bins,
            places,
            workers,
            placed: with_process,
            position: 0,
            supervisor_position: 0,
            over_quota_types: BTreeSet::new(),
            first_over_quota: true,
            round,
        }
    }

    fn place(&mut self, entry: &Entry) -> Verdict {
        if let Some(reason) = self.not_in_line(entry) {
            return self.note_not_in_line(entry, reason);
        }
        if self.is_over_supervisors(entry) {
            self.hold_back_supervisor(entry);
            return Verdict::GoOn;
        }
        self.position += 1;
        let ceiling = self.round.limits.ceiling;
        if ceiling > 0 && self.placed >= ceiling as usize {
            let reason = WaitReason::Ceiling { ceiling };
            self.wait(entry, reason.clone());
            return Verdict::Stop(reason);
        }
        if entry.types().iter().all(|it| self.over_quota_types.contains(&it.name)) {
            self.over_quota(entry, WaitReason::AccountQuota);
            return Verdict::GoOn;
        }
        match self.best_place(entry) {
            Some(place) => self.take(entry, place),
            None => return self.place_on_new(entry),
        }
        Verdict::GoOn
    }

    /// Why a container is not in the line at all.
    fn not_in_line(&self, entry: &Entry) -> Option<WaitReason> {
        let state = entry.record.state;
        if self.round.has_process(entry.record.uuid) {
            let previous = state == ContainerState::Queued;
            return Some(if previous { WaitReason::PreviousAttempt } else { WaitReason::Allocated });
        }
        if !matches!(state, ContainerState::Queued | ContainerState::Locked) {
            return Some(WaitReason::Allocated);
        }
        if entry.record.priority <= 0 {
            return Some(WaitReason::PriorityZero { state });
        }
        if self.round.may_run_on_unknown_worker(entry) {
            return Some(WaitReason::PreviousAttempt);
        }
        match (&entry.unreadable, &entry.operation, &entry.fit) {
            (Some(why), ..) => {
                Some(WaitReason::HandsOff { why: format!("its record cannot be decoded: {why}") })
            }
            _ if entry.uncertain => {
                Some(WaitReason::HandsOff { why: "the outcome of a call is unknown".into() })
            }
            (_, _, Fit::Unsized) => Some(WaitReason::NotSized),
            (_, _, Fit::Nowhere(why)) => Some(WaitReason::NoSuitableType { error: why.to_string() }),
            (_, Some(operation), _) if operation.kind != OperationKind::Lock => {
                Some(WaitReason::HandsOff { why: "its record is being changed".into() })
            }
            (None, _, Fit::Types(_)) => None,
        }
    }

    fn note_not_in_line(&mut self, entry: &Entry, reason: WaitReason) -> Verdict {
        let runs_or_ended = !entry.is_waiting() && entry.record.priority > 0;
        let silent = runs_or_ended && reason == WaitReason::Allocated;
        if !silent && !entry.record.state.is_final() {
            let position = entry.is_waiting().then_some(self.position + 1);
            self.round.wait(entry.record.uuid, position, reason);
        }
        Verdict::GoOn
    }

    fn wait(&mut self, entry: &Entry, reason: WaitReason) {
        self.round.wait(entry.record.uuid, Some(self.position), reason);
    }

    // ---------------------------------------------------------- supervisors

    fn is_over_supervisors(&self, entry: &Entry) -> bool {
        entry.record.scheduling.supervisor
            && self.max_supervisors > 0
            && self.supervisors >= self.max_supervisors
    }

    /// Waits, and does not block what comes after it.
    fn hold_back_supervisor(&mut self, entry: &Entry) {
        self.supervisor_position += 1;
        let reason = WaitReason::OverSupervisors { max_supervisors: self.max_supervisors };
        self.round.wait(entry.record.uuid, Some(self.supervisor_position), reason);
        self.unlock(entry, UnlockReason::OverSupervisors);
    }

    fn unlock(&mut self, entry: &Entry, reason: UnlockReason) {
        let can_be = entry.record.state == ContainerState::Locked
            && !entry.attempts_nearly_used
            && !entry.is_hands_off()
            && !self.round.may_run_on_unknown_worker(entry);
        if can_be && !self.round.has_process(entry.record.uuid) {
            self.round.act(Action::Unlock(entry.record.uuid, reason));
        }
    }

    // ---------------------------------------------------------- instances that exist

    fn best_place(&mut self, entry: &Entry) -> Option<PlaceId> {
        let uuid = entry.record.uuid;
        let stale = self.workers.iter().filter(|(_, worker)| worker.view.stale.contains(&uuid));
        let has_stale = self.round.pool.workers.iter().any(|worker| !worker.view.stale.is_empty());
        let unusable: BTreeSet<_> =
            if has_stale { stale.map(|(id, _)| *id).collect() } else { BTreeSet::new() };
        let mut avoided = unusable.clone();
        let failed_on = self.round.pool.last_failed.get(&uuid);
        avoided.extend(failed_on.and_then(|id| self.places.get(id)));
        let best = self.bins.best(&entry.needs, entry.types(), &avoided);
        // The worker of its last failed attempt is better than none.
        match best {
            None if avoided.len() > unusable.len() => self.bins.best(&entry.needs, entry.types(), &unusable),
            best => best,
        }
    }

    fn take(&mut self, entry: &Entry, id: PlaceId) {
        let uuid = entry.record.uuid;
        let place = self.bins.place(id);
        let (ready, type_name) = (place.ready, place.instance_type.name.clone());
        self.bins.take(id, &entry.needs);
        self.count(entry);
        let reason =
            if ready { WaitReason::Allocated } else { WaitReason::Booting { instance_type: type_name } };
        self.wait(entry, reason);
        let worker = self.workers.get(&id).map(|worker| worker.view.id.clone());
        match (entry.record.state, worker) {
            (ContainerState::Queued, _) => self.lock(entry),
            (_, Some(worker)) if ready && entry.operation.is_none() => {
                self.round.act(Action::Start(uuid, worker))
            }
            _ => self.round.plan.facts.allocated_not_started += 1,
        }
    }

    fn count(&mut self, entry: &Entry) {
        self.placed += 1;
        self.supervisors += usize::from(entry.record.scheduling.supervisor);
    }

    fn lock(&mut self, entry: &Entry) {
        if entry.operation.is_none() {
            self.round.act(Action::Lock(entry.record.uuid));
        }
    }

    // ---------------------------------------------------------- instances to be

    fn place_on_new(&mut self, entry: &Entry) -> Verdict {
        match self.order(entry) {
            Order::Create(it) => self.take_new(entry, it),
            Order::Paused(instance_type, cause) => {
                self.wait(entry, WaitReason::Paused { instance_type, cause })
            }
            Order::AtCapacity => {
                let instance_types = entry.types().iter().map(|it| it.name.clone()).collect();
                self.wait(entry, WaitReason::AtCapacity { instance_types });
            }
            Order::AtQuota(QuotaReason::MaxInstances) => {
                return self.at_quota(entry, WaitReason::MaxInstances);
            }
            Order::AtQuota(QuotaReason::Account) => return self.at_quota(entry, WaitReason::AccountQuota),
        }
        Verdict::GoOn
    }

    fn take_new(&mut self, entry: &Entry, it: Arc<InstanceType>) {
        let id = self.bins.add(new_place(&it));
        self.bins.take(id, &entry.needs);
        self.budget.spend(&it, self.round.pool.on_trial.contains(&it.name));
        self.count(entry);
        self.wait(entry, WaitReason::Booting { instance_type: it.name.clone() });
        match entry.record.state {
            ContainerState::Queued => self.lock(entry),
            _ if entry.operation.is_none() => self.round.act(Action::Create(it, entry.record.uuid)),
            _ => {}
        }
    }

    /// The cheapest type that can be had; else the reason that promises the soonest end.
    fn order(&self, entry: &Entry) -> Order {
        let mut paused = None;
        let mut quota = None;
        for it in entry.types() {
            match self.gate(it) {
                Gate::Open => return Order::Create(Arc::clone(it)),
                Gate::Paused(cause) => paused = paused.or(Some((it.name.clone(), cause))),
                Gate::AtQuota(reason) => quota = quota.or(Some(reason)),
                Gate::AtCapacity(_) => {}
            }
        }
        match (paused, quota) {
            (Some((name, cause)), _) => Order::Paused(name, cause),
            (None, Some(reason)) => Order::AtQuota(reason),
            (None, None) => Order::AtCapacity,
        }
    }

    /// Pool's gate, and what this round has used up already.
    fn gate(&self, it: &InstanceType) -> Gate {
        if self.skip_refused && self.round.pool.refused_types.contains(&it.name) {
            return Gate::AtCapacity(self.round.now);
        }
        let gate =
            self.round.pool.gates.get(&it.name).copied().unwrap_or(Gate::Paused(PauseReason::CreateFailed));
        if gate != Gate::Open {
            return gate;
        }
        self.budget.gate(&it.name)
    }

    // ---------------------------------------------------------- quota

    /// If all types are at quota the round's placement ends here; if only a market is, who wants only that
    /// waits, and others go on.
    fn at_quota(&mut self, entry: &Entry, reason: WaitReason) -> Verdict {
        self.over_quota(entry, reason.clone());
        let everything = reason == WaitReason::MaxInstances || self.round.pool.at_quota();
        if everything {
            let all = self.round.policy.catalog.types().iter().map(|it| it.name.clone());
            self.over_quota_types.extend(all);
            return Verdict::Stop(reason);
        }
        self.over_quota_types.extend(entry.types().iter().map(|it| it.name.clone()));
        Verdict::GoOn
    }

    /// The first in line keeps its lock: its next lock and unlock would be wasted.
    fn over_quota(&mut self, entry: &Entry, reason: WaitReason) {
        self.round.plan.facts.over_quota += 1;
        self.wait(entry, reason);
        if !std::mem::replace(&mut self.first_over_quota, false) {
            self.unlock(entry, UnlockReason::OverQuota);
        }
    }

    /// A container after the one that ended the placement.
    fn leave_behind(&mut self, entry: &Entry, reason: &WaitReason) {
        if let Some(not_in_line) = self.not_in_line(entry) {
            self.note_not_in_line(entry, not_in_line);
            return;
        }
        if self.is_over_supervisors(entry) {
            self.hold_back_supervisor(entry);
            return;
        }
        self.position += 1;
        match reason {
            WaitReason::Ceiling { .. } => self.wait(entry, reason.clone()),
            _ => self.over_quota(entry, reason.clone()),
        }
    }

    /// Over quota, idle and booting instances with nothing placed on them make room. Never because of
    /// any other error, never what is on hold, never what may be running something unseen.
    fn make_room(&mut self) {
        let markets: BTreeSet<Market> = (self.round.policy.catalog.types().iter())
            .filter(|it| self.over_quota_types.contains(&it.name))
            .map(|it| it.market())
            .collect();
        for (id, worker) in std::mem::take(&mut self.workers) {
            let place = self.bins.place(id);
            let empty = place.containers == 0 && !place.used;
            let state = matches!(worker.view.state, State::Idle | State::Booting);
            if empty && state && markets.contains(&place.instance_type.market()) {
                self.round.act(Action::ShutDown(worker.view.id.clone(), ShutdownReason::OverQuota));
            }
        }
    }
}

impl Budget {
    fn spend(&mut self, it: &InstanceType, on_trial: bool) {
        for left in [&mut self.creates, &mut self.instances, &mut self.near_quota] {
            *left = left.map(|left| left.saturating_sub(1));
        }
        if on_trial {
            self.tried.insert(it.name.clone());
        }
    }

    fn gate(&self, name: &TypeName) -> Gate {
        match self {
            Self { instances: Some(0), .. } => Gate::AtQuota(QuotaReason::MaxInstances),
            Self { creates: Some(0), .. } => Gate::Paused(PauseReason::CreatesInFlight),
            Self { near_quota: Some(0), .. } => Gate::Paused(PauseReason::NearQuota),
            Self { tried, .. } if tried.contains(name) => Gate::Paused(PauseReason::BootsFail),
            Self { .. } => Gate::Open,
        }
    }
}

/// Whether, with nothing running and some types refused for quota, someone waits for another type.
fn others_than_refused_are_wanted(round: &Round<'_>, line: &[&Entry]) -> bool {
    let refused = &round.pool.refused_types;
    if refused.is_empty() || !round.pool.workers.is_empty() || !round.pool.pending.is_empty() {
        return false;
    }
    let waiting = line.iter().filter(|entry| entry.is_waiting());
    waiting.flat_map(|entry| entry.types()).any(|it| !refused.contains(&it.name))
}

/// What is free on a worker; `None` if nothing may be placed on it.
fn place_of(worker: &WorkerSnapshot, round: &Round<'_>) -> Option<Place> {
    if !worker.is_placeable() {
        return None;
    }
    let instance_type = worker.view.instance_type.clone()?;
    let mut free = Free::all_of(&instance_type);
    let mut containers = 0;
    for uuid in worker.containers() {
        // An instance that runs a container whose needs are unknown to us counts as full.
        let entry = round.queue.get(uuid).filter(|entry| entry.fit != Fit::Unsized)?;
        free.take(&entry.needs);
        containers += 1;
    }
    Some(Place { instance_type, ready: worker.view.state.is_ready(), containers, free, used: false })
}

fn new_place(it: &Arc<InstanceType>) -> Place {
    Place { instance_type: Arc::clone(it), ready: false, containers: 0, free: Free::all_of(it), used: false }
}
