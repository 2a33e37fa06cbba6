//! What instances cost: the money that this dispatcher spends, by type, by what an instance did, by hour and by container.
//!
//! ```text
//!   Pool: appeared, changed, gone ─► open instances: price an hour, category, containers
//!                                        │ each change of them turns
//!                                        ▼
//!                   meters, one a type and category ─► hours (the last 7 days)
//!                   shares, one a container on an instance ─► those that run, and the last 1,000 that have ended
//! ```
//! A meter has a rate and a total, both whole numbers, so that nothing is lost however often it turns. A change costs
//! O(log instances + containers on that instance); a statement costs O(types + hours + containers), never O(instances).
//!
//! It begins when this process begins to work. What an instance of an earlier dispatcher had cost before is
//! recovered from its age ([`Earlier`]), and stands apart: a process never claims more than its own time. What cannot be
//! recovered are instances that ended before that, and ages that a cloud does not tell.
//!
//! An instance counts from its appearance until it is gone. From the moment at which the cloud has acknowledged that it
//! ends it counts only as far as listings still show it: most clouds ask no money for an instance that shuts down, and a
//! listing tells late that one has gone.
//!
//! Never does: deciding anything. Prices come from configuration and cloud.

mod category;
mod hours;
mod meter;
mod shares;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

pub use category::Category;
use hours::Hours;
pub use hours::{HOURS_KEPT, Hour};
use meter::{Meter, Spent, rate_of};
use shares::Shares;
pub use shares::{ENDED_KEPT, Share};

use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::instance::{Instance, Price, PricePoint};
use crate::time::{Timestamp, since};
use crate::worker::View;

/// What is counted apart: the name of the type as the instance's tag has it, and what it did.
pub type Key = (Option<TypeName>, Category);

/// Money of one type and category.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sum {
    /// The name of the type as the instance's tag has it; `None` = its tag names none.
    pub instance_type: Option<TypeName>,
    /// What the instances did.
    pub category: Category,
    /// The amount, in the currency of the configured prices.
    pub amount: f64,
    /// What these instances cost an hour now.
    pub per_hour: f64,
}

/// What the instances that were found at the start had cost before.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Earlier {
    /// The amount, as far as their ages are known.
    pub amount: f64,
    /// Of how many instances.
    pub instances: usize,
    /// How many instances were found whose age the cloud does not tell: they are not in the amount.
    pub of_unknown_age: usize,
}

/// All that is known of what was spent, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Since when everything is counted.
    pub since: Timestamp,
    /// The moment of this statement.
    pub at: Timestamp,
    /// Since then, by type and category.
    pub sums: Vec<Sum>,
    /// The same by hours, oldest first; the last one is not over.
    pub hours: Vec<Arc<Hour>>,
    /// What instances had cost before.
    pub earlier: Earlier,
    /// How many instances there are whose price nobody knows.
    pub unpriced: usize,
    /// The containers: those that run, and the last that have ended.
    pub shares: Vec<Share>,
}

/// An instance that costs money.
#[derive(Debug, PartialEq)]
struct Open {
    key: Key,
    /// Price an hour.
    price: Option<Price>,
    /// Since when that price counts.
    priced: Timestamp,
    containers: BTreeSet<ContainerUuid>,
    /// Since when it counts only as far as listings still show it: the cloud has acknowledged that it ends.
    ends_since: Option<Timestamp>,
}

impl Open {
    fn of(view: &View, instance: &Instance, before: Option<&Self>, now: Timestamp) -> Self {
        let containers: BTreeSet<_> = view.processes.iter().map(|process| process.uuid).collect();
        let category = Category::of(!containers.is_empty(), view);
        let acknowledged = view.destroy_acknowledged.then_some(now);
        // What it has cost it goes on costing, although nobody says so any more.
        let price = price_now(view, instance).or(before.and_then(|it| it.price));
        let same = before.filter(|it| it.price == price);
        Self {
            key: (view.type_name.clone(), category),
            price,
            priced: same.map_or(now, |it| it.priced),
            containers,
            ends_since: before.and_then(|it| it.ends_since).or(acknowledged),
        }
    }

    /// What it costs an hour for certain.
    fn rate(&self) -> u64 {
        if self.ends_since.is_some() { 0 } else { self.full_rate() }
    }

    fn full_rate(&self) -> u64 {
        self.price.map_or(0, rate_of)
    }
}

/// What an instance costs an hour: as the cloud tells, or else as its type is configured; `None` = nobody knows.
pub fn price_now(view: &View, instance: &Instance) -> Option<Price> {
    let told = instance.price_history.first().map(|point| point.price);
    told.or_else(|| view.like.as_ref().map(|it| it.price))
}

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    since: Option<Timestamp>,
    open: BTreeMap<InstanceId, Open>,
    meters: BTreeMap<Key, Meter>,
    hours: Hours,
    shares: Shares,
    /// See [`Earlier`].
    earlier: Spent,
    earlier_instances: usize,
    of_unknown_age: usize,
    /// How many open instances have no known price.
    unpriced: usize,
    /// Until when each instance was counted that has just gone: a listing may show it again.
    closed: BTreeMap<InstanceId, Timestamp>,
}

/// An instance that has gone is remembered for this long.
const CLOSED_KEPT: Duration = Duration::from_secs(3600);

impl Ledger {
    /// From now on everything is counted.
    pub fn begin(&mut self, now: Timestamp) {
        self.since.get_or_insert(now);
        self.hours.turn(&self.meters, now);
    }

    /// An instance has appeared. `ordered`: when this process has ordered it, if it has.
    pub fn opened(&mut self, view: &View, instance: &Instance, ordered: Option<Timestamp>, now: Timestamp) {
        let began = *self.since.get_or_insert(now);
        self.hours.turn(&self.meters, now);
        let open = Open::of(view, instance, None, now);
        let rate = open.full_rate();
        let closed = self.closed.remove(&view.id);
        // By the cloud's clock.
        let launched = instance.launched.filter(|at| *at <= now);
        let from = match (ordered, closed, launched) {
            (Some(ordered), _, launched) => launched.unwrap_or(now).max(ordered),
            // A listing had left it out.
            (None, Some(counted), _) => counted,
            (None, None, Some(launched)) if launched < began => {
                self.earlier += spent_between(instance, rate, launched, began);
                self.earlier_instances += 1;
                began
            }
            (None, None, Some(launched)) => launched,
            (None, None, None) => {
                self.of_unknown_age += 1;
                now
            }
        };
        self.meters.entry(open.key.clone()).or_default().add(spent_between(instance, rate, from, now));
        self.set(view.id.clone(), Some(open), now);
    }

    /// An instance may cost something else now, or do something else. Nothing happens if it has not been opened.
    pub fn noted(&mut self, view: &View, instance: &Instance, now: Timestamp) {
        let Some(before) = self.open.get(&view.id) else { return };
        let open = Open::of(view, instance, Some(before), now);
        if *before == open {
            return;
        }
        self.hours.turn(&self.meters, now);
        let (told, price, priced) = (before.price, open.price, before.priced);
        let is_dated = price != told && !instance.price_history.is_empty() && open.ends_since.is_none();
        let was = Spent::of(told.map_or(0, rate_of), priced, now);
        self.set(view.id.clone(), Some(open), now);
        if is_dated {
            // A new price is heard of later than it begins.
            let is = spent_between(instance, 0, priced, now);
            self.correct(&view.id, was, is);
        }
    }

    /// An open instance has cost this in the time for which that was counted.
    fn correct(&mut self, id: &InstanceId, was: Spent, is: Spent) {
        let Some(open) = self.open.get(id) else { return };
        let meter = self.meters.entry(open.key.clone()).or_default();
        meter.add(is - was);
        meter.take(was - is);
    }

    /// A listing that began then shows an instance that ends.
    pub fn still_listed(&mut self, id: &InstanceId, began: Timestamp) {
        self.hours.turn(&self.meters, began);
        let Some(open) = self.open.get_mut(id) else { return };
        let rate = open.full_rate();
        let Some(counted) = open.ends_since.as_mut().filter(|counted| **counted < began) else { return };
        let spent = Spent::of(rate, std::mem::replace(counted, began), began);
        self.meters.entry(open.key.clone()).or_default().add(spent);
    }

    /// An instance is gone.
    pub fn closed(&mut self, id: &InstanceId, now: Timestamp) {
        self.hours.turn(&self.meters, now);
        if let Some(open) = self.open.get(id) {
            self.closed.retain(|_, counted| since(now, *counted) < CLOSED_KEPT);
            self.closed.insert(id.clone(), open.ends_since.unwrap_or(now));
        }
        self.set(id.clone(), None, now);
    }

    /// All that is known now. O(types + hours + containers).
    pub fn statement(&mut self, now: Timestamp) -> Statement {
        let since = *self.since.get_or_insert(now);
        self.hours.turn(&self.meters, now);
        Statement {
            since,
            at: now,
            sums: self.sums(now),
            hours: self.hours.all(&self.meters, since, now),
            earlier: Earlier {
                amount: self.earlier.amount(),
                instances: self.earlier_instances,
                of_unknown_age: self.of_unknown_age,
            },
            unpriced: self.unpriced,
            shares: self.shares.all(now),
        }
    }

    /// By type and category, since the books were opened. O(types).
    pub fn sums(&self, now: Timestamp) -> Vec<Sum> {
        let sum = |((instance_type, category), meter): (&Key, &Meter)| Sum {
            instance_type: instance_type.clone(),
            category: *category,
            amount: meter.total(now).amount(),
            per_hour: meter.per_hour(),
        };
        self.meters.iter().map(sum).collect()
    }

    /// Replaces what is known of an instance, and turns the meters that it concerns.
    fn set(&mut self, id: InstanceId, open: Option<Open>, now: Timestamp) {
        if let Some(before) = self.open.remove(&id) {
            self.unpriced -= usize::from(before.price.is_none());
            self.meters.entry(before.key.clone()).or_default().slower(before.rate(), now);
            let is_there =
                |uuid: &ContainerUuid| open.as_ref().is_some_and(|it| it.containers.contains(uuid));
            for uuid in before.containers.iter().filter(|uuid| !is_there(uuid)) {
                self.shares.ended(*uuid, &id, now);
            }
        }
        let Some(open) = open else { return };
        self.unpriced += usize::from(open.price.is_none());
        self.meters.entry(open.key.clone()).or_default().faster(open.rate(), now);
        let count = open.containers.len() as u64;
        for uuid in &open.containers {
            self.shares.runs(*uuid, &id, &open.key.0, open.rate() / count, now);
        }
        self.open.insert(id, open);
    }
}

/// What an instance has cost from one moment to another, with the history of its price. Before its first known price that
/// one counts; without any, `rate`.
fn spent_between(instance: &Instance, rate: u64, from: Timestamp, to: Timestamp) -> Spent {
    let mut spent = Spent::default();
    let mut until = to;
    for PricePoint { start_time, price } in &instance.price_history {
        let begin = (*start_time).clamp(from, until.max(from));
        spent += Spent::of(rate_of(*price), begin, until);
        until = begin;
    }
    let first = instance.price_history.last().map_or(rate, |point| rate_of(point.price));
    spent += Spent::of(first, from, until);
    spent
}
