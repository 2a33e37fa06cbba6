//! What must not be decided yet after a start: locks and processes that an earlier dispatcher left
//! (docs/behaviour.md, "After a start").

use std::time::Duration;

use serde::Serialize;

use super::input::{InputSummary, PlanInput};
use crate::container::ContainerState;
use crate::pool::LISTINGS_KEPT;
use crate::queue::Entry;
use crate::time::{Timestamp, after};
use crate::worker::runner::INHERITED_START_WINDOW;

/// How far the start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum StartupPhase {
    /// No successful poll, or no complete listing yet: nothing at all is decided.
    NotStarted,
    /// Some worker's processes are not known yet: nothing is placed for a while.
    WaitingForWorkers,
    /// A start that an earlier dispatcher had sent may not be listed yet: its process may appear late, two listings
    /// in a row may omit its VM, and a VM that was found may not have listed its processes since. A container
    /// that was Locked before the start keeps its position in the line, and is not started elsewhere.
    AdoptingStarts,
    /// The same, but it lasts too long, because a worker that was found has not listed its processes. Containers that
    /// may run there wait, and reserve nothing: everything else goes on.
    AdoptingLate,
    /// Everything is decided.
    Scheduling,
}

pub(super) fn phase(input: &PlanInput, summary: &InputSummary, now: Timestamp) -> StartupPhase {
    let fleet = &input.fleet;
    let (Some(polled), Some(listed)) = (input.queue.first_poll_began, fleet.first_listing) else {
        return StartupPhase::NotStarted;
    };
    let patience_ends = after(polled.max(listed), input.rules.stale_lock_timeout);
    let is_early = is_within_window(input, now) && !is_behind_fences(input);
    let too_early = is_early || fleet.listings.len() < LISTINGS_KEPT;
    if summary.has_unknown_workers && now < patience_ends {
        StartupPhase::WaitingForWorkers
    } else if !summary.has_a_past || !too_early && summary.all_processes_known {
        StartupPhase::Scheduling
    } else if too_early || now < after(patience_ends, INHERITED_START_WINDOW) {
        StartupPhase::AdoptingStarts
    } else {
        StartupPhase::AdoptingLate
    }
}

/// Whether a start that an earlier dispatcher has sent, without a fence, may still come.
pub(super) fn is_within_window(input: &PlanInput, now: Timestamp) -> bool {
    let listed = input.fleet.first_listing;
    has_a_past(input) && listed.is_none_or(|listed| now < after(listed, INHERITED_START_WINDOW))
}

/// Whether no start of an earlier dispatcher can come any more, although little time has passed. The proof: the fence of
/// each VM that was found is ours, and its list came after that; three listings, at least 5 s apart, have shown no
/// other VM; and each record that an earlier dispatcher had locked was read after all that, so that what has ended
/// meanwhile is not taken for waiting. A cloud that omits a VM in three listings in a row could fake it, as it can later.
fn is_behind_fences(input: &PlanInput) -> bool {
    let fleet = &input.fleet;
    let shown: Option<Vec<_>> =
        fleet.hosts.iter().filter(|host| !host.ours).map(|host| host.fenced_since).collect();
    // Where no VM was found none has shown anything.
    let last = shown.and_then(|shown| shown.into_iter().max());
    let known = last.map(|last| Some(last).max(fleet.first_listing));
    fleet.spaced_listings >= LISTINGS_KEPT && known.is_some_and(|known| is_read_after(input, known))
}

/// Whether a poll has begun after that moment, and has shown each record that was Locked before our start. O(entries),
/// in the first minute.
fn is_read_after(input: &PlanInput, moment: Option<Timestamp>) -> bool {
    let queue = &input.queue;
    let inherited = queue.entries.iter().enumerate().filter(|(_, entry)| entry.locked_before_start);
    queue.polled_at > moment
        && inherited.map(|(position, _)| queue.asked_at(position)).all(|asked| asked > moment)
}

/// The least time for which inherited locks are kept.
const LOCKS_KEPT: Duration = Duration::from_secs(60);

/// Whether so little time has passed since the start that no container that was Locked before it gives its lock back
/// for the sake of others. Instances that run out of work need `TimeoutIdle` to make room.
pub(super) fn keeps_inherited_locks(input: &PlanInput, now: Timestamp) -> bool {
    let keep = input.rules.timeout_idle.max(LOCKS_KEPT);
    input.queue.first_poll_began.is_none_or(|polled| now < after(polled, keep))
}

/// Whether an earlier dispatcher has left locks or instances. A lock counts even if its VM is not known:
/// one listing may omit it.
pub(super) fn has_a_past(input: &PlanInput) -> bool {
    input.fleet.hosts.iter().any(|host| !host.ours)
        || input.queue.entries.iter().any(|entry| entry.locked_before_start)
}

impl super::Round<'_> {
    /// Whether the container was Locked before our start and may have a process on a worker that has not answered
    /// yet. If it were started elsewhere it could run twice.
    pub(super) fn may_run_on_unknown_worker(&self, entry: &Entry) -> bool {
        self.has_unknown_workers && entry.locked_before_start && entry.record.state == ContainerState::Locked
    }

    /// The same, and also whether its process may be on a worker that has answered and was still starting it.
    pub(super) fn may_run_unseen(&self, entry: &Entry) -> bool {
        let unseen = self.has_unknown_workers || self.adopting_starts;
        unseen && entry.locked_before_start && entry.record.state == ContainerState::Locked
    }
}
