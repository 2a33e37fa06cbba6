//! Decides whether unanswered probes point at the VMs or at our own side (network, key, DNS). The fault is ours if,
//! when a worker has been silent for too long, at least three workers, and more than half of those that ever answered,
//! are silent too. Then none is destroyed until one of them, or one that has appeared since, answers: however long that
//! takes, because a probe of ourselves would not tell whether our route to all of them has gone.
//!
//! ```text
//!   Calm ── so many are silent ────► Ours ── one of them, or a new one, answers ──► Over
//!    ▲                                                                               │
//!    └────────── only workers on hold are silent, which are kept ────────────────────┤
//!        Ours ◄── most are silent, and the one that had answered is out of reach again ─┘
//! ```
//! In an outage workers pass their timeouts one after the other, each measured from its own last answer. So every
//! worker that has been silent for half the timeout counts: if only those past the timeout counted, they would be
//! found and destroyed one at a time. Answers of workers that were never silent prove nothing.
//!
//! Meanwhile new ones are made as ever, as far as `MaxInstances` has room (`plan::route` makes one if nobody else needs
//! one), and given up if they do not boot: the first that answers ends it. If there is no
//! room, what is silent and idle goes after `TimeoutIdle`, and the operator may end a VM; nothing else makes room.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{PoolEffect, PoolFact};
use crate::id::InstanceId;
use crate::instance::IdleBehavior;
use crate::policy::Policy;
use crate::time::{Timestamp, after};
use crate::worker::{Silence, State, View, silence_allowed};

const AT_LEAST: usize = 3;
/// After an outage workers get this long to answer, because they do not all come back at once.
const RECOVERY_GRACE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fault {
    #[default]
    Calm,
    /// The fault is ours, since this moment.
    Ours(Timestamp),
    /// The outage is over: workers that are still silent are destroyed.
    Over,
}

/// What one living worker says about silence.
#[derive(Debug, Clone, Copy)]
struct SilenceEvidence {
    /// Whether it may be busy: only those count.
    may_be_busy: bool,
    /// When it will have been silent for half its timeout.
    quiet_at: Timestamp,
    /// Whether it is silent for too long, and no hold keeps it.
    is_doomed: bool,
    /// Whether the last probe of it that has ended did not get through.
    out_of_reach: bool,
}

/// What is known about an outage on our side, and how many workers are silent. The counts are kept up with each view,
/// so that a message costs O(log workers): in an outage of 10,000 VMs all of them tell of failed probes.
#[derive(Debug, Default)]
pub(super) struct Outage {
    fault: Fault,
    /// The worker whose answer has ended the last outage.
    ended_by: Option<InstanceId>,
    /// Silence counts only if a probe that began after this moment failed.
    failures_count_from: Option<Timestamp>,
    /// Workers that are not in shutdown.
    standings: BTreeMap<InstanceId, SilenceEvidence>,
    /// How many of them may be busy.
    may_be_busy: usize,
    /// Those that may be busy and have been silent for half their timeout, when that was last looked at.
    quiet: BTreeSet<InstanceId>,
    /// Those that may be busy and will be quiet then.
    quiet_later: BTreeSet<(Timestamp, InstanceId)>,
    /// How many are silent for too long and not on hold.
    doomed: usize,
    /// Of these those whose last failed probe has not been judged.
    unjudged: BTreeMap<InstanceId, (Silence, Timestamp)>,
    /// The same of those of whom an outage says nothing: those that we have made and that have not booted in time, because
    /// nothing was ever sent to them; and those on which commands run and fail, because our way there is open.
    exempt: BTreeMap<InstanceId, (Silence, Timestamp)>,
}

impl Outage {
    /// A worker has appeared or changed. O(log workers).
    pub(super) fn note(&mut self, view: &View, policy: &Policy) {
        self.forget(&view.id);
        if view.state == State::Shutdown {
            return;
        }
        let silence = view.silence.filter(|_| view.behavior != IdleBehavior::Hold);
        let standing = SilenceEvidence {
            // A worker found after a restart may be as busy as one that has answered us: it counts too.
            may_be_busy: view.last_success.is_some() || view.state == State::Unknown,
            quiet_at: quiet_at(view, policy),
            is_doomed: silence.is_some(),
            out_of_reach: view.out_of_reach,
        };
        if standing.may_be_busy {
            self.may_be_busy += 1;
            self.quiet_later.insert((standing.quiet_at, view.id.clone()));
        }
        if let Some(silence) = silence {
            self.doomed += 1;
            let is_kept = standing.may_be_busy && view.last_contact < Some(silence.1);
            let line = if is_kept { &mut self.unjudged } else { &mut self.exempt };
            line.insert(view.id.clone(), silence);
        }
        self.standings.insert(view.id.clone(), standing);
    }

    /// A worker is gone. O(log workers).
    pub(super) fn forget(&mut self, id: &InstanceId) {
        let Some(before) = self.standings.remove(id) else { return };
        self.may_be_busy -= usize::from(before.may_be_busy);
        self.doomed -= usize::from(before.is_doomed);
        self.quiet.remove(id);
        self.quiet_later.remove(&(before.quiet_at, id.clone()));
        self.unjudged.remove(id);
        self.exempt.remove(id);
    }

    /// How many are quiet, and how many may be busy.
    #[cfg(test)]
    pub(super) fn counts(&mut self, now: Timestamp) -> (usize, usize) {
        (self.count_quiet(now), self.may_be_busy)
    }

    /// How many of those that may be busy are quiet. Each worker is moved once for each of its views.
    fn count_quiet(&mut self, now: Timestamp) -> usize {
        while self.quiet_later.first().is_some_and(|(at, _)| *at <= now) {
            self.quiet.extend(self.quiet_later.pop_first().map(|(_, id)| id));
        }
        self.quiet.len()
    }

    pub(super) fn is_on(&self) -> bool {
        matches!(self.fault, Fault::Ours(_))
    }

    /// A worker is in reach that looked like this before. If it was out of reach, or is new, an outage is over, and every
    /// other worker gets another chance. O(log workers).
    pub(super) fn answered(
        &mut self,
        before: &View,
        policy: &Policy,
        now: Timestamp,
        effects: &mut Vec<PoolEffect>,
    ) {
        let Fault::Ours(began) = self.fault else { return };
        let is_new = before.last_contact.is_none() && before.appeared >= began;
        if is_new || before.out_of_reach && quiet_at(before, policy) <= now {
            self.failures_count_from = Some(after(now, RECOVERY_GRACE));
            self.ended_by = Some(before.id.clone());
            self.end(effects);
        }
    }

    /// Probes that began before now prove nothing: we were not able to ask.
    pub(super) fn excuse(&mut self, now: Timestamp) {
        self.failures_count_from = self.failures_count_from.max(Some(now));
    }

    fn end(&mut self, effects: &mut Vec<PoolEffect>) {
        self.fault = Fault::Over;
        effects.push(PoolEffect::FleetChanged);
        effects.push(PoolEffect::Tell(PoolFact::OutageEnded));
    }

    /// The workers that are to be shut down for their silence, with the probe that showed it. Each failed probe is
    /// judged once: a worker may refuse, and tells of the next. O(log workers + those that are returned).
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        effects: &mut Vec<PoolEffect>,
    ) -> Vec<(InstanceId, Silence, Timestamp)> {
        // Workers on hold may be silent for good.
        if self.doomed == 0 {
            if self.is_on() {
                self.end(effects);
            }
            self.fault = Fault::Calm;
            return Vec::new();
        }
        let (quiet, of) = (self.count_quiet(now), self.may_be_busy);
        let mut judged = std::mem::take(&mut self.exempt);
        if !self.is_ours(quiet, of, now, effects) {
            judged.append(&mut self.unjudged);
        }
        let from = self.failures_count_from;
        judged.retain(|_, (_, probe)| from.is_none_or(|from| *probe > from));
        judged.into_iter().map(|(id, (silence, probe))| (id, silence, probe)).collect()
    }

    /// Whether the worker whose answer has ended the outage is out of reach again: it was a flap. If that worker has gone,
    /// for it was made to try our route and nobody needed it, its answer still counts.
    fn is_cut_off_again(&self) -> bool {
        let ended_by = self.ended_by.as_ref().and_then(|id| self.standings.get(id));
        ended_by.is_some_and(|it| it.out_of_reach)
    }

    fn is_ours(&mut self, quiet: usize, of: usize, now: Timestamp, effects: &mut Vec<PoolEffect>) -> bool {
        let are_most = quiet >= AT_LEAST && 2 * quiet > of;
        match self.fault {
            Fault::Over if are_most && !self.is_cut_off_again() => {}
            Fault::Calm | Fault::Over if are_most => {
                self.fault = Fault::Ours(now);
                effects.push(PoolEffect::FleetChanged);
                effects.push(PoolEffect::Tell(PoolFact::OutageBegan { silent: quiet, of }));
            }
            Fault::Calm | Fault::Ours(_) | Fault::Over => {}
        }
        self.is_on()
    }
}

/// When it will have been out of reach for half its timeout. One on which commands run and fail is not.
fn quiet_at(view: &View, policy: &Policy) -> Timestamp {
    let timeout = silence_allowed(view.state, view.last_answer.is_some(), policy);
    let last_news = view.last_success.max(view.last_answer).max(view.last_contact).unwrap_or(view.appeared);
    match view.silence {
        Some((_, probe)) if view.last_contact < Some(probe) => last_news,
        Some(_) | None => after(last_news, timeout / 2),
    }
}
