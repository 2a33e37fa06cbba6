//! The passing of time, and shutdown: destroyed until it is gone.

use std::time::Duration;

use super::command::Refusal;
use super::effect::{BootOutcome, Effect, Fact};
use super::process::Process;
use super::reason::ShutdownReason;
use super::{Machine, State};
use crate::instance::IdleBehavior;
use crate::time::{Timestamp, after, since};

const MINUTE: Duration = Duration::from_secs(60);

impl Machine {
    pub(super) fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.send_due_signals(now, effects);
        self.shut_down_if_due(now, effects);
        if self.state != State::Shutdown && self.save_tags_at.is_some_and(|at| at <= now) {
            self.save_tags_at = None;
            self.save_tags_if_needed(effects);
        }
        let held_unknown = self.is_held_unknown() && since(now, self.appeared) > self.policy.timeout_booting;
        if held_unknown && self.held_unknown_told.is_none_or(|told| since(now, told) >= MINUTE) {
            self.held_unknown_told = Some(now);
            effects.push(Effect::Tell(Fact::HeldUnknown));
        }
    }

    /// When [`super::Completion::Tick`] is due next.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        if self.state == State::Shutdown {
            return None;
        }
        let signal = self.processes.values().filter_map(Process::signal_due).min();
        // Before it was seen whole its next list decides, not the clock.
        let idle = (self.seen_whole && self.state == State::Idle && self.behavior == IdleBehavior::Run)
            .then(|| after(self.last_busy, self.policy.timeout_idle));
        let held = self.is_held_unknown().then(|| {
            let first = after(self.appeared, self.policy.timeout_booting + Duration::from_millis(1));
            self.held_unknown_told.map_or(first, |told| after(told, MINUTE))
        });
        [signal, idle, held, self.save_tags_at].into_iter().flatten().min()
    }

    pub(super) fn shut_down_if_due(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if !self.seen_whole {
            return;
        }
        let reason = match (self.behavior, self.state) {
            (_, State::Shutdown) | (IdleBehavior::Hold, _) => return,
            (IdleBehavior::Run, State::Idle) if since(now, self.last_busy) >= self.policy.timeout_idle => {
                ShutdownReason::Idle
            }
            (IdleBehavior::Drain, _) if self.is_drained() => ShutdownReason::Drained,
            (IdleBehavior::Run | IdleBehavior::Drain, _) => return,
        };
        self.shut_down(reason, now, effects);
    }

    /// Nobody destroys it, and as long as nobody knows what runs there containers wait for it.
    fn is_held_unknown(&self) -> bool {
        let is_unknown = self.state == State::Unknown || !self.seen_whole;
        is_unknown && self.behavior == IdleBehavior::Hold
    }

    /// It is known what runs there: nothing that could still end.
    fn is_drained(&self) -> bool {
        let known = matches!(self.state, State::Booting | State::Idle | State::Running);
        known && self.processes.values().all(Process::is_given_up)
    }

    /// On request. Pool's own reasons yield to what the worker knows better: a process that has just been
    /// started, a hold. The operator's word does not.
    pub(super) fn shut_down_on_request(
        &mut self,
        reason: ShutdownReason,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let held = self.behavior == IdleBehavior::Hold;
        let busy = !self.processes.is_empty();
        let refused = match reason {
            // On its way already, whatever its tags say.
            ShutdownReason::Operator(_) | ShutdownReason::DestroyedBefore => false,
            ShutdownReason::OverQuota => held || busy || !self.seen_whole || self.state == State::Unknown,
            ShutdownReason::BootTimeout | ShutdownReason::Unresponsive => held || self.silent.is_none(),
            ShutdownReason::Idle | ShutdownReason::Drained => held || busy || !self.seen_whole,
        };
        if refused {
            return Err(Refusal::NotTakingContainers);
        }
        self.shut_down(reason, now, effects);
        Ok(())
    }

    fn shut_down(&mut self, reason: ShutdownReason, now: Timestamp, effects: &mut Vec<Effect>) {
        let from = self.state;
        if reason == ShutdownReason::BootTimeout {
            effects.push(Effect::Tell(Fact::BootFailed(self.last_failure.clone())));
        }
        let failed = matches!(reason, ShutdownReason::BootTimeout);
        self.tell_boot_outcome(if failed { BootOutcome::Failure } else { BootOutcome::Aborted }, effects);
        effects.push(Effect::Tell(Fact::ShuttingDown { reason: reason.clone(), from }));
        self.state = State::Shutdown;
        self.shutdown_reason = Some(reason);
        self.destroy(now, effects);
    }

    fn destroy(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.destroy_called = Some(now);
        effects.push(Effect::Destroy);
    }

    /// A lost destroy call must not leave a VM running for ever.
    pub(super) fn destroy_again_if_due(
        &mut self,
        listed: Timestamp,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_destroy_due(listed) {
            effects.push(Effect::Tell(Fact::RetryingDestroy));
            self.destroy(now, effects);
        }
    }

    /// Destroying what is gone is a success too: then there is nothing left to doubt.
    pub(super) fn destroy_again_if_unacknowledged(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if !self.destroy_acknowledged && self.is_destroy_due(now) {
            self.destroy(now, effects);
        }
    }

    fn is_destroy_due(&self, at: Timestamp) -> bool {
        self.destroy_called.is_none_or(|called| since(at, called) >= self.policy.timeout_shutdown)
    }

    /// Once per instance, and only of those that we saw booting.
    pub(super) fn tell_boot_outcome(&mut self, outcome: BootOutcome, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.boot_outcome_told, true) && self.ours {
            effects.push(Effect::Tell(Fact::BootOutcome(outcome)));
        }
    }

    /// The instance is gone: reports the boot outcome, and ends the processes that were on it.
    pub fn instance_gone(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.tell_boot_outcome(BootOutcome::Disappeared, &mut effects);
        let ended = std::mem::take(&mut self.processes);
        effects.extend(ended.into_keys().map(Effect::Ended));
        effects
    }
}
