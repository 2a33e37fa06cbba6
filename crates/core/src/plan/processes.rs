//! Which container has a process on which worker: Pool's processes, joined with the entries of the queue.
//!
//! Both are in the order of uuids, so the join reads each once: O(entries + P log P) for P
//! processes. What is known of a container is then found by the position of its entry, without a search.

use std::collections::BTreeMap;

use crate::id::ContainerUuid;
use crate::pool::{EndedProcess, Fleet, Host};
use crate::queue::{Entry, QueueSnapshot};
use crate::time::Timestamp;
use crate::worker::State;

/// What is known of a container's processes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProcessCounts<'a> {
    /// The number of live processes, as far as we know.
    pub(super) alive: usize,
    /// How many of them can be signalled and have not been signalled.
    pub(super) can_be_killed: usize,
    /// How many of them are on instances that may still get something new.
    pub(super) without_notice: usize,
    /// When the last of them began, as far as we know; `None`: a start was just sent.
    pub(super) youngest: Option<Timestamp>,
    pub(super) ended: Option<&'a EndedProcess>,
}

impl ProcessCounts<'_> {
    pub(super) fn is_any(&self) -> bool {
        self.alive > 0 || self.ended.is_some()
    }

    fn add(&mut self, found: &Found) {
        let is_first = self.alive == 0;
        self.youngest =
            if is_first { found.since } else { self.youngest.zip(found.since).map(|(a, b)| a.max(b)) };
        self.alive += 1;
        self.can_be_killed += usize::from(found.can_be_killed);
        self.without_notice += usize::from(found.without_notice);
    }
}

/// Everything that is known of processes.
pub(super) struct ProcessTable<'a> {
    /// By position of the entry.
    of_entries: Vec<ProcessCounts<'a>>,
    /// The processes of containers that are not in the queue.
    orphans: BTreeMap<ContainerUuid, ProcessCounts<'a>>,
    /// The entry of each process, worker by worker; `None`: an orphan.
    hosted: Vec<Option<&'a Entry>>,
    /// The index in `hosted` at which the processes of each worker begin, and the end of the last.
    begins: Vec<usize>,
    containers: usize,
    living: usize,
}

impl<'a> ProcessTable<'a> {
    /// Joins processes with entries; `uuids` are those of the entries.
    pub(super) fn new(
        queue: &'a QueueSnapshot,
        uuids: &[ContainerUuid],
        fleet: &'a Fleet,
        hosts: &[&Host],
    ) -> Self {
        let (mut found, begins) = all_found(hosts);
        found.sort_unstable_by_key(|(_, it)| it.uuid);
        let mut table = Self {
            of_entries: vec![ProcessCounts::default(); queue.entries.len()],
            orphans: BTreeMap::new(),
            hosted: vec![None; found.len()],
            begins,
            containers: 0,
            living: 0,
        };
        let mut from = 0;
        for (number, it) in &found {
            from += first_not_before(&uuids[from..], it.uuid);
            let position = Some(from).filter(|at| uuids.get(*at) == Some(&it.uuid));
            table.hosted[*number] = position.map(|at| &*queue.entries[at]);
            table.slot(it.uuid, position).add(it);
        }
        for (uuid, ended) in &fleet.ended {
            table.slot(*uuid, uuids.binary_search(uuid).ok()).ended = Some(ended);
        }
        let with_process = table.of_entries.iter().filter(|it| it.is_any()).count();
        table.containers = with_process + table.orphans.len();
        let all = table.of_entries.iter().chain(table.orphans.values());
        table.living = all.filter(|it| it.alive > 0).count();
        table
    }

    fn slot(&mut self, uuid: ContainerUuid, position: Option<usize>) -> &mut ProcessCounts<'a> {
        match position {
            Some(position) => &mut self.of_entries[position],
            None => self.orphans.entry(uuid).or_default(),
        }
    }

    /// What is known of the container whose entry has this position.
    pub(super) fn of(&self, position: usize) -> &ProcessCounts<'a> {
        &self.of_entries[position]
    }

    /// The processes of containers that are not in the queue.
    pub(super) fn orphans(&self) -> impl Iterator<Item = (ContainerUuid, ProcessCounts<'a>)> + '_ {
        self.orphans.iter().map(|(uuid, known)| (*uuid, *known))
    }

    /// The entries of the processes on the worker at this position; `None` for an orphan.
    pub(super) fn on_worker(&self, position: usize) -> &[Option<&'a Entry>] {
        &self.hosted[self.begins[position]..self.begins[position + 1]]
    }

    /// How many containers have a process that lives, as far as we know.
    pub(super) fn living(&self) -> usize {
        self.living
    }

    /// How many containers have a process, or one that ended.
    pub(super) fn containers(&self) -> usize {
        self.containers
    }
}

/// A process on a worker.
struct Found {
    uuid: ContainerUuid,
    since: Option<Timestamp>,
    can_be_killed: bool,
    without_notice: bool,
}

/// All processes, numbered worker by worker, and where those of each worker begin. Processes on a worker in
/// shutdown count as alive until the instance is gone.
fn all_found(hosts: &[&Host]) -> (Vec<(usize, Found)>, Vec<usize>) {
    let mut found = Vec::new();
    let mut begins = Vec::with_capacity(hosts.len() + 1);
    for host in hosts {
        begins.push(found.len());
        for process in &host.processes {
            let can_be_killed = !process.killing && host.state != State::Shutdown;
            let without_notice = !host.spot_notice && host.state != State::Shutdown;
            let (uuid, since) = (process.uuid, process.since);
            found.push((found.len(), Found { uuid, since, can_be_killed, without_notice }));
        }
    }
    begins.push(found.len());
    (found, begins)
}

/// How many uuids come before this one: O(log of the result), and so O(all) for many searches in a row.
fn first_not_before(uuids: &[ContainerUuid], uuid: ContainerUuid) -> usize {
    let mut bound = 1;
    while uuids.get(bound - 1).is_some_and(|it| *it < uuid) {
        bound *= 2;
    }
    let (least, most) = (bound / 2, bound.min(uuids.len()));
    least + uuids[least..most].partition_point(|it| *it < uuid)
}
