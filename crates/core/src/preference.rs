//! Which of two instance types is better, and which of two places: the only order of preference there is.
//!
//! ```text
//!   TypePreference    price ─► more RAM ─► more VCPUs ─► more scratch
//!   CatalogOrder      TypePreference ─► name                      types that fit a container
//!   PlacePreference   PlaceRank (ready ─► most containers) ─► TypePreference ─► number    instances that fit it
//! ```
//! Each is a struct that derives `Ord`: the order of its fields is the policy, the least value is the best.
//! The cheapest comes first because it costs the least; more RAM before more VCPUs because memory is what a
//! container that comes later most often lacks; the name or number last, so that the order is always complete.

use std::cmp::Reverse;

use crate::id::TypeName;
use crate::instance::{InstanceType, Price};

/// How good an instance type is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypePreference {
    price: Price,
    ram: Reverse<u64>,
    vcpus: Reverse<u64>,
    scratch: Reverse<u64>,
}

impl TypePreference {
    /// That of a type.
    pub fn of(it: &InstanceType) -> Self {
        Self {
            price: it.price,
            ram: Reverse(it.ram),
            vcpus: Reverse(it.vcpus),
            scratch: Reverse(it.scratch()),
        }
    }
}

/// The order in which the configured types are tried.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogOrder<'a> {
    preference: TypePreference,
    name: &'a TypeName,
}

impl<'a> CatalogOrder<'a> {
    /// Where a type stands in it.
    pub fn of(it: &'a InstanceType) -> Self {
        Self { preference: TypePreference::of(it), name: &it.name }
    }
}

/// How good a place is among places of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceRank {
    not_ready: bool,
    containers: Reverse<usize>,
}

impl PlaceRank {
    /// An instance that is in service comes before one that is not: the container starts sooner. Then the one
    /// with the most containers: an empty one can be shut down.
    pub fn new(ready: bool, containers: usize) -> Self {
        Self { not_ready: !ready, containers: Reverse(containers) }
    }
}

/// How good a place is among all places that fit a container. `rank` must stay the first field: the search for the best
/// place ends at a worse rank than the best that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlacePreference {
    /// By what is there now.
    pub rank: PlaceRank,
    /// By what the instance is.
    pub instance_type: TypePreference,
    /// The place's number: places are numbered in the order of their instances' ids.
    pub number: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::policy;

    fn changed(change: impl FnOnce(&mut InstanceType)) -> InstanceType {
        let mut it = (*policy().catalog.types()[0]).clone();
        change(&mut it);
        it
    }

    #[test]
    fn a_type_is_better_if_it_is_cheaper_then_by_ram_vcpus_scratch_and_name() {
        let better_than = |a: &InstanceType, b: &InstanceType| CatalogOrder::of(a) < CatalogOrder::of(b);
        let plain = changed(|_| {});
        let named = changed(|it| it.name = TypeName::new("a").unwrap());
        let scratch = changed(|it| it.included_scratch += 1);
        let vcpus = changed(|it| it.vcpus += 1);
        let ram = changed(|it| it.ram += 1);
        let cheaper = changed(|it| it.price = Price::new(it.price.per_hour() / 2.0).unwrap());
        let from_worst = [&plain, &named, &scratch, &vcpus, &ram, &cheaper];
        for (position, worse) in from_worst.iter().enumerate() {
            for better in &from_worst[position + 1..] {
                assert!(better_than(better, worse), "{better:?} against {worse:?}");
            }
        }
    }

    #[test]
    fn a_place_is_better_if_it_is_ready_then_by_containers_type_and_number() {
        let place = |ready, containers, ram, number| PlacePreference {
            rank: PlaceRank::new(ready, containers),
            instance_type: TypePreference::of(&changed(|it| it.ram += ram)),
            number,
        };
        let from_worst = [
            place(false, 0, 0, 9),
            place(false, 0, 0, 1),
            place(false, 0, 8, 9),
            place(false, 2, 0, 9),
            place(true, 0, 0, 9),
        ];
        assert!(from_worst.is_sorted_by(|worse, better| better < worse), "{from_worst:?}");
    }
}
