//! One round in progress: what it is made from, and what it has come to so far.

use std::ops::Deref;

use super::processes::ProcessTable;
use super::{Action, Limits, Plan, WaitReason, Waiting};
use crate::id::ContainerUuid;
use crate::policy::Policy;
use crate::pool::PoolSnapshot;
use crate::queue::{Entry, QueueSnapshot};

/// A container of the round: its entry, and where that stands in the snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) entry: &'a Entry,
    pub(super) position: usize,
    /// Whether it can be placed at all; if not, [`Round::not_in_line`] says why.
    pub(super) in_line: bool,
}

impl<'a> Deref for Item<'a> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        self.entry
    }
}

/// One round in progress.
pub(super) struct Round<'a> {
    pub(super) queue: &'a QueueSnapshot,
    pub(super) pool: &'a PoolSnapshot,
    pub(super) limits: &'a Limits,
    pub(super) policy: &'a Policy,
    pub(super) processes: ProcessTable<'a>,
    pub(super) has_unknown_workers: bool,
    pub(super) plan: Plan,
    /// By position of the entry: entries are large, and are not all read again for this.
    pub(super) uuids: Vec<ContainerUuid>,
    /// By position of the entry.
    waiting: Vec<Option<Waiting>>,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        queue: &'a QueueSnapshot,
        pool: &'a PoolSnapshot,
        limits: &'a Limits,
        policy: &'a Policy,
    ) -> Self {
        let uuids: Vec<_> = queue.entries.iter().map(|entry| entry.record.uuid).collect();
        Self {
            processes: ProcessTable::new(queue, &uuids, pool),
            uuids,
            has_unknown_workers: pool.has_unknown_workers(),
            plan: Plan::default(),
            waiting: vec![None; queue.entries.len()],
            queue,
            pool,
            limits,
            policy,
        }
    }

    pub(super) fn item(&self, position: usize, in_line: bool) -> Item<'a> {
        Item { entry: &self.queue.entries[position], position, in_line }
    }

    pub(super) fn has_process(&self, position: usize) -> bool {
        self.processes.of(position).is_any()
    }

    pub(super) fn act(&mut self, action: Action) {
        self.plan.actions.push(action);
    }

    pub(super) fn wait(&mut self, item: Item<'a>, position: Option<usize>, reason: WaitReason) {
        self.waiting[item.position] = Some(Waiting { position, reason });
    }

    /// The plan. Reasons were noted in the order of uuids: no search for the place of each.
    pub(super) fn finish(mut self) -> Plan {
        let waiting = self.uuids.into_iter().zip(self.waiting).filter_map(|(uuid, it)| Some((uuid, it?)));
        self.plan.waiting = waiting.collect();
        self.plan
    }
}
