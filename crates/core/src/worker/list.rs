//! What a process list means: which processes live, which have ended, which are new, and which locks are stale.

use std::time::Duration;

use super::effect::{WorkerEffect, WorkerFact};
use super::process::{Process, ProcessPhase};
use super::process_list::ProcessList;
use super::reason::DrainReason;
use super::runner::INHERITED_START_WINDOW;
use super::{Machine, State};
use crate::id::ContainerUuid;
use crate::time::{Timestamp, after, since};

impl Machine {
    /// Takes a list in that was asked for at `began`. The caller has checked that nothing has changed since.
    pub(super) fn take_list(
        &mut self,
        list: &ProcessList,
        began: Timestamp,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        self.take_running(list, began, now, effects);
        self.take_stale(list, now, effects);
        if list.broken {
            self.drain(DrainReason::Broken, effects);
        }
    }

    /// Takes in who lives and who has ended, and nothing else.
    pub(super) fn take_running(
        &mut self,
        list: &ProcessList,
        began: Timestamp,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        self.tell_strange(list, effects);
        let is_behind_fence = self.fencing.lets_nothing_more_come(began);
        let is_late = began >= after(self.appeared, INHERITED_START_WINDOW);
        if !list.is_cut && (is_behind_fence || is_late) {
            self.processes.known = true;
            if is_behind_fence {
                self.fencing.note_shown(now);
            }
        }
        for uuid in &list.running {
            self.take_living(*uuid, now, effects);
        }
        if !list.is_cut {
            self.end_missing(list, began, now, effects);
        }
    }

    /// An instance whose lists make no sense says so once.
    fn tell_strange(&mut self, list: &ProcessList, effects: &mut Vec<WorkerEffect>) {
        if let Some(line) = list.strange.as_ref().filter(|_| !self.processes.strange_told) {
            self.processes.strange_told = true;
            effects.push(WorkerEffect::Tell(WorkerFact::StrangeList(line.clone())));
        }
    }

    fn take_living(&mut self, uuid: ContainerUuid, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        self.processes.last_container = Some(uuid);
        match self.processes.by_container.get_mut(&uuid) {
            // The answer of its start command is still to come, and is news of its own.
            Some(Process { phase: ProcessPhase::Starting(_), .. }) => {}
            Some(process) => process.phase = ProcessPhase::Alive,
            None => {
                self.processes.by_container.insert(uuid, Process::new(ProcessPhase::Alive, now));
                effects.push(WorkerEffect::Tell(WorkerFact::Detected(uuid)));
                self.give_up_if_it_keeps_returning(uuid, now, effects);
            }
        }
    }

    fn end_missing(
        &mut self,
        list: &ProcessList,
        began: Timestamp,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let ended = self.processes.by_container.iter().filter(|(uuid, process)| {
            let proven = match process.phase {
                ProcessPhase::Starting(_) => false,
                ProcessPhase::Doubtful { until } | ProcessPhase::Unsent { since: until } => began > until,
                ProcessPhase::Alive => true,
            };
            proven && list.running.binary_search(uuid).is_err()
        });
        for uuid in ended.map(|(uuid, _)| *uuid).collect::<Vec<_>>() {
            self.end_process(uuid, now, effects);
        }
    }

    /// Ends a process.
    pub(super) fn end_process(
        &mut self,
        uuid: ContainerUuid,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let ended = self.processes.by_container.remove(&uuid);
        if ended.as_ref().is_some_and(|process| process.kill.is_some()) {
            self.processes.excused_starts.insert(uuid);
            *self.processes.kills.entry(uuid).or_default() += 1;
        }
        self.watching.forget(uuid);
        let lasted = ended.map_or(Duration::ZERO, |process| since(now, process.since));
        self.processes.last_busy = now;
        self.processes.last_change = Some(now);
        effects.push(WorkerEffect::Tell(WorkerFact::ProcessEnded(uuid, lasted)));
        effects.push(WorkerEffect::Ended(uuid));
        if self.processes.by_container.is_empty() && self.state == State::Running {
            self.state = State::Idle;
        }
    }

    fn take_stale(&mut self, list: &ProcessList, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        self.processes.stale.retain(|uuid, _| list.is_cut || list.stale.binary_search(uuid).is_ok());
        for uuid in &list.stale {
            if !self.processes.stale.contains_key(uuid) {
                effects.push(WorkerEffect::Tell(WorkerFact::StaleRunLock(*uuid)));
            }
            let first = *self.processes.stale.entry(*uuid).or_insert(now);
            if since(now, first) > self.policy.timeout_stale_run_lock {
                self.drain(DrainReason::StaleRunLock, effects);
            }
        }
    }
}
