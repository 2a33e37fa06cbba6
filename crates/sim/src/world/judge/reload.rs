//! What the configuration of before excuses, soon after the dispatcher has read it anew: calls that were decided on under it
//! may still be on their way.

use std::time::Duration;

use dispatch_core::instance::Catalog;
use dispatch_core::time::{Timestamp, after};

/// A call is made, repeated and answered within that time.
const EXCUSES_FOR: Duration = Duration::from_secs(120);

/// The configuration of before.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) catalog: Catalog,
    max_instances: u32,
    reloaded: Timestamp,
}

impl Before {
    pub(super) fn new(catalog: Catalog, max_instances: u32, reloaded: Timestamp) -> Self {
        Self { catalog, max_instances, reloaded }
    }

    /// Whether it excuses what has happened then.
    pub(super) fn excuses(&self, at: Timestamp) -> bool {
        at < after(self.reloaded, EXCUSES_FOR)
    }

    /// The greater limit; 0 = none.
    pub(super) fn most(&self, now: u32) -> u32 {
        if now == 0 || self.max_instances == 0 { 0 } else { now.max(self.max_instances) }
    }
}
