//! Booting: from the first connection to service.

use super::effect::{BootOutcome, WorkerEffect, WorkerFact};
use super::probe::{CommandFailure, Report};
use super::{Machine, State};
use crate::ports::ExecErrorKind;
use crate::time::{Timestamp, since};

/// How far the boot has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Boot {
    /// The boot probe has succeeded.
    pub(super) passed: bool,
    /// When a connection first got as far as the verification of the host key.
    pub(super) first_ssh: Option<Timestamp>,
    /// The outcome was told: it is told once.
    outcome_told: bool,
    /// How the last probe failed: what is told if the boot fails.
    pub(super) last_failure: Option<CommandFailure>,
}

impl Machine {
    pub(super) fn note_first_ssh(
        &mut self,
        report: &Report,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        if report.reached_verification && self.boot.first_ssh.is_none() {
            self.boot.first_ssh = Some(now);
            if self.state == State::Booting {
                effects.push(WorkerEffect::Tell(WorkerFact::FirstSsh(since(now, self.appeared))));
            }
        }
    }

    pub(super) fn note_boot(&mut self, report: &Report, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        match &report.boot {
            None => {}
            Some(Ok(output)) => {
                self.boot.passed = true;
                effects.push(WorkerEffect::Tell(WorkerFact::BootProbeSucceeded(output.clone())));
            }
            Some(Err(failure)) => {
                let late = since(now, self.appeared) > self.policy.timeout_booting;
                let warn = late || waiting_will_not_help(failure);
                effects
                    .push(WorkerEffect::Tell(WorkerFact::BootProbeFailed { failure: failure.clone(), warn }));
                self.boot.last_failure = Some(failure.clone());
            }
        }
    }

    /// A good list makes a worker ready: once it has booted, or because processes prove it alive.
    pub(super) fn enter_service(
        &mut self,
        began: Timestamp,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let busy = !self.processes.by_container.is_empty();
        let state = if busy { State::Running } else { State::Idle };
        let entering = !self.state.is_ready() && (self.boot.passed || busy);
        if entering {
            self.state = state;
            self.processes.last_busy = now;
            let since_ssh = since(now, self.boot.first_ssh.unwrap_or(now));
            let fact = WorkerFact::InService {
                probe_start: began,
                running: self.processes.by_container.len(),
                since_ssh,
            };
            effects.push(WorkerEffect::Tell(fact));
            self.tell_boot_outcome(BootOutcome::Success, effects);
        } else if self.state.is_ready() {
            self.state = state;
        }
    }

    /// Tells the outcome: once per instance, and only of an instance that this process has created.
    pub(super) fn tell_boot_outcome(&mut self, outcome: BootOutcome, effects: &mut Vec<WorkerEffect>) {
        if !std::mem::replace(&mut self.boot.outcome_told, true) && self.ours {
            effects.push(WorkerEffect::Tell(WorkerFact::BootOutcome(outcome)));
        }
    }
}

/// Whether somebody must act: the VM refuses our login, is not the one that we made, or the fault is on our side.
fn waiting_will_not_help(failure: &CommandFailure) -> bool {
    matches!(
        failure.kind,
        Some(ExecErrorKind::Authentication | ExecErrorKind::Verification | ExecErrorKind::Local)
    )
}
