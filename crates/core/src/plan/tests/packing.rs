//! Which type is created when several wait that one larger instance could hold.

use super::*;
use crate::instance::{Catalog, Price};

/// A `big` instance, which holds four of the small ones, at that price; a `small` one costs 1.
fn scene_at(price_of_big: f64, is_on: bool) -> Scene {
    let mut policy = policy();
    let types = policy.catalog.types().iter().map(|it| InstanceType {
        price: if it.name.as_str() == "big" { Price::new(price_of_big).unwrap() } else { it.price },
        ..InstanceType::clone(it)
    });
    policy.catalog = Catalog::new(types);
    policy.pack_containers = is_on;
    Scene::with(policy)
}

fn with_jobs(mut scene: Scene, jobs: u64) -> Scene {
    for n in 1..=jobs {
        scene.add(n, Locked, 1);
    }
    scene
}

fn created(scene: &Scene) -> Vec<String> {
    creates(&scene.actions()).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_larger_one_is_created_if_it_costs_a_tenth_less_than_the_others() {
    for (price, jobs, expected) in [
        (2.0, 1, vec!["small"]),
        (2.0, 2, vec!["small", "small"]),
        (2.0, 3, vec!["big"]),
        (2.0, 5, vec!["big", "small"]),
        (2.0, 8, vec!["big", "big"]),
        (3.59, 4, vec!["big"]),
        (3.6, 4, vec!["small"; 4]),
    ] {
        assert_eq!(created(&with_jobs(scene_at(price, true), jobs)), expected, "{jobs} at {price}");
    }
}

#[test]
fn it_is_off_unless_the_site_wants_it() {
    assert_eq!(created(&with_jobs(scene_at(2.0, false), 4)), ["small"; 4]);
}

#[test]
fn queued_ones_are_locked_for_the_place_that_they_will_have() {
    let mut scene = scene_at(2.0, true);
    for n in 1..=4 {
        scene.add(n, Queued, 1);
    }
    assert_eq!(scene.actions(), [lock(1), lock(2), lock(3), lock(4)]);
    let booting = WaitReason::Booting { instance_type: "big".parse().unwrap() };
    assert!((1..=4).all(|n| scene.reason(n) == Some(booting.clone())));
}

#[test]
fn what_already_has_a_place_or_cannot_have_one_fills_nothing() {
    let mut scene = with_jobs(scene_at(2.0, true), 4);
    scene.worker("w-1", "small", State::Idle);
    scene.worker("w-2", "small", State::Booting);
    assert_eq!(created(&scene), ["small", "small"], "two of the four have a place");
    let mut scene = with_jobs(scene_at(2.0, true), 4);
    scene.limits.ceiling = 2;
    assert_eq!(created(&scene), ["small", "small"], "no more than two may run");
    let mut scene = with_jobs(scene_at(2.0, true), 4);
    scene.gate("big", Gate::AtCapacity(at(200)));
    assert_eq!(created(&scene), ["small"; 4]);
    let mut scene = scene_at(2.0, true);
    scene.policy = Arc::new(Policy { max_containers_per_instance: 2, ..Policy::clone(&scene.policy) });
    assert_eq!(created(&with_jobs(scene, 4)), ["small"; 4], "two on one are not enough");
}

#[test]
fn the_types_beyond_the_price_factor_are_not_chosen() {
    let mut scene = scene_at(2.0, true);
    let mut policy = Policy::clone(&scene.policy);
    policy.sizing.maximum_price_factor = 1.5;
    scene.policy = Arc::new(policy);
    assert_eq!(created(&with_jobs(scene, 4)), ["small"; 4]);
}
