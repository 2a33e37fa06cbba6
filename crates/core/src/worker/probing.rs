//! Probes: when, what they find, and what silence means.

use std::time::Duration;

use super::effect::{WorkerEffect, WorkerFact};
use super::probe::{CommandFailure, Deployed, Report, Wanted};
use super::process::Process;
use super::proof::KEPT_UNPROVEN;
use super::reason::KillReason;
use super::{Machine, ProbeTurn, State};
use crate::policy::Policy;
use crate::ports::ExecErrorKind;
use crate::time::{Timestamp, after, since};

/// Quick probes while the process of a final record, or one whose end was told, is still listed: after 0, 0.5, 1, 2, 4 s.
const BURST_MILLIS: [u64; 4] = [500, 1000, 2000, 4000];
/// An instance that is being destroyed is asked this often what still runs there: it may never go.
const ASKED_IN_SHUTDOWN: Duration = Duration::from_secs(60);

/// When the worker is probed, and what its answers prove.
#[derive(Debug, Clone)]
pub(super) struct Probes {
    /// When the probe that is under way began.
    pub(super) under_way: Option<Timestamp>,
    pub(super) last_began: Option<Timestamp>,
    /// When the last successful probe began.
    pub(super) last_success: Option<Timestamp>,
    /// The last sign of life that does not say all: when a probe began whose list was cut, or a command was answered.
    pub(super) last_sign: Option<Timestamp>,
    /// When the last probe began of which some command ran there, whatever became of it.
    pub(super) last_contact: Option<Timestamp>,
    /// Whether the last probe that has ended did not get through to it.
    pub(super) out_of_reach: bool,
    /// When the probe began that showed it silent for too long.
    pub(super) silent: Option<Timestamp>,
    /// Silence before this moment does not count: we were not able to ask.
    pub(super) excused_until: Option<Timestamp>,
    /// Its next probe opens a connection for itself: a listing lacks it, the last one failed, or we were paused.
    pub(super) afresh: bool,
    /// When the last probe began that opened a connection for itself, and had no answer.
    pub(super) failed_afresh: Option<Timestamp>,
    /// When the one before that began.
    pub(super) failed_afresh_before: Option<Timestamp>,
    /// It is to be probed out of turn, no later than then.
    pub(super) urgent: Option<Timestamp>,
    /// That is for a process whose end was told.
    pub(super) hinted: bool,
    /// Quick probes since a record became final, or an end was told: how many were asked for.
    pub(super) burst: u32,
    /// The runner is there.
    pub(super) deployed: bool,
    /// It could not be copied when that was last tried: nothing can be started.
    pub(super) lacks_runner: bool,
    /// It has proven before that it is this instance, and could not the last time that somebody answered.
    pub(super) unproven: bool,
}

impl Probes {
    /// The last sign of life, of whatever kind.
    pub(super) fn last_answer(&self) -> Option<Timestamp> {
        self.last_success.max(self.last_sign)
    }

    /// Never probed, and to be probed as soon as possible.
    pub(super) fn wanted_at(now: Timestamp) -> Self {
        Self {
            under_way: None,
            last_began: None,
            last_success: None,
            last_sign: None,
            last_contact: None,
            out_of_reach: false,
            silent: None,
            excused_until: None,
            afresh: false,
            failed_afresh: None,
            failed_afresh_before: None,
            urgent: Some(now),
            hinted: false,
            burst: 0,
            deployed: false,
            lacks_runner: false,
            unproven: false,
        }
    }
}

impl Machine {
    pub(super) fn probe_soon(&mut self, at: Timestamp) {
        self.probes.urgent = Some(self.probes.urgent.map_or(at, |urgent| urgent.min(at)));
    }

    /// A listing lacks it. Whether it is gone is for the instance to say, over a connection opened for the question.
    pub(super) fn look_afresh(&mut self, now: Timestamp) {
        self.probes.afresh = true;
        self.probe_soon(now);
    }

    /// Notes what a probe that began then says about whether the instance is there at all.
    fn note_presence(&mut self, began: Timestamp, report: &Report, effects: &mut Vec<WorkerEffect>) {
        // Whatever else has failed: what it has listed is its word.
        let has_listed = matches!(report.list, Some(Ok(_)));
        let failure = report.failure().filter(|_| !has_listed);
        self.note_proof(failure, effects);
        match failure.and_then(|failure| failure.kind) {
            // An exit status is the word of the instance that was to be asked.
            None => {
                self.watching.note_answer();
                self.probes.last_contact = self.probes.last_contact.max(Some(began));
                self.probes.out_of_reach = false;
            }
            Some(kind) if kind.is_our_own() => {}
            Some(_) => {
                self.probes.out_of_reach = true;
                if report.afresh {
                    self.probes.failed_afresh_before = self.probes.failed_afresh.replace(began);
                }
            }
        }
    }

    pub(super) fn begin_probe(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        if self.probes.under_way.is_some() {
            return;
        }
        self.probes.under_way = Some(now);
        self.probes.last_began = Some(now);
        self.probes.urgent = None;
        self.probes.hinted = false;
        effects.push(WorkerEffect::Probe(Wanted {
            boot: !self.boot.passed,
            // A busy VM must not look dead because its boot probe fails after a restart.
            list_anyway: self.state != State::Booting,
            deploy: !self.probes.deployed,
            prices: self.prices(),
            afresh: std::mem::take(&mut self.probes.afresh),
            fence: self.fence_wish(),
            secret: self.policy.tag_keys.secret_of(&self.instance.tags),
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
        effects: &mut Vec<WorkerEffect>,
    ) {
        self.probes.under_way = None;
        self.note_presence(began, &report, effects);
        if report.failures().any(|failure| self.is_excuse(failure)) {
            self.excuse_silence(now);
        }
        self.note_first_ssh(&report, now, effects);
        self.note_boot(&report, now, effects);
        self.note_runner(&report, effects);
        self.note_claim(&report, began, now, effects);
        match (report.process_list(), report.failure()) {
            // A list of the same instant counts as older: it is not known which came first.
            (Some(list), failure) if self.processes.last_change.is_none_or(|updated| began > updated) => {
                self.take_list(list, began, now, effects);
                let is_empty = self.processes.by_container.is_empty();
                // A list that is cut proves less than a worker needs to be used.
                let is_incomplete = list.is_cut && !self.state.is_ready();
                match failure {
                    // It can be asked, but it has not booted, or can start nothing; and it runs nothing.
                    Some(failure) if is_empty && (!self.boot.passed || self.probes.lacks_runner) => {
                        self.probe_failed(began, failure.clone(), report.afresh, now, effects);
                    }
                    // On one that we have made nothing can run yet.
                    Some(_) | None if is_incomplete && is_empty && self.state == State::Booting => {
                        self.probe_failed(began, cut_list(), report.afresh, now, effects);
                    }
                    Some(_) | None if is_incomplete => self.answered_in_part(began, now, effects),
                    // Nothing could be started there: as long as nothing runs, that is as if it had not booted.
                    Some(_) | None if is_empty && self.is_kept_from_service() => {
                        self.probe_failed(began, self.fencing.why_not_ours(), report.afresh, now, effects);
                    }
                    Some(_) | None => {
                        self.answered(began, now, effects);
                        self.enter_service(began, now, effects);
                    }
                }
                self.go_on_bursting(now);
            }
            // Something changed while it ran: it proves that the VM answers, and nothing else.
            (Some(_), failure) => {
                if failure.is_none() || self.boot.passed {
                    self.answered(began, now, effects);
                }
                self.probe_soon(now);
            }
            (None, Some(failure)) => self.probe_failed(began, failure.clone(), report.afresh, now, effects),
            (None, None) => {}
        }
        self.shut_down_if_due(now, effects);
    }

    /// Notes whether the runner could be copied there.
    fn note_runner(&mut self, report: &Report, effects: &mut Vec<WorkerEffect>) {
        let Some(deployed) = &report.deployed else { return };
        match deployed {
            Ok(Deployed::Installed) => effects.push(WorkerEffect::Tell(WorkerFact::RunnerInstalled)),
            Err(failure) => effects.push(WorkerEffect::Tell(WorkerFact::RunnerFailed(failure.clone()))),
            Ok(Deployed::Already) => {}
        }
        self.probes.deployed |= deployed.is_ok();
        self.probes.lacks_runner = deployed.is_err();
    }

    /// Takes in what still runs on an instance that is being destroyed. It is neither used nor judged any more.
    pub(super) fn finish_probe_in_shutdown(
        &mut self,
        began: Timestamp,
        report: &Report,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        self.probes.under_way = None;
        self.note_presence(began, report, effects);
        self.note_claim(report, began, now, effects);
        let Some(list) = report.process_list() else {
            let is_our_own = report.failures().all(|it| it.kind.is_some_and(ExecErrorKind::is_our_own));
            if !is_our_own {
                self.ending.last_failed_look = Some(began);
            }
            return;
        };
        if self.processes.last_change.is_some_and(|changed| began <= changed) {
            return;
        }
        self.take_running(list, began, now, effects);
        match list.is_cut {
            true => self.probes.last_sign = self.probes.last_sign.max(Some(began)),
            false => self.probes.last_success = self.probes.last_success.max(Some(began)),
        }
    }

    /// Whether an instance that is being destroyed can still say something that is not known: an earlier dispatcher's
    /// containers wait for its list, and those of its processes until they have ended or it is gone.
    pub(super) fn may_show_news_in_shutdown(&self) -> bool {
        !self.processes.known || !self.processes.by_container.is_empty()
    }

    /// When it is to be probed next, and why then; `None` = a probe is under way, or not at all.
    pub(super) fn next_probe(&self) -> Option<(Timestamp, ProbeTurn)> {
        if self.probes.under_way.is_some() {
            return None;
        }
        let follows = |pause| self.probes.last_began.map_or(self.appeared, |began| after(began, pause));
        match self.state {
            State::Shutdown if self.probes.afresh && self.probes.urgent.is_some() => {
                self.probes.urgent.map(|urgent| (urgent, ProbeTurn::OutOfTurn))
            }
            State::Shutdown => {
                self.may_show_news_in_shutdown().then(|| (follows(ASKED_IN_SHUTDOWN), ProbeTurn::InTurn))
            }
            State::Unknown | State::Booting | State::Idle | State::Running => {
                Some(match self.probes.urgent {
                    None => (follows(self.pause_between_probes()), ProbeTurn::InTurn),
                    Some(urgent) if self.probes.hinted => (urgent, ProbeTurn::EndHinted),
                    Some(urgent) => (urgent, ProbeTurn::OutOfTurn),
                })
            }
        }
    }

    fn pause_between_probes(&self) -> Duration {
        let is_quiet = match self.state {
            State::Unknown | State::Booting | State::Shutdown => false,
            State::Idle => true,
            State::Running => self.watching.since().is_some(),
        };
        self.policy.quiet_probe_interval.filter(|_| is_quiet).unwrap_or(self.policy.probe_interval)
    }

    fn answered(&mut self, began: Timestamp, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        self.probes.last_success = self.probes.last_success.max(Some(began));
        self.probes.silent = None;
        effects.push(WorkerEffect::Tell(WorkerFact::ProbeSucceeded(since(now, began))));
    }

    /// A start or a kill has succeeded there: whatever becomes of its probes, it is not silent.
    pub(super) fn has_obeyed(&mut self, now: Timestamp) {
        self.probes.last_sign = self.probes.last_sign.max(Some(now));
        self.probes.silent = None;
        self.probes.out_of_reach = false;
        self.probes.unproven = false;
        self.watching.note_answer();
    }

    /// It is not silent, and what runs there is not known.
    fn answered_in_part(&mut self, began: Timestamp, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        self.probes.last_sign = self.probes.last_sign.max(Some(began));
        self.probes.silent = None;
        let (duration, silent_for) = (since(now, began), Duration::ZERO);
        effects.push(WorkerEffect::Tell(WorkerFact::ProbeFailed {
            failure: cut_list(),
            duration,
            silent_for,
        }));
        self.boot.last_failure = Some(cut_list());
    }

    fn probe_failed(
        &mut self,
        began: Timestamp,
        failure: CommandFailure,
        afresh: bool,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        // Exit status 127: the deployed runner has gone (a cleaned /tmp), so look for it next time.
        self.probes.deployed &= failure.kind.is_some();
        let last_news = self.probes.last_answer().unwrap_or(self.appeared);
        let last_news = self.probes.excused_until.map_or(last_news, |until| until.max(last_news));
        let silent_for = since(began, last_news);
        // Who may be silent is asked over a connection opened for it: one that stands may have died unnoticed.
        let is_asked_well = afresh || failure.kind.is_none();
        self.probes.afresh |= failure.kind.is_some();
        // Measured at the start of the failing probe: one probe at least follows the deadline.
        self.probes.silent = (is_asked_well && silent_for > self.probe_timeout()).then_some(began);
        if self.state.is_ready() || self.boot.passed {
            let duration = since(now, began);
            effects.push(WorkerEffect::Tell(WorkerFact::ProbeFailed {
                failure: failure.clone(),
                duration,
                silent_for,
            }));
        }
        self.boot.last_failure = Some(failure);
    }

    fn probe_timeout(&self) -> Duration {
        let usual = silence_allowed(self.state, self.probes.last_answer().is_some(), &self.policy);
        if self.is_kept_unproven() { usual.max(KEPT_UNPROVEN) } else { usual }
    }

    /// While the process of a final record, or one whose end was told, is still listed it is asked for again, less and less
    /// often.
    fn go_on_bursting(&mut self, now: Timestamp) {
        let awaited = |process: &Process| {
            process
                .kill
                .as_ref()
                .is_some_and(|kill| matches!(kill.reason, KillReason::Final(_)) && !kill.given_up)
        };
        if !self.processes.by_container.values().any(awaited) && !self.watching.awaits_an_end() {
            self.probes.burst = 0;
        } else if let Some(millis) = BURST_MILLIS.get(self.probes.burst as usize) {
            self.probes.burst += 1;
            self.probe_soon(after(now, Duration::from_millis(*millis)));
        } else {
            self.watching.believe_the_lists();
        }
    }
}

/// How long a worker may give no sign of life. One that was found and has answered in part may be as busy as one in
/// service, so it has no less time than that.
pub(crate) fn silence_allowed(state: State, has_answered: bool, policy: &Policy) -> Duration {
    match state {
        State::Unknown if has_answered => policy.timeout_booting.max(policy.timeout_probe),
        State::Unknown | State::Booting => policy.timeout_booting,
        State::Idle | State::Running | State::Shutdown => policy.timeout_probe,
    }
}

/// The failure of a probe whose list is cut.
fn cut_list() -> CommandFailure {
    CommandFailure {
        command: "crunch-run --list".to_owned(),
        error: "the process list is cut: its last line has no end, or there are too many".to_owned(),
        kind: None,
        stdout: String::new(),
        stderr: String::new(),
    }
}
