//! The site's configuration was read anew: containers are sized under it, a piece at a time.
//!
//! Until the last piece some containers still have the types of before. A plan that takes one does no harm: Pool refuses to
//! create what is configured otherwise now.

use std::sync::Arc;

use super::{Exchange, ExchangeEffect};
use crate::id::ContainerUuid;
use crate::policy::Policy;
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
        self.queue.use_policy(&self.policy);
        let mut effects = Vec::new();
        self.polls.no_later_than(after(now, self.policy.poll_interval), now, &mut effects);
        if is_sized_otherwise {
            self.resizing = Some(Resizing { from: None });
            self.resize_on(&mut effects);
        }
        effects
    }

    /// Sizes the next containers, if any are to be sized anew.
    pub(super) fn resize_on(&mut self, effects: &mut Vec<ExchangeEffect>) {
        let Some(Resizing { from }) = self.resizing.take() else { return };
        let last = self.queue.size_anew(from, self.policy.pieces.entries, &self.policy);
        self.resizing = last.map(|last| Resizing { from: Some(last) });
        self.changed(effects);
        if self.resizing.is_some() {
            self.go_on_soon(effects);
        }
    }
}
