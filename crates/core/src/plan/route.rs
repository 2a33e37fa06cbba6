//! In an outage nothing is destroyed before one of the silent instances answers, or a new one. If every container that
//! waits may run on a silent instance, has a place on one or was sent there, no new one would ever be made, and the outage
//! would end by no means. So one is made for the first Locked container, even if it may not be started there: its instance
//! shows whether the fault is ours. If none is Locked, nobody waits, and none is made.
//!
//! One at a time: another follows only when that one is gone, because it did not boot in time.

use std::collections::BTreeSet;

use super::Item;
use super::assign::Assignment;
use super::budget::Order;
use super::{Action, PoolAction, QueueAction};
use crate::container::ContainerState;
use crate::id::ContainerUuid;
use crate::instance::IdleBehavior;
use crate::pool::Host;
use crate::worker::State;

/// Whether it may still answer for the first time. One that somebody holds may never do so, and never goes.
fn is_coming(host: &Host) -> bool {
    host.ours && host.state == State::Booting && host.behavior == IdleBehavior::Run
}

impl<'a> Assignment<'_, 'a> {
    /// O(workers + containers), in an outage only.
    pub(super) fn try_our_route(&mut self, line: &[Item<'a>]) {
        if !self.round.fleet.outage || self.is_beyond_ceiling() || self.is_new_one_coming() {
            return;
        }
        let decided = self.decided();
        let may_be =
            |item: &&Item<'a>| self.may_try_our_route(item) && !decided.contains(&self.round.uuid(**item));
        for item in line.iter().filter(may_be).copied().collect::<Vec<_>>() {
            if let Order::Create(it) = self.budget.order(item.types) {
                self.budget.spend(&it);
                let uuid = self.round.uuid(item);
                self.round.ask_pool(PoolAction::CreateInstance(it, uuid));
                return;
            }
        }
    }

    fn is_new_one_coming(&self) -> bool {
        let is_create = |action: &Action| matches!(action, Action::Pool(PoolAction::CreateInstance(..)));
        let hosts = &self.round.fleet.hosts;
        !self.round.fleet.creates.is_empty()
            || self.round.plan.actions.iter().any(is_create)
            || hosts.iter().any(|host| is_coming(host))
    }

    fn may_try_our_route(&self, item: &Item<'a>) -> bool {
        item.state == ContainerState::Locked
            && item.entry.record.priority > 0
            && !item.entry.is_undecidable()
            && !item.types.is_empty()
    }

    /// The containers about which this round has decided something.
    fn decided(&self) -> BTreeSet<ContainerUuid> {
        let about = |action: &Action| match action {
            Action::Queue(
                QueueAction::LockContainer(uuid)
                | QueueAction::UnlockContainer(uuid, _)
                | QueueAction::RequeueContainer(uuid, _)
                | QueueAction::CancelContainer(uuid, ..)
                | QueueAction::ForgetContainer(uuid)
                | QueueAction::ReadOrphanRecord(uuid),
            )
            | Action::Pool(
                PoolAction::CreateInstance(_, uuid)
                | PoolAction::KillContainer(uuid, _)
                | PoolAction::NoteSpotNotice(uuid, _)
                | PoolAction::ForgetProcess(uuid, _)
                | PoolAction::ForgetAttempts(uuid),
            ) => Some(*uuid),
            Action::Pool(PoolAction::StartContainer(order, _)) => Some(order.uuid),
            Action::Pool(PoolAction::ShutdownInstance(..) | PoolAction::CreateSpare(_)) => None,
        };
        self.round.plan.actions.iter().filter_map(about).collect()
    }
}
