//! What operators see of an instance is what the cloud showed last.

use super::*;

#[test]
fn an_address_that_comes_later_and_a_changed_price_are_shown() {
    let mut story = Story::new();
    let early = Instance { address: String::new(), ..instance("i-1", &story.typed("small"), "s") };
    story.pool.appeared(early.clone(), at(0));
    assert_eq!(*story.snapshot(1).workers[0].instance, early);
    let later = Instance { address: "127.0.0.1:2022".to_owned(), ..early };
    let effects = story.pool.changed(later.clone(), at(5));
    assert_eq!(*story.snapshot(6).workers[0].instance, later);
    assert!(
        matches!(&effects[..], [PoolEffect::Command(_, _, Command::InstanceUpdated(told))] if *told == later)
    );
}

#[test]
fn a_changed_instance_that_is_not_known_appears() {
    let mut story = Story::new();
    let unheard = instance("i-1", &story.typed("small"), "s");
    let effects = story.pool.changed(unheard.clone(), at(5));
    assert!(effects.contains(&PoolEffect::Spawn(unheard, false)));
}

#[test]
fn ages_of_probes_are_told_as_the_oldest_and_the_median_of_those_in_service() {
    let mut story = Story::new();
    assert_eq!(story.pool.probe_ages(at(100)), (0.0, 0.0));
    for (name, second) in [("i-1", 90), ("i-2", 60), ("i-3", 10), ("i-4", 80)] {
        story.created(name, "small", 0);
        story.in_service(name, second);
    }
    story.created("i-5", "small", 0);
    assert_eq!(story.pool.probe_ages(at(100)), (90.0, 40.0), "one that never answered has no age");
    story.show(100, View { state: State::Shutdown, ..story.view("i-3") });
    assert_eq!(story.pool.probe_ages(at(100)), (40.0, 20.0));
}
