//! Over quota: which containers give their locks back, and which instances make room.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::assign::{Assignment, Placement};
use super::{Item, PoolAction, WaitReason};
use crate::instance::{InstanceType, Market};
use crate::pool::Gate;
use crate::queue::{OperationKind, UnlockReason};
use crate::worker::{ShutdownReason, State};

impl<'a> Assignment<'_, 'a> {
    /// Whether all its types are at quota, and a container before it waits for one of them.
    pub(super) fn is_behind_quota(&self, item: Item<'a>) -> bool {
        let over_quota = &self.over_quota_types;
        !over_quota.is_empty() && item.types.iter().all(|it| over_quota.contains(&it.name))
    }

    /// If all types are at quota the round's placement ends here; if only a market is, containers
    /// that want only this market wait, and others are placed.
    /// A container whose types were all refused lately, or are not wanted by an operator, stops nobody.
    pub(super) fn at_quota(&mut self, item: Item<'a>, reason: WaitReason) -> Placement {
        if item.types.iter().all(|it| self.is_hopeless(it)) {
            self.round.plan.facts.over_quota += 1;
            self.wait_unplaced(item, reason);
            return Placement::GoOn;
        }
        self.over_quota(item, reason.clone());
        let everything = reason == WaitReason::MaxInstances || self.round.supply.at_quota();
        if everything {
            let all = self.round.rules.catalog.types().iter().map(|it| it.name.clone());
            self.over_quota_types.extend(all);
            self.is_first_at_quota(item);
            self.impatient.wait_for_all();
            return Placement::Stop(reason);
        }
        self.note_types_at_quota(item);
        self.is_first_at_quota(item);
        Placement::GoOn
    }

    /// Whether room that is made for an instance of that type would be of no use.
    fn is_hopeless(&self, it: &InstanceType) -> bool {
        let supply = self.round.supply;
        let is_forbidden =
            matches!(supply.gates.get(&it.name), Some(Gate::Paused(cause)) if cause.is_wanted());
        is_forbidden || supply.vain.contains(&it.name)
    }

    /// Notes which of its types are at quota. Another of its types may only lack capacity now: a container that
    /// wants that type is not over quota.
    fn note_types_at_quota(&mut self, item: Item<'a>) {
        let at_quota = item.types.iter().filter(|it| matches!(self.budget.gate(it), Gate::AtQuota(_)));
        let at_quota: Vec<_> = at_quota.map(|it| it.name.clone()).collect();
        self.over_quota_types.extend(at_quota);
    }

    /// Remembers a container that is over quota. No other container overtakes it while its lock is given back.
    pub(super) fn remember_over_quota(&mut self, item: Item<'a>) {
        let operation = item.entry.operation.as_ref().map(|operation| &operation.kind);
        if matches!(operation, Some(OperationKind::Unlock(UnlockReason::OverQuota))) {
            self.note_types_at_quota(item);
        }
    }

    /// The first in line keeps its lock: its next lock and unlock would be wasted.
    pub(super) fn over_quota(&mut self, item: Item<'a>, reason: WaitReason) {
        self.round.plan.facts.over_quota += 1;
        if std::mem::replace(&mut self.first_over_quota, false) {
            return self.wait_unplaced(item, reason);
        }
        self.wait(item, reason);
        match self.may_backfill() {
            // Those behind it may still be let past, up to the ceiling.
            true => self.over_quota_later.push(item),
            false => self.unlock(item, UnlockReason::OverQuota),
        }
    }

    /// Gives back the locks of those over quota, if not as many run as the ceiling allows.
    pub(super) fn unlock_those_over_quota(&mut self) {
        for item in std::mem::take(&mut self.over_quota_later) {
            if !self.is_beyond_ceiling() {
                self.unlock(item, UnlockReason::OverQuota);
            }
        }
    }

    /// A container after the one that ended the placement.
    pub(super) fn leave_behind(&mut self, item: Item<'a>, reason: &WaitReason) {
        if !item.in_line {
            self.note_not_in_line(item);
            return;
        }
        // Containers beyond the ceiling are not unlocked.
        let ceiling = matches!(reason, WaitReason::Ceiling { .. });
        if self.is_over_supervisors(item) && !ceiling {
            self.hold_back_supervisor(item);
            return;
        }
        self.position += 1;
        match reason {
            _ if ceiling => self.wait(item, reason.clone()),
            // Those that were let past may have used it up.
            _ if self.is_beyond_ceiling() => {
                self.wait(item, WaitReason::Ceiling { ceiling: self.round.limits.ceiling });
            }
            _ if self.backfill(item) => {}
            _ => self.over_quota(item, reason.clone()),
        }
    }

    /// Over quota, idle and booting instances with nothing placed on them are shut down to make room. This is never
    /// done because of any other error, nor to an instance on hold, nor to one that may run an unseen process; nor to
    /// one that a container could use which is out of the line only because its record cannot be read for the moment:
    /// it would be made again with the next poll. O(instances × such containers).
    pub(super) fn make_room(&mut self) {
        let markets: BTreeSet<Market> = (self.round.rules.catalog.types().iter())
            .filter(|it| self.over_quota_types.contains(&it.name))
            .map(|it| it.market())
            .collect();
        if markets.is_empty() {
            return;
        }
        let mut soon_wanted = self.unclear_ones();
        let mut to_shut_down = Vec::new();
        for (place, worker) in self.places.workers() {
            let empty = place.containers == 0 && !place.used;
            let state = matches!(worker.state, State::Idle | State::Booting);
            let at_quota = markets.contains(&place.instance_type.market());
            if !(empty && state && worker.processes_known && at_quota) {
                continue;
            }
            match soon_wanted.iter().position(|types| types.contains(&place.instance_type)) {
                Some(one) => drop(soon_wanted.swap_remove(one)),
                None => to_shut_down.push(worker.id.clone()),
            }
        }
        for id in to_shut_down {
            self.round.ask_pool(PoolAction::ShutdownInstance(id, ShutdownReason::OverQuota));
        }
    }

    /// The types that each container may use that waits, and of which nothing can be decided now. O(entries).
    fn unclear_ones(&self) -> Vec<&'a [Arc<InstanceType>]> {
        let unclear =
            self.round.queue.entries.iter().filter(|entry| entry.is_waiting() && entry.is_unclear());
        unclear.map(|entry| entry.types()).collect()
    }
}
