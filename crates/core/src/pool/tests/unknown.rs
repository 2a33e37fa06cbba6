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
    assert!(story.snapshot(1).has_unknown_workers());
    story.in_service("i-old", 5);
    assert!(!story.snapshot(6).has_unknown_workers());
}

/// Its process may live until the instance is gone: being destroyed proves nothing.
#[test]
fn one_that_never_answered_stays_unknown_while_it_is_being_destroyed_and_no_longer() {
    let mut story = found();
    shut_down(&mut story, "i-old", 10);
    assert!(story.snapshot(11).has_unknown_workers());
    story.listing(100, &["i-old"]);
    story.listing(120, &["i-old"]);
    assert!(!story.snapshot(130).has_unknown_workers(), "it is gone");
}

#[test]
fn one_that_has_answered_is_known_while_it_is_being_destroyed() {
    let mut story = found();
    story.in_service("i-old", 5);
    shut_down(&mut story, "i-old", 10);
    assert!(!story.snapshot(11).has_unknown_workers());
}

#[test]
fn one_of_our_own_is_known_from_the_start_to_the_end() {
    let mut story = Story::new();
    story.created("i-new", "small", 0);
    assert!(!story.snapshot(1).has_unknown_workers());
    shut_down(&mut story, "i-new", 2);
    assert!(!story.snapshot(3).has_unknown_workers());
}
