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

/// If there are too many, a tenth goes: those of longest ago.
fn forget_oldest<K: Copy + Ord, V>(of: &mut BTreeMap<K, V>, date: impl Fn(&V) -> Timestamp) {
    if of.len() <= MOST {
        return;
    }
    let mut dates: Vec<_> = of.iter().map(|(key, value)| (date(value), *key)).collect();
    dates.sort_unstable();
    for (_, key) in &dates[..dates.len() - (MOST - MOST / 10)] {
        of.remove(key);
    }
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
        forget_oldest(&mut self.of, |loss| loss.last);
        true
    }

    /// The requests of a container have become known: what itself has lost before is theirs, too.
    pub(super) fn credit(&mut self, uuid: ContainerUuid, requests: &[ContainerRequestUuid]) {
        let Some(own) = self.of.get(&LossOf::Container(uuid)).copied() else { return };
        for request in requests {
            let loss = self.of.entry(LossOf::Request(*request)).or_insert(Loss { is_over: false, ..own });
            loss.count = loss.count.max(own.count);
        }
        forget_oldest(&mut self.of, |loss| loss.last);
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
        let is_first = self.told.insert(uuid, now).is_none();
        forget_oldest(&mut self.told, |at| *at);
        is_first
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, request, uuid};

    /// Also by requests that become known of many who have lost, thirty-two each, and by what is told.
    #[test]
    fn nothing_of_it_fills_the_memory_and_the_latest_stays() {
        let mut losses = MarketLosses::default();
        for n in 0..2_000 {
            losses.note(uuid(n), &[], false, at(n as i64));
            let requests: Vec<_> = (0..32).map(|m| request(32 * n + m)).collect();
            losses.credit(uuid(n), &requests);
            assert!(losses.of.len() <= MOST);
        }
        assert_eq!(losses.of(uuid(1_999), &[], at(2_000)), 1);
        assert_eq!(losses.of(uuid(70_000), &[request(32 * 1_999)], at(2_000)), 1);
        assert_eq!(losses.of(uuid(0), &[], at(2_000)), 0);
        for n in 0..3 * MOST as u64 {
            assert!(losses.is_told_first(uuid(n), at(n as i64)), "however many were told before");
            assert!(losses.told.len() <= MOST);
        }
        assert!(!losses.is_told_first(uuid(3 * MOST as u64 - 1), at(0)));
    }
}
