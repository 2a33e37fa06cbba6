//! Free capacity, indexed so that the best place for a container is found without looking at each worker.
//!
//! Workers of a type that are equally ready, equally full and have the same left free are one *shape*.
//! A search costs O(types × shapes); there are few shapes where containers are alike. A need that found
//! nothing is remembered: within a round capacity only shrinks, so no greater need is searched for again
//! until something is added.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::fit::{Free, Resources};
use crate::id::TypeName;
use crate::instance::{InstanceType, Price};

/// A place, by number: real workers first, in the order of their ids.
pub(super) type PlaceId = usize;

/// An instance, real or to be, that containers can be placed on.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) instance_type: Arc<InstanceType>,
    /// In service now.
    pub(super) ready: bool,
    /// Containers on it, those placed in this round included.
    pub(super) containers: usize,
    pub(super) free: Free,
    /// Whether anything was placed on it in this round.
    pub(super) used: bool,
}

/// Which place is better: the order of the fields is the policy.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    not_ready: bool,
    containers: Reverse<usize>,
    price: Price,
    vcpus: Reverse<u64>,
    ram: Reverse<u64>,
    scratch: Reverse<u64>,
    id: PlaceId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    not_ready: bool,
    containers: Reverse<usize>,
}

type Shapes = BTreeMap<Rank, BTreeMap<Free, BTreeSet<PlaceId>>>;

/// The free capacity of a round.
pub(super) struct Bins {
    places: Vec<Place>,
    by_type: BTreeMap<TypeName, Shapes>,
    /// The smallest needs that found nothing, by type.
    hopeless: BTreeMap<TypeName, Vec<Resources>>,
    max_containers: usize,
}

impl Bins {
    /// `max_containers` on one instance; 0 = no limit.
    pub(super) fn new(max_containers: usize) -> Self {
        Self { places: Vec::new(), by_type: BTreeMap::new(), hopeless: BTreeMap::new(), max_containers }
    }

    /// Adds a place that containers can be placed on.
    pub(super) fn add(&mut self, place: Place) -> PlaceId {
        let id = self.places.len();
        self.hopeless.remove(&place.instance_type.name);
        self.places.push(place);
        self.index(id);
        id
    }

    pub(super) fn place(&self, id: PlaceId) -> &Place {
        &self.places[id]
    }

    fn is_full(&self, place: &Place) -> bool {
        self.max_containers > 0 && place.containers >= self.max_containers
    }

    fn index(&mut self, id: PlaceId) {
        let place = &self.places[id];
        if !self.is_full(place) {
            let rank = Rank { not_ready: !place.ready, containers: Reverse(place.containers) };
            let shapes = self.by_type.entry(place.instance_type.name.clone()).or_default();
            shapes.entry(rank).or_default().entry(place.free).or_default().insert(id);
        }
    }

    fn unindex(&mut self, id: PlaceId) {
        let place = &self.places[id];
        let rank = Rank { not_ready: !place.ready, containers: Reverse(place.containers) };
        let Some(shapes) = self.by_type.get_mut(&place.instance_type.name) else { return };
        let Some(by_free) = shapes.get_mut(&rank) else { return };
        if let Some(ids) = by_free.get_mut(&place.free) {
            ids.remove(&id);
            if ids.is_empty() {
                by_free.remove(&place.free);
            }
        }
        if by_free.is_empty() {
            shapes.remove(&rank);
        }
    }

    /// The best place for that need among instances of these types, and not one of `avoided`.
    pub(super) fn best(
        &mut self,
        need: &Resources,
        types: &[Arc<InstanceType>],
        avoided: &BTreeSet<PlaceId>,
    ) -> Option<PlaceId> {
        let mut best: Option<(Score, PlaceId)> = None;
        for it in types {
            let known_hopeless =
                self.hopeless.get(&it.name).is_some_and(|all| all.iter().any(|it| need.covers(it)));
            if known_hopeless {
                continue;
            }
            let found = self.by_type.get(&it.name).and_then(|shapes| best_of_type(shapes, need, avoided));
            match found {
                Some((rank, id)) => {
                    let score = Score {
                        not_ready: rank.not_ready,
                        containers: rank.containers,
                        price: it.price,
                        vcpus: Reverse(it.vcpus),
                        ram: Reverse(it.ram),
                        scratch: Reverse(it.scratch()),
                        id,
                    };
                    if best.as_ref().is_none_or(|(other, _)| score < *other) {
                        best = Some((score, id));
                    }
                }
                None if avoided.is_empty() => {
                    let known = self.hopeless.entry(it.name.clone()).or_default();
                    known.retain(|other| !other.covers(need));
                    known.push(*need);
                }
                None => {}
            }
        }
        best.map(|(_, id)| id)
    }

    /// Places a container there.
    pub(super) fn take(&mut self, id: PlaceId, need: &Resources) {
        self.unindex(id);
        let place = &mut self.places[id];
        place.free.take(need);
        place.containers += 1;
        place.used = true;
        self.index(id);
    }
}

fn best_of_type(shapes: &Shapes, need: &Resources, avoided: &BTreeSet<PlaceId>) -> Option<(Rank, PlaceId)> {
    shapes.iter().find_map(|(rank, by_free)| {
        let fitting = by_free.iter().filter(|(free, _)| free.fits(need));
        let candidates = fitting.filter_map(|(_, ids)| ids.iter().find(|id| !avoided.contains(id)));
        candidates.min().map(|id| (*rank, *id))
    })
}
