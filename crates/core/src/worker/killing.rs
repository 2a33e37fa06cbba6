//! Kills: signal 15 is sent again and again, and at last the kill is given up. Signal 9 is never sent.

use super::Machine;
use super::command::WorkerRefusal;
use super::completion::KillOutcome;
use super::effect::{WorkerEffect, WorkerFact};
use super::fence::NotRun;
use super::probe::CommandFailure;
use super::process::Kill;
use super::reason::{DrainReason, KillReason};
use crate::id::ContainerUuid;
use crate::instance::IdleBehavior;
use crate::time::{Timestamp, after, since};

/// A process that comes back after that many kills is given up.
const RETURNS: u32 = 3;

impl Machine {
    /// A process whose record is final is about to end by itself: it is watched for a moment first.
    /// A process whose start is, or may be, under way is signalled after that: before, `--kill` would find
    /// nothing and call it gone.
    pub(super) fn kill(
        &mut self,
        uuid: ContainerUuid,
        reason: KillReason,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) -> Result<(), WorkerRefusal> {
        let process = self.processes.by_container.get_mut(&uuid).ok_or(WorkerRefusal::NoSuchProcess)?;
        // An operator may begin anew what was given up.
        let by_operator = matches!(reason, KillReason::Operator(_));
        if process.kill.as_ref().is_some_and(|kill| !(kill.given_up && by_operator)) {
            return Ok(());
        }
        let complete = reason == KillReason::Final(crate::container::ContainerState::Complete);
        let ended = matches!(reason, KillReason::Final(_));
        let first_signal = if complete { after(now, self.policy.timeout_signal) } else { now };
        let next_signal = Some(first_signal);
        process.kill = Some(Kill { reason, since: first_signal, next_signal, given_up: false, told: false });
        if ended {
            self.probes.burst = 0;
            self.probe_soon(now);
        }
        self.send_due_signals(now, effects);
        Ok(())
    }

    pub(super) fn send_due_signals(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        let mut unkillable = false;
        for (uuid, process) in &mut self.processes.by_container {
            if process.signal_due().is_none_or(|at| now < at) {
                continue;
            }
            let Some(kill) = process.kill.as_mut() else { continue };
            if kill.told && since(now, kill.since) >= self.policy.timeout_term {
                kill.next_signal = None;
                kill.given_up = true;
                let drains = self.behavior != IdleBehavior::Hold;
                effects.push(WorkerEffect::Tell(WorkerFact::GivenUp(*uuid, drains)));
                unkillable = true;
                continue;
            }
            kill.next_signal = None;
            if !std::mem::replace(&mut kill.told, true) {
                kill.since = now;
                effects.push(WorkerEffect::Tell(WorkerFact::Killing(*uuid, kill.reason.clone())));
            }
            effects.push(WorkerEffect::Tell(WorkerFact::Signalling(*uuid)));
            effects.push(WorkerEffect::Kill(*uuid));
        }
        if unkillable {
            self.drain(DrainReason::Unkillable, effects);
        }
    }

    /// A process that is listed again each time after `--kill` has called it gone cannot be ended by signals, if it is
    /// there at all: it is given up like one that does not end, so that it is not killed without end.
    pub(super) fn give_up_if_it_keeps_returning(
        &mut self,
        uuid: ContainerUuid,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        if self.processes.kills.get(&uuid).is_none_or(|times| *times < RETURNS) {
            return;
        }
        let Some(process) = self.processes.by_container.get_mut(&uuid) else { return };
        let reason = KillReason::KeepsReturning;
        process.kill = Some(Kill { reason, since: now, next_signal: None, given_up: true, told: true });
        let drains = self.behavior != IdleBehavior::Hold;
        effects.push(WorkerEffect::Tell(WorkerFact::GivenUp(uuid, drains)));
        self.drain(DrainReason::Unkillable, effects);
    }

    pub(super) fn finish_kill(
        &mut self,
        uuid: ContainerUuid,
        outcome: KillOutcome,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let Some(process) = self.processes.by_container.get_mut(&uuid) else { return };
        // A late answer about an earlier process of that container says nothing about this one.
        if process.kill.as_ref().is_none_or(|kill| !kill.told) {
            return;
        }
        match outcome {
            KillOutcome::Gone => {
                self.has_obeyed(now);
                self.end_process(uuid, now, effects);
            }
            KillOutcome::NotRun(NotRun::Taken, failure) => {
                self.fence_has_stopped(NotRun::Taken, &failure, effects);
            }
            // A fence that has gone is claimed again; until then the lease alone stands for us.
            KillOutcome::NotRun(reason, failure) => {
                self.fence_has_stopped(reason, &failure, effects);
                self.kill_failed(uuid, failure, now, effects);
            }
            KillOutcome::Failed(failure) => self.kill_failed(uuid, failure, now, effects),
        }
        self.shut_down_if_due(now, effects);
    }

    fn kill_failed(
        &mut self,
        uuid: ContainerUuid,
        failure: CommandFailure,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let next = after(now, self.policy.timeout_signal);
        let process = self.processes.by_container.get_mut(&uuid);
        let kill = process.and_then(|process| process.kill.as_mut());
        if let Some(kill) = kill.filter(|kill| !kill.given_up) {
            kill.next_signal = Some(next);
            // Neither our own side's fault, nor a VM that cannot prove itself, is a process that does not end.
            if failure.kind.is_some_and(|kind| kind.is_our_own() || kind.is_unproven()) {
                kill.since = now;
            }
        }
        effects.push(WorkerEffect::Tell(WorkerFact::KillFailed(uuid, failure)));
        self.probe_soon(now);
    }
}
