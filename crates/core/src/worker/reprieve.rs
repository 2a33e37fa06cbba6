//! A shutdown for silence is taken back, if the instance shows what runs there before the cloud was asked to end it.
//!
//! ```text
//!   ShutDown(BootTimeout, Unresponsive) ─► Shutdown ─► Destroy ─► waits for its slot ─► may_destroy? ─► the call
//!                                             │                                             │
//!     the state before it ◄── a list with a living process, until then ◄── no ──────────────┘
//! ```
//! Calls to the cloud are paced: a hundred silent instances may wait for minutes, and what was true when the end was
//! decided may be so no longer. An instance that answers and runs nothing is not spared: nothing is lost with it.

use super::effect::{WorkerEffect, WorkerFact};
use super::probe::Report;
use super::reason::ShutdownReason;
use super::{Machine, State};
use crate::time::Timestamp;

impl Machine {
    /// The cloud is asked to end the instance now, unless this says no. After a yes there is no way back, unless the
    /// cloud refuses.
    pub fn may_destroy(&mut self, now: Timestamp) -> bool {
        self.ending.call_begins(now);
        self.state == State::Shutdown
    }

    /// The instance is to be shut down for that reason; `state`: where it would return to.
    pub(super) fn note_way_back(&mut self, reason: &ShutdownReason, state: Option<State>) {
        self.ending.returns_to = match reason {
            ShutdownReason::BootTimeout | ShutdownReason::Unresponsive => state,
            ShutdownReason::Operator(_)
            | ShutdownReason::DestroyedBefore
            | ShutdownReason::OverQuota
            | ShutdownReason::Idle
            | ShutdownReason::Drained => None,
        };
    }

    /// Whether the shutdown is taken back, because that report shows a living process. The report is taken after that
    /// as if nothing had been.
    pub(super) fn is_reprieved(
        &mut self,
        report: &Report,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) -> bool {
        let runs = report.process_list().is_some_and(|list| !list.running.is_empty());
        runs && self.return_to_life(now, effects)
    }

    /// Whether there was a way back. What was not done in shutdown is done now: signals whose answer was lost are sent
    /// again, tags are saved, and it may have moved.
    pub(super) fn return_to_life(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) -> bool {
        let Some(state) = self.ending.returns_to else { return false };
        (self.state, self.ending) = (state, Default::default());
        effects.push(WorkerEffect::Tell(WorkerFact::Reprieved));
        effects.push(WorkerEffect::Retarget(self.instance.clone()));
        for process in self.processes.by_container.values_mut() {
            if let Some(kill) = process.kill.as_mut().filter(|kill| kill.told && !kill.given_up) {
                (kill.since, kill.next_signal) = (now, Some(now));
            }
        }
        self.save_tags_if_needed(effects);
        true
    }
}
