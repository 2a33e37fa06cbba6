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
use serde_json::Value;

use super::detail;
use super::entry::EntryView;
use super::explain::{Explanation, Places};
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

    /// One that has left the queue within the last hour, as its events tell; `None` if it has not, or is another's now.
    pub fn left(&self, uuid: ContainerUuid, events: &Value) -> Option<Value> {
        let left = detail::left(events, clock::wall_time())?;
        // With every key that a container's view has.
        let empty = EntryView::unreadable(uuid, Explanation::undecodable(uuid, "", &self.places));
        let mut view = serde_json::to_value(empty).ok()?;
        detail::add_left(&mut view, left, events);
        Some(view)
    }

    /// One container with all that explains it, its events among that.
    pub fn detailed(&self, uuid: ContainerUuid, policy: &Policy, events: &Value) -> Option<Value> {
        // Everything in it is made of plain values, so it is an object.
        let mut view = serde_json::to_value(self.get(uuid)?).ok()?;
        if let Some(entry) = self.queue.get(uuid) {
            detail::add(&mut view, entry, policy, &self.plan, self.places.pool());
        }
        view["events"] = events.clone();
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
