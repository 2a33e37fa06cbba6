//! Whose processes are not known: absence of evidence is not evidence.

use super::*;

/// A VM that an earlier dispatcher left, and that has not answered.
fn found() -> Story {
    let mut story = Story::new();
    story.listed("i-old", "small", "its own", 0);
    story
}

fn shut_down(story: &mut Story, name: &str, second: i64) {
    let view = View { state: State::Shutdown, ..story.view(name) };
    story.show(second, view);
}

#[test]
fn a_vm_that_was_found_is_unknown_until_it_answers() {
    let mut story = found();
    assert!(story.snapshot(1).fleet.has_unknown_hosts());
    story.in_service("i-old", 5);
    assert!(!story.snapshot(6).fleet.has_unknown_hosts());
}

/// Its process may live until the instance is gone: being destroyed proves nothing.
#[test]
fn one_that_never_answered_stays_unknown_while_it_is_being_destroyed_and_no_longer() {
    let mut story = found();
    shut_down(&mut story, "i-old", 10);
    assert!(story.snapshot(11).fleet.has_unknown_hosts());
    for began in [100, 130, 190] {
        story.listing(began, &["i-old"]);
        assert!(story.snapshot(began + 1).fleet.has_unknown_hosts(), "at {began} it may still be ending");
    }
    story.listing(191, &["i-old"]);
    assert!(!story.snapshot(192).fleet.has_unknown_hosts(), "it is gone");
}

/// EC2 lists nothing that is shutting down: one listing without it does not say that nothing runs there any more.
#[test]
fn one_that_never_answered_is_not_gone_with_the_first_listing_after_an_acknowledged_destroy() {
    let mut story = found();
    let destroyed = View {
        state: State::Shutdown,
        destroy_called: Some(at(10)),
        destroy_acknowledged: true,
        ..story.view("i-old")
    };
    story.show(11, destroyed);
    for began in [20, 40, 110] {
        story.listing(began, &["i-old"]);
        assert!(story.snapshot(began + 1).fleet.has_unknown_hosts(), "{began}");
    }
    story.listing(111, &["i-old"]);
    assert!(!story.snapshot(112).fleet.has_unknown_hosts());
}

#[test]
fn one_that_has_answered_is_known_while_it_is_being_destroyed() {
    let mut story = found();
    story.in_service("i-old", 5);
    shut_down(&mut story, "i-old", 10);
    assert!(!story.snapshot(11).fleet.has_unknown_hosts());
}

#[test]
fn one_of_our_own_is_known_from_the_start_to_the_end() {
    let mut story = Story::new();
    story.created("i-new", "small", 0);
    assert!(!story.snapshot(1).fleet.has_unknown_hosts());
    shut_down(&mut story, "i-new", 2);
    assert!(!story.snapshot(3).fleet.has_unknown_hosts());
}

/// Nobody else would ever destroy it.
#[test]
fn an_instance_whose_type_is_not_configured_is_managed_and_drained() {
    let mut story = Story::new();
    let former = crate::fixtures::instance_type("former", 2, 2.0, false);
    let effects = story.pool.appeared(instance("i-old", &former, "its own"), at(0));
    assert!(
        effects
            .iter()
            .any(|it| matches!(it, PoolEffect::Spawn(instance, false) if instance.id == id("i-old")))
    );
    let view = story.view("i-old");
    assert_eq!((view.state, view.behavior), (State::Unknown, IdleBehavior::Drain));
    assert!(view.next_probe.is_some());
    assert!(!story.snapshot(1).fleet.hosts[0].is_placeable());
}
