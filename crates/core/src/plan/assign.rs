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
use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::instance::{InstanceType, Market};
use crate::pool::{Gate, PauseReason, QuotaReason, WorkerSnapshot};
use crate::ports::QuotaScope;
use crate::queue::{Entry, Fit, OperationKind, UnlockReason};
use crate::worker::{ShutdownReason, State};

/// What may still be created in this round.
struct Budget {
    creates: Option<usize>,
    instances: Option<usize>,
    near_quota: BTreeMap<QuotaScope, usize>,
    /// Types of which at most one may be on its way, and one is planned.
    tried: BTreeSet<TypeName>,
}

/// Whether anything may be created for a container, and of which type.
enum Order {
    Create(Arc<InstanceType>),
    Paused(TypeName, PauseReason),
    AtQuota(QuotaReason),
    AtCapacity,
    /// The one retry that a quota allows serves others this time.
    TurnOfOthers,
}

struct Assignment<'r, 'a> {
    round: &'r mut Round<'a>,
    bins: Bins,
    /// The place of each worker that takes containers.
    places: BTreeMap<&'a InstanceId, PlaceId>,
    workers: BTreeMap<PlaceId, &'a WorkerSnapshot>,
    /// Places where a container's dead process still holds its lock.
    stale: BTreeMap<ContainerUuid, BTreeSet<PlaceId>>,
    budget: Budget,
    placed: usize,
    supervisors: usize,
    max_supervisors: usize,
    position: usize,
    supervisor_position: usize,
    /// At quota with nothing running, a retry serves another type than these.
    not_their_turn: BTreeSet<TypeName>,
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
        let mut stale = BTreeMap::<_, BTreeSet<_>>::new();
        // Places are numbered in the order of ids, whatever the order of the snapshot.
        let mut by_id: Vec<_> = pool.workers.iter().collect();
        by_id.sort_by(|a, b| a.view.id.cmp(&b.view.id));
        for worker in by_id {
            if let Some(place) = place_of(worker, round) {
                let id = bins.add(place);
                for uuid in &worker.view.stale {
                    stale.entry(*uuid).or_default().insert(id);
                }
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
        let mut assignment = Self {
            supervisors: on_processes.filter(|it| it.record.scheduling.supervisor).count(),
            max_supervisors: round.limits.max_supervisors(round.policy),
            not_their_turn: BTreeSet::new(),
            budget: Budget {
                creates: pool.creates_left,
                instances: pool.instances_left,
                near_quota: pool.near_quota_left.clone(),
                tried: BTreeSet::new(),
            },
            bins,
            places,
            workers,
            stale,
            placed: with_process,
            position: 0,
            supervisor_position: 0,
            over_quota_types: BTreeSet::new(),
            first_over_quota: true,
            round,
        };
        assignment.not_their_turn = assignment.refused_before_others(line);
        assignment
    }

    /// At quota with nothing running, one create is tried from time to time. It goes round: a type that was
    /// refused waits until the others that are wanted were refused later.
    fn refused_before_others(&self, line: &[&Entry]) -> BTreeSet<TypeName> {
        let pool = self.round.pool;
        if pool.refused_types.is_empty() {
            return BTreeSet::new();
        }
        let on_workers = pool.workers.iter().filter_map(|worker| worker.view.instance_type.as_ref());
        let pending = pool.pending.iter().map(|(_, create)| &create.instance_type);
        let in_use: BTreeSet<Market> = on_workers.chain(pending).map(|it| it.market()).collect();
        let can_be_had = |it: &&Arc<InstanceType>| {
            pool.gates.get(&it.name) == Some(&Gate::Open) && !in_use.contains(&it.market())
        };
        let in_line = line.iter().filter(|entry| self.not_in_line(entry).is_none());
        let wanted: BTreeSet<_> =
            in_line.flat_map(|entry| entry.types()).filter(can_be_had).map(|it| &it.name).collect();
        // Never refused comes before any refusal.
        let turn = wanted.iter().map(|name| pool.refused_types.get(*name)).min().flatten();
        let waits = |name: &&TypeName| pool.refused_types.get(*name) > turn;
        let mut waiting: BTreeSet<_> = wanted.iter().copied().filter(waits).cloned().collect();
        // Of those refused at the same time, one.
        let of_turn = wanted.iter().filter(|name| turn.is_some() && pool.refused_types.get(**name) == turn);
        waiting.extend(of_turn.skip(1).map(|name| (*name).clone()));
        waiting
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
        if matches!(entry.record.state, ContainerState::Queued | ContainerState::Locked) {
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
        let mut unusable = Vec::new();
        unusable.extend(self.stale.get(&uuid).into_iter().flatten());
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
            Order::TurnOfOthers => {
                self.round.plan.facts.over_quota += 1;
                self.wait(entry, WaitReason::AccountQuota);
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
        let mut others = false;
        for it in entry.types() {
            match self.gate(it) {
                _ if self.not_their_turn.contains(&it.name) => others = true,
                Gate::Open => return Order::Create(Arc::clone(it)),
                Gate::Paused(cause) => paused = paused.or(Some((it.name.clone(), cause))),
                Gate::AtQuota(reason) => quota = quota.or(Some(reason)),
                Gate::AtCapacity(_) => {}
            }
        }
        match (paused, quota) {
            (Some((name, cause)), _) => Order::Paused(name, cause),
            (None, Some(reason)) => Order::AtQuota(reason),
            (None, None) if others => Order::TurnOfOthers,
            (None, None) => Order::AtCapacity,
        }
    }

    /// Pool's gate, and what this round has used up already.
    fn gate(&self, it: &InstanceType) -> Gate {
        let gate =
            self.round.pool.gates.get(&it.name).copied().unwrap_or(Gate::Paused(PauseReason::CreateFailed));
        if gate != Gate::Open {
            return gate;
        }
        self.budget.gate(it)
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
        // Another of its types may merely have no capacity now: who wants that is not over quota.
        let at_quota = entry.types().iter().filter(|it| matches!(self.gate(it), Gate::AtQuota(_)));
        let at_quota: Vec<_> = at_quota.map(|it| it.name.clone()).collect();
        self.over_quota_types.extend(at_quota);
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
        // Beyond the ceiling nobody is unlocked.
        let ceiling = matches!(reason, WaitReason::Ceiling { .. });
        if self.is_over_supervisors(entry) && !ceiling {
            self.hold_back_supervisor(entry);
            return;
        }
        self.position += 1;
        match reason {
            _ if ceiling => self.wait(entry, reason.clone()),
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
        for left in [&mut self.creates, &mut self.instances] {
            *left = left.map(|left| left.saturating_sub(1));
        }
        for (_, left) in self.near_quota.iter_mut().filter(|(scope, _)| scope.covers(it.market())) {
            *left = left.saturating_sub(1);
        }
        if on_trial {
            self.tried.insert(it.name.clone());
        }
    }

    fn gate(&self, it: &InstanceType) -> Gate {
        let near_quota =
            || self.near_quota.iter().any(|(scope, left)| *left == 0 && scope.covers(it.market()));
        match self {
            Self { instances: Some(0), .. } => Gate::AtQuota(QuotaReason::MaxInstances),
            Self { creates: Some(0), .. } => Gate::Paused(PauseReason::CreatesInFlight),
            Self { tried, .. } if tried.contains(&it.name) => Gate::Paused(PauseReason::BootsFail),
            Self { .. } if near_quota() => Gate::Paused(PauseReason::NearQuota),
            Self { .. } => Gate::Open,
        }
    }
}

/// What is free on a worker; `None` if nothing may be placed on it.
fn place_of(worker: &WorkerSnapshot, round: &Round<'_>) -> Option<Place> {
    // What cannot be deployed cannot be started either.
    if !worker.is_placeable() || !round.pool.runner_readable {
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
