//! What is nobody's silence: time in which we were not able to ask.
//!
//! ```text
//!   a probe fails by our own side's fault ─┐
//!   we have not lived for a while ─────────┴─► silence counts from now on
//! ```

use super::Machine;
use super::effect::WorkerEffect;
use crate::time::Timestamp;

impl Machine {
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
