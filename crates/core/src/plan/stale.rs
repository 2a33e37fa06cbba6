//! What must not be decided yet after a start: locks and processes that an earlier dispatcher left.

use crate::container::ContainerState;
use crate::policy::Policy;
use crate::pool::{LISTINGS_KEPT, PoolSnapshot};
use crate::queue::{Entry, QueueSnapshot};
use crate::time::{Timestamp, after};
use crate::worker::runner::SURFACING;

/// How far the start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No successful poll, or no complete listing yet: nothing at all is decided.
    NotStarted,
    /// Some worker's processes are not known yet: nothing is placed for a while.
    WaitingForWorkers,
    /// A start that an earlier dispatcher had sent may be listed yet, or its VM may, which a listing may omit, and the
    /// next one too, and a VM that was found may not have listed its processes since: what was Locked before keeps its
    /// place in the line, and is not started elsewhere.
    Surfacing,
    /// Everything else.
    Scheduling,
}

pub(super) fn phase(
    queue: &QueueSnapshot,
    pool: &PoolSnapshot,
    has_unknown_workers: bool,
    policy: &Policy,
    now: Timestamp,
) -> Phase {
    let (Some(polled), Some(listed)) = (queue.first_poll_began, pool.first_listing) else {
        return Phase::NotStarted;
    };
    let patience_ends = after(polled.max(listed), policy.stale_lock_timeout);
    if has_unknown_workers && now < patience_ends {
        Phase::WaitingForWorkers
    } else if may_surface(pool, listed, now) && has_a_past(queue, pool) {
        Phase::Surfacing
    } else {
        Phase::Scheduling
    }
}

fn may_surface(pool: &PoolSnapshot, listed: Timestamp, now: Timestamp) -> bool {
    let too_early = now < after(listed, SURFACING) || pool.listings.len() < LISTINGS_KEPT;
    too_early || pool.workers.iter().any(|worker| !worker.view.seen_whole)
}

/// Whether an earlier dispatcher has left anything. What it left on a VM counts although the VM is not known:
/// one listing may omit it.
fn has_a_past(queue: &QueueSnapshot, pool: &PoolSnapshot) -> bool {
    pool.workers.iter().any(|worker| !worker.view.ours)
        || queue.entries.iter().any(|entry| entry.locked_before_start)
}

impl super::Round<'_> {
    /// It was Locked before our start and may have a process on a worker that has not answered yet:
    /// started elsewhere it could run twice.
    pub(super) fn may_run_on_unknown_worker(&self, entry: &Entry) -> bool {
        self.has_unknown_workers && entry.locked_before_start && entry.record.state == ContainerState::Locked
    }

    /// Or on one that has answered, and was still starting it.
    pub(super) fn may_run_unseen(&self, entry: &Entry) -> bool {
        let unseen = self.has_unknown_workers || self.surfacing;
        unseen && entry.locked_before_start && entry.record.state == ContainerState::Locked
    }
}
