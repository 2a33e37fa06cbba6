//! Whose the fence of the VM is, and what follows from it (docs/behaviour.md, "Fences").
//!
//! ```text
//!   Unclaimed ──claimed──► Ours ──another's mark──► Anothers    nothing is done there any more
//!    │ cannot ▲ │           │
//!    └────────┘ ◄──no file──┘                                   claimed again by the next probe
//! ```
//! Starts go out only while it is ours. Kills go out through the fence while it is ours, and without it while it cannot
//! be claimed: then the lease alone stands for us.

use super::Machine;
use super::effect::{WorkerEffect, WorkerFact};
use super::fence::{ClaimOutcome, Mark, NotRun};
use super::probe::{CommandFailure, FenceWish, Report};
use crate::time::{Timestamp, after};
use std::time::Duration;

/// A run lock without a name is looked at again after that long.
const SETTLES: Duration = Duration::from_secs(1);

/// Whose a fence is, for others to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FenceView {
    /// It was not claimed yet, or it cannot be: nothing is started there.
    Unclaimed,
    /// Ours.
    Ours,
    /// Another dispatcher has claimed it after us: nothing is done there.
    Anothers,
}

impl FenceView {
    /// For logs and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unclaimed => "unclaimed",
            Self::Ours => "ours",
            Self::Anothers => "another's",
        }
    }
}

#[derive(Debug, Clone, Default)]
enum Holder {
    #[default]
    Nobody,
    Us(Mark),
    Another,
}

/// The fence of a worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Fencing {
    holder: Holder,
    /// It was ours at some time: whatever is greater now came after us.
    was_ours: bool,
    /// A list that was asked for then, or later, shows every start that others have sent: our mark is written, no run
    /// lock is without its runner's name, and no start can come that nobody has fenced. The last is the word of the
    /// VM's file and clock: a dispatcher without fences that had begun within the last minute could prove it wrong.
    quiet_from: Option<Timestamp>,
    /// When such a list came.
    shown: Option<Timestamp>,
    /// Why it could not be claimed.
    failure: Option<CommandFailure>,
}

impl Fencing {
    pub(super) fn view(&self) -> FenceView {
        match self.holder {
            Holder::Nobody => FenceView::Unclaimed,
            Holder::Us(_) => FenceView::Ours,
            Holder::Another => FenceView::Anothers,
        }
    }

    pub(super) fn is_anothers(&self) -> bool {
        matches!(self.holder, Holder::Another)
    }

    /// Why it is not ours.
    pub(super) fn why_not_ours(&self) -> CommandFailure {
        let unclaimed = || CommandFailure {
            command: String::new(),
            error: format!("its fence is {}", self.view().as_str()),
            kind: None,
            stdout: String::new(),
            stderr: String::new(),
        };
        self.failure.clone().unwrap_or_else(unclaimed)
    }

    /// Whether a list that was asked for by a probe of that moment shows all that was ever sent there.
    pub(super) fn lets_nothing_more_come(&self, began: Timestamp) -> bool {
        matches!(self.holder, Holder::Us(_)) && self.quiet_from.is_some_and(|from| from <= began)
    }

    pub(super) fn note_shown(&mut self, now: Timestamp) {
        self.shown.get_or_insert(now);
    }

    /// When a list had come that shows all that was ever sent there.
    pub(super) fn shown_since(&self) -> Option<Timestamp> {
        self.shown
    }
}

impl Machine {
    /// What is written in the fence while it is ours.
    pub fn held_fence(&self) -> Option<Mark> {
        match self.fencing.holder {
            Holder::Us(mark) => Some(mark),
            Holder::Nobody | Holder::Another => None,
        }
    }

    /// Claimed once in a life; again only until no run lock is without a name, or if the file has gone.
    pub(super) fn fence_wish(&self) -> FenceWish {
        match self.fencing.holder {
            Holder::Us(_) if self.fencing.quiet_from.is_some() => FenceWish::Touch,
            Holder::Nobody | Holder::Us(_) => {
                FenceWish::Claim { overtakes: !self.fencing.was_ours, is_new: self.ours }
            }
            Holder::Another => FenceWish::LeaveAlone,
        }
    }

    /// Whether it cannot come into service because nothing could be started there.
    pub(super) fn is_kept_from_service(&self) -> bool {
        !self.state.is_ready() && self.held_fence().is_none()
    }

    pub(super) fn note_claim(
        &mut self,
        report: &Report,
        began: Timestamp,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        match &report.claim {
            None => {}
            Some(ClaimOutcome::Claimed(claimed)) => {
                if !std::mem::replace(&mut self.fencing.was_ours, true) {
                    effects.push(WorkerEffect::Tell(WorkerFact::Fenced(claimed.unfenced_for)));
                }
                self.fencing.holder = Holder::Us(claimed.mark);
                self.fencing.failure = None;
                // The list of this very probe was asked for after the claim.
                let quiet = match claimed.unfenced_for.is_zero() {
                    true => began,
                    false => after(now, claimed.unfenced_for),
                };
                self.fencing.quiet_from = claimed.is_settled.then_some(quiet);
                if !claimed.is_settled {
                    self.probe_soon(after(now, SETTLES));
                }
            }
            Some(ClaimOutcome::Greater(_)) => self.lose_fence(effects),
            Some(ClaimOutcome::Failed(failure)) => {
                self.fencing.failure = Some(failure.clone());
                effects.push(WorkerEffect::Tell(WorkerFact::NotFenced(failure.clone())));
            }
        }
    }

    /// A start or a kill was not run, because of the fence. Returns whether that is a fault of the instance.
    pub(super) fn fence_has_stopped(
        &mut self,
        reason: NotRun,
        failure: &CommandFailure,
        effects: &mut Vec<WorkerEffect>,
    ) -> bool {
        match reason {
            NotRun::Taken => {
                self.lose_fence(effects);
                false
            }
            // A directory that has gone looks like a full disk: the next claim makes it, or says that it is one.
            NotRun::NoFlock | NotRun::Unreadable | NotRun::NoLockFile | NotRun::NotWritten => {
                self.fencing.holder = Holder::Nobody;
                self.fencing.failure = Some(failure.clone());
                effects.push(WorkerEffect::Tell(WorkerFact::NotFenced(failure.clone())));
                true
            }
            NotRun::Busy | NotRun::CutInput => false,
        }
    }

    /// A mark that is not ours, and not older: whoever wrote it has taken charge after us.
    fn lose_fence(&mut self, effects: &mut Vec<WorkerEffect>) {
        if !self.fencing.is_anothers() {
            self.fencing.holder = Holder::Another;
            // What is to be ended there is for the other one to say.
            self.processes.by_container.values_mut().for_each(|process| process.kill = None);
            effects.push(WorkerEffect::Tell(WorkerFact::FencedByAnother));
        }
    }
}
