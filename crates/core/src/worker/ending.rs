//! What the passing of time causes, and shutdown: the instance is destroyed again and again until it is gone.

use std::time::Duration;

use super::command::WorkerRefusal;
use super::completion::DestroyOutcome;
use super::effect::{BootOutcome, WorkerEffect, WorkerFact};
use super::process::{KeptFor, Process};
use super::reason::ShutdownReason;
use super::{Machine, State};
use crate::instance::IdleBehavior;
use crate::time::{Timestamp, after, since};

const MINUTE: Duration = Duration::from_secs(60);
/// An instance that is listed for longer than this after the first call to destroy it may never end: the operator is
/// told, the calls become rare, and it does not count against "near a quota" any more.
pub const OUTSTAYS: Duration = Duration::from_secs(5 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// How far the end of the instance has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ending {
    /// When destroy was first decided.
    pub(super) began: Option<Timestamp>,
    /// When destroy was last decided, or the cloud was asked for it.
    decided: Option<Timestamp>,
    /// Whether a call waits for its slot: the cloud has not been asked.
    waits_for_slot: bool,
    /// When the last call that has ended was sent.
    pub(super) destroy_called: Option<Timestamp>,
    /// The cloud has acknowledged a destroy call.
    pub(super) destroy_acknowledged: bool,
    /// Whether the last listing that told anything showed it.
    still_listed: bool,
    /// How long to wait before the next call, once it has outstayed.
    pause: Duration,
    /// The state in which it lives on, if it shows a living process before the cloud is asked to end it.
    pub(super) returns_to: Option<State>,
    /// The same, of the call that the cloud was asked for last: if it refuses, there is a way back again.
    pub(super) asked_from: Option<State>,
    /// When the last probe began that got no list from it, for a reason that is not our own side's.
    pub(super) last_failed_look: Option<Timestamp>,
    /// When the operator was last told that it never ends.
    never_ends_told: Option<Timestamp>,
    /// When the operator was last told that nothing is known of an instance on hold.
    held_unknown_told: Option<Timestamp>,
}

impl Ending {
    pub(super) fn call_finished(&mut self, sent: Timestamp, outcome: DestroyOutcome) {
        self.waits_for_slot = false;
        self.destroy_called = self.destroy_called.max(Some(sent));
        let asked_from = self.asked_from.take();
        match outcome {
            DestroyOutcome::Acknowledged => self.destroy_acknowledged = true,
            // Without a lease the call has not even begun.
            DestroyOutcome::Refused => self.returns_to = self.returns_to.or(asked_from),
            DestroyOutcome::Unknown => {}
        }
    }

    /// The slot of a call has come.
    pub(super) fn call_begins(&mut self, now: Timestamp) {
        if std::mem::take(&mut self.waits_for_slot) {
            self.decided = self.decided.max(Some(now));
        }
        self.asked_from = self.returns_to.take();
    }

    fn has_outstayed(&self, now: Timestamp) -> bool {
        self.began.is_some_and(|began| since(now, began) >= OUTSTAYS)
    }

    /// The least time between two calls: none at first, because a call may be lost.
    fn pause_at(&self, now: Timestamp) -> Duration {
        if self.has_outstayed(now) { self.pause.max(MINUTE) } else { Duration::ZERO }
    }

    /// A call is repeated: the next is later, if the instance has outstayed.
    fn slow_down(&mut self, now: Timestamp) {
        if self.has_outstayed(now) {
            self.pause = (self.pause_at(now) * 2).min(LONGEST_PAUSE);
        }
    }

    /// When the operator is to be told next that it never ends.
    fn tells_at(&self) -> Option<Timestamp> {
        let first = after(self.began.filter(|_| self.still_listed)?, OUTSTAYS);
        Some(self.never_ends_told.map_or(first, |told| after(told, MINUTE)))
    }
}

impl Machine {
    pub(super) fn tick(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        self.send_due_signals(now, effects);
        self.shut_down_if_due(now, effects);
        self.retry_tags_if_due(now, effects);
        let held_unknown = self.is_held_unknown() && since(now, self.appeared) > self.policy.timeout_booting;
        if held_unknown && self.ending.held_unknown_told.is_none_or(|told| since(now, told) >= MINUTE) {
            self.ending.held_unknown_told = Some(now);
            effects.push(WorkerEffect::Tell(WorkerFact::HeldUnknown));
        }
    }

    /// When [`super::Completion::Tick`] is due next.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        if self.state == State::Shutdown {
            return self.ending.tells_at();
        }
        let signal = self.processes.by_container.values().filter_map(Process::signal_due).min();
        // Before its processes are known its next list decides, not the clock.
        let may_idle = self.processes.known && self.processes.kept.is_none() && !self.fencing.is_anothers();
        let idle = (may_idle && self.state == State::Idle && self.behavior == IdleBehavior::Run)
            .then(|| after(self.processes.last_busy, self.policy.timeout_idle));
        let held = self.is_held_unknown().then(|| {
            let first = after(self.appeared, self.policy.timeout_booting + Duration::from_millis(1));
            self.ending.held_unknown_told.map_or(first, |told| after(told, MINUTE))
        });
        [signal, idle, held, self.tags.retry_at, self.watch_due()].into_iter().flatten().min()
    }

    pub(super) fn shut_down_if_due(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        if !self.processes.known || self.fencing.is_anothers() {
            return;
        }
        let reason = match (self.behavior, self.state) {
            (_, State::Shutdown) | (IdleBehavior::Hold, _) => return,
            (IdleBehavior::Run, State::Idle)
                if self.processes.kept.is_none()
                    && since(now, self.processes.last_busy) >= self.policy.timeout_idle =>
            {
                ShutdownReason::Idle
            }
            (IdleBehavior::Drain, _) if self.is_drained() => ShutdownReason::Drained,
            (IdleBehavior::Run | IdleBehavior::Drain, _) => return,
        };
        self.shut_down(reason, now, effects);
    }

    /// A plan has, or has no more, a use for it although nothing runs there. Its idle time begins when it has
    /// none: a worker that is destroyed while something waits for it would be created again.
    pub(super) fn keep(&mut self, why: Option<KeptFor>, now: Timestamp) {
        if self.processes.kept.is_some() && why.is_none() {
            self.processes.last_busy = self.processes.last_busy.max(now);
        }
        self.processes.kept = why;
    }

    /// Whether it is on hold and what runs there is not known: no rule destroys it, and containers wait until it is known.
    fn is_held_unknown(&self) -> bool {
        !self.processes.known && self.behavior == IdleBehavior::Hold
    }

    /// Whether it is known that nothing runs there that could still end.
    fn is_drained(&self) -> bool {
        let known = matches!(self.state, State::Booting | State::Idle | State::Running);
        known && self.processes.by_container.values().all(Process::is_given_up)
    }

    /// Shuts down on request. Pool's own reasons give way to what the worker knows better (a process that has just
    /// been started, a hold). The operator's order does not.
    pub(super) fn shut_down_on_request(
        &mut self,
        reason: ShutdownReason,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) -> Result<(), WorkerRefusal> {
        // What another dispatcher runs there is not ours to end.
        let held = self.behavior == IdleBehavior::Hold || self.fencing.is_anothers();
        let busy = !self.processes.by_container.is_empty();
        let refused = match reason {
            // On its way already, whatever its tags say.
            ShutdownReason::Operator(_) | ShutdownReason::DestroyedBefore => false,
            ShutdownReason::OverQuota => {
                held || busy || !self.processes.known || self.state == State::Unknown
            }
            ShutdownReason::BootTimeout | ShutdownReason::Unresponsive => {
                held || self.probes.silent.is_none()
            }
            ShutdownReason::Idle | ShutdownReason::Drained => held || busy || !self.processes.known,
        };
        if refused {
            return Err(WorkerRefusal::NotTakingContainers);
        }
        self.shut_down(reason, now, effects);
        Ok(())
    }

    fn shut_down(&mut self, reason: ShutdownReason, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        let from = self.state;
        if reason == ShutdownReason::BootTimeout {
            effects.push(WorkerEffect::Tell(WorkerFact::BootFailed(self.boot.last_failure.clone())));
        }
        let failed = matches!(reason, ShutdownReason::BootTimeout);
        self.tell_boot_outcome(if failed { BootOutcome::Failure } else { BootOutcome::Aborted }, effects);
        self.note_way_back(&reason, Some(from));
        effects.push(WorkerEffect::Tell(WorkerFact::ShuttingDown { reason, from }));
        self.state = State::Shutdown;
        self.destroy(now, effects);
    }

    fn destroy(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        self.ending.began.get_or_insert(now);
        self.ending.decided = Some(now);
        self.ending.waits_for_slot = true;
        effects.push(WorkerEffect::Destroy);
    }

    /// A lost destroy call must not leave a VM running for ever.
    pub(super) fn destroy_again_if_due(
        &mut self,
        listed: Timestamp,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        self.ending.still_listed = true;
        if self.is_destroy_due(listed) && self.is_still_condemned(now) {
            effects.push(WorkerEffect::Tell(WorkerFact::RetryingDestroy));
            self.ending.slow_down(now);
            self.destroy(now, effects);
        }
    }

    /// A VM that the cloud does not end costs money until somebody looks: told once a minute.
    pub(super) fn tell_if_it_never_ends(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        let Some(began) = self.ending.began.filter(|_| self.ending.tells_at().is_some_and(|at| at <= now))
        else {
            return;
        };
        self.ending.never_ends_told = Some(now);
        let price = self.like.as_ref().map(|it| it.price);
        effects.push(WorkerEffect::Tell(WorkerFact::NeverEnds { since: since(now, began), price }));
    }

    /// Repeats the call although a listing lacks the instance: destroying what is gone is a success too, and then
    /// nothing is in doubt any more.
    pub(super) fn destroy_again_if_unacknowledged(
        &mut self,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        self.ending.still_listed = false;
        let is_due = !self.ending.destroy_acknowledged && self.is_destroy_due(now);
        if is_due && self.is_still_condemned(now) {
            self.destroy(now, effects);
        }
    }

    /// Whether a call that the cloud has not been asked for, or has refused, may be repeated. What was decided for silence
    /// holds only if it has been silent since, or has shown that nothing runs there; otherwise it is looked at first. The
    /// answer of a look that is under way is waited for: it may be on its way.
    fn is_still_condemned(&mut self, now: Timestamp) -> bool {
        if self.ending.returns_to.is_none() {
            return true;
        }
        let asked = self.ending.decided.max(self.ending.destroy_called);
        let is_empty = self.processes.by_container.is_empty() && self.probes.last_success > asked;
        let is_being_looked_at = self.probes.under_way.is_some();
        let is_condemned = !is_being_looked_at && (is_empty || self.ending.last_failed_look > asked);
        if !is_condemned && !is_being_looked_at {
            self.look_afresh(now);
        }
        is_condemned
    }

    /// Not while a call waits for its slot: for a rack that is ended at once, each listing would add as many calls again.
    fn is_destroy_due(&self, at: Timestamp) -> bool {
        if self.ending.waits_for_slot {
            return false;
        }
        let pause = self.policy.timeout_shutdown.max(self.ending.pause_at(at));
        let last = self.ending.decided.max(self.ending.destroy_called);
        last.is_none_or(|last| since(at, last) >= pause)
    }

    /// The instance is gone: reports the boot outcome, and ends the processes that were on it.
    pub fn instance_gone(&mut self) -> Vec<WorkerEffect> {
        let mut effects = Vec::new();
        self.tell_boot_outcome(BootOutcome::Disappeared, &mut effects);
        let ended = std::mem::take(&mut self.processes.by_container);
        effects.extend(ended.into_keys().map(WorkerEffect::Ended));
        effects
    }
}
