//! In an outage nothing is destroyed before one of the silent instances answers, or a new one. If every container that
//! waits may run on a silent instance, or has a place on one, no new one would ever be made, and the outage would end by no
//! means. So one is made for the first of them, even if it may not be started there yet: its instance shows whether the
//! fault is ours.
//!
//! One at a time: another follows only when that one is gone, because it did not boot in time.

use super::Item;
use super::assign::Assignment;
use super::budget::Order;
use super::{Action, PoolAction};
use crate::container::ContainerState;
use crate::worker::State;

impl<'a> Assignment<'_, 'a> {
    /// O(workers + containers), in an outage only.
    pub(super) fn try_our_route(&mut self, line: &[Item<'a>]) {
        if !self.round.fleet.outage || self.is_beyond_ceiling() || self.is_new_one_coming() {
            return;
        }
        for item in line.iter().filter(|item| self.may_try_our_route(item)) {
            if let Order::Create(it) = self.budget.order(item.types) {
                self.budget.spend(&it);
                let uuid = self.round.uuid(*item);
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
            || hosts.iter().any(|host| host.ours && host.state == State::Booting)
    }

    fn may_try_our_route(&self, item: &Item<'a>) -> bool {
        item.state == ContainerState::Locked
            && item.entry.record.priority > 0
            && !item.entry.is_undecidable()
            && !self.round.has_process(item.position)
            && self.round.waits_for_an_answer(*item)
    }
}
