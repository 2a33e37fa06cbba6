//! The places of a round: free capacity on workers, on creates in flight, and on creates being planned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Round;
use super::bins::{Bins, Place, PlaceId};
use crate::container::ContainerState;
use crate::fit::{Free, Resources};
use crate::id::{ContainerUuid, InstanceId};
use crate::instance::InstanceType;
use crate::pool::{Fleet, Host};
use crate::queue::{Entry, Fit};

/// Free capacity, and the workers that have it.
pub(super) struct Places<'a> {
    fleet: &'a Fleet,
    bins: Bins,
    /// The workers among the places, in the order of ids. So the numbers of places do not depend on the
    /// order of the snapshot.
    workers: Vec<&'a Host>,
    /// Places where a container's dead process still holds its lock.
    stale: BTreeMap<ContainerUuid, BTreeSet<PlaceId>>,
}

impl<'a> Places<'a> {
    /// O(workers × log + processes).
    pub(super) fn new(round: &Round<'a>) -> Self {
        let fleet = round.fleet;
        let mut places = Self {
            fleet,
            bins: Bins::new(round.rules.max_containers_per_instance as usize),
            workers: Vec::with_capacity(fleet.hosts.len()),
            stale: BTreeMap::new(),
        };
        let mut by_id: Vec<_> = (0..round.hosts.len()).collect();
        by_id.sort_by_key(|position| &round.hosts[*position].id);
        let mut found = Vec::with_capacity(by_id.len());
        let may_fill_unseen = may_fill_unseen(round);
        for position in by_id {
            let host = round.hosts[position];
            let Some(place) = place_of(host, round, position) else { continue };
            let may_fill = host.ours || host.processes_known || may_fill_unseen;
            found.push(Place { ready: place.ready && may_fill, ..place });
            places.workers.push(host);
        }
        places.bins.add_all(found);
        for (id, host) in (0..).zip(&places.workers) {
            for uuid in &host.stale {
                places.stale.entry(*uuid).or_default().insert(id);
            }
        }
        for it in fleet.creates.iter().filter_map(|create| create.instance_type()) {
            places.add_new(it);
        }
        places
    }

    /// Adds an instance that is being created, or will be.
    pub(super) fn add_new(&mut self, it: &Arc<InstanceType>) -> PlaceId {
        let free = Free::all_of(it);
        self.bins.add(Place { instance_type: Arc::clone(it), ready: false, containers: 0, free, used: false })
    }

    pub(super) fn place(&self, id: PlaceId) -> &Place {
        self.bins.place(id)
    }

    pub(super) fn take(&mut self, id: PlaceId, need: &Resources) {
        self.bins.take(id, need);
    }

    /// All places that take one more container.
    pub(super) fn with_room(&self) -> impl Iterator<Item = &Place> + '_ {
        self.bins.with_room()
    }

    /// The worker at this place; `None` if its instance is still to be created.
    pub(super) fn worker(&self, id: PlaceId) -> Option<&'a Host> {
        self.workers.get(id as usize).copied()
    }

    /// All places on existing workers.
    pub(super) fn workers(&self) -> impl Iterator<Item = (&Place, &'a Host)> + '_ {
        (0..).zip(&self.workers).map(|(id, worker)| (self.bins.place(id), *worker))
    }

    /// All places on instances that are not in service yet, and on those still to be created.
    pub(super) fn to_come(&self) -> impl Iterator<Item = &Place> + '_ {
        let still_boots = |(id, place): (usize, &'_ Place)| {
            let host = self.workers.get(id);
            host.map_or(!place.ready, |host| !host.state.is_ready())
        };
        self.bins
            .all()
            .enumerate()
            .filter(move |(id, place)| still_boots((*id, place)))
            .map(|(_, place)| place)
    }

    /// The best place for a container; workers on which a start of it has failed are used only if there is no other.
    pub(super) fn best(
        &self,
        uuid: ContainerUuid,
        needs: &Resources,
        types: &[Arc<InstanceType>],
    ) -> Option<PlaceId> {
        let stale = self.stale.get(&uuid).into_iter().flatten();
        let mut avoided: Vec<_> = stale.copied().collect();
        let unusable = avoided.len();
        let failed = self.fleet.failed_starts.get(&uuid);
        let failed_on = failed.into_iter().flat_map(|failed| &failed.instances);
        avoided.extend(failed_on.filter_map(|id| self.place_of_worker(id)));
        match self.bins.best(needs, types, &avoided) {
            None if avoided.len() > unusable => self.bins.best(needs, types, &avoided[..unusable]),
            best => best,
        }
    }

    fn place_of_worker(&self, id: &InstanceId) -> Option<PlaceId> {
        let found = self.workers.binary_search_by(|worker| worker.id.cmp(id));
        found.ok().and_then(|place| PlaceId::try_from(place).ok())
    }
}

/// Whether a worker on which a process of an earlier dispatcher may still appear has the room that it seems to have.
/// The line keeps room for each container that was Locked before our start, and for one whose needs are unknown to us
/// it cannot. Nor does it for one that is Running where no list has shown it: once the first minute is over it runs on
/// such a worker, or nowhere. O(entries).
fn may_fill_unseen(round: &Round<'_>) -> bool {
    let is_unsized = |entry: &Entry| entry.fit == Fit::Unsized && round.may_run_unseen(entry);
    let is_late = !round.clocked.is_within_window;
    let runs = |entry: &Entry| is_late && entry.record.state == ContainerState::Running;
    let mut entries = round.queue.entries.iter().enumerate();
    !entries.any(|(position, entry)| (runs(entry) || is_unsized(entry)) && !round.has_process(position))
}

/// What is free on a worker; `None` if nothing may be placed on it.
fn place_of(host: &Host, round: &Round<'_>, position: usize) -> Option<Place> {
    // Without a runner to deploy, no container can be started.
    let takes_containers = host.is_placeable() && round.fleet.runner_readable;
    let instance_type = host.instance_type().filter(|_| takes_containers)?;
    let mut free = Free::all_of(instance_type);
    let running = round.processes.on_worker(position);
    for entry in running {
        // An instance that runs a container whose needs are unknown to us counts as full.
        let entry = entry.filter(|entry| entry.fit != Fit::Unsized)?;
        free.take(&entry.needs);
    }
    let instance_type = Arc::clone(instance_type);
    let (ready, containers) = (host.state.is_ready(), running.len());
    Some(Place { instance_type, ready, containers, free, used: false })
}
