//! One round in progress: its input, and its result so far.

use std::sync::Arc;

use super::input::{Clocked, InputSummary, PlanInput};
use super::places::Places;
use super::processes::ProcessTable;
use super::startup::StartupPhase;
use super::{Action, Firsts, Limits, Plan, PoolAction, QueueAction, WaitReason, Waiting};
use crate::container::ContainerState;
use crate::fit::Resources;
use crate::id::{ContainerUuid, InstanceId};
use crate::instance::InstanceType;
use crate::policy::PlanRules;
use crate::pool::{Fleet, Host, Supply};
use crate::queue::{Entry, QueueSnapshot};
use crate::worker::StartOrder;

/// A container of the round. The line has another order than the entries have in memory, so
/// the facts that a round needs of each entry are copied here, while the entries are read one after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) entry: &'a Entry,
    /// The position of its entry in the snapshot.
    pub(super) position: usize,
    pub(super) state: ContainerState,
    pub(super) supervisor: bool,
    /// Whether its record is not being changed, and no process of it may still be missing from the lists.
    pub(super) is_settled: bool,
    /// Whether it was Locked before our start, and a process of it may still be missing from the lists.
    pub(super) may_run_unseen: bool,
    /// Whether it can be placed at all; if not, [`Round::not_in_line`] says why.
    pub(super) in_line: bool,
    pub(super) needs: Resources,
    pub(super) types: &'a [Arc<InstanceType>],
}

/// One round in progress.
pub(super) struct Round<'a> {
    pub(super) queue: &'a QueueSnapshot,
    pub(super) fleet: &'a Fleet,
    pub(super) limits: &'a Limits,
    pub(super) firsts: &'a Firsts,
    pub(super) rules: &'a PlanRules,
    pub(super) supply: &'a Supply,
    /// By position of the worker.
    pub(super) hosts: Vec<&'a Host>,
    pub(super) processes: ProcessTable<'a>,
    pub(super) has_unknown_workers: bool,
    /// Whether some worker is written off.
    pub(super) has_written_off: bool,
    /// Whether starts of an earlier dispatcher may not be listed yet.
    pub(super) adopting_starts: bool,
    /// Whether something is decided only by a later picture of a container.
    pub(super) awaits_picture: bool,
    /// What the clock says of the round.
    pub(super) clocked: &'a Clocked,
    pub(super) plan: Plan,
    /// By position of the entry.
    uuids: Vec<ContainerUuid>,
    /// By position of the entry.
    waiting: Vec<Option<Waiting>>,
}

impl<'a> Round<'a> {
    pub(super) fn new(input: &'a PlanInput, summary: &InputSummary, clocked: &'a Clocked) -> Self {
        let (queue, fleet) = (&*input.queue, &*input.fleet);
        let uuids: Vec<_> = queue.entries.iter().map(|entry| entry.record.uuid).collect();
        let hosts: Vec<_> = fleet.hosts.iter().map(|host| &**host).collect();
        Self {
            awaits_picture: false,
            processes: ProcessTable::new(queue, &uuids, fleet, &hosts),
            hosts,
            uuids,
            has_unknown_workers: summary.has_unknown_workers,
            has_written_off: summary.has_written_off,
            adopting_starts: clocked.phase != StartupPhase::Scheduling,
            plan: Plan { supply: Arc::clone(&clocked.supply), ..Plan::default() },
            supply: &clocked.supply,
            clocked,
            waiting: vec![None; queue.entries.len()],
            queue,
            fleet,
            limits: &input.limits,
            firsts: &input.firsts,
            rules: &input.rules,
        }
    }

    pub(super) fn item(&self, position: usize) -> Item<'a> {
        let entry = &*self.queue.entries[position];
        Item {
            entry,
            position,
            state: entry.record.state,
            supervisor: entry.record.scheduling.supervisor,
            is_settled: entry.operation.is_none() && !self.may_run_unseen(entry),
            may_run_unseen: self.may_run_unseen(entry),
            in_line: self.not_in_line(position, entry).is_none(),
            needs: entry.needs,
            types: entry.types(),
        }
    }

    pub(super) fn uuid(&self, item: Item<'a>) -> ContainerUuid {
        self.uuids[item.position]
    }

    pub(super) fn has_process(&self, position: usize) -> bool {
        self.processes.of(position).is_any()
    }

    pub(super) fn ask_queue(&mut self, action: QueueAction) {
        self.plan.actions.push(Action::Queue(action));
    }

    pub(super) fn ask_pool(&mut self, action: PoolAction) {
        self.plan.actions.push(Action::Pool(action));
    }

    pub(super) fn start(&mut self, item: Item<'a>, id: &InstanceId) {
        let failed = self.fleet.failed_starts.get(&self.uuid(item));
        let failed_elsewhere = failed.is_some_and(|failed| failed.has_failed_elsewhere(id));
        let locked_at = item.entry.locked_at.filter(|_| failed.is_none());
        let order = StartOrder { failed_elsewhere, locked_at, ..StartOrder::of(item.entry) };
        self.ask_pool(PoolAction::StartContainer(order, id.clone()));
    }

    /// Whether it has a place on an instance, or will have one on an instance that is being created.
    pub(super) fn has_place(&self, item: Item<'a>) -> bool {
        let reason = self.waiting[item.position].as_ref().map(|waiting| &waiting.reason);
        matches!(reason, Some(WaitReason::Allocated | WaitReason::Booting { .. }))
    }

    /// Whether this is a supervisor, and as many as their share allows have a process or a place.
    pub(super) fn is_over_supervisors(&self, item: Item<'a>, supervisors: usize) -> bool {
        let is_over = |most| most > 0 && supervisors >= most;
        item.supervisor && is_over(self.max_supervisors_like(item))
    }

    /// Whether a container of the line may need an instance that does not exist: it has no process, nothing that exists
    /// has room for it, and it may be placed.
    pub(super) fn wants_new(&self, item: Item<'a>, supervisors: usize, places: &Places<'_>) -> bool {
        !self.has_process(item.position)
            && !item.may_run_unseen
            && !self.is_over_supervisors(item, supervisors)
            && places.best(self.uuid(item), &item.needs, item.types).is_none()
    }

    pub(super) fn max_supervisors_like(&self, item: Item<'a>) -> usize {
        let observed = self.supply.observed_capacity_for(item.types);
        self.limits.max_supervisors(observed, self.rules)
    }

    pub(super) fn wait(&mut self, item: Item<'a>, position: Option<usize>, reason: WaitReason) {
        self.waiting[item.position] = Some(Waiting { position, reason, instance: None });
    }

    /// The place for which it waits is on that instance.
    pub(super) fn note_instance(&mut self, item: Item<'a>, id: &InstanceId) {
        if let Some(waiting) = &mut self.waiting[item.position] {
            waiting.instance = Some(id.clone());
        }
    }

    /// The plan. Reasons were noted in the order of uuids, so none needs a search for its position.
    pub(super) fn finish(mut self) -> Plan {
        let waiting = self.uuids.into_iter().zip(self.waiting).filter_map(|(uuid, it)| Some((uuid, it?)));
        self.plan.waiting = waiting.collect();
        self.plan
    }
}
