//! All containers at one moment, in the order in which they are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_actors::clock;
use dispatch_core::id::{ContainerUuid, TypeName};
use dispatch_core::plan::Plan;
use dispatch_core::policy::Policy;
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::queue::{Entry, QueueSnapshot};
use dispatch_core::time::Timestamp;

use super::detail;
use super::entry::EntryView;
use super::event::EventView;
use super::explain::{Explanation, Places};
use super::left::Left;
use crate::api::list::Items;

/// Snapshots that belong together as nearly as three questions at once can tell.
pub struct Containers {
    plan: Arc<Plan>,
    queue: Arc<QueueSnapshot>,
    places: Places,
    /// When reasons end why types are not created, by the wall clock.
    ends: BTreeMap<TypeName, Timestamp>,
}

impl Containers {
    /// What was planned last, and how queue and pool stand now.
    pub fn new(plan: Arc<Plan>, queue: Arc<QueueSnapshot>, pool: Arc<PoolSnapshot>) -> Self {
        let places = Places::new(pool, Arc::clone(&plan.supply));
        let ends = plan.supply.ends.iter().map(|(name, end)| (name.clone(), clock::shown(*end))).collect();
        Self { plan, queue, places, ends }
    }

    /// In scheduling order; then what the last plan has not seen, then what could never be read.
    /// O(containers × log).
    pub fn in_order(self) -> OrderedContainers {
        let queue = &self.queue;
        let mut is_planned = vec![false; queue.entries.len()];
        let mut rows = Vec::with_capacity(queue.entries.len() + queue.unreadable.len());
        for position in self.plan.order.iter().filter_map(|uuid| queue.position(*uuid)) {
            is_planned[position] = true;
            rows.push(Row::Entry(position));
        }
        let new = (0..is_planned.len()).filter(|position| !is_planned[*position]);
        rows.extend(new.map(Row::Entry));
        let unreadable = queue.unreadable.keys().filter(|uuid| queue.position(**uuid).is_none());
        rows.extend(unreadable.map(|uuid| Row::Unreadable(*uuid)));
        OrderedContainers { containers: self, rows }
    }

    /// One container.
    pub fn get(&self, uuid: ContainerUuid) -> Option<EntryView<'_>> {
        self.queue.get(uuid).map(|entry| self.view(entry)).or_else(|| self.unreadable(uuid))
    }

    /// One that is in the queue no more.
    pub fn left<'a>(&'a self, uuid: ContainerUuid, left: &'a Left, events: &'a [EventView]) -> EntryView<'a> {
        let explain = Explanation::left(uuid, left, &self.places);
        let mut view = EntryView::left(uuid, left, explain);
        view.events = Some(events);
        view
    }

    /// One container with all that explains it, its events among that.
    pub fn detailed<'a>(
        &'a self,
        uuid: ContainerUuid,
        policy: &'a Policy,
        events: &'a [EventView],
    ) -> Option<EntryView<'a>> {
        let mut view = self.get(uuid)?;
        if let Some(entry) = self.queue.get(uuid) {
            detail::add(&mut view.explain, entry, policy, &self.plan, self.places.pool());
        }
        view.events = Some(events);
        Some(view)
    }

    fn view<'a>(&'a self, entry: &'a Entry) -> EntryView<'a> {
        let waiting = self.plan.waiting.get(&entry.record.uuid);
        EntryView::of(entry, waiting, &self.ends, Explanation::of(entry, waiting, &self.places))
    }

    fn unreadable(&self, uuid: ContainerUuid) -> Option<EntryView<'_>> {
        let why = self.queue.unreadable.get(&uuid)?;
        Some(EntryView::unreadable(uuid, Explanation::undecodable(uuid, why, &self.places)))
    }
}

/// What stands at one place of the list.
enum Row {
    /// The entry at that position of the snapshot.
    Entry(usize),
    /// A record that could never be read.
    Unreadable(ContainerUuid),
}

/// All of them, each made when its turn comes.
pub struct OrderedContainers {
    containers: Containers,
    rows: Vec<Row>,
}

impl Items for OrderedContainers {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn write(&self, place: usize, to: &mut Vec<u8>) -> serde_json::Result<()> {
        let Self { containers, rows } = self;
        match rows[place] {
            Row::Entry(position) => {
                serde_json::to_writer(to, &containers.view(&containers.queue.entries[position]))
            }
            Row::Unreadable(uuid) => serde_json::to_writer(to, &containers.unreadable(uuid)),
        }
    }
}
