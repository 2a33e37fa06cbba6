//! An instance that has proven itself, and cannot any more: another machine may have its address, it may have booted
//! anew without its secret, or somebody has removed that.
//!
//! ```text
//!   proven ── somebody answers who does not prove to be it ──► unproven: an error, and it gets nothing new
//!     ▲                                                          │ what runs there may live on: it is kept while one
//!     └──────────────── it answers, and proves itself ───────────┤ of its records is not final, but for an hour at most
//!                                                                ▼
//!                                                    silent, and judged like all that are silent
//! ```
//! Nothing is sent there meanwhile, and no answer from there is believed: the connection is not verified.

use std::time::Duration;

use super::Machine;
use super::effect::{WorkerEffect, WorkerFact};
use super::probe::CommandFailure;
use super::process::Process;
use super::reason::KillReason;

/// For how long it is kept while something may run there that is not final.
pub(super) const KEPT_UNPROVEN: Duration = Duration::from_secs(3600);

impl Machine {
    /// Whether it gets nothing new, because it cannot prove any more that it is this instance.
    pub(super) fn is_unproven(&self) -> bool {
        self.probes.unproven
    }

    /// Notes whether a probe that failed like that, or did not, has proven it. Other failures say nothing of that.
    pub(super) fn note_proof(&mut self, failure: Option<&CommandFailure>, effects: &mut Vec<WorkerEffect>) {
        let has_proven_itself = self.probes.last_contact.max(self.probes.last_answer()).is_some();
        match failure.map(|failure| (failure, failure.kind)) {
            None | Some((_, None)) => self.probes.unproven = false,
            Some((failure, Some(kind))) if kind.is_unproven() && has_proven_itself => {
                if !std::mem::replace(&mut self.probes.unproven, true) {
                    effects.push(WorkerEffect::Tell(WorkerFact::Unproven(failure.clone())));
                }
            }
            Some((_, Some(_))) => {}
        }
    }

    /// Whether it is kept although it is silent: a process may live there whose record is not final.
    pub(super) fn is_kept_unproven(&self) -> bool {
        let is_wanted = |process: &Process| {
            let reason = process.kill.as_ref().map(|kill| &kill.reason);
            !matches!(reason, Some(KillReason::Final(_)))
        };
        self.is_unproven() && self.processes.by_container.values().any(is_wanted)
    }
}
