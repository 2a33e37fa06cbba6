//! What a process list means: who lives, who has ended, who is new, what is stale.

use std::time::Duration;

use super::effect::{Effect, Fact};
use super::probe::Listing;
use super::process::{Phase, Process};
use super::reason::DrainReason;
use super::runner::INHERITED_START_WINDOW;
use super::{Machine, State};
use crate::id::ContainerUuid;
use crate::time::{Timestamp, after, since};

impl Machine {
    /// Takes a list in that was asked for at `began`. The caller has checked that nothing has changed since.
    pub(super) fn take_list(
        &mut self,
        listing: &Listing,
        began: Timestamp,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.seen_whole |= began >= after(self.appeared, INHERITED_START_WINDOW);
        for uuid in &listing.running {
            self.take_living(*uuid, now, effects);
        }
        self.end_missing(listing, began, now, effects);
        self.take_stale(listing, now, effects);
        if listing.broken {
            self.drain(DrainReason::Broken, effects);
        }
    }

    fn take_living(&mut self, uuid: ContainerUuid, now: Timestamp, effects: &mut Vec<Effect>) {
        self.last_container = Some(uuid);
        match self.processes.get_mut(&uuid) {
            // The answer of its start command is still to come, and is news of its own.
            Some(Process { phase: Phase::Starting(_), .. }) => {}
            Some(process) => process.phase = Phase::Alive,
            None => {
                self.processes.insert(uuid, Process { phase: Phase::Alive, since: now, kill: None });
                effects.push(Effect::Tell(Fact::Detected(uuid)));
            }
        }
    }

    fn end_missing(
        &mut self,
        listing: &Listing,
        began: Timestamp,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let ended = self.processes.iter().filter(|(uuid, process)| {
            let proven = match process.phase {
                Phase::Starting(_) => false,
                Phase::Doubtful { until } | Phase::Unsent { since: until } => began > until,
                Phase::Alive => true,
            };
            proven && listing.running.binary_search(uuid).is_err()
        });
        for uuid in ended.map(|(uuid, _)| *uuid).collect::<Vec<_>>() {
            self.end_process(uuid, now, effects);
        }
    }

    /// The process is no more.
    pub(super) fn end_process(&mut self, uuid: ContainerUuid, now: Timestamp, effects: &mut Vec<Effect>) {
        let ended = self.processes.remove(&uuid);
        if ended.as_ref().is_some_and(|process| process.kill.is_some()) {
            self.excused_starts.insert(uuid);
        }
        let lasted = ended.map_or(Duration::ZERO, |process| since(now, process.since));
        self.last_busy = now;
        self.updated = Some(now);
        effects.push(Effect::Tell(Fact::ProcessEnded(uuid, lasted)));
        effects.push(Effect::Ended(uuid));
        if self.processes.is_empty() && self.state == State::Running {
            self.state = State::Idle;
        }
    }

    fn take_stale(&mut self, listing: &Listing, now: Timestamp, effects: &mut Vec<Effect>) {
        self.stale.retain(|uuid, _| listing.stale.binary_search(uuid).is_ok());
        for uuid in &listing.stale {
            if !self.stale.contains_key(uuid) {
                effects.push(Effect::Tell(Fact::StaleRunLock(*uuid)));
            }
            let first = *self.stale.entry(*uuid).or_insert(now);
            if since(now, first) > self.policy.timeout_stale_run_lock {
                self.drain(DrainReason::StaleRunLock, effects);
            }
        }
    }
}
