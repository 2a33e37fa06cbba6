//! What the configuration of before excuses or forbids, after the dispatcher has read it anew.
//!
//! ```text
//!   reload ── 60 s: calls that were sent before may still arrive ── 120 s: creates may be counted under the old limit
//!          └─ until SPARED_FOR is over nobody is cancelled for want of a type whom one suited before
//! ```

use std::time::Duration;

use dispatch_core::instance::Catalog;
use dispatch_core::policy::Policy;
use dispatch_core::queue::SPARED_FOR;
use dispatch_core::time::{Timestamp, after};

/// A create is sent, answered and listed within that time.
const CREATES_COUNT_FOR: Duration = Duration::from_secs(120);
/// A call that was sent before the reload has arrived within that time.
const CALLS_ARRIVE_WITHIN: Duration = Duration::from_secs(60);

/// The configuration of before.
#[derive(Debug)]
pub(super) struct Before {
    catalog: Catalog,
    max_instances: u32,
    drift_budget: u32,
    reloaded: Timestamp,
}

impl Before {
    pub(super) fn new(policy: &Policy, reloaded: Timestamp) -> Self {
        let Policy { catalog, max_instances, drift_budget, .. } = policy;
        Self {
            catalog: catalog.clone(),
            max_instances: *max_instances,
            drift_budget: *drift_budget,
            reloaded,
        }
    }

    /// The limit that a create then may have been decided under; 0 = none.
    pub(super) fn most(&self, now: u32, at: Timestamp) -> u32 {
        if at >= after(self.reloaded, CREATES_COUNT_FOR) {
            return now;
        }
        if now == 0 || self.max_instances == 0 { 0 } else { now.max(self.max_instances) }
    }

    /// How many renewals at a time may have been decided under.
    pub(super) fn most_renewals(&self, now: u32, at: Timestamp) -> u32 {
        if at >= after(self.reloaded, CALLS_ARRIVE_WITHIN) { now } else { now.max(self.drift_budget) }
    }

    /// Whether a container that is cancelled then could have run, by which types suit it now, and suited it before.
    pub(super) fn could_run(&self, fits_now: bool, fits: impl Fn(&Catalog) -> bool, at: Timestamp) -> bool {
        let fitted = fits(&self.catalog);
        let is_spared = at < after(self.reloaded, SPARED_FOR) && fitted;
        let may_be_of_before = at < after(self.reloaded, CALLS_ARRIVE_WITHIN) && !fitted;
        is_spared || fits_now && !may_be_of_before
    }
}
