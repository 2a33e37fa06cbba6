//! How many instances the spot market has taken from whom.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{ContainerRequestUuid, ContainerUuid};
use crate::time::{Timestamp, since};

/// Longer than a workflow waits for one of its steps.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many losses are remembered; with more of them a tenth is forgotten, those of longest ago.
const MOST: usize = 20_000;

/// A container, or a request that containers are tried for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LossOf {
    Container(ContainerUuid),
    Request(ContainerRequestUuid),
}

#[derive(Debug, Clone, Copy)]
struct Loss {
    count: u32,
    last: Timestamp,
    /// It is a container's that runs no more: its last loss has been counted.
    is_over: bool,
}

/// All that is remembered. Costs O(log losses) a container, and a pass over all for each round of losses.
#[derive(Debug, Default)]
pub(in crate::queue) struct MarketLosses {
    of: BTreeMap<LossOf, Loss>,
    /// The containers that were told to be placed on demand, and when.
    told: BTreeMap<ContainerUuid, Timestamp>,
}

fn all<'r>(uuid: ContainerUuid, requests: &'r [ContainerRequestUuid]) -> impl Iterator<Item = LossOf> + 'r {
    std::iter::once(LossOf::Container(uuid)).chain(requests.iter().copied().map(LossOf::Request))
}

impl MarketLosses {
    /// Notes a loss; `is_over`: the container runs no more. False: its last one was counted before.
    pub(super) fn note(
        &mut self,
        uuid: ContainerUuid,
        requests: &[ContainerRequestUuid],
        is_over: bool,
        now: Timestamp,
    ) -> bool {
        if self.of.get(&LossOf::Container(uuid)).is_some_and(|loss| loss.is_over) {
            return false;
        }
        for of in all(uuid, requests) {
            let loss = self.of.entry(of).or_insert(Loss { count: 0, last: now, is_over: false });
            (loss.count, loss.last) = (loss.count.saturating_add(1), now);
            loss.is_over |= is_over && of == LossOf::Container(uuid);
        }
        if self.of.len() > MOST {
            let mut dates: Vec<_> = self.of.iter().map(|(of, loss)| (loss.last, *of)).collect();
            dates.sort_unstable();
            for (_, of) in &dates[..MOST / 10] {
                self.of.remove(of);
            }
        }
        true
    }

    /// The requests of a container have become known: what itself has lost before is theirs, too.
    pub(super) fn credit(&mut self, uuid: ContainerUuid, requests: &[ContainerRequestUuid]) {
        let Some(own) = self.of.get(&LossOf::Container(uuid)).copied() else { return };
        for request in requests {
            let loss = self.of.entry(LossOf::Request(*request)).or_insert(Loss { is_over: false, ..own });
            loss.count = loss.count.max(own.count);
        }
    }

    /// The most that it, or one of these, has lost.
    pub(in crate::queue) fn of(
        &self,
        uuid: ContainerUuid,
        requests: &[ContainerRequestUuid],
        now: Timestamp,
    ) -> u32 {
        let losses = all(uuid, requests).filter_map(|of| self.of.get(&of));
        losses.filter(|loss| since(now, loss.last) < KEPT_FOR).map(|loss| loss.count).max().unwrap_or(0)
    }

    /// Whether anybody has lost that many. O(losses).
    pub(super) fn any_has_lost(&self, enough: u32) -> bool {
        self.of.values().any(|loss| loss.count >= enough)
    }

    /// That a container is placed on demand is told now; false: it was told before.
    pub(super) fn is_told_first(&mut self, uuid: ContainerUuid, now: Timestamp) -> bool {
        if self.told.len() >= MOST {
            self.told.retain(|_, at| since(now, *at) < KEPT_FOR / 7);
        }
        self.told.len() < MOST && self.told.insert(uuid, now).is_none()
    }

    pub(super) fn forget_old(&mut self, now: Timestamp) {
        self.of.retain(|_, loss| since(now, loss.last) < KEPT_FOR);
        self.told.retain(|_, at| since(now, *at) < KEPT_FOR);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}
