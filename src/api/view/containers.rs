//! All containers at one moment, in the order in which they are served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dispatch_core::id::ContainerUuid;
use dispatch_core::plan::Plan;
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::queue::{Entry, QueueSnapshot};

use super::entry::EntryView;
use super::explain::{Explanation, Places};

/// Snapshots that belong together as nearly as three questions at once can tell.
pub struct Containers {
    plan: Arc<Plan>,
    queue: Arc<QueueSnapshot>,
    places: Places,
}

impl Containers {
    /// What was planned last, and how queue and pool stand now.
    pub fn new(plan: Arc<Plan>, queue: Arc<QueueSnapshot>, pool: Arc<PoolSnapshot>) -> Self {
        let places = Places::new(pool, Arc::clone(&plan.supply));
        Self { plan, queue, places }
    }

    /// In scheduling order; then what the last plan has not seen, then what could never be read.
    /// O(containers × log).
    pub fn in_order(&self) -> impl Iterator<Item = EntryView<'_>> {
        let entries: BTreeMap<_, _> =
            self.queue.entries.iter().map(|entry| (entry.record.uuid, &**entry)).collect();
        let planned: BTreeSet<_> = self.plan.order.iter().copied().collect();
        let ordered = self.plan.order.iter().filter_map(|uuid| entries.get(uuid).copied());
        let ordered: Vec<_> = ordered.collect();
        let new = self.queue.entries.iter().filter(move |it| !planned.contains(&it.record.uuid));
        let unreadable = self.queue.unreadable.keys().filter(move |uuid| !entries.contains_key(uuid));
        let readable = ordered.into_iter().chain(new.map(|entry| &**entry));
        readable.map(|entry| self.view(entry)).chain(unreadable.filter_map(|uuid| self.unreadable(*uuid)))
    }

    /// One container.
    pub fn get(&self, uuid: ContainerUuid) -> Option<EntryView<'_>> {
        self.queue.get(uuid).map(|entry| self.view(entry)).or_else(|| self.unreadable(uuid))
    }

    fn view<'a>(&'a self, entry: &'a Entry) -> EntryView<'a> {
        let waiting = self.plan.waiting.get(&entry.record.uuid);
        EntryView::of(entry, waiting, Explanation::of(entry, waiting, &self.places))
    }

    fn unreadable(&self, uuid: ContainerUuid) -> Option<EntryView<'_>> {
        let why = self.queue.unreadable.get(&uuid)?;
        Some(EntryView::unreadable(uuid, Explanation::undecodable(uuid, why, &self.places)))
    }
}
