//! The order of the line, and which containers are in it.

use std::cmp::Reverse;

use super::startup::StartupPhase;
use super::{Item, Round, WaitReason};
use crate::container::ContainerState;
use crate::queue::{Entry, Fit, OperationKind, SetbackCause};
use crate::time::Timestamp;

/// The order of the line: the order of the fields is the policy.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct LineOrder {
    /// Containers with a process come first, so that supervisors among them are counted.
    without_process: bool,
    /// Locked comes before Queued, so that a new container of higher priority causes no locks and unlocks in turn.
    not_locked: bool,
    priority: Reverse<i64>,
    first_seen: Timestamp,
    /// The position of the entry; entries are in the order of their uuids.
    position: usize,
}

impl<'a> Round<'a> {
    /// The containers in scheduling order. O(entries × log).
    pub(super) fn line(&self) -> Vec<Item<'a>> {
        let items: Vec<_> = (0..self.queue.entries.len()).map(|position| self.item(position)).collect();
        let mut ranks: Vec<_> = items.iter().map(|item| self.rank(item)).collect();
        ranks.sort_unstable();
        ranks.into_iter().map(|rank| items[rank.position]).collect()
    }

    fn rank(&self, item: &Item<'a>) -> LineOrder {
        LineOrder {
            without_process: !self.has_process(item.position),
            not_locked: item.state != ContainerState::Locked,
            priority: Reverse(item.entry.record.priority),
            first_seen: item.entry.first_seen,
            position: item.position,
        }
    }

    /// Why a container is not in the line at all.
    pub(super) fn not_in_line(&self, position: usize, entry: &Entry) -> Option<WaitReason> {
        let state = entry.record.state;
        if self.has_process(position) {
            let previous = state == ContainerState::Queued;
            return Some(if previous { WaitReason::PreviousAttempt } else { WaitReason::Allocated });
        }
        if !matches!(state, ContainerState::Queued | ContainerState::Locked) {
            return Some(WaitReason::Allocated);
        }
        if entry.record.priority <= 0 {
            return Some(WaitReason::PriorityZero { state });
        }
        let is_late = self.clocked.phase == StartupPhase::AdoptingLate;
        if self.may_run_on_unknown_worker(entry) || is_late && self.may_run_unseen(entry) {
            return Some(WaitReason::PreviousAttempt);
        }
        if let Some(reason) = self.failure_to_wait_for(entry) {
            return Some(reason);
        }
        match (&entry.unreadable, &entry.operation, &entry.fit) {
            (Some(why), ..) => {
                Some(WaitReason::HandsOff { why: format!("its record cannot be decoded: {why}") })
            }
            _ if entry.absence.is_some() => {
                Some(WaitReason::HandsOff { why: "the controller does not show its record now".into() })
            }
            _ if entry.uncertain => {
                Some(WaitReason::HandsOff { why: "the outcome of a call is unknown".into() })
            }
            (_, _, Fit::Unsized) => Some(WaitReason::NotSized),
            (_, _, Fit::Nowhere(why)) => Some(WaitReason::NoSuitableType { error: why.to_string() }),
            (_, Some(operation), _) if operation.kind != OperationKind::Lock => {
                Some(WaitReason::HandsOff { why: "its record is being changed".into() })
            }
            (None, _, Fit::Types(_)) => None,
        }
    }

    /// Something keeps failing for it: until it may be tried again nothing is reserved for it, and nobody waits.
    fn failure_to_wait_for(&self, entry: &Entry) -> Option<WaitReason> {
        let uuid = entry.record.uuid;
        let failed = self.fleet.failed_starts.get(&uuid).filter(|_| self.clocked.held_starts.contains(&uuid));
        if let Some(failed) = failed {
            let (failures, error) = (failed.count, failed.error.clone());
            return Some(WaitReason::StartsFail { failures, error });
        }
        let waits_for_lock =
            entry.record.state == ContainerState::Queued && entry.is_set_back(SetbackCause::Lock);
        let waits = waits_for_lock || entry.is_set_back(SetbackCause::Mounts);
        let setback = entry.setback.as_ref().filter(|_| waits)?;
        Some(WaitReason::SetBack {
            cause: setback.cause,
            failures: setback.failures,
            error: setback.error.clone(),
        })
    }

    /// Notes the same reason for every container in the line, because nothing is placed yet.
    pub(super) fn all_wait(&mut self, line: &[Item<'a>], reason: &WaitReason) {
        let mut place = 0;
        for item in line {
            let state = item.state;
            if !matches!(state, ContainerState::Queued | ContainerState::Locked) {
                continue;
            }
            if self.has_process(item.position) {
                let previous = state == ContainerState::Queued;
                let reason = if previous { WaitReason::PreviousAttempt } else { WaitReason::Allocated };
                self.wait(*item, None, reason);
            } else if item.entry.record.priority <= 0 {
                self.wait(*item, None, WaitReason::PriorityZero { state });
            } else {
                place += 1;
                self.wait(*item, Some(place), reason.clone());
            }
        }
        self.note_processes();
    }

    pub(super) fn note_processes(&mut self) {
        self.plan.facts.with_process = self.processes.containers();
        self.plan.facts.living = self.processes.living();
    }
}
