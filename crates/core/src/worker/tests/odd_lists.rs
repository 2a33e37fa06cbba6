//! Lists that are cut, or have lines that make no sense.

use super::*;
use crate::id::ContainerUuid;

fn cut(running: &[u64]) -> Report {
    let mut report = lists(running);
    report.list = report.list.map(|list| list.map(|list| ProcessList { is_cut: true, ..list }));
    report
}

fn living(story: &Story) -> Vec<ContainerUuid> {
    story.view().processes.iter().map(|process| process.uuid).collect()
}

#[test]
fn a_list_that_is_cut_proves_who_lives_and_nobodys_end() {
    let mut story = Story::running(&[1, 2]);
    story.probe(10, 11, cut(&[1, 3]));
    assert_eq!((living(&story), story.state()), (vec![uuid(1), uuid(2), uuid(3)], State::Running));
    assert_eq!(story.view().last_success, Some(at(10)), "it has answered");
    story.probe(20, 21, lists(&[1, 3]));
    assert_eq!(living(&story), [uuid(1), uuid(3)]);
}

#[test]
fn lists_that_are_cut_put_no_worker_into_service_and_a_whole_one_does() {
    for story in [Story::booting(), Story::unknown()] {
        let mut story = story;
        let before = story.state();
        story.probe(0, 1, Report { boot: boots().boot, ..cut(&[]) });
        assert_eq!((story.state(), story.view().last_success), (before, None));
        story.probe(10, 11, lists(&[]));
        assert_eq!(story.state(), State::Idle);
    }
    let mut story = Story::unknown();
    story.probe(0, 1, Report { boot: boots().boot, ..cut(&[1]) });
    assert_eq!((story.state(), living(&story)), (State::Unknown, vec![uuid(1)]));
}

#[test]
fn a_worker_whose_lists_are_always_cut_does_not_boot_for_ever() {
    let mut story = Story::booting();
    let timeout = policy().timeout_booting.as_secs() as i64;
    for second in (0..timeout + 20).step_by(10) {
        story.probe(second, second + 1, Report { boot: boots().boot, ..cut(&[]) });
    }
    assert!(story.view().silence.is_some());
}

#[test]
fn what_was_locked_before_is_not_known_to_be_missing_by_a_list_that_is_cut() {
    for (report, known) in [(cut(&[1]), false), (lists(&[1]), true)] {
        let mut story = Story::unknown();
        story.probe(0, 1, Report { boot: boots().boot, ..lists(&[1]) });
        story.probe(100, 101, report);
        assert_eq!(story.view().processes_known, known);
    }
}

#[test]
fn a_line_that_makes_no_sense_is_told_once() {
    let mut story = Story::idle();
    for second in [10, 20] {
        let list = ProcessList { strange: Some("hello".to_owned()), ..ProcessList::default() };
        story.probe(second, second + 1, Report { list: Some(Ok(list)), ..lists(&[]) });
    }
    assert_eq!(story.told(&WorkerFact::StrangeList("hello".to_owned())), 1);
}

/// Found by the fresh seed 1795947033002086: it could not be reached for longer than `TimeoutBooting`, and its first
/// answer was cut.
#[test]
fn an_unknown_worker_whose_first_answer_is_cut_is_not_silent() {
    let mut story = Story::unknown();
    let timeout = policy().timeout_booting.as_secs() as i64;
    story.probe(timeout + 10, timeout + 11, Report { boot: boots().boot, ..cut(&[]) });
    assert_eq!((story.view().silence, story.view().last_success), (None, None));
    story.probe(timeout + 20, timeout + 21, silent());
    assert_eq!(story.view().silence, None, "it has answered just before");
}

/// Found by chaos (seed 1795953554001214): its first list was cut, it was as busy as before the restart, and it had
/// only the shorter `TimeoutBooting`.
#[test]
fn an_unknown_worker_that_has_answered_in_part_has_the_time_of_one_in_service() {
    let mut policy = policy();
    policy.timeout_booting = std::time::Duration::from_secs(100);
    policy.timeout_probe = std::time::Duration::from_secs(300);
    let mut story = Story::with(policy, false);
    story.probe(10, 11, Report { boot: boots().boot, ..cut(&[1]) });
    story.probe(310, 311, silent());
    assert_eq!(story.view().silence, None);
    story.probe(311, 312, silent());
    assert!(story.view().silence.is_some());
}
