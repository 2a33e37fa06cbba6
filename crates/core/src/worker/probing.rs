//! Probes: when, what they find, and what silence means.

use std::time::Duration;

use super::effect::{BootOutcome, Effect, Fact};
use super::probe::{CommandFailure, Deployed, Report, Wanted};
use super::process::Process;
use super::reason::KillReason;
use super::{Machine, State};
use crate::ports::ExecErrorKind;
use crate::time::{Timestamp, after, since};

/// Quick probes while the process of a final record is still listed: after 0, 0.5, 1, 2, 4 s.
const BURST_MILLIS: [u64; 4] = [500, 1000, 2000, 4000];

impl Machine {
    pub(super) fn probe_soon(&mut self, at: Timestamp) {
        self.urgent = Some(self.urgent.map_or(at, |urgent| urgent.min(at)));
    }

    pub(super) fn begin_probe(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.probing.is_some() {
            return;
        }
        self.probing = Some(now);
        self.last_probe_began = Some(now);
        self.urgent = None;
        effects.push(Effect::Probe(Wanted {
            boot: !self.booted,
            // A busy VM must not look dead because its boot probe fails after a restart.
            list_anyway: self.state != State::Booting,
            deploy: !self.deployed,
            prices: self.prices(),
        }));
    }

    /// The price history for `--list --stdin-prices`, if the cloud has told one.
    fn prices(&self) -> Option<bytes::Bytes> {
        let history = &self.instance.price_history;
        (!history.is_empty()).then(|| serde_json::to_vec(history).expect("numbers and times").into())
    }

    pub(super) fn finish_probe(
        &mut self,
        began: Timestamp,
        report: Report,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.probing = None;
        self.note_first_ssh(&report, now, effects);
        self.note_boot(&report, now, effects);
        match &report.deployed {
            Some(Ok(Deployed::Installed)) => effects.push(Effect::Tell(Fact::RunnerInstalled)),
            Some(Err(failure)) => effects.push(Effect::Tell(Fact::RunnerFailed(failure.clone()))),
            Some(Ok(Deployed::Already)) | None => {}
        }
        self.deployed |= matches!(report.deployed, Some(Ok(_)));
        match (report.listing(), report.failure()) {
            // Of the same instant counts as before: nobody knows which came first.
            (Some(listing), failure) if self.updated.is_none_or(|updated| began > updated) => {
                self.take_list(listing, began, now, effects);
                match failure {
                    // It can be asked, but it has not booted and runs nothing.
                    Some(failure) if self.processes.is_empty() && !self.booted => {
                        self.probe_failed(began, failure.clone(), now, effects);
                    }
                    _ => {
                        self.answered(began, now, effects);
                        self.enter_service(began, now, effects);
                    }
                }
                self.go_on_bursting(now);
            }
            // Something changed while it ran: it proves that the VM answers, and nothing else.
            (Some(_), failure) => {
                if failure.is_none() || self.booted {
                    self.answered(began, now, effects);
                }
                self.probe_soon(now);
            }
            (None, Some(failure)) => self.probe_failed(began, failure.clone(), now, effects),
            (None, None) => {}
        }
        self.shut_down_if_due(now, effects);
    }

    fn note_first_ssh(&mut self, report: &Report, now: Timestamp, effects: &mut Vec<Effect>) {
        if report.reached_verification && self.first_ssh.is_none() {
            self.first_ssh = Some(now);
            if self.state == State::Booting {
                effects.push(Effect::Tell(Fact::FirstSsh(since(now, self.appeared))));
            }
        }
    }

    fn note_boot(&mut self, report: &Report, now: Timestamp, effects: &mut Vec<Effect>) {
        match &report.boot {
            None => {}
            Some(Ok(output)) => {
                self.booted = true;
                effects.push(Effect::Tell(Fact::BootProbeSucceeded(output.clone())));
            }
            Some(Err(failure)) => {
                let late = since(now, self.appeared) > self.policy.timeout_booting;
                let warn = late || waiting_will_not_help(failure);
                effects.push(Effect::Tell(Fact::BootProbeFailed { failure: failure.clone(), warn }));
                self.last_failure = Some(failure.clone());
            }
        }
    }

    fn answered(&mut self, began: Timestamp, now: Timestamp, effects: &mut Vec<Effect>) {
        self.last_success = self.last_success.max(Some(began));
        self.silent = None;
        effects.push(Effect::Tell(Fact::ProbeSucceeded(since(now, began))));
    }

    fn probe_failed(
        &mut self,
        began: Timestamp,
        failure: CommandFailure,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        // Exit status 127: the deployed runner has gone (a cleaned /tmp), so look for it next time.
        self.deployed &= failure.kind.is_some();
        let last_news = self.last_success.unwrap_or(self.appeared);
        let silent_for = since(began, last_news);
        // Measured at the start of the failing probe: one probe at least follows the deadline.
        self.silent = (silent_for > self.probe_timeout()).then_some(began);
        if self.state.is_ready() || self.booted {
            let duration = since(now, began);
            effects.push(Effect::Tell(Fact::ProbeFailed { failure: failure.clone(), duration, silent_for }));
        }
        self.last_failure = Some(failure);
    }

    fn probe_timeout(&self) -> Duration {
        if self.state.is_ready() { self.policy.timeout_probe } else { self.policy.timeout_booting }
    }

    /// A good list makes a worker ready: once it has booted, or because processes prove it alive.
    fn enter_service(&mut self, began: Timestamp, now: Timestamp, effects: &mut Vec<Effect>) {
        let busy = !self.processes.is_empty();
        let state = if busy { State::Running } else { State::Idle };
        let entering = !self.state.is_ready() && (self.booted || busy);
        if entering {
            self.state = state;
            self.last_busy = now;
            let since_ssh = since(now, self.first_ssh.unwrap_or(now));
            let fact = Fact::InService { probe_start: began, running: self.processes.len(), since_ssh };
            effects.push(Effect::Tell(fact));
            self.tell_boot_outcome(BootOutcome::Success, effects);
        } else if self.state.is_ready() {
            self.state = state;
        }
    }

    /// While the process of a final record is still listed it is asked for again, less and less often.
    fn go_on_bursting(&mut self, now: Timestamp) {
        let awaited = |process: &Process| {
            process
                .kill
                .as_ref()
                .is_some_and(|kill| matches!(kill.reason, KillReason::Final(_)) && !kill.given_up)
        };
        if !self.processes.values().any(awaited) {
            self.burst = 0;
        } else if let Some(millis) = BURST_MILLIS.get(self.burst as usize) {
            self.burst += 1;
            self.probe_soon(after(now, Duration::from_millis(*millis)));
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
