//! Starts: accepted, answered, judged.

use std::time::Duration;

use super::command::{AttemptOutcome, StartOrder, WorkerRefusal};
use super::completion::StartOutcome;
use super::effect::{WorkerEffect, WorkerFact};
use super::probe::CommandFailure;
use super::process::{Process, ProcessPhase};
use super::reason::DrainReason;
use super::runner::START;
use super::{Machine, State};
use crate::id::ContainerUuid;
use crate::instance::IdleBehavior;
use crate::ports::ExecErrorKind;
use crate::time::{Timestamp, after, since};

/// A worker on which that many starts in a row came to nothing takes no more (a full disk must not burn
/// the attempts of a whole queue).
const FRUITLESS_STARTS: u32 = 3;
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
        self.processes
            .by_container
            .insert(uuid, Process { phase: ProcessPhase::Starting(order), since: now, kill: None });
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
        match outcome {
            StartOutcome::Started => {
                if let ProcessPhase::Starting(order) = process.phase {
                    let took = since(now, process.since);
                    effects.push(WorkerEffect::Tell(WorkerFact::Started { order, took }));
                }
                process.phase = ProcessPhase::Alive;
            }
            StartOutcome::Failed(failure) => {
                process.phase = match failure.kind.is_some_and(ExecErrorKind::is_before_any_command) {
                    true => ProcessPhase::Unsent { since: now },
                    false => ProcessPhase::Doubtful { until: now },
                };
                self.start_failed(uuid, failure, now, effects);
            }
            StartOutcome::Unanswered(failure) => {
                // It was sent at this moment at the latest: before that the connection was opened, or a session
                // waited for. It has its whole deadline on the VM.
                let until = after(now, START + START_GRACE);
                process.phase = ProcessPhase::Doubtful { until };
                self.start_failed(uuid, failure, now, effects);
            }
        }
    }

    fn start_failed(
        &mut self,
        uuid: ContainerUuid,
        failure: CommandFailure,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        effects.push(WorkerEffect::Tell(WorkerFact::StartFailed(uuid, failure)));
        self.processes.excused_starts.insert(uuid);
        self.count_start(AttemptOutcome::StillLocked, effects);
        self.probe_soon(now);
    }

    pub(super) fn judge_start(
        &mut self,
        uuid: ContainerUuid,
        outcome: AttemptOutcome,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let is_excused = self.processes.excused_starts.remove(&uuid);
        match outcome {
            AttemptOutcome::LeftLocked => self.count_start(outcome, effects),
            AttemptOutcome::StillLocked if is_excused => {}
            AttemptOutcome::StillLocked => self.count_start(outcome, effects),
        }
        self.shut_down_if_due(now, effects);
    }

    fn count_start(&mut self, outcome: AttemptOutcome, effects: &mut Vec<WorkerEffect>) {
        self.processes.fruitless_starts = match outcome {
            AttemptOutcome::LeftLocked => 0,
            AttemptOutcome::StillLocked => self.processes.fruitless_starts + 1,
        };
        if self.processes.fruitless_starts >= FRUITLESS_STARTS {
            self.drain(DrainReason::StartsFail, effects);
        }
    }
}
