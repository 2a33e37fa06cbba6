//! The decisions behind the machine's arms.

use super::event::{
    BootOutcome, DrainReason, Effect, Fact, KillOutcome, KillReason, Refusal, ShutdownReason, StartOutcome,
};
use super::probe::{CommandFailure, Deployed, Report, Wanted};
use super::process::{Kill, Phase, Process};
use super::runner::START;
use super::{Machine, State};
use crate::id::ContainerUuid;
use crate::instance::{IdleBehavior, Instance};
use crate::ports::ExecErrorKind;
use crate::time::{Timestamp, after, since};
use std::time::Duration;

/// A worker on which that many starts in a row came to nothing takes no more (a full disk must not burn
/// the attempts of a whole queue).
const FRUITLESS_STARTS: u32 = 3;
/// A start command that got no answer may be under way on the VM for its deadline and this long.
const START_GRACE: Duration = Duration::from_secs(2);
/// Quick probes while the process of a final record is still listed: after 0, 0.5, 1, 2, 4 s.
const BURST_MILLIS: [u64; 4] = [500, 1000, 2000, 4000];
const MINUTE: Duration = Duration::from_secs(60);

// ------------------------------------------------------------------ probes
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
                let warn = late || is_no_matter_of_patience(failure);
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

/// Whether more than patience is needed: the VM refuses us, or is not who it should be.
fn is_no_matter_of_patience(failure: &CommandFailure) -> bool {
    matches!(
        failure.kind,
        Some(ExecErrorKind::Authentication | ExecErrorKind::Verification | ExecErrorKind::Local)
    )
}

// ------------------------------------------------------------------ starts
impl Machine {
    pub(super) fn start(
        &mut self,
        uuid: ContainerUuid,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        if self.behavior != IdleBehavior::Run {
            return Err(Refusal::NotTakingContainers);
        }
        if self.processes.contains_key(&uuid) || self.stale.contains_key(&uuid) {
            return Err(Refusal::AlreadyHere);
        }
        self.processes.insert(uuid, Process { phase: Phase::Starting, since: now, kill: None });
        self.last_container = Some(uuid);
        self.last_busy = now;
        self.state = State::Running;
        effects.push(Effect::Tell(Fact::Starting(uuid)));
        effects.push(Effect::Start(uuid));
        Ok(())
    }

    /// The start's return is a change of the worker: lists begun before it are dropped.
    pub(super) fn finish_start(
        &mut self,
        uuid: ContainerUuid,
        outcome: StartOutcome,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.updated = Some(now);
        let Some(process) = self.processes.get_mut(&uuid) else { return };
        match outcome {
            StartOutcome::Started => {
                process.phase = Phase::Alive;
                effects.push(Effect::Tell(Fact::Started(uuid)));
            }
            StartOutcome::Failed(failure) => {
                process.phase = Phase::Doubtful { until: now };
                self.start_failed(uuid, failure, now, effects);
            }
            StartOutcome::Unanswered(failure) => {
                let until = after(process.since, START + START_GRACE).max(now);
                process.phase = Phase::Doubtful { until };
                self.start_failed(uuid, failure, now, effects);
            }
        }
    }

    fn start_failed(
        &mut self,
        uuid: ContainerUuid,
        failure: CommandFailure,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Tell(Fact::StartFailed(uuid, failure)));
        self.failed_starts.insert(uuid);
        self.count_start(false, effects);
        self.probe_soon(now);
    }

    pub(super) fn judge_start(
        &mut self,
        uuid: ContainerUuid,
        fruitful: bool,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let counted_already = self.failed_starts.remove(&uuid);
        if fruitful || !counted_already {
            self.count_start(fruitful, effects);
        }
        self.shut_down_if_due(now, effects);
    }

    fn count_start(&mut self, fruitful: bool, effects: &mut Vec<Effect>) {
        self.fruitless_starts = if fruitful { 0 } else { self.fruitless_starts + 1 };
        if self.fruitless_starts >= FRUITLESS_STARTS {
            self.drain(DrainReason::StartsFail, effects);
        }
    }
}

// ------------------------------------------------------------------ kills
impl Machine {
    /// A process whose record is final is about to end by itself: it is watched for a moment first.
    /// A process whose start is, or may be, under way is signalled after that: before, `--kill` would find
    /// nothing and call it gone.
    pub(super) fn kill(
        &mut self,
        uuid: ContainerUuid,
        reason: KillReason,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let process = self.processes.get_mut(&uuid).ok_or(Refusal::NoSuchProcess)?;
        if process.kill.is_some() {
            return Ok(());
        }
        let complete = reason == KillReason::Final(crate::container::ContainerState::Complete);
        let ended = matches!(reason, KillReason::Final(_));
        let first_signal = if complete { after(now, self.policy.timeout_signal) } else { now };
        let next_signal = Some(first_signal);
        process.kill = Some(Kill { reason, since: first_signal, next_signal, given_up: false, told: false });
        if ended {
            self.burst = 0;
            self.probe_soon(now);
        }
        self.send_due_signals(now, effects);
        Ok(())
    }

    fn send_due_signals(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut unkillable = false;
        for (uuid, process) in &mut self.processes {
            if process.signal_due().is_none_or(|at| now < at) {
                continue;
            }
            let Some(kill) = process.kill.as_mut() else { continue };
            if kill.told && since(now, kill.since) >= self.policy.timeout_term {
                kill.next_signal = None;
                kill.given_up = true;
                let drains = self.behavior != IdleBehavior::Hold;
                effects.push(Effect::Tell(Fact::GivenUp(*uuid, drains)));
                unkillable = true;
                continue;
            }
            kill.next_signal = None;
            if !std::mem::replace(&mut kill.told, true) {
                kill.since = now;
                effects.push(Effect::Tell(Fact::Killing(*uuid, kill.reason.clone())));
            }
            effects.push(Effect::Tell(Fact::Signalling(*uuid)));
            effects.push(Effect::Kill(*uuid));
        }
        if unkillable {
            self.drain(DrainReason::Unkillable, effects);
        }
    }

    pub(super) fn finish_kill(
        &mut self,
        uuid: ContainerUuid,
        outcome: KillOutcome,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(process) = self.processes.get_mut(&uuid) else { return };
        match outcome {
            KillOutcome::Gone => self.end_process(uuid, now, effects),
            KillOutcome::Failed(failure) => {
                let next = after(now, self.policy.timeout_signal);
                if let Some(kill) = process.kill.as_mut().filter(|kill| !kill.given_up) {
                    kill.next_signal = Some(next);
                }
                effects.push(Effect::Tell(Fact::KillFailed(uuid, failure)));
                self.probe_soon(now);
            }
        }
        self.shut_down_if_due(now, effects);
    }
}

// ------------------------------------------------------------------ hold, drain, tags
impl Machine {
    /// Drained by us: not if the operator holds it.
    pub(super) fn drain(&mut self, reason: DrainReason, effects: &mut Vec<Effect>) {
        if self.behavior != IdleBehavior::Run {
            return;
        }
        self.behavior = IdleBehavior::Drain;
        effects.push(Effect::Tell(Fact::Draining(reason)));
        if reason == DrainReason::Broken && !self.state.is_ready() {
            self.tell_boot_outcome(BootOutcome::Failure, effects);
        }
        self.save_tags_if_needed(effects);
    }

    pub(super) fn set_behavior(&mut self, behavior: IdleBehavior, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.behavior != behavior {
            self.behavior = behavior;
            self.fruitless_starts = 0;
            effects.push(Effect::Tell(Fact::BehaviorSet(behavior)));
        }
        self.save_tags_if_needed(effects);
        self.shut_down_if_due(now, effects);
    }

    pub(super) fn update(&mut self, instance: Instance, now: Timestamp, effects: &mut Vec<Effect>) {
        let moved = instance.address != self.instance.address;
        self.instance = instance;
        if moved {
            effects.push(Effect::Retarget(self.instance.clone()));
            self.probe_soon(now);
        }
        self.save_tags_if_needed(effects);
    }

    /// Saves type and behaviour if the cloud shows others; one call at a time.
    pub(super) fn save_tags_if_needed(&mut self, effects: &mut Vec<Effect>) {
        let wanted = self.policy.tag_keys.for_saving(self.type_name.as_ref(), self.behavior);
        if self.saving_tags.is_none() && !self.instance.tags.matches(&wanted) {
            self.save_tags_at = None;
            self.saving_tags = Some(wanted.clone());
            effects.push(Effect::SaveTags(wanted));
        }
    }

    /// If it failed it is tried again in a while; if the wish has changed meanwhile, at once.
    pub(super) fn tags_saved(&mut self, saved: bool, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(tags) = self.saving_tags.take() else { return };
        if saved {
            self.instance.tags.merge(&tags);
            self.save_tags_if_needed(effects);
        } else {
            self.save_tags_at = Some(after(now, self.policy.sync_interval));
        }
    }
}

// ------------------------------------------------------------------ time, shutdown
impl Machine {
    pub(super) fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.send_due_signals(now, effects);
        self.shut_down_if_due(now, effects);
        if self.state != State::Shutdown && self.save_tags_at.is_some_and(|at| at <= now) {
            self.save_tags_at = None;
            self.save_tags_if_needed(effects);
        }
        let held_unknown = self.state == State::Unknown
            && self.behavior == IdleBehavior::Hold
            && since(now, self.appeared) > self.policy.timeout_booting;
        if held_unknown && self.held_unknown_told.is_none_or(|told| since(now, told) >= MINUTE) {
            self.held_unknown_told = Some(now);
            effects.push(Effect::Tell(Fact::HeldUnknown));
        }
    }

    /// When [`super::Event::Tick`] is due next.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        if self.state == State::Shutdown {
            return None;
        }
        let signal = self.processes.values().filter_map(Process::signal_due).min();
        let idle = (self.state == State::Idle && self.behavior == IdleBehavior::Run)
            .then(|| after(self.last_busy, self.policy.timeout_idle));
        let held = (self.state == State::Unknown && self.behavior == IdleBehavior::Hold).then(|| {
            let first = after(self.appeared, self.policy.timeout_booting + Duration::from_millis(1));
            self.held_unknown_told.map_or(first, |told| after(told, MINUTE))
        });
        [signal, idle, held, self.save_tags_at].into_iter().flatten().min()
    }

    fn shut_down_if_due(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let living = self.processes.values().any(|process| !process.is_given_up());
        let reason = match (self.behavior, self.state) {
            (_, State::Shutdown) | (IdleBehavior::Hold, _) => return,
            (IdleBehavior::Run, State::Idle) if since(now, self.last_busy) >= self.policy.timeout_idle => {
                ShutdownReason::Idle
            }
            (IdleBehavior::Drain, State::Booting | State::Idle | State::Running) if !living => {
                ShutdownReason::Drained
            }
            (IdleBehavior::Run | IdleBehavior::Drain, _) => return,
        };
        self.shut_down(reason, now, effects);
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
            ShutdownReason::Operator(_) => false,
            ShutdownReason::OverQuota => held || busy || self.state == State::Unknown,
            ShutdownReason::BootTimeout | ShutdownReason::Unresponsive => held || self.silent.is_none(),
            ShutdownReason::Idle | ShutdownReason::Drained => held || busy,
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
        let due =
            self.destroy_called.is_none_or(|called| since(listed, called) >= self.policy.timeout_shutdown);
        if due {
            effects.push(Effect::Tell(Fact::RetryingDestroy));
            self.destroy(now, effects);
        }
    }

    /// Once per instance, and only of those that we saw booting.
    pub(super) fn tell_boot_outcome(&mut self, outcome: BootOutcome, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.boot_outcome_told, true) && self.ours {
            effects.push(Effect::Tell(Fact::BootOutcome(outcome)));
        }
    }

    /// The instance is gone: its last words. The processes on it have ended with it.
    pub fn vanish(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.tell_boot_outcome(BootOutcome::Disappeared, &mut effects);
        let ended = std::mem::take(&mut self.processes);
        effects.extend(ended.into_keys().map(Effect::Ended));
        effects
    }
}
