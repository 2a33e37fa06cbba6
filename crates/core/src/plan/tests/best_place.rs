//! The best place, found by the index and by looking at each: both agree, whatever was placed before.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::super::bins::{Bins, Place, PlaceId};
use super::super::shelf::{Room, Shelf, Shelves};
use super::*;
use crate::fit::{Free, Resources};
use crate::instance::Catalog;

/// Slow, and obviously right: every place is looked at, for each rule of (docs/behaviour.md, "Placement") in turn.
fn naive_best(
    places: &[Place],
    need: &Resources,
    types: &[Arc<InstanceType>],
    avoided: &[PlaceId],
    max_containers: usize,
) -> Option<PlaceId> {
    let mut best: Option<(PlaceId, &Place)> = None;
    for (id, place) in (0..).zip(places) {
        let eligible = types.iter().any(|it| it.name == place.instance_type.name);
        let full = max_containers > 0 && place.containers >= max_containers;
        let usable = eligible && !full && !avoided.contains(&id) && place.free.fits(need);
        // Numbers are in the order of ids: the first of equals stays.
        if usable && best.is_none_or(|(_, other)| is_better(place, other)) {
            best = Some((id, place));
        }
    }
    best.map(|(id, _)| id)
}

fn is_better(a: &Place, b: &Place) -> bool {
    if a.ready != b.ready {
        return a.ready;
    }
    if a.containers != b.containers {
        return a.containers > b.containers;
    }
    let (a, b) = (&a.instance_type, &b.instance_type);
    if a.price != b.price {
        return a.price < b.price;
    }
    if a.ram != b.ram {
        return a.ram > b.ram;
    }
    if a.vcpus != b.vcpus {
        return a.vcpus > b.vcpus;
    }
    a.scratch() > b.scratch()
}

/// Types of which some differ in one preference only, and two in nothing but their names.
fn types() -> Vec<Arc<InstanceType>> {
    let sized = |name, vcpus, price, ram_gib: u64, scratch_gib: u64| InstanceType {
        ram: ram_gib << 30,
        included_scratch: scratch_gib << 30,
        ..crate::fixtures::instance_type(name, vcpus, price, false)
    };
    let mut gpu = sized("gpu", 4, 4.0, 16, 100);
    gpu.gpu.device_count = 2;
    gpu.gpu.vram = 8 << 30;
    Catalog::new([
        sized("a", 4, 4.0, 16, 100),
        sized("b", 4, 4.0, 16, 100),
        sized("more-scratch", 4, 4.0, 16, 200),
        sized("more-ram", 4, 4.0, 32, 100),
        sized("more-vcpus", 8, 4.0, 16, 100),
        sized("cheap", 2, 1.0, 8, 50),
        gpu,
    ])
    .types()
    .to_vec()
}

/// Sizes that are all different, or few: both are what sites have.
fn need() -> impl Strategy<Value = Resources> {
    const GIB: u64 = 1 << 30;
    let ram = prop_oneof![select(vec![GIB, 4 * GIB, 8 * GIB]), 1..20 * GIB];
    let scratch = prop_oneof![Just(0), select(vec![10 * GIB, 60 * GIB]), 1..120 * GIB];
    (0..6u64, ram, scratch, select(vec![0, 0, 0, 1, 2])).prop_map(|(vcpus, ram, scratch, gpus)| {
        let gpu_vram = if gpus > 0 { gpus << 32 } else { 0 };
        Resources { vcpus, ram, scratch, gpus, gpu_vram }
    })
}

fn place() -> impl Strategy<Value = Place> {
    (select(types()), any::<bool>(), vec(need(), 0..4)).prop_map(|(instance_type, ready, running)| {
        let mut free = Free::all_of(&instance_type);
        running.iter().for_each(|need| free.take(need));
        Place { instance_type, ready, containers: running.len(), free, used: false }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_best_place_is_the_one_that_looking_at_each_finds(
        places in vec(place(), 0..40),
        asked in vec((need(), btree_set(0..7usize, 0..7), btree_set(0..40u32, 0..3)), 1..60),
        most in 0..4usize,
    ) {
        let all = types();
        let mut bins = Bins::new(most);
        let mut naive = places;
        bins.add_all(naive.clone());
        for (need, not_eligible, avoided) in asked {
            let eligible: Vec<_> =
                (0..all.len()).filter(|n| !not_eligible.contains(n)).map(|n| Arc::clone(&all[n])).collect();
            let avoided: Vec<_> = avoided.into_iter().collect();
            let best = bins.best(&need, &eligible, &avoided);
            prop_assert_eq!(best, naive_best(&naive, &need, &eligible, &avoided, most));
            let Some(id) = best else {
                let new = Place {
                    instance_type: Arc::clone(&all[0]), ready: false, containers: 0, free: Free::all_of(&all[0]), used: false,
                };
                prop_assert_eq!(bins.add(new.clone()) as usize, naive.len());
                naive.push(new);
                continue;
            };
            bins.take(id, &need);
            let place = &mut naive[id as usize];
            place.free.take(&need);
            place.containers += 1;
            prop_assert_eq!((bins.place(id).containers, bins.place(id).free), (place.containers, place.free));
        }
    }

    #[test]
    fn a_shelf_finds_the_first_place_with_the_room(
        changes in vec((0..70u32, 0..9u64, 0..9u64), 1..120),
        asked in vec((0..9u64, 0..9u64, 0..70u32), 1..20),
    ) {
        let room = |ram, scratch| Room::of(&Resources { ram, scratch, ..Resources::default() });
        let (mut shelves, mut shelf) = (Shelves::default(), Shelf::default());
        let mut naive = BTreeMap::new();
        for (place, ram, scratch) in changes {
            if naive.remove(&place).is_some() {
                shelves.take(&mut shelf, place);
            } else {
                naive.insert(place, (ram, scratch));
                shelves.put(&mut shelf, place, room(ram, scratch));
            }
            prop_assert_eq!(shelf.is_empty(), naive.is_empty());
        }
        for (ram, scratch, unwanted) in asked {
            let first = shelves.first(shelf, room(ram, scratch), &|place| place != unwanted);
            let fits = |(place, left): &(&u32, &(u64, u64))| **place != unwanted && left.0 >= ram && left.1 >= scratch;
            prop_assert_eq!(first, naive.iter().find(fits).map(|(place, _)| *place));
        }
    }
}

#[test]
fn a_type_is_known_by_its_name_even_if_it_is_another_copy() {
    let all = types();
    let mut bins = Bins::new(0);
    let copy = Arc::new(InstanceType::clone(&all[0]));
    let free = Free::all_of(&copy);
    bins.add(Place { instance_type: copy, ready: true, containers: 0, free, used: false });
    assert_eq!(bins.best(&Resources::default(), &all, &[]), Some(0));
}
