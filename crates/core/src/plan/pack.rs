//! Packing (`PackContainers`, off by default): a larger type is created if those that wait fill it so well that it costs
//! less than instances of each one's own.
//!
//! ```text
//!   the first without a place, and those behind it without one ─► each of its types, filled in the order of the line
//!                                                              └► the cheapest types, filled in the same order
//!   the larger one costs less than nine tenths of the others ─► it is created, else the cheapest as always
//! ```
//! The choice is among the types that the first may have anyway (`MaximumPriceFactor`) and whose gate is open, so it waits no
//! longer than without. What is compared are prices an hour: how long containers run is known to nobody.

use std::sync::Arc;

use super::Item;
use super::assign::Assignment;
use super::budget::Order;
use crate::container::ContainerState;
use crate::fit::Free;
use crate::instance::InstanceType;

/// How far the line is looked through for one create.
const LOOK_AHEAD: usize = 64;

/// What a larger type may cost of what the others do.
const WORTH_IT: f64 = 0.9;

impl<'a> Assignment<'_, 'a> {
    /// The type to create for the container, `cheapest` being that which would be created for it alone. O(look ahead × (types
    /// + log)) if packing is on, else O(1).
    pub(super) fn packed(&self, item: Item<'a>, cheapest: Arc<InstanceType>) -> Arc<InstanceType> {
        let larger = |it: &&Arc<InstanceType>| it.price > cheapest.price && self.budget.may_create(it);
        if !self.round.rules.pack_containers || !item.types.iter().any(|it| larger(&it)) {
            return cheapest;
        }
        let unplaced = self.unplaced_from(item);
        let mut best = (WORTH_IT, &cheapest);
        for it in item.types.iter().filter(larger) {
            let held = self.held_by(it, &unplaced);
            let share = it.price.per_hour() / self.price_apart(&held);
            if held.len() > 1 && share < best.0 {
                best = (share, it);
            }
        }
        Arc::clone(best.1)
    }

    /// The container, and those behind it that have no place and may have one.
    fn unplaced_from(&self, item: Item<'a>) -> Vec<Item<'a>> {
        let is_unplaced = |it: &&Item<'a>| {
            it.in_line
                && !it.may_run_unseen
                && matches!(it.state, ContainerState::Queued | ContainerState::Locked)
                && !self.round.has_process(it.position)
                && !self.is_over_supervisors(**it)
                && self.places.best(self.round.uuid(**it), &it.needs, it.types).is_none()
        };
        let behind = self.line[self.line_index + 1..].iter().take(LOOK_AHEAD).filter(is_unplaced);
        let most = self.left_below_ceiling().max(1);
        [item].into_iter().chain(behind.copied()).take(most).collect()
    }

    /// Those that an instance of that type would hold, in the order of the line.
    fn held_by(&self, it: &Arc<InstanceType>, unplaced: &[Item<'a>]) -> Vec<Item<'a>> {
        let mut bin = Bin::new(it);
        unplaced.iter().filter(|item| bin.takes(item, self.most_on_one())).copied().collect()
    }

    /// What instances of the cheapest types would cost an hour that hold the same.
    fn price_apart(&self, held: &[Item<'a>]) -> f64 {
        let mut bins: Vec<Bin> = Vec::new();
        for item in held {
            if bins.iter_mut().any(|bin| bin.takes(item, self.most_on_one())) {
                continue;
            }
            if let Order::Create(it) = self.budget.order(item.types) {
                let mut bin = Bin::new(&it);
                bin.takes(item, self.most_on_one());
                bins.push(bin);
            }
        }
        bins.iter().map(|bin| bin.instance_type.price.per_hour()).sum()
    }

    fn most_on_one(&self) -> usize {
        match self.round.rules.max_containers_per_instance {
            0 => usize::MAX,
            most => most as usize,
        }
    }
}

/// An instance that might be created.
struct Bin {
    instance_type: Arc<InstanceType>,
    free: Free,
    containers: usize,
}

impl Bin {
    fn new(it: &Arc<InstanceType>) -> Self {
        Self { instance_type: Arc::clone(it), free: Free::all_of(it), containers: 0 }
    }

    /// Whether it has taken the container.
    fn takes(&mut self, item: &Item<'_>, most: usize) -> bool {
        let may = self.containers < most && item.types.iter().any(|it| it.name == self.instance_type.name);
        if !may || !self.free.fits(&item.needs) {
            return false;
        }
        self.free.take(&item.needs);
        self.containers += 1;
        true
    }
}
