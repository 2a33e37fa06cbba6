//! Containers that have, or had, a process: each arm is a row of the table in
//! (docs/behaviour.md, "Containers that have, or had, a process").
//!
//! A process that is not seen may still run: while any worker is unknown, nothing is concluded from a missing
//! process. An ended process is acted upon only with a picture of its container that was asked for after its end.

use std::time::Duration;

use super::processes::ProcessCounts;
use super::{PoolAction, QueueAction, Round};
use crate::container::ContainerState as S;
use crate::id::ContainerUuid;
use crate::pool::{EndedProcess, EndedWhy, FailedStarts, LISTINGS_KEPT};
use crate::queue::{CancelReason, Entry, Fit, LookOutcome, SetbackCause, UnlockReason};
use crate::time::after;
use crate::worker::{AttemptOutcome, KillReason};

/// The picture of a container by which the end of its process is acted upon was asked for at least so long after the end,
/// and that by which a process is killed as one that nobody wants, so long after its start.
/// A watch shows the end within milliseconds of the runner's last word to the controller, and a controller that reads
/// from a replica may not know that word yet, not even in the last look before a cancel.
const SETTLES: Duration = Duration::from_secs(1);

/// The column of the table: what is known of the container's processes.
enum ProcessStanding<'p> {
    None,
    Ended(&'p EndedProcess),
    Alive,
}

impl Round<'_> {
    /// O(entries + orphans × log).
    pub(super) fn reconcile(&mut self) {
        for (position, entry) in self.queue.entries.iter().enumerate() {
            self.reconcile_entry(position, entry);
        }
        self.reconcile_orphans();
        self.forget_attempts();
    }

    fn reconcile_entry(&mut self, position: usize, entry: &Entry) {
        if entry.is_undecidable() {
            return;
        }
        let uuid = entry.record.uuid;
        let known = *self.processes.of(position);
        let process = match &known {
            ProcessCounts { alive: 1.., .. } => ProcessStanding::Alive,
            ProcessCounts { ended: Some(ended), .. } => ProcessStanding::Ended(ended),
            ProcessCounts { .. } => ProcessStanding::None,
        };
        self.note_spot_notice(entry, &known);
        match (entry.record.state, process) {
            (S::Running, ProcessStanding::None) => self.cancel_if_nowhere(position, entry),
            (S::Running, ProcessStanding::Ended(ended)) if self.was_asked_after(position, ended) => {
                self.cancel(entry, CancelReason::ProcessExited);
            }
            (S::Running | S::Locked, ProcessStanding::Alive) if entry.record.priority <= 0 => {
                self.kill(uuid, &known, KillReason::PriorityZero);
            }
            (S::Complete | S::Cancelled, ProcessStanding::Alive) => {
                self.kill(uuid, &known, KillReason::Final(entry.record.state));
            }
            // It was Locked until we have cancelled it for that.
            (S::Cancelled, ProcessStanding::Ended(_)) if entry.cancelled_unstarted => {
                self.ask_pool(PoolAction::ForgetProcess(uuid, AttemptOutcome::StillLocked))
            }
            (S::Complete | S::Cancelled, ProcessStanding::Ended(_)) => {
                self.ask_pool(PoolAction::ForgetProcess(uuid, AttemptOutcome::LeftLocked))
            }
            (S::Complete | S::Cancelled, ProcessStanding::None) => {
                self.ask_queue(QueueAction::ForgetContainer(uuid))
            }
            (S::Queued, ProcessStanding::Alive) if self.was_asked_since_start(position, &known) => {
                self.kill(uuid, &known, KillReason::Requeued);
            }
            (S::Queued, ProcessStanding::Alive) => self.awaits_picture = true,
            (S::Queued, ProcessStanding::Ended(_)) => {
                self.ask_pool(PoolAction::ForgetProcess(uuid, AttemptOutcome::StillLocked))
            }
            (S::Queued, ProcessStanding::None) if entry.record.priority <= 0 => {
                self.ask_queue(QueueAction::ForgetContainer(uuid))
            }
            (S::Locked, ProcessStanding::Ended(ended)) if self.was_asked_after(position, ended) => {
                self.place_again(entry, ended)
            }
            (S::Locked, ProcessStanding::None) if entry.record.priority <= 0 => {
                if !self.may_run_unseen(entry) && !entry.is_set_back(SetbackCause::Unlock) {
                    self.ask_queue(QueueAction::UnlockContainer(uuid, UnlockReason::PriorityZero));
                }
            }
            (S::Queued | S::Locked, ProcessStanding::None) => self.cancel_if_unsuitable(entry),
            (S::Running | S::Locked, ProcessStanding::Ended(_)) => self.awaits_picture = true,
            // It runs as it should.
            (S::Running | S::Locked, ProcessStanding::Alive) => {}
        }
    }

    /// An instance whose end the cloud has announced to a process there gets nothing new. Only while the process runs: what
    /// an earlier attempt was told may still stand in the record.
    fn note_spot_notice(&mut self, entry: &Entry, known: &ProcessCounts<'_>) {
        if let Some(notice) = entry.record.preemption_notice.as_ref().filter(|_| known.without_notice > 0)
            && entry.record.state == S::Running
        {
            self.ask_pool(PoolAction::NoteSpotNotice(entry.record.uuid, notice.clone()));
        }
    }

    /// Handles a process that ended although its container never became Running. If the cause was an instance that
    /// is gone, or could not be reached, the container is placed again and stays Locked: an unlock would cost its
    /// user an attempt. It counts as a failed start all the same, because a job may end each of its instances.
    fn place_again(&mut self, entry: &Entry, ended: &EndedProcess) {
        let uuid = entry.record.uuid;
        match ended.why {
            EndedWhy::Exited if entry.is_set_back(SetbackCause::Unlock) => {}
            EndedWhy::Exited => {
                let failed = FailedStarts::after(self.fleet.failed_starts.get(&uuid).cloned(), ended);
                self.ask_queue(QueueAction::RequeueContainer(uuid, text_of_last_attempt(&failed)));
            }
            EndedWhy::NotStarted | EndedWhy::InstanceGone => {
                self.ask_pool(PoolAction::ForgetProcess(uuid, AttemptOutcome::StillLocked))
            }
        }
    }

    /// Asks for a cancel. After a failure it is not repeated before its back-off is over, so that a controller that
    /// refuses is not asked again and again.
    fn cancel(&mut self, entry: &Entry, reason: CancelReason) {
        if !entry.is_set_back(SetbackCause::Cancel) {
            self.ask_queue(QueueAction::CancelContainer(entry.record.uuid, reason, entry.record.standing()));
        }
    }

    /// Whether the picture of the entry at that position was asked for long enough after the process had ended.
    fn was_asked_after(&self, position: usize, ended: &EndedProcess) -> bool {
        self.queue.asked_at(position).is_some_and(|asked| asked >= after(ended.at, SETTLES))
    }

    /// Whether the picture of the entry at that position was asked for long enough after the last of its processes was
    /// started or found: it was locked for that just before, and a replica may still show the time before the lock.
    fn was_asked_since_start(&self, position: usize, known: &ProcessCounts<'_>) -> bool {
        let asked = self.queue.asked_at(position);
        asked.zip(known.youngest).is_some_and(|(asked, began)| asked >= after(began, SETTLES))
    }

    /// Cancels a Running container that no worker has. The proof: every worker has answered, no start of an earlier
    /// dispatcher can be under way, and three complete listings that began after the first poll have shown no other
    /// instance, not even one that is written off. Two listings in a row may omit a VM, and after a restart there is
    /// no other sign of it.
    fn cancel_if_nowhere(&mut self, position: usize, entry: &Entry) {
        let first_poll = self.queue.first_poll_began;
        let proofs = self.fleet.listings.iter().filter(|began| Some(**began) > first_poll).count();
        let asked = self.queue.asked_at(position);
        // The first picture of one that we did not know may be of the past: it may have ended and been forgotten.
        let is_known = asked.is_some_and(|asked| asked >= after(entry.first_seen, SETTLES));
        let asked_since = is_known && asked > self.fleet.listings.first().copied();
        let all_is_seen = !self.has_unknown_workers && !self.has_written_off && !self.adopting_starts;
        if proofs >= LISTINGS_KEPT && asked_since && all_is_seen && !self.clocked.is_within_window {
            self.cancel(entry, CancelReason::NotOnAnyWorker);
        }
    }

    fn cancel_if_unsuitable(&mut self, entry: &Entry) {
        if let Fit::Nowhere(why) = &entry.fit
            && entry.spared_until.is_none()
            && !self.may_run_unseen(entry)
        {
            self.cancel(entry, CancelReason::NoSuitableType(why.to_string()));
        }
    }

    fn kill(&mut self, uuid: ContainerUuid, known: &ProcessCounts<'_>, reason: KillReason) {
        if known.can_be_killed > 0 {
            self.ask_pool(PoolAction::KillContainer(uuid, reason));
        }
    }

    /// Drops the failed starts of containers that have left the queue. O(failed starts × log).
    fn forget_attempts(&mut self) {
        let failed: Vec<_> = self.fleet.failed_starts.keys().copied().collect();
        for uuid in failed {
            if self.queue.get(uuid).is_none() {
                self.ask_pool(PoolAction::ForgetAttempts(uuid));
            }
        }
    }

    /// Processes of containers that are not in the queue: killed only when the controller itself says that
    /// it does not know them, and is believed. A record that belongs to another dispatcher, or cannot be decoded, is left alone.
    fn reconcile_orphans(&mut self) {
        let orphans: Vec<_> = self.processes.orphans().collect();
        for (uuid, known) in orphans {
            if self.queue.unreadable.contains_key(&uuid) {
                continue;
            }
            match (self.queue.looked.get(&uuid), known.alive) {
                (_, 0) => self.ask_pool(PoolAction::ForgetProcess(uuid, AttemptOutcome::LeftLocked)),
                (Some(LookOutcome::Absent), _) => self.kill(uuid, &known, KillReason::NotInQueue),
                (Some(LookOutcome::Foreign), _) => {}
                (Some(LookOutcome::Doubted) | None, _) => self.ask_queue(QueueAction::ReadOrphanRecord(uuid)),
            }
        }
    }
}

/// What the user of a container reads whose last attempt has come to nothing.
fn text_of_last_attempt(failed: &FailedStarts) -> String {
    let times =
        if failed.count == 1 { "once".to_owned() } else { format!("{} times in a row", failed.count) };
    format!("the container could not be started ({times}); at the last attempt {}", failed.error)
}
