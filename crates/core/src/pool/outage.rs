//! Decides whether unanswered probes point at the VMs or at our own side (network, key, DNS). The fault is ours if,
//! when a worker has been silent for too long, at least three workers, and more than half of those that ever answered,
//! are silent too. Then none is destroyed until one of them answers again, or for three times `TimeoutProbe`.
//!
//! ```text
//!   Calm ── so many are silent ────► Ours ── one of them answers, or three times TimeoutProbe ──► Over
//!    ▲                                                                                             │
//!    └────────────────── only workers on hold are silent, which are kept ──────────────────────────┘
//! ```
//! In an outage workers pass their timeouts one after the other, each measured from its own last answer. So every
//! worker that has been silent for half the timeout counts: if only those past the timeout counted, they would be
//! found and destroyed one at a time. Answers of workers that were never silent prove nothing.

use std::time::Duration;

use super::{PoolEffect, PoolFact};
use crate::id::InstanceId;
use crate::instance::IdleBehavior;
use crate::policy::Policy;
use crate::time::{Timestamp, after, since};
use crate::worker::{Silence, State, View};

const AT_LEAST: usize = 3;
/// After an outage workers get this long to answer, because they do not all come back at once.
const RECOVERY_GRACE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fault {
    #[default]
    Calm,
    /// The fault is ours, since this moment.
    Ours(Timestamp),
    /// The outage is over, or has lasted too long: workers that are still silent are destroyed.
    Over,
}

/// What is known about an outage on our side.
#[derive(Debug, Default)]
pub(super) struct Outage {
    fault: Fault,
    /// Silence counts only if a probe that began after this moment failed.
    failures_count_from: Option<Timestamp>,
}

impl Outage {
    pub(super) fn is_on(&self) -> bool {
        matches!(self.fault, Fault::Ours(_))
    }

    /// A silent worker answers: an outage is over, and every other worker gets another chance.
    pub(super) fn answered(&mut self, now: Timestamp, effects: &mut Vec<PoolEffect>) {
        if self.is_on() {
            self.failures_count_from = Some(after(now, RECOVERY_GRACE));
            self.end(effects);
        }
    }

    fn end(&mut self, effects: &mut Vec<PoolEffect>) {
        self.fault = Fault::Over;
        effects.push(PoolEffect::Tell(PoolFact::OutageEnded));
    }

    /// The workers that are to be shut down for their silence, with the probe that showed it. O(workers).
    pub(super) fn judge<'a>(
        &mut self,
        views: impl Iterator<Item = &'a View> + Clone,
        policy: &Policy,
        now: Timestamp,
        effects: &mut Vec<PoolEffect>,
    ) -> Vec<(InstanceId, Silence, Timestamp)> {
        let living = views.filter(|view| view.state != State::Shutdown);
        let silent =
            living.clone().filter_map(|view| view.silence.map(|(silence, probe)| (view, silence, probe)));
        let silent: Vec<_> = silent.collect();
        if silent.iter().all(|(view, ..)| view.behavior == IdleBehavior::Hold) {
            if self.is_on() {
                self.end(effects);
            }
            self.fault = Fault::Calm;
            return Vec::new();
        }
        // A worker found after a restart may be as busy as one that has answered us: it counts too.
        let may_be_busy = |view: &&View| view.last_success.is_some() || view.state == State::Unknown;
        let of = living.clone().filter(may_be_busy).count();
        let quiet = living.filter(may_be_busy).filter(|view| is_silent_for_half(view, policy, now)).count();
        if self.is_ours(quiet, of, policy.timeout_probe, now, effects) {
            return Vec::new();
        }
        // A worker on hold counts as evidence like any other, but is not destroyed.
        let to_shut_down = silent.into_iter().filter(|(view, _, probe)| {
            view.behavior != IdleBehavior::Hold
                && self.failures_count_from.is_none_or(|failures_count_from| *probe > failures_count_from)
        });
        to_shut_down.map(|(view, silence, probe)| (view.id.clone(), silence, probe)).collect()
    }

    fn is_ours(
        &mut self,
        quiet: usize,
        of: usize,
        timeout_probe: Duration,
        now: Timestamp,
        effects: &mut Vec<PoolEffect>,
    ) -> bool {
        match self.fault {
            Fault::Calm if quiet >= AT_LEAST && 2 * quiet > of => {
                self.fault = Fault::Ours(now);
                effects.push(PoolEffect::Tell(PoolFact::OutageBegan { silent: quiet, of }));
            }
            Fault::Ours(began) if since(now, began) >= 3 * timeout_probe => self.end(effects),
            Fault::Calm | Fault::Ours(_) | Fault::Over => {}
        }
        self.is_on()
    }
}

/// Whether it has been silent for half its timeout, or longer.
fn is_silent_for_half(view: &View, policy: &Policy, now: Timestamp) -> bool {
    let timeout = if view.state.is_ready() { policy.timeout_probe } else { policy.timeout_booting };
    let last_news = view.last_success.unwrap_or(view.appeared);
    view.silence.is_some() || since(now, last_news) >= timeout / 2
}
