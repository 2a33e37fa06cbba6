//! What is nobody's silence: time in which we were not able to ask.
//!
//! ```text
//!   a probe fails by our own side's fault ─┐
//!   we have not lived for a while ─────────┴─► silence counts from now on
//! ```

use super::effect::WorkerEffect;
use super::probe::CommandFailure;
use super::{Machine, State};
use crate::ports::ExecErrorKind;
use crate::time::Timestamp;

impl Machine {
    /// Whether we were not able to ask. On one that we have made and that has not booted nothing runs: if the cloud never
    /// tells who it is, it is given up like one that never answers.
    pub(super) fn is_excuse(&self, failure: &CommandFailure) -> bool {
        let is_new = self.ours && self.state == State::Booting;
        match failure.kind {
            Some(ExecErrorKind::VerifierFailed) => !is_new,
            Some(kind) => kind.is_our_own(),
            None => false,
        }
    }

    /// Silence before this moment proves nothing, because we were not able to ask.
    pub(super) fn excuse_silence(&mut self, now: Timestamp) {
        self.probes.excused_until = self.probes.excused_until.max(Some(now));
        self.probes.silent = None;
    }

    /// This process has not lived for a while (it was stopped, or the machine slept): connections may be dead without
    /// having told us, and every deadline for what others have not done begins again.
    pub(super) fn paused(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        self.excuse_silence(now);
        for process in self.processes.by_container.values_mut() {
            if let Some(kill) = process.kill.as_mut().filter(|kill| kill.told && !kill.given_up) {
                kill.since = kill.since.max(now);
            }
        }
        effects.push(WorkerEffect::ForgetConnection);
        self.look_afresh(now);
    }
}
