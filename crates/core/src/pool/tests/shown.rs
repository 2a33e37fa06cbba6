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

/// `clock::now()` does not follow corrections of the system's clock: it may be an hour ahead of the cloud's for good.
#[test]
fn an_instance_that_we_ordered_costs_nothing_for_the_time_before_the_order() {
    let mut story = Story::new();
    story.pool.ledger_mut().begin(at(0));
    let create = story.create("small", "secret", 7200).unwrap();
    let mut shown = instance("a", &story.typed("small"), "secret");
    shown.launched = Some(at(3600));
    story.pool.create_finished(create, Ok(shown), at(7201));
    let sums = story.pool.ledger_mut().statement(at(7201)).sums;
    let hours: f64 = sums.iter().map(|sum| sum.amount).sum();
    assert!(hours < 0.001, "{hours} for a second of life");
}

/// The whole way: destroyed, acknowledged, omitted by one listing, and shown by the next.
#[test]
fn an_instance_that_ends_and_is_omitted_by_a_listing_is_not_billed_anew() {
    let mut story = Story::new();
    story.pool.ledger_mut().begin(at(0));
    let create = story.create("small", "secret", 0).unwrap();
    let mut shown = instance("a", &story.typed("small"), "secret");
    shown.launched = Some(at(0));
    story.pool.create_finished(create, Ok(shown.clone()), at(1));
    story.in_service("a", 60);
    story.listing(70, &[]);
    let view = View {
        state: State::Shutdown,
        destroy_called: Some(at(7200)),
        destroy_acknowledged: true,
        processes_known: true,
        ..story.view("a")
    };
    story.show(7201, view);
    story.listing(7210, &["a"]);
    assert!(!story.pool.workers.contains_key(&id("a")), "it is taken to be gone");
    let before: f64 = story.pool.ledger_mut().statement(at(7219)).sums.iter().map(|sum| sum.amount).sum();
    story.pool.appeared(shown, at(7220));
    let after: f64 = story.pool.ledger_mut().statement(at(7220)).sums.iter().map(|sum| sum.amount).sum();
    assert!(after - before < before / 100.0, "{before} became {after} because a listing wavered");
}
