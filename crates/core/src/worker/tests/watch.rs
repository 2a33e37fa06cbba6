//! Watching a VM: when, what a line means, and when it is given up.

use std::time::Duration;

use super::*;
use crate::ports::WatchEnd;
use crate::time::since;

/// The number of the watch that is begun by these effects, and for whom.
fn begun(effects: &[WorkerEffect]) -> Option<(u64, Vec<u64>)> {
    effects.iter().find_map(|effect| match effect {
        WorkerEffect::Watch { number, uuids } => {
            let n = |found| (1..100).find(|n| uuid(*n) == found).unwrap();
            Some((*number, uuids.iter().map(|it| n(*it)).collect()))
        }
        _ => None,
    })
}

/// With these containers started, and watched: number 1.
fn watched(containers: &[u64]) -> Story {
    let mut story = Story::idle();
    for n in containers {
        story.on(2, start(*n));
    }
    for n in containers {
        story.on(3, Completion::StartFinished(uuid(*n), StartOutcome::Started));
    }
    story.on(3, Completion::WatchBegan(1));
    story
}

fn told(n: u64) -> Completion {
    Completion::WatchTold(1, uuid(n))
}

fn ends(number: u64, end: WatchEnd) -> Completion {
    Completion::WatchEnded(number, end)
}

/// When a watch that failed is begun again by the clock alone, in seconds.
fn begun_by_the_clock(story: &mut Story) -> Option<(i64, Vec<u64>)> {
    let wakes = story.machine.wakes_at()?;
    let second = since(wakes, at(0)).as_secs() as i64;
    begun(&story.on(second, Completion::Tick)).map(|(_, uuids)| (second, uuids))
}

#[test]
fn a_vm_is_watched_as_soon_as_a_start_has_returned_and_until_nothing_is_left() {
    let mut story = Story::idle();
    assert_eq!(begun(&story.on(2, start(1))), None, "the runner may be about to take the lock");
    let effects = story.on(3, Completion::StartFinished(uuid(1), StartOutcome::Started));
    assert_eq!(begun(&effects), Some((1, vec![1])));
    story.on(3, Completion::WatchBegan(1));
    story.on(4, start(2));
    assert_eq!(story.did(&WorkerEffect::AddToWatch(uuid(2))), 0);
    story.on(5, Completion::StartFinished(uuid(2), StartOutcome::Started));
    assert_eq!(story.did(&WorkerEffect::AddToWatch(uuid(2))), 1, "one watch, whatever the number");
    story.probe(6, 7, lists(&[2]));
    assert_eq!(story.did(&WorkerEffect::EndWatch), 0);
    story.probe(8, 9, lists(&[]));
    assert_eq!(story.did(&WorkerEffect::EndWatch), 1);
    story.on(10, start(3));
    let again = story.on(11, Completion::StartFinished(uuid(3), StartOutcome::Started));
    assert_eq!(begun(&again), Some((2, vec![3])));
}

#[test]
fn what_was_started_before_the_watch_has_begun_is_added_when_it_has() {
    let mut story = Story::idle();
    story.on(2, start(1));
    story.on(3, Completion::StartFinished(uuid(1), StartOutcome::Started));
    story.on(3, start(2));
    story.on(4, Completion::StartFinished(uuid(2), StartOutcome::Started));
    assert_eq!(story.did(&WorkerEffect::AddToWatch(uuid(2))), 0);
    let effects = story.on(5, Completion::WatchBegan(1));
    assert!(effects.contains(&WorkerEffect::AddToWatch(uuid(2))), "{effects:?}");
    assert!(!effects.contains(&WorkerEffect::AddToWatch(uuid(1))), "it was given at the beginning");
}

#[test]
fn processes_that_were_found_are_watched_and_starts_without_success_are_not() {
    let mut story = Story::unknown();
    assert_eq!(begun(&story.probe(0, 1, boot_fails_but_lists(&[7, 8]))), Some((1, vec![7, 8])));
    for outcome in [StartOutcome::Failed(failure(None)), StartOutcome::Unanswered(failure(None))] {
        let mut story = Story::idle();
        story.on(2, start(1));
        assert_eq!(begun(&story.on(3, Completion::StartFinished(uuid(1), outcome))), None);
        assert_eq!(begun(&story.probe(100, 101, lists(&[1]))), Some((1, vec![1])), "it lives after all");
    }
}

#[test]
fn the_watch_ends_with_a_shutdown_and_is_begun_again_if_that_is_taken_back() {
    let mut story = watched(&[1]);
    story.probe(700, 701, silent());
    story.on(702, Command::ShutDown(ShutdownReason::Unresponsive));
    assert_eq!((story.state(), story.did(&WorkerEffect::EndWatch)), (State::Shutdown, 1));
    let effects = story.probe(703, 704, lists(&[1]));
    assert_eq!(story.state(), State::Running, "a process lives there");
    assert_eq!(begun(&effects), Some((2, vec![1])));
}

#[test]
fn an_end_that_is_told_makes_it_be_asked_at_once_and_again_while_it_is_listed() {
    let mut story = watched(&[1, 2]);
    story.probe(10, 10, lists(&[1, 2]));
    story.on(12, told(1));
    assert_eq!(story.view().next_probe, Some((at(12), ProbeTurn::EndHinted)));
    assert_eq!(story.view().processes.len(), 2, "a line ends nothing");
    let pauses = [0, 1, 2, 4];
    for pause in pauses {
        story.probe(story.now, story.now, lists(&[1, 2]));
        let (next, turn) = story.view().next_probe.unwrap();
        let millis = since(next, at(story.now)).as_millis();
        assert_eq!((millis / 1000, turn), (pause, ProbeTurn::OutOfTurn));
        story.now += millis.div_ceil(1000) as i64;
    }
    story.probe(story.now, story.now, lists(&[1, 2]));
    assert_eq!(story.wish(), Some((story.now + 10, false)), "it lives: in its turn again");
    story.on(story.now, told(1));
    assert_eq!(story.wish(), Some((story.now + 10, false)), "and what is said of it is not heard again");
}

#[test]
fn the_list_alone_says_whether_it_has_ended() {
    let mut story = watched(&[1, 2]);
    story.on(12, told(1));
    let effects = story.probe(12, 12, lists(&[2]));
    assert!(effects.contains(&WorkerEffect::Ended(uuid(1))));
    assert_eq!(story.wish(), Some((22, false)), "it is not asked for any longer");
}

#[test]
fn a_line_during_a_probe_makes_one_more_and_many_lines_make_no_more_than_one() {
    let mut story = watched(&[1, 2, 3]);
    story.on(12, Command::Probe);
    for _ in 0..100 {
        for n in 1..4 {
            story.on(12, told(n));
        }
    }
    assert_eq!(story.wish(), None, "one is under way");
    story.on(13, Completion::ProbeFinished { began: at(12), report: lists(&[1, 2, 3]) });
    assert_eq!(story.wish(), Some((12, true)));
    assert_eq!(story.told(&WorkerFact::EndHinted(uuid(1))), 1);
}

#[test]
fn lines_of_others_of_earlier_watches_and_of_those_that_have_ended_are_dropped() {
    let mut story = watched(&[1, 2]);
    story.probe(10, 10, lists(&[2]));
    let wish = story.wish();
    story.on(11, told(9));
    story.on(11, told(1));
    story.on(11, Completion::WatchTold(0, uuid(2)));
    story.on(11, Completion::WatchTold(2, uuid(2)));
    assert_eq!(story.wish(), wish);
}

#[test]
fn a_container_is_heard_again_after_ten_minutes_and_when_it_was_started_anew() {
    let mut story = watched(&[1]);
    story.on(20, told(1));
    story.probe(20, 20, lists(&[1]));
    story.on(100, ends(1, WatchEnd::Exited(Some(0))));
    story.on(100, Completion::WatchBegan(2));
    story.probe(101, 101, lists(&[1]));
    for n in 0..5 {
        story.probe(102 + n, 102 + n, lists(&[1]));
    }
    story.on(110, Completion::WatchTold(2, uuid(1)));
    assert_ne!(story.view().next_probe.unwrap().1, ProbeTurn::EndHinted, "a new watch is no new word");
    story.on(620, Completion::WatchTold(2, uuid(1)));
    assert_eq!(story.view().next_probe.unwrap().1, ProbeTurn::EndHinted);

    let mut story = watched(&[1, 2]);
    story.on(20, told(1));
    story.probe(20, 20, lists(&[2]));
    story.on(21, start(1));
    story.on(22, Completion::StartFinished(uuid(1), StartOutcome::Started));
    assert_eq!(story.did(&WorkerEffect::AddToWatch(uuid(1))), 1, "its new process is added");
    story.on(23, told(1));
    assert_eq!(story.wish(), Some((23, true)));
}

#[test]
fn a_watch_whose_time_is_over_is_begun_anew_at_once() {
    let mut story = watched(&[1, 2]);
    let effects = story.on(603, ends(1, WatchEnd::Exited(Some(124))));
    assert_eq!(begun(&effects), Some((2, vec![1, 2])));
}

#[test]
fn one_that_fails_at_once_is_tried_three_times_and_then_not_for_ten_minutes() {
    let mut story = watched(&[1]);
    for (number, second) in [(1, 3), (2, 8)] {
        assert_eq!(begun(&story.on(second, ends(number, WatchEnd::Exited(Some(92))))), None);
        assert_eq!(begun_by_the_clock(&mut story), Some((second + 5, vec![1])));
    }
    let effects = story.on(13, ends(3, WatchEnd::Exited(Some(92))));
    let rests = |end, lasted| {
        let lasted = Duration::from_secs(lasted);
        WorkerEffect::Tell(WorkerFact::WatchEnded { end, lasted, rests: true })
    };
    assert!(effects.contains(&rests(WatchEnd::Exited(Some(92)), 0)), "{effects:?}");
    story.probe(300, 300, lists(&[1]));
    assert_eq!(begun_by_the_clock(&mut story), Some((613, vec![1])));
}

#[test]
fn failures_in_a_row_are_counted_and_a_watch_that_lasted_ends_the_row() {
    let mut story = watched(&[1]);
    let mut number = 1;
    for _ in 0..5 {
        for _ in 0..2 {
            story.on(story.now, ends(number, WatchEnd::Exited(None)));
            assert_eq!(begun_by_the_clock(&mut story).unwrap().1, vec![1]);
            number += 1;
        }
        let lasted = story.on(story.now + 10, ends(number, WatchEnd::Exited(None)));
        number += 1;
        assert_eq!(begun(&lasted), Some((number, vec![1])));
    }
}

#[test]
fn whoever_has_no_session_for_it_floods_hangs_or_lingers_is_left_alone_for_ten_minutes() {
    for end in [WatchEnd::FewSessions, WatchEnd::TooMuch, WatchEnd::Hangs, WatchEnd::Lingering] {
        let mut story = watched(&[1]);
        assert_eq!(begun(&story.on(300, ends(1, end))), None);
        story.probe(400, 400, lists(&[1]));
        assert_eq!(begun_by_the_clock(&mut story), Some((900, vec![1])), "{end:?}");
    }
}

#[test]
fn what_cannot_watch_is_asked_once() {
    let mut story = watched(&[1]);
    story.on(10, ends(1, WatchEnd::NotSupported));
    story.probe(11, 12, lists(&[1]));
    assert_eq!(begun_by_the_clock(&mut story), None);
    story.on(5_000, start(2));
    assert_eq!(begun(&story.on(5_001, Completion::StartFinished(uuid(2), StartOutcome::Started))), None);
}

#[test]
fn without_a_connection_it_is_begun_after_the_next_answer_and_no_sooner() {
    for end in [WatchEnd::NoConnection, WatchEnd::ConnectionLost, WatchEnd::Local] {
        let mut story = watched(&[1]);
        for (number, second) in (1..10).zip((100..).step_by(10)) {
            story.on(second, ends(number, end));
            assert_eq!(begun_by_the_clock(&mut story), None, "{end:?}");
            assert_eq!(begun(&story.probe(second + 1, second + 2, silent())), None);
            let effects = story.probe(second + 3, second + 4, lists(&[1]));
            assert_eq!(begun(&effects), Some((number + 1, vec![1])), "it is no failure of the VM");
        }
    }
}

#[test]
fn a_start_that_succeeds_is_such_an_answer() {
    let mut story = watched(&[1]);
    story.on(100, ends(1, WatchEnd::ConnectionLost));
    story.on(101, start(2));
    let effects = story.on(102, Completion::StartFinished(uuid(2), StartOutcome::Started));
    assert_eq!(begun(&effects), Some((2, vec![1, 2])));
}

#[test]
fn a_watch_that_fails_is_no_reason_to_call_its_vm_silent_or_broken() {
    let mut story = watched(&[1]);
    let mut number = 1;
    for second in (10..5000).step_by(10) {
        story.on(second, ends(number, WatchEnd::TooMuch));
        number += u64::from(begun_by_the_clock(&mut story).is_some());
        story.probe(story.now, story.now, lists(&[1]));
        let view = story.view();
        assert_eq!((view.state, view.behavior, view.silence), (State::Running, IdleBehavior::Run, None));
    }
}

#[test]
fn a_vm_whose_fence_is_anothers_is_not_watched() {
    let mut story = watched(&[1]);
    let taken = fence::NotRun::Taken;
    story.on(10, start(2));
    let stopped = StartOutcome::NotRun(taken, failure(None));
    let effects = story.on(11, Completion::StartFinished(uuid(2), stopped));
    assert!(effects.contains(&WorkerEffect::EndWatch), "{effects:?}");
    assert_eq!(begun(&story.probe(12, 13, Report { claim: None, ..lists(&[1]) })), None);
}

/// For simulated days in which nothing fails: what such a VM has to tell it tells by itself.
#[test]
fn a_quiet_worker_may_be_probed_seldom_but_not_one_that_boots_or_is_not_watched() {
    let quiet = Policy { quiet_probe_interval: Some(Duration::from_secs(600)), ..policy() };
    let mut story = Story::with(quiet, true);
    story.probe(0, 1, boot_fails());
    assert_eq!(story.wish(), Some((10, false)), "it boots");
    story.probe(10, 11, boots());
    assert_eq!(story.wish(), Some((610, false)), "it is idle");
    story.on(12, start(1));
    story.on(13, Completion::StartFinished(uuid(1), StartOutcome::Started));
    story.probe(20, 21, lists(&[1]));
    assert_eq!(story.wish(), Some((30, false)), "its watch has not begun");
    story.on(22, Completion::WatchBegan(1));
    assert_eq!(story.wish(), Some((620, false)), "it is watched");
    story.on(40, told(1));
    assert_eq!(story.wish(), Some((40, true)), "an end is told");
}
