//! Containers without a process, in order, onto free capacity or creates.
//!
//! ```text
//!   supervisor over its share ─► waits, others are placed
//!   beyond the ceiling ────────► all wait, nothing is changed
//!   fits an instance ──────────► Queued: lock · Locked: start there, or wait for it to boot   (places)
//!   fits none ─► a type's gate is open ─► Queued: lock · Locked: create                      (budget, pack)
//!             ─► paused ────► keeps its state and waits
//!             ─► at quota ──► it and all after it are over quota: unlock, make room           (quota)
//!                             those after it may be let past onto instances in use            (backfill)
//!             ─► no capacity ► skipped, others are placed
//!   nobody may be started, because of an outage ─► one create all the same                  (route)
//!   what is left over is kept for those that come next, as far as the site wants            (spares)
//! ```

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::backfill::Impatient;
use super::bins::PlaceId;
use super::budget::{Budget, Order};
use super::places::Places;
use super::priorities::QueuedPriorities;
use super::{Item, PoolAction, QueueAction, Round, WaitReason};
use crate::container::ContainerState;
use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::instance::InstanceType;
use crate::pool::{Gate, Host, QuotaReason};
use crate::preference::TypePreference;
use crate::queue::{Openings, SetbackCause, UnlockReason};

/// The placement of a round in progress.
pub(super) struct Assignment<'r, 'a> {
    pub(super) round: &'r mut Round<'a>,
    pub(super) places: Places<'a>,
    pub(super) budget: Budget<'a>,
    placed: usize,
    supervisors: usize,
    /// Supervisors without a place. Which of them give their locks back is decided when all places are given.
    unplaced_supervisors: Vec<Item<'a>>,
    pub(super) position: usize,
    supervisor_position: usize,
    /// Types whose market is at quota while a container waits for it: containers that want only these types wait
    /// too.
    pub(super) over_quota_types: BTreeSet<TypeName>,
    pub(super) first_over_quota: bool,
    /// Instances in service with a place for a container that is not started in this round.
    reserved: BTreeSet<InstanceId>,
    pub(super) line: &'r [Item<'a>],
    /// Where in the line the container is that is being placed.
    pub(super) line_index: usize,
    /// The highest priority of the Queued containers that want each type; made when a lock may be given back.
    queued: OnceCell<QueuedPriorities>,
    pub(super) impatient: Impatient,
    /// Types of which an instance that is created now would be taken by a container that has another one to come, or will
    /// have one created as soon as it is Locked.
    pub(super) promised: BTreeSet<TypeName>,
    /// Containers over quota whose locks are given back when all that can be let past have been.
    pub(super) over_quota_later: Vec<Item<'a>>,
}

/// Whether the containers after this one are placed too.
pub(super) enum Placement {
    GoOn,
    /// None after it is placed, for this reason.
    Stop(WaitReason),
}

impl<'a> Round<'a> {
    /// O(workers × log + containers × (one search for the best place)).
    pub(super) fn assign(&mut self, line: &[Item<'a>]) {
        let mut assignment = Assignment::new(self, line);
        let mut rest = line.iter().enumerate();
        let mut stop = None;
        for (index, item) in rest.by_ref() {
            assignment.line_index = index;
            if let Placement::Stop(reason) = assignment.place(*item) {
                stop = Some(reason);
                break;
            }
        }
        if let Some(reason) = stop {
            for (_, item) in rest {
                assignment.leave_behind(*item, &reason);
            }
        }
        assignment.unlock_those_over_quota();
        assignment.unlock_supervisors();
        assignment.make_room();
        assignment.try_our_route(line);
        assignment.keep_spares();
        assignment.note_openings();
        let reserved = std::mem::take(&mut assignment.reserved);
        assignment.round.plan.reserved = Arc::new(reserved);
    }
}

impl<'r, 'a> Assignment<'r, 'a> {
    fn new(round: &'r mut Round<'a>, line: &'r [Item<'a>]) -> Self {
        round.note_processes();
        // Containers with a process come first in the line.
        let on_processes = line.iter().take_while(|item| round.has_process(item.position));
        let supervisors = on_processes.filter(|item| item.supervisor).count();
        let places = Places::new(round);
        let budget = Budget::new(round, line, |item| round.wants_new(item, supervisors, &places));
        let impatient = Impatient::of(round, line, &budget);
        Self {
            supervisors,
            unplaced_supervisors: Vec::new(),
            places,
            budget,
            placed: round.processes.living(),
            position: 0,
            supervisor_position: 0,
            over_quota_types: BTreeSet::new(),
            first_over_quota: true,
            reserved: BTreeSet::new(),
            line,
            line_index: 0,
            queued: OnceCell::new(),
            impatient,
            promised: BTreeSet::new(),
            over_quota_later: Vec::new(),
            round,
        }
    }

    fn place(&mut self, item: Item<'a>) -> Placement {
        if !item.in_line {
            self.note_not_in_line(item);
            self.remember_over_quota(item);
            return Placement::GoOn;
        }
        if self.is_over_supervisors(item) {
            self.hold_back_supervisor(item);
            return Placement::GoOn;
        }
        self.position += 1;
        if self.is_beyond_ceiling() {
            let reason = WaitReason::Ceiling { ceiling: self.round.limits.ceiling };
            self.wait(item, reason.clone());
            return Placement::Stop(reason);
        }
        if self.is_behind_quota(item) {
            if !self.backfill(item) {
                self.over_quota(item, WaitReason::AccountQuota);
            }
            return Placement::GoOn;
        }
        match self.places.best(self.round.uuid(item), &item.needs, item.types) {
            Some(place) if self.may_take(item, place) => self.take(item, place),
            None if !item.may_run_unseen => return self.place_on_new(item),
            Some(_) | None => self.wait(item, WaitReason::PreviousAttempt),
        }
        Placement::GoOn
    }

    /// One that may not be started yet has a place only on an instance in service. If it took one that is being made
    /// for another, one more would be made for that other: an instance for a container that may not be started.
    fn may_take(&self, item: Item<'a>, id: PlaceId) -> bool {
        !item.may_run_unseen || self.places.place(id).ready
    }

    pub(super) fn note_not_in_line(&mut self, item: Item<'a>) {
        let open = matches!(item.state, ContainerState::Queued | ContainerState::Locked);
        if let Some(reason) = self.round.not_in_line(item.position, item.entry).filter(|_| open) {
            let position = item.entry.is_waiting().then_some(self.position + 1);
            self.round.wait(item, position, reason);
        }
    }

    pub(super) fn wait(&mut self, item: Item<'a>, reason: WaitReason) {
        self.round.wait(item, Some(self.position), reason);
    }

    pub(super) fn wait_unplaced(&mut self, item: Item<'a>, reason: WaitReason) {
        self.unplaced_supervisors.extend(Some(item).filter(|item| item.supervisor));
        self.wait(item, reason);
    }

    // ---------------------------------------------------------- supervisors

    pub(super) fn is_over_supervisors(&self, item: Item<'a>) -> bool {
        self.round.is_over_supervisors(item, self.supervisors)
    }

    /// Lets a supervisor wait without blocking the containers after it.
    pub(super) fn hold_back_supervisor(&mut self, item: Item<'a>) {
        self.supervisor_position += 1;
        let reason = WaitReason::OverSupervisors { max_supervisors: self.round.max_supervisors_like(item) };
        self.round.wait(item, Some(self.supervisor_position), reason);
        self.unplaced_supervisors.push(item);
    }

    /// Unlocks supervisors over their share, including those that waited for another reason while others used up
    /// the share: the next round would find them over it. Beyond the ceiling no supervisor is unlocked: the share
    /// follows the ceiling, and what a burst of 503s took away comes back within seconds.
    fn unlock_supervisors(&mut self) {
        if self.is_beyond_ceiling() {
            return;
        }
        for item in std::mem::take(&mut self.unplaced_supervisors) {
            if self.is_over_supervisors(item) {
                self.unlock(item, UnlockReason::OverSupervisors);
            }
        }
    }

    /// A lock is given back only if a container of higher priority can use the place: otherwise it would be taken
    /// again, and each time costs an attempt. A container that was Locked before our start keeps its lock for a while
    /// all the same, so that a restart costs no attempt.
    fn is_wanted_by_a_higher_priority(&self, item: Item<'a>, reason: UnlockReason) -> bool {
        if item.entry.locked_before_start && self.round.clocked.keeps_inherited_locks {
            return false;
        }
        let priority = item.entry.record.priority;
        let queued = self.queued.get_or_init(|| QueuedPriorities::of(self.line));
        // A supervisor over its share has no place: only another supervisor can use what it gives up.
        let wanted = match reason {
            UnlockReason::OverSupervisors => &queued.supervisors,
            UnlockReason::OverQuota | UnlockReason::ProcessEnded | UnlockReason::PriorityZero => &queued.all,
        };
        let is_wanted =
            |it: &Arc<InstanceType>| wanted.get(&it.name).is_some_and(|queued| *queued > priority);
        item.types.iter().any(is_wanted)
    }

    pub(super) fn is_beyond_ceiling(&self) -> bool {
        self.left_below_ceiling() == 0
    }

    /// How many more may have a place.
    pub(super) fn left_below_ceiling(&self) -> usize {
        match self.round.limits.ceiling {
            0 => usize::MAX,
            ceiling => (ceiling as usize).saturating_sub(self.placed),
        }
    }

    pub(super) fn unlock(&mut self, item: Item<'a>, reason: UnlockReason) {
        let can_be = item.state == ContainerState::Locked
            && !item.entry.attempts_nearly_used
            && !item.entry.is_undecidable()
            && !item.entry.is_set_back(SetbackCause::Unlock)
            && !self.round.may_run_unseen(item.entry)
            && self.is_wanted_by_a_higher_priority(item, reason);
        if can_be && !self.round.has_process(item.position) {
            self.round.ask_queue(QueueAction::UnlockContainer(self.round.uuid(item), reason));
        }
    }

    /// Notes what could still be placed. O(places + containers × log).
    fn note_openings(&mut self) {
        let (unplaced, awaits_picture) = (self.unplaced(), self.round.awaits_picture);
        let mut openings = Openings { unplaced, awaits_picture, ..Openings::default() };
        if !self.is_beyond_ceiling() {
            let types = self.round.rules.catalog.types().iter();
            let creatable = types.filter(|it| self.budget.gate(it) == Gate::Open);
            openings.creatable = creatable.map(|it| it.name.clone()).collect();
            for place in self.places.with_room() {
                openings.add_free(&place.instance_type, &place.free);
            }
            let most = self.round.limits.max_supervisors(None, self.round.rules);
            openings.supervisors = most == 0 || self.supervisors < most;
        }
        self.round.plan.openings = Some(Arc::new(openings));
    }

    /// Queued containers that got no place. O(containers × log).
    fn unplaced(&self) -> BTreeSet<ContainerUuid> {
        let queued = self.line.iter().filter(|item| item.state == ContainerState::Queued);
        let without_place = queued.filter(|item| !self.round.has_place(**item));
        without_place.map(|item| self.round.uuid(*item)).collect()
    }

    // ---------------------------------------------------------- instances that exist

    pub(super) fn take(&mut self, item: Item<'a>, id: PlaceId) {
        self.places.take(id, &item.needs);
        self.count(item);
        let place = self.places.place(id);
        let ready = place.ready;
        if !ready {
            let preferred = preferred_to(&place.instance_type, item.types).map(|it| it.name.clone());
            self.promised.extend(preferred);
        }
        let reason = match ready {
            true => WaitReason::Allocated,
            false => WaitReason::Booting { instance_type: place.instance_type.name.clone() },
        };
        self.wait(item, reason);
        if let Some(worker) = self.places.worker(id) {
            self.round.note_instance(item, &worker.id);
        }
        match (item.state, self.places.worker(id)) {
            (ContainerState::Queued, worker) => {
                self.lock(item);
                self.reserve(item, worker.filter(|_| ready));
            }
            (_, Some(worker)) if ready && item.is_settled => {
                self.round.start(item, &worker.id);
            }
            (_, worker) => {
                self.round.plan.facts.allocated_not_started += 1;
                self.reserve(item, worker.filter(|_| ready));
            }
        }
    }

    /// That instance is not idle while the container waits to be started there. A try of one for which something
    /// keeps failing keeps no instance: repeated for ever, the tries would.
    fn reserve(&mut self, item: Item<'a>, host: Option<&Host>) {
        let is_try = item.state == ContainerState::Queued && item.entry.setback.is_some();
        if !is_try {
            self.reserved.extend(host.map(|host| host.id.clone()));
        }
    }

    /// Whether a container has a place there that is not started in this round.
    pub(super) fn is_reserved(&self, id: &InstanceId) -> bool {
        self.reserved.contains(id)
    }

    fn count(&mut self, item: Item<'a>) {
        self.placed += 1;
        self.supervisors += usize::from(item.supervisor);
    }

    fn lock(&mut self, item: Item<'a>) {
        if item.is_settled {
            self.round.ask_queue(QueueAction::LockContainer(self.round.uuid(item)));
        }
    }

    // ---------------------------------------------------------- instances still to be created

    fn place_on_new(&mut self, item: Item<'a>) -> Placement {
        match self.budget.order(item.types) {
            Order::Create(cheapest) => {
                let it = self.packed(item, cheapest);
                self.take_new(item, it);
            }
            Order::Paused(instance_type, cause) => {
                self.wait_unplaced(item, WaitReason::Paused { instance_type, cause });
            }
            Order::AtCapacity => {
                let instance_types = item.types.iter().map(|it| it.name.clone()).collect();
                self.wait_unplaced(item, WaitReason::AtCapacity { instance_types });
            }
            Order::RetryReservedForOtherType => {
                self.round.plan.facts.over_quota += 1;
                self.wait_unplaced(item, WaitReason::AccountQuota);
            }
            Order::AtQuota(QuotaReason::MaxInstances) => {
                return self.at_quota(item, WaitReason::MaxInstances);
            }
            Order::AtQuota(QuotaReason::Account) => return self.at_quota(item, WaitReason::AccountQuota),
        }
        Placement::GoOn
    }

    fn take_new(&mut self, item: Item<'a>, it: Arc<InstanceType>) {
        let id = self.places.add_new(&it);
        self.places.take(id, &item.needs);
        self.budget.spend(&it);
        self.count(item);
        self.wait(item, WaitReason::Booting { instance_type: it.name.clone() });
        match item.state {
            ContainerState::Queued => self.lock(item),
            _ if item.is_settled => {
                self.round.ask_pool(PoolAction::CreateInstance(it, self.round.uuid(item)));
                return;
            }
            _ => {}
        }
        self.promised.extend(item.types.iter().map(|it| it.name.clone()));
    }
}

/// Those types that are better than that one.
fn preferred_to<'t>(
    it: &InstanceType,
    types: &'t [Arc<InstanceType>],
) -> impl Iterator<Item = &'t Arc<InstanceType>> + use<'t> {
    let preference = TypePreference::of(it);
    types.iter().filter(move |other| TypePreference::of(other) < preference)
}
