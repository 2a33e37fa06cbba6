//! Free capacity, indexed so that the best place for a container is found without a look at every place.
//!
//! ```text
//!   type ─► rank (ready, containers on it) ─► class (VCPUs, GPUs left) ─► shelf: the first place with enough room
//! ```
//! The module [`crate::preference`] decides which of two places is better.
//!
//! A search costs O(types × ranks × classes × log places). Ranks and classes are bounded by the size of
//! the types (an instance has at most as many containers as VCPUs, without counting containers that
//! want none), not by the number of instances; taking a place costs O(log places).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::shelf::{Room, Shelf, Shelves};
use crate::fit::{Free, Resources};
use crate::id::TypeName;
use crate::instance::InstanceType;
use crate::preference::{PlacePreference, PlaceRank, TypePreference};

/// The number of a place: real workers come first, in the order of their ids.
pub(super) type PlaceId = u32;

/// An instance on which containers can be placed. It exists, or it is being created.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) instance_type: Arc<InstanceType>,
    /// Whether the instance is in service now.
    pub(super) ready: bool,
    /// How many containers are on it, including those placed in this round.
    pub(super) containers: usize,
    pub(super) free: Free,
    /// Whether anything was placed on it in this round.
    pub(super) used: bool,
}

impl Place {
    fn rank(&self) -> PlaceRank {
        PlaceRank::new(self.ready, self.containers)
    }
}

/// The free resources without RAM and scratch: they have few different values, whatever the containers need.
type Class = Free;

/// All places of a type.
#[derive(Default)]
struct Stock(BTreeMap<PlaceRank, BTreeMap<Class, Shelf>>);

/// The free capacity of a round.
pub(super) struct Bins {
    places: Vec<Place>,
    /// The stock to which each place belongs.
    stock_of: Vec<usize>,
    stocks: Vec<Stock>,
    shelves: Shelves,
    by_name: BTreeMap<TypeName, usize>,
    /// An index by address: types are looked up millions of times, almost always by the pointer in the catalog.
    by_pointer: BTreeMap<*const InstanceType, usize>,
    max_containers: usize,
}

impl Bins {
    /// `max_containers` on one instance; 0 = no limit.
    pub(super) fn new(max_containers: usize) -> Self {
        Self {
            places: Vec::new(),
            stock_of: Vec::new(),
            stocks: Vec::new(),
            shelves: Shelves::default(),
            by_name: BTreeMap::new(),
            by_pointer: BTreeMap::new(),
            max_containers,
        }
    }

    /// Adds many places, numbered in their order. Places of one type are stored together, because they are searched
    /// together.
    pub(super) fn add_all(&mut self, places: Vec<Place>) {
        let first = self.places.len();
        places.into_iter().for_each(|place| self.push(place));
        let mut order: Vec<_> = (first..self.places.len()).map(number).collect();
        order.sort_by_key(|id| self.stock_of[*id as usize]);
        order.into_iter().for_each(|id| self.put(id));
    }

    /// Adds a place that containers can be placed on.
    pub(super) fn add(&mut self, place: Place) -> PlaceId {
        let id = number(self.places.len());
        self.push(place);
        self.put(id);
        id
    }

    fn push(&mut self, place: Place) {
        let it = &place.instance_type;
        let stock = self.stock(it).unwrap_or_else(|| self.new_stock(it));
        self.stock_of.push(stock);
        self.places.push(place);
    }

    pub(super) fn place(&self, id: PlaceId) -> &Place {
        &self.places[id as usize]
    }

    /// All places, by number.
    pub(super) fn all(&self) -> impl Iterator<Item = &Place> + '_ {
        self.places.iter()
    }

    /// All places that take one more container, if it is small enough.
    pub(super) fn with_room(&self) -> impl Iterator<Item = &Place> + '_ {
        self.places.iter().filter(|place| !self.is_full(place))
    }

    fn is_full(&self, place: &Place) -> bool {
        self.max_containers > 0 && place.containers >= self.max_containers
    }

    /// Places a container on this place.
    pub(super) fn take(&mut self, id: PlaceId, need: &Resources) {
        self.unput(id);
        let place = &mut self.places[id as usize];
        place.free.take(need);
        place.containers += 1;
        place.used = true;
        self.put(id);
    }

    /// The best place for this need among instances of these types, except those in `avoided`.
    pub(super) fn best(
        &self,
        need: &Resources,
        types: &[Arc<InstanceType>],
        avoided: &[PlaceId],
    ) -> Option<PlaceId> {
        let mut best: Option<PlacePreference> = None;
        for it in types {
            let Some(stock) = self.stock(it) else { continue };
            let at_most = best.map(|best| best.rank);
            let found = self.best_of(&self.stocks[stock], need, avoided, at_most);
            let found = found.map(|(rank, number)| PlacePreference {
                rank,
                instance_type: TypePreference::of(it),
                number,
            });
            best = best.into_iter().chain(found).min();
        }
        best.map(|best| best.number)
    }

    /// The best place of a type, whose rank must not be worse than `at_most`.
    fn best_of(
        &self,
        stock: &Stock,
        need: &Resources,
        avoided: &[PlaceId],
        at_most: Option<PlaceRank>,
    ) -> Option<(PlaceRank, PlaceId)> {
        let room = Room::of(need);
        let wanted = |id| !avoided.contains(&id);
        let ranks = stock.0.iter().take_while(|(rank, _)| at_most.is_none_or(|most| **rank <= most));
        for (rank, classes) in ranks {
            let fitting = classes.iter().filter(|(class, _)| class.fits(need));
            let first = fitting.filter_map(|(_, shelf)| self.shelves.first(*shelf, room, &wanted)).min();
            if let Some(id) = first {
                return Some((*rank, id));
            }
        }
        None
    }

    fn stock(&self, it: &Arc<InstanceType>) -> Option<usize> {
        self.by_pointer.get(&Arc::as_ptr(it)).or_else(|| self.by_name.get(&it.name)).copied()
    }

    fn new_stock(&mut self, it: &Arc<InstanceType>) -> usize {
        let stocks = &mut self.stocks;
        let stock = *self.by_name.entry(it.name.clone()).or_insert_with(|| {
            stocks.push(Stock::default());
            stocks.len() - 1
        });
        self.by_pointer.insert(Arc::as_ptr(it), stock);
        stock
    }

    /// Puts a place on its shelf. A full place is on no shelf.
    fn put(&mut self, id: PlaceId) {
        let place = &self.places[id as usize];
        if self.is_full(place) {
            return;
        }
        let ranks = &mut self.stocks[self.stock_of[id as usize]].0;
        let classes = ranks.entry(place.rank()).or_default();
        let shelf = classes.entry(place.free.regardless_of_room()).or_default();
        self.shelves.put(shelf, id, Room::of(place.free.left()));
    }

    fn unput(&mut self, id: PlaceId) {
        let place = &self.places[id as usize];
        let (rank, class) = (place.rank(), place.free.regardless_of_room());
        let ranks = &mut self.stocks[self.stock_of[id as usize]].0;
        let Some(classes) = ranks.get_mut(&rank) else { return };
        let Some(shelf) = classes.get_mut(&class) else { return };
        self.shelves.take(shelf, id);
        if shelf.is_empty() {
            classes.remove(&class);
        }
        if classes.is_empty() {
            ranks.remove(&rank);
        }
    }
}

fn number(at: usize) -> PlaceId {
    PlaceId::try_from(at).expect("fewer instances than fit into memory")
}
