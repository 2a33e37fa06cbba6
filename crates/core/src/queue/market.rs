//! What the spot market has taken from containers, and who has lost so much to it that it goes on demand (`SpotRetries`).
//!
//! ```text
//!   Running, its instance is taken ─► cancelled ─► the controller tries another container for the same requests
//!   Locked, its instance is taken  ─► placed again
//!         └─► a loss of the container, and of each of its requests ─► so many, and it is placed on demand
//!
//!   first seen ─► its requests are asked for, beside its mounts ─┬─ known ─────► sized by the most that one of them has lost
//!                                                                └─ not known ─► sized by what itself has lost; asked again
//! ```
//! A container whose requests cannot be read runs as its user has said: not to know never stops a job. What was lost is known
//! to this process alone, for a week.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::poll::following;
use super::sized_anew::size_again;
use super::{ContainerQueue, Entry, QueueFact};
use crate::container::{ContainerState, MountNeeds};
use crate::id::{ContainerRequestUuid, ContainerUuid};
use crate::instance::Market;
use crate::policy::Policy;
use crate::time::{Timestamp, since};

/// Longer than a workflow waits for one of its steps.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many losers are remembered; with more of them a tenth is forgotten, whose last losses were longest ago.
const MOST_LOSERS: usize = 20_000;
/// So many of a container's requests count.
const MOST_REQUESTS: usize = 32;
/// After so many answers that do not tell a container's requests they count as unknowable.
const MOST_TRIES: u8 = 3;

/// What is known of the requests that a container is tried for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KnownRequests {
    /// `None`: not known.
    known: Option<Box<[ContainerRequestUuid]>>,
    /// They are being asked for.
    is_asked: bool,
    /// What sizing needs of its mounts, if that was answered first.
    pub(super) mounts: Option<MountNeeds>,
    /// How many answers have not told them.
    tries: u8,
}

impl KnownRequests {
    /// Whether the mounts wait for them, once they are there.
    pub(super) fn are_awaited(&self) -> bool {
        self.is_asked
    }

    fn are_wanted(&self) -> bool {
        self.known.is_none() && !self.is_asked && self.tries < MOST_TRIES
    }

    fn all(&self) -> &[ContainerRequestUuid] {
        self.known.as_deref().unwrap_or_default()
    }
}

/// What the controller has answered about the requests of some containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RequestsAnswer {
    /// These, a pair each.
    Told(Vec<(ContainerUuid, ContainerRequestUuid)>),
    /// They cannot be read, maybe because of one of them.
    Unreadable,
    /// The controller is in trouble.
    Unavailable,
}

impl RequestsAnswer {
    fn by_container(&self) -> BTreeMap<ContainerUuid, Vec<ContainerRequestUuid>> {
        let pairs: &[_] = if let Self::Told(pairs) = self { pairs } else { &[] };
        let mut told = BTreeMap::<_, Vec<_>>::new();
        for (uuid, request) in pairs {
            let requests = told.entry(*uuid).or_default();
            if requests.len() < MOST_REQUESTS {
                requests.push(*request);
            }
        }
        told
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loser {
    Container(ContainerUuid),
    Request(ContainerRequestUuid),
}

#[derive(Debug, Clone, Copy)]
struct Loss {
    count: u32,
    last: Timestamp,
}

/// How many instances the spot market has taken from whom. Costs O(log losers) a container, and a pass over all for each
/// round of losses.
#[derive(Debug, Default)]
pub(super) struct MarketLosses(BTreeMap<Loser, Loss>);

impl MarketLosses {
    fn losers<'r>(
        uuid: ContainerUuid,
        requests: &'r [ContainerRequestUuid],
    ) -> impl Iterator<Item = Loser> + 'r {
        std::iter::once(Loser::Container(uuid)).chain(requests.iter().copied().map(Loser::Request))
    }

    fn note(&mut self, uuid: ContainerUuid, requests: &[ContainerRequestUuid], now: Timestamp) {
        for loser in Self::losers(uuid, requests) {
            let loss = self.0.entry(loser).or_insert(Loss { count: 0, last: now });
            *loss = Loss { count: loss.count.saturating_add(1), last: now };
        }
        if self.0.len() > MOST_LOSERS {
            let mut dates: Vec<_> = self.0.iter().map(|(loser, loss)| (loss.last, *loser)).collect();
            dates.sort_unstable();
            for (_, loser) in &dates[..MOST_LOSERS / 10] {
                self.0.remove(loser);
            }
        }
    }

    fn forget_old(&mut self, now: Timestamp) {
        self.0.retain(|_, loss| since(now, loss.last) < KEPT_FOR);
    }

    /// The most that it, or one of these, has lost.
    pub(super) fn of(&self, uuid: ContainerUuid, requests: &KnownRequests) -> u32 {
        let losses = Self::losers(uuid, requests.all()).filter_map(|loser| self.0.get(&loser));
        losses.map(|loss| loss.count).max().unwrap_or(0)
    }
}

impl Entry {
    /// Whether it is placed on demand although it wants the spot market, because it has lost too much to that.
    pub fn is_moved_on_demand(&self) -> bool {
        self.record.scheduling.market() == Market::Spot && self.market() == Market::OnDemand
    }

    /// On which market its instance is bought.
    pub fn market(&self) -> Market {
        self.types().first().map_or(self.record.scheduling.market(), |it| it.market())
    }

    fn wants_requests(&self) -> bool {
        self.record.scheduling.market() == Market::Spot
            && !self.record.state.is_final()
            && self.requests.are_wanted()
    }
}

impl ContainerQueue {
    #[cfg(test)]
    pub(super) fn remembered_losers(&self) -> usize {
        self.losses.0.len()
    }

    /// Those of these containers whose requests are to be asked for: they are noted as asked for. O(these × log).
    pub(super) fn begin_asking_requests(&mut self, among: &[ContainerUuid]) -> Vec<ContainerUuid> {
        let wants = |uuid: &&ContainerUuid| self.entries.get(*uuid).is_some_and(|it| it.wants_requests());
        let wanted: Vec<_> = among.iter().filter(wants).copied().collect();
        for uuid in &wanted {
            if let Some(entry) = self.entry_mut(*uuid) {
                entry.requests.is_asked = true;
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
        let lack =
            self.entries.range(following(from)).filter(|(_, it)| it.mounts.is_some() && it.wants_requests());
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
            let Some(entry) = self.entry_mut(*uuid).filter(|entry| entry.requests.is_asked) else { continue };
            let requests = &mut entry.requests;
            requests.is_asked = false;
            requests.known = told.remove(uuid).map(Vec::into_boxed_slice);
            requests.tries += u8::from(requests.known.is_none() && *answer != RequestsAnswer::Unavailable);
            let (mounts, is_lacking) = (requests.mounts.take(), requests.are_wanted());
            self.lacks_requests |= is_lacking;
            match mounts {
                Some(mounts) => facts.extend(self.take_needs(*uuid, mounts, policy, now)),
                None => facts.extend(self.count_losses(*uuid, policy)),
            }
        }
        facts
    }

    /// The spot market has taken the instance of these containers.
    pub(super) fn lost_to_market(
        &mut self,
        uuids: &[ContainerUuid],
        policy: &Policy,
        now: Timestamp,
    ) -> Vec<QueueFact> {
        let mut facts = Vec::new();
        self.losses.forget_old(now);
        for uuid in uuids {
            let none = KnownRequests::default();
            let requests = self.entries.get(uuid).map_or(&none, |entry| &entry.requests);
            self.losses.note(*uuid, requests.all(), now);
            let losses = self.losses.of(*uuid, requests);
            facts.push(QueueFact::LostToMarket { uuid: *uuid, losses });
            facts.extend(self.count_losses(*uuid, policy));
        }
        facts
    }

    /// Counts the losses of a container that is sized, and sizes it again if that matters.
    fn count_losses(&mut self, uuid: ContainerUuid, policy: &Policy) -> Option<QueueFact> {
        let Self { entries, losses, type_lists, sparing_until, .. } = self;
        let entry = entries.get_mut(&uuid)?;
        let losses = losses.of(uuid, &entry.requests);
        if losses == entry.market_losses {
            return None;
        }
        let was_moved = entry.is_moved_on_demand();
        Arc::make_mut(entry).market_losses = losses;
        // One that runs is not placed any more.
        if !matches!(entry.record.state, ContainerState::Queued | ContainerState::Locked) {
            return None;
        }
        size_again(entry, policy, type_lists, *sparing_until);
        moved(entry).filter(|_| !was_moved)
    }
}

/// That the container is placed on demand although it wants the spot market.
pub(super) fn moved(entry: &Entry) -> Option<QueueFact> {
    let (uuid, losses) = (entry.record.uuid, entry.market_losses);
    entry.is_moved_on_demand().then_some(QueueFact::MovedOnDemand { uuid, losses })
}
