//! The site's configuration was read anew: containers are sized under it, a piece at a time.
//!
//! Until the last piece some containers still have the types of before. A plan that takes one does no harm: Pool refuses to
//! create what is configured otherwise now. Operations that wait for their turn are taken back, and none is begun before
//! all are sized. A container that no type suits any more is spared for a while ([`SPARED_FOR`]).

use std::sync::Arc;

use super::{Exchange, ExchangeEffect, ExchangeFact};
use crate::id::ContainerUuid;
use crate::policy::Policy;
use crate::queue::SPARED_FOR;
use crate::time::{Timestamp, after};

/// How far the containers have been sized anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resizing {
    /// The next is the first after this one; `None` = the first of all.
    from: Option<ContainerUuid>,
}

impl Exchange {
    /// From now on that configuration holds. The next poll comes no later than it says.
    pub fn use_policy(&mut self, policy: Arc<Policy>, now: Timestamp) -> Vec<ExchangeEffect> {
        let before = std::mem::replace(&mut self.policy, policy);
        let is_sized_otherwise =
            (&before.catalog, &before.sizing) != (&self.policy.catalog, &self.policy.sizing);
        self.queue.use_policy(&self.policy, is_sized_otherwise, now);
        if before.sizing.spot_retries.is_none() && self.policy.sizing.spot_retries.is_some() {
            self.queue.want_requests();
        }
        let mut effects = Vec::new();
        self.polls.no_later_than(after(now, self.policy.poll_interval), now, &mut effects);
        if is_sized_otherwise {
            // What waits in the line was decided under the configuration of before: the next plan decides anew.
            for uuid in self.calls.withdraw_operations() {
                self.queue.withdraw(uuid);
            }
            self.resizing = Some(Resizing { from: None });
            self.resize_on(now, &mut effects);
        }
        effects
    }

    /// Sizes the next containers, if any are to be sized anew.
    pub(super) fn resize_on(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        let Some(Resizing { from }) = self.resizing.take() else { return };
        let mut facts = Vec::new();
        let last = self.queue.size_anew(from, self.policy.pieces.entries, &self.policy, now, &mut facts);
        effects.extend(facts.into_iter().map(ExchangeFact::Queue).map(ExchangeEffect::Tell));
        self.resizing = last.map(|last| Resizing { from: Some(last) });
        self.changed(effects);
        if self.resizing.is_some() {
            self.go_on_soon(effects);
            return;
        }
        let containers = self.queue.spared();
        if containers > 0 {
            let fact = ExchangeFact::NoTypeSinceReload { containers, until: after(now, SPARED_FOR) };
            effects.push(ExchangeEffect::Tell(fact));
        }
    }

    /// After a poll: those who were spared for long enough may be cancelled.
    pub(super) fn end_sparing(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if self.queue.end_sparing(now) {
            self.changed(effects);
        }
    }
}
