//! What the checks ask of an input, read once.

use std::collections::{BTreeMap, BTreeSet};

use crate::container::ContainerState;
use crate::fit::Free;
use crate::id::{ContainerUuid, InstanceId};
use crate::instance::InstanceType;
use crate::plan::PlanInput;
use crate::pool::{Host, Supply};
use crate::queue::{Entry, Fit};
use crate::time::{Timestamp, after};
use crate::worker::runner::INHERITED_START_WINDOW;

/// An input, in the order in which checks look things up.
pub(super) struct Facts<'a> {
    pub(super) input: &'a PlanInput,
    pub(super) supply: &'a Supply,
    pub(super) hosts: BTreeMap<&'a InstanceId, &'a Host>,
    /// Containers with a living process, as far as we know.
    pub(super) alive: BTreeSet<ContainerUuid>,
    pub(super) has_unknown_hosts: bool,
    /// A start that an earlier dispatcher sent may have a process that is not listed yet.
    pub(super) adopting_starts: bool,
}

/// Every VM that was found has listed its processes behind our fence, and every record with an old lock was asked for
/// since.
fn all_fenced(input: &PlanInput) -> bool {
    let queue = &input.queue;
    let old = (0..queue.entries.len()).filter(|position| queue.entries[*position].locked_before_start);
    let polled = old.map(|position| queue.asked_at(position)).chain([queue.polled_at]).min().flatten();
    let is_fenced = |host: &Host| host.ours || host.fenced_since.is_some_and(|since| polled > Some(since));
    let any_found = input.fleet.hosts.iter().any(|host| !host.ours);
    any_found
        && input.fleet.spaced_listings >= 3
        && polled > input.fleet.first_listing
        && input.fleet.hosts.iter().all(|host| is_fenced(host))
}

impl<'a> Facts<'a> {
    pub(super) fn new(input: &'a PlanInput, supply: &'a Supply, now: Timestamp) -> Self {
        let fleet = &*input.fleet;
        let is_early = fleet.first_listing.is_none_or(|listed| now < after(listed, INHERITED_START_WINDOW));
        let too_early = (is_early && !all_fenced(input)) || fleet.listings.len() < 3;
        Self {
            hosts: fleet.hosts.iter().map(|host| (&host.id, &**host)).collect(),
            alive: fleet.hosts.iter().flat_map(|host| host.containers()).collect(),
            has_unknown_hosts: fleet.has_unknown_hosts(),
            adopting_starts: too_early || fleet.hosts.iter().any(|host| host.may_show_more()),
            input,
            supply,
        }
    }

    pub(super) fn entry(&self, uuid: ContainerUuid) -> Option<&'a Entry> {
        self.input.queue.get(uuid).map(|entry| &**entry)
    }

    /// It has a process, or one that ended and is not forgotten.
    pub(super) fn has_process(&self, uuid: ContainerUuid) -> bool {
        self.alive.contains(&uuid) || self.input.fleet.ended.contains_key(&uuid)
    }

    /// How many containers have a process that lives, as far as is known.
    pub(super) fn living(&self) -> usize {
        self.alive.len()
    }

    /// It may have a process that nobody has shown yet; one that we saw end is no such process.
    pub(super) fn may_be_elsewhere(&self, uuid: ContainerUuid) -> bool {
        (self.has_unknown_hosts || self.adopting_starts)
            && !self.input.fleet.ended.contains_key(&uuid)
            && self.entry(uuid).is_some_and(|entry| {
                entry.locked_before_start && entry.record.state == ContainerState::Locked
            })
    }

    /// What is left on a host, and how many containers are there; `None` if that is not known.
    pub(super) fn free_on(&self, host: &Host, it: &InstanceType) -> Option<(Free, usize)> {
        let mut free = Free::all_of(it);
        let mut containers = 0;
        for uuid in host.containers() {
            let entry = self.entry(uuid).filter(|entry| entry.fit != Fit::Unsized)?;
            free.take(&entry.needs);
            containers += 1;
        }
        Some((free, containers))
    }
}
