//! What the spot market has taken from containers, and which of them are therefore placed on demand (`SpotRetries`).
//!
//! ```text
//!   Running, its instance is taken ─► cancelled ─► the controller tries another container for the same requests
//!      └ or its process cancels it, after a notice, when its instance is shut down
//!   Locked, its instance is taken  ─► placed again
//!         └─► a loss of the container, and of each of its requests ─► so many, and it is placed on demand       losses
//!
//!   first seen ─► its requests are asked for, beside its mounts ─┬─ known ─────► sized by the most that one of them has lost
//!                                                                └─ not known ─► sized by what itself has lost; asked again
//! ```
//! A container whose requests cannot be read runs as its user has said: not to know never stops a job. What was lost is known
//! to this process alone, for a week.

mod known;
mod losses;

use std::sync::Arc;

pub(super) use known::{KnownRequests, RequestsAnswer};
pub(super) use losses::MarketLosses;

use super::horizon::PlacedOn;
use super::poll::following;
use super::sized_anew::size_again;
use super::{ContainerQueue, Entry, QueueFact};
use crate::container::{ContainerState, Record};
use crate::id::ContainerUuid;
use crate::instance::Market;
use crate::policy::Policy;
use crate::time::Timestamp;

impl Entry {
    /// Whether it is to be placed on demand although it wants the spot market, because it has lost too much to that.
    pub fn is_moved_on_demand(&self) -> bool {
        let is_placed = matches!(self.record.state, ContainerState::Queued | ContainerState::Locked);
        is_placed && self.record.scheduling.market() == Market::Spot && self.market() == Market::OnDemand
    }

    /// On which market its instance is bought.
    pub fn market(&self) -> Market {
        self.types().first().map_or(self.record.scheduling.market(), |it| it.market())
    }

    pub(super) fn wants_requests(&self) -> bool {
        self.record.scheduling.market() == Market::Spot
            && !self.record.state.is_final()
            && self.requests.are_wanted()
    }

    /// Whether it is not sized before its requests are known: one that runs is not placed any more.
    pub(super) fn awaits_requests(&self) -> bool {
        let is_running = self.record.state == ContainerState::Running;
        self.requests.are_awaited() && !is_running && self.record.scheduling.market() == Market::Spot
    }

    /// Whether that record says that its process has ended because its instance will be taken: what runs there is told to
    /// end when the instance is shut down, and says so in order.
    pub(super) fn is_cancelled_for_the_market(&self, record: &Record) -> bool {
        let has_ended =
            (self.record.state, record.state) == (ContainerState::Running, ContainerState::Cancelled);
        let is_announced = record.preemption_notice.is_some() || self.record.preemption_notice.is_some();
        has_ended && is_announced && self.record.priority > 0 && self.operation.is_none()
    }
}

impl ContainerQueue {
    #[cfg(test)]
    pub(super) fn remembered_losses(&self) -> usize {
        self.losses.len()
    }

    /// Those of these containers whose requests are to be asked for: they are noted as asked for. O(these × log).
    pub(super) fn begin_asking_requests(&mut self, among: &[ContainerUuid]) -> Vec<ContainerUuid> {
        let wants = |uuid: &&ContainerUuid| self.entries.get(*uuid).is_some_and(|it| it.wants_requests());
        let wanted: Vec<_> = among.iter().filter(wants).copied().collect();
        for uuid in &wanted {
            if let Some(entry) = self.entry_mut(*uuid) {
                entry.requests.ask(entry.mounts.is_none());
            }
        }
        wanted
    }

    /// The requests are wanted of those too that are sized already: after the next poll it is looked for them from the
    /// beginning.
    pub(super) fn want_requests(&mut self) {
        (self.lacks_requests, self.requests_until) = (true, None);
    }

    /// Begins to look for containers that were sized without their requests, if there may be some and nobody looks for them
    /// already: the first ones, no more than that many.
    pub(super) fn first_without_requests(&mut self, most: usize) -> Vec<ContainerUuid> {
        if self.requests_until.is_some() || !std::mem::take(&mut self.lacks_requests) {
            return Vec::new();
        }
        self.without_requests(None, most)
    }

    /// The next ones, if a look has been begun and has not come to its end. A look costs O(containers), however many times
    /// it goes on.
    pub(super) fn next_without_requests(&mut self, most: usize) -> Vec<ContainerUuid> {
        let from = self.requests_until.take();
        if from.is_some() { self.without_requests(from, most) } else { Vec::new() }
    }

    fn without_requests(&mut self, from: Option<ContainerUuid>, most: usize) -> Vec<ContainerUuid> {
        let lack = self.entries.range(following(from));
        let lack = lack.filter(|(_, it)| it.mounts.is_some() && it.wants_requests());
        let lack: Vec<_> = lack.map(|(uuid, _)| *uuid).take(most).collect();
        self.requests_until = lack.last().copied().filter(|_| lack.len() == most);
        lack
    }

    /// Takes the answer in about the requests of these containers. Those that it does not tell are asked for again, some times.
    pub(super) fn take_requests(
        &mut self,
        asked: &[ContainerUuid],
        answer: &RequestsAnswer,
        policy: &Policy,
        now: Timestamp,
    ) -> Vec<QueueFact> {
        let mut facts = Vec::new();
        let mut told = answer.by_container();
        for uuid in asked {
            let entry = self.entries.get_mut(uuid).filter(|entry| entry.requests.are_asked());
            let Some(entry) = entry.map(Arc::make_mut) else { continue };
            let counts = *answer != RequestsAnswer::Unavailable;
            let mounts = entry.requests.answered(told.remove(uuid), counts);
            self.lacks_requests |= entry.requests.are_wanted();
            self.losses.credit(*uuid, entry.requests.all());
            match mounts {
                Some(mounts) => facts.extend(self.take_needs(*uuid, mounts, policy, now)),
                None => facts.extend(self.count_losses(*uuid, policy, now)),
            }
        }
        facts
    }

    /// The requests of these are not waited for any longer: they are sized without.
    pub(super) fn stop_waiting(
        &mut self,
        uuids: &[ContainerUuid],
        policy: &Policy,
        now: Timestamp,
    ) -> Vec<QueueFact> {
        let mut facts = Vec::new();
        for uuid in uuids {
            let is_awaited = self.entries.get(uuid).is_some_and(|entry| entry.requests.are_awaited());
            let entry = if is_awaited { self.entry_mut(*uuid) } else { None };
            if let Some(mounts) = entry.and_then(|entry| entry.requests.stop_waiting()) {
                facts.extend(self.take_needs(*uuid, mounts, policy, now));
            }
        }
        facts
    }

    /// The spot market has taken the instance of these containers. What follows is for
    /// [`ContainerQueue::count_all_losses`].
    pub(super) fn lost_to_market(&mut self, uuids: &[ContainerUuid], now: Timestamp) -> Vec<QueueFact> {
        self.losses.forget_old(now);
        uuids.iter().filter_map(|uuid| self.lose(*uuid, now)).collect()
    }

    /// Notes a loss of that container, unless its last one was noted before, or it has ended well.
    pub(super) fn lose(&mut self, uuid: ContainerUuid, now: Timestamp) -> Option<QueueFact> {
        let entry = self.entries.get(&uuid);
        let state = entry.map(|entry| entry.record.state);
        let is_unwanted = entry.is_some_and(|entry| entry.record.priority <= 0);
        let is_over = match state {
            Some(ContainerState::Complete) => return None,
            Some(ContainerState::Queued | ContainerState::Locked | ContainerState::Running)
                if is_unwanted =>
            {
                return None;
            }
            Some(ContainerState::Queued | ContainerState::Locked) => false,
            Some(ContainerState::Running | ContainerState::Cancelled) | None => true,
        };
        let none = KnownRequests::default();
        let requests = entry.map_or(&none, |entry| &entry.requests).all();
        let is_first = self.losses.note(uuid, requests, is_over, now);
        let losses = self.losses.of(uuid, requests, now);
        self.losses_changed |= is_first;
        is_first.then_some(QueueFact::LostToMarket { uuid, losses })
    }

    /// Counts what everybody has lost, if anything was lost since that was done last: a successor may have been sized before
    /// a loss was known. O(containers × log) then.
    pub(super) fn count_all_losses(&mut self, policy: &Policy, now: Timestamp) -> Vec<QueueFact> {
        if !std::mem::take(&mut self.losses_changed) {
            return Vec::new();
        }
        let wants_market = |entry: &Entry| entry.record.scheduling.market() == Market::Spot;
        let all: Vec<_> =
            self.entries.iter().filter(|(_, entry)| wants_market(entry)).map(|(uuid, _)| *uuid).collect();
        all.into_iter().filter_map(|uuid| self.count_losses(uuid, policy, now)).collect()
    }

    /// Counts the losses of a container that is sized, and sizes it again if that matters.
    fn count_losses(&mut self, uuid: ContainerUuid, policy: &Policy, now: Timestamp) -> Option<QueueFact> {
        let Self { entries, losses, type_lists, sparing_until, .. } = self;
        let entry = entries.get_mut(&uuid)?;
        let count = losses.of(uuid, entry.requests.all(), now);
        if count == entry.market_losses {
            return None;
        }
        Arc::make_mut(entry).market_losses = count;
        // One that runs is not placed any more.
        if matches!(entry.record.state, ContainerState::Queued | ContainerState::Locked) {
            size_again(entry, policy, type_lists, *sparing_until);
        }
        self.moved(uuid, now)
    }

    /// That the container is placed on demand although it wants the spot market: once.
    pub(super) fn moved(&mut self, uuid: ContainerUuid, now: Timestamp) -> Option<QueueFact> {
        let entry = self.entries.get(&uuid).filter(|entry| entry.is_moved_on_demand())?;
        let losses = entry.market_losses;
        self.losses.is_told_first(uuid, now).then_some(QueueFact::MovedOnDemand { uuid, losses })
    }

    /// Whether anybody has lost so much that they are placed on demand under that policy. O(losses).
    pub(super) fn may_move_some(&self, policy: &Policy) -> bool {
        policy.sizing.spot_retries.is_some_and(|enough| self.losses.any_has_lost(enough.get()))
    }

    /// On which market that container would be placed, which is not in the queue.
    pub(super) fn placed_on(&self, record: &Record, policy: &Policy, now: Timestamp) -> PlacedOn {
        let enough = policy.sizing.spot_retries.filter(|_| record.scheduling.market() == Market::Spot);
        let Some(enough) = enough else { return PlacedOn::Wanted };
        let requests = self.fallen.requests(record.uuid);
        let losses = self.losses.of(record.uuid, requests.map_or(&[], |requests| requests.all()), now);
        match requests {
            _ if losses >= enough.get() => PlacedOn::OnDemand,
            Some(_) => PlacedOn::Wanted,
            None => PlacedOn::NotKnown,
        }
    }
}
