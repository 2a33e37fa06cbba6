//! What a planning round reads: one value, made from the queue and the pool, and nothing else.
//!
//! ```text
//!   QueueSnapshot (shared) ─┐                        ┌─ InputSummary  what follows from the input at any time
//!   Fleet (shared) ─────────┼─► PlanInput ──► now ───┤
//!   PlanRules, Limits ──────┘                        └─ Clocked       all that a plan takes from the clock
//! ```
//! The input holds raw facts: limits and holds as they are, the needs of containers before types are chosen, type
//! names. So the same input can be planned under another configuration ([`PlanInput::under`]), and written down:
//! it has no secrets, and what follows from its facts is not written but computed again when the input is read.
//!
//! Its parts are shared. If nothing has changed between two inputs, they are compared by the addresses of their
//! entries and hosts: O(containers + workers), without reading what is shared.
//!
//! A plan depends only on differences between times. [`PlanInput::dated_from`] dates an input from an origin, so
//! that a recorded round says the same on any machine and at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::startup::{self, StartupPhase};
use super::{Firsts, Limits};
use crate::id::{ContainerUuid, TypeName};
use crate::policy::PlanRules;
use crate::pool::{Census, FailedStarts, Fleet, Supply};
use crate::queue::QueueSnapshot;
use crate::reserve::Spares;
use crate::time::Timestamp;

/// What a round is planned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "RecordedInput")]
pub struct PlanInput {
    /// The configuration, as far as a plan depends on it.
    pub rules: Arc<PlanRules>,
    /// The containers.
    pub queue: Arc<QueueSnapshot>,
    /// The workers, creates in flight, and holds on creates.
    pub fleet: Arc<Fleet>,
    /// The limits that the scheduler owns.
    pub limits: Limits,
    /// Who has waited for a quota before all others, since when.
    pub firsts: Arc<Firsts>,
}

/// An input as it is written down: it leaves out what follows from the catalog.
#[derive(Deserialize)]
struct RecordedInput {
    rules: PlanRules,
    queue: QueueSnapshot,
    fleet: Fleet,
    limits: Limits,
    #[serde(default)]
    firsts: Firsts,
}

impl From<RecordedInput> for PlanInput {
    fn from(recorded: RecordedInput) -> Self {
        let RecordedInput { rules, queue, fleet, limits, firsts } = recorded;
        let rules = Arc::new(rules);
        let (queue, fleet, firsts) = (Arc::new(queue), Arc::new(fleet), Arc::new(firsts));
        Self { rules: Arc::clone(&rules), queue, fleet, limits, firsts }.under(rules)
    }
}

impl PlanInput {
    /// The same facts under another configuration: containers are sized and types looked up anew.
    #[must_use]
    pub fn under(&self, rules: Arc<PlanRules>) -> Self {
        Self {
            queue: Arc::new(self.queue.under(&rules.catalog, &rules.sizing)),
            fleet: Arc::new(self.fleet.under(&rules.catalog)),
            limits: self.limits,
            firsts: Arc::clone(&self.firsts),
            rules,
        }
    }

    /// The same input as if `origin` had been the beginning of 1970. The function [`dated_from`] moves the time
    /// of the plan in the same way.
    #[must_use]
    pub fn dated_from(&self, origin: Timestamp) -> Self {
        let by = Timestamp::UNIX_EPOCH.duration_since(origin);
        let mut input = self.clone();
        Arc::make_mut(&mut input.queue).shift(by);
        Arc::make_mut(&mut input.fleet).shift(by);
        Arc::make_mut(&mut input.firsts).shift(by);
        Arc::make_mut(&mut input.rules).idle_reserve.shift(by);
        input
    }

    /// What may be created at the moment `now`. O(workers).
    pub fn supply(&self, now: Timestamp) -> Supply {
        self.fleet.supply(&self.rules, &self.fleet.census(), now)
    }

    /// O(failed starts).
    fn held_starts(&self, now: Timestamp) -> BTreeSet<ContainerUuid> {
        let is_held = |failed: &FailedStarts| failed.held_until().is_some_and(|until| now < until);
        let failed = self.fleet.failed_starts.iter();
        failed.filter(|(_, failed)| is_held(failed)).map(|(uuid, _)| *uuid).collect()
    }

    pub(super) fn summary(&self) -> InputSummary {
        InputSummary {
            has_unknown_workers: self.fleet.has_unknown_hosts(),
            has_written_off: self.fleet.hosts.iter().any(|host| host.written_off),
            all_processes_known: !self.fleet.hosts.iter().any(|host| host.may_show_more()),
            has_a_past: startup::has_a_past(self),
            census: self.fleet.census(),
        }
    }

    pub(super) fn clocked(&self, summary: &InputSummary, now: Timestamp) -> Clocked {
        Clocked {
            phase: startup::phase(self, summary, now),
            keeps_inherited_locks: startup::keeps_inherited_locks(self, now),
            is_within_window: startup::is_within_window(self, now),
            held_starts: self.held_starts(now),
            spares: self.rules.idle_reserve.at(now),
            impatient: self.firsts.out_of_patience(self.rules.backfill_patience, now),
            supply: Arc::new(self.fleet.supply(&self.rules, &summary.census, now)),
        }
    }
}

/// The moment `at`, moved as [`PlanInput::dated_from`] moves every moment of an input.
pub fn dated_from(at: Timestamp, origin: Timestamp) -> Timestamp {
    Timestamp::UNIX_EPOCH.checked_add(at.duration_since(origin)).unwrap_or(Timestamp::MAX)
}

/// What follows from an input at any time. Computing it reads every part of the input: O(containers + workers).
#[derive(Debug, Clone)]
pub(super) struct InputSummary {
    /// Whether the processes of some worker are not known.
    pub(super) has_unknown_workers: bool,
    /// Whether some worker is written off: it is not believed to run anything, and that is not proven.
    pub(super) has_written_off: bool,
    /// Whether the list of every worker has shown all that runs there.
    pub(super) all_processes_known: bool,
    /// Whether an earlier dispatcher has left locks or instances.
    pub(super) has_a_past: bool,
    pub(super) census: Census,
}

/// All that a plan takes from the clock: two moments at which this value is equal give the same plan. O(types).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clocked {
    pub(super) phase: StartupPhase,
    /// Whether no container that was Locked before our start gives its lock back for the sake of others.
    pub(super) keeps_inherited_locks: bool,
    /// Whether so little time has passed that no Running container is given up because no worker has it.
    pub(super) is_within_window: bool,
    /// Containers whose next start is not due yet, because earlier ones failed.
    pub(super) held_starts: BTreeSet<ContainerUuid>,
    /// Containers before which nothing is backfilled any more.
    pub(super) impatient: BTreeSet<ContainerUuid>,
    /// What the reserve of each type is now.
    pub(super) spares: BTreeMap<TypeName, Spares>,
    pub(super) supply: Arc<Supply>,
}
