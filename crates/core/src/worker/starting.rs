//! Starts: accepted, answered, judged.

use std::time::Duration;

use super::command::{AttemptOutcome, StartOrder, WorkerRefusal};
use super::completion::StartOutcome;
use super::effect::{WorkerEffect, WorkerFact};
use super::fruitless::FruitlessStarts;
use super::probe::CommandFailure;
use super::process::{Process, ProcessPhase};
use super::reason::DrainReason;
use super::runner::START;
use super::{Machine, State};
use crate::id::ContainerUuid;
use crate::instance::IdleBehavior;
use crate::ports::ExecErrorKind;
use crate::time::{Timestamp, after, since};

/// A start command that got no answer may be under way on the VM for its deadline and this long.
const START_GRACE: Duration = Duration::from_secs(2);

impl Machine {
    pub(super) fn start(
        &mut self,
        order: StartOrder,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) -> Result<(), WorkerRefusal> {
        let uuid = order.uuid;
        if self.behavior != IdleBehavior::Run {
            return Err(WorkerRefusal::NotTakingContainers);
        }
        if self.processes.by_container.contains_key(&uuid) || self.processes.stale.contains_key(&uuid) {
            return Err(WorkerRefusal::AlreadyHere);
        }
        self.processes.by_container.insert(uuid, Process::new(ProcessPhase::Starting(order), now));
        self.processes.kills.remove(&uuid);
        self.processes.ended_quietly.remove(&uuid);
        self.processes.last_container = Some(uuid);
        self.processes.last_busy = now;
        self.state = State::Running;
        effects.push(WorkerEffect::Tell(WorkerFact::Starting(order)));
        effects.push(WorkerEffect::Start(uuid));
        Ok(())
    }

    /// The start's return is a change of the worker: lists begun before it are dropped.
    pub(super) fn finish_start(
        &mut self,
        uuid: ContainerUuid,
        outcome: StartOutcome,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        self.processes.last_change = Some(now);
        let Some(process) = self.processes.by_container.get_mut(&uuid) else { return };
        let failed_elsewhere = match process.phase {
            ProcessPhase::Starting(order) => order.failed_elsewhere,
            ProcessPhase::Doubtful { .. } | ProcessPhase::Unsent { .. } | ProcessPhase::Alive => false,
        };
        if let StartOutcome::Failed(failure)
        | StartOutcome::NotRun(_, failure)
        | StartOutcome::Unanswered(failure) = &outcome
        {
            process.start_failure = Some(failure.for_users());
            process.own_fault = failure.kind.is_some_and(ExecErrorKind::is_our_own);
        }
        match outcome {
            StartOutcome::Started => {
                if let ProcessPhase::Starting(order) = process.phase {
                    let took = since(now, process.since);
                    effects.push(WorkerEffect::Tell(WorkerFact::Started { order, took }));
                }
                process.phase = ProcessPhase::Alive;
                self.has_obeyed(now);
            }
            StartOutcome::Failed(failure) => {
                process.phase = match failure.kind.is_some_and(ExecErrorKind::is_before_any_command) {
                    true => ProcessPhase::Unsent { since: now },
                    false => ProcessPhase::Doubtful { until: now },
                };
                self.ask_after_failed_start(uuid, &failure, now, effects);
                self.start_failed(uuid, failure, failed_elsewhere, now, effects);
            }
            StartOutcome::NotRun(reason, failure) => {
                process.phase = ProcessPhase::Unsent { since: now };
                let is_its_fault = self.fence_has_stopped(reason, &failure, effects);
                self.start_failed(uuid, failure, failed_elsewhere || !is_its_fault, now, effects);
            }
            StartOutcome::Unanswered(failure) => {
                // It was sent at this moment at the latest: before that the connection was opened, or a session
                // waited for. It has its whole deadline on the VM.
                let until = after(now, START + START_GRACE);
                process.phase = ProcessPhase::Doubtful { until };
                self.start_failed(uuid, failure, failed_elsewhere, now, effects);
            }
        }
    }

    /// The start's answer came when the instance was being destroyed: whatever it says, a later list tells more.
    pub(super) fn doubt_start(&mut self, uuid: ContainerUuid, now: Timestamp) {
        self.processes.last_change = Some(now);
        if let Some(process) = self.processes.by_container.get_mut(&uuid) {
            process.phase = ProcessPhase::Doubtful { until: after(now, START + START_GRACE) };
        }
    }

    fn start_failed(
        &mut self,
        uuid: ContainerUuid,
        failure: CommandFailure,
        failed_elsewhere: bool,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let is_our_own = failure.kind.is_some_and(ExecErrorKind::is_our_own);
        effects.push(WorkerEffect::Tell(WorkerFact::StartFailed(uuid, failure)));
        self.processes.excused_starts.insert(uuid);
        if !is_our_own {
            self.count_fruitless_start(uuid, failed_elsewhere, effects);
        }
        self.probe_soon(now);
    }

    pub(super) fn judge_start(
        &mut self,
        uuid: ContainerUuid,
        outcome: AttemptOutcome,
        failed_elsewhere: bool,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let is_excused = self.processes.excused_starts.remove(&uuid);
        match outcome {
            AttemptOutcome::LeftLocked => self.processes.fruitless_starts = FruitlessStarts::default(),
            AttemptOutcome::StillLocked if is_excused => {}
            AttemptOutcome::StillLocked => {
                self.ask_after_quiet_end(uuid, now, effects);
                self.count_fruitless_start(uuid, failed_elsewhere, effects);
            }
        }
        self.processes.ended_quietly.remove(&uuid);
        self.shut_down_if_due(now, effects);
    }

    fn count_fruitless_start(
        &mut self,
        uuid: ContainerUuid,
        failed_elsewhere: bool,
        effects: &mut Vec<WorkerEffect>,
    ) {
        self.processes.fruitless_starts.note(uuid, failed_elsewhere);
        if self.processes.fruitless_starts.are_its_fault() {
            self.drain(DrainReason::StartsFail, effects);
        }
    }
}
