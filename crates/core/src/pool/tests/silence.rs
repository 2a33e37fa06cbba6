//! Silence: a worker's, or our own network's.

use super::*;
use crate::worker::Silence;

/// That many workers in service.
fn fleet(n: usize) -> Story {
    let mut story = Story::new();
    for n in 0..n {
        let name = format!("i-{n}");
        story.listed(&name, "small", &name, 0);
        story.in_service(&name, 1);
    }
    story
}

fn outages(story: &Story) -> (usize, usize) {
    let count = |wanted: fn(&PoolFact) -> bool| story.told.iter().filter(|it| wanted(it)).count();
    (count(|it| matches!(it, PoolFact::OutageBegan { .. })), count(|it| matches!(it, PoolFact::OutageEnded)))
}

fn names(asked_to_shut_down: Vec<(InstanceId, ShutdownReason)>) -> Vec<String> {
    asked_to_shut_down.into_iter().map(|(id, _)| id.to_string()).collect()
}

#[test]
fn a_few_silent_workers_among_many_are_shut_down() {
    let mut story = fleet(5);
    for name in ["i-2", "i-3", "i-4"] {
        story.in_service(name, 699);
    }
    for name in ["i-0", "i-1"] {
        let effects = story.silent(name, 700);
        assert_eq!(asked_to_shut_down(&effects), [(id(name), ShutdownReason::Unresponsive)]);
    }
    assert_eq!(outages(&story), (0, 0));
}

#[test]
fn a_worker_that_never_became_ready_is_shut_down_for_that() {
    let mut story = Story::new();
    story.created("i-1", "small", 0);
    let effects = story.silent("i-1", 700);
    assert_eq!(asked_to_shut_down(&effects), [(id("i-1"), ShutdownReason::BootTimeout)]);
    assert!(story.told.contains(&PoolFact::Unresponsive(id("i-1"), Silence::NeverReady)));
}

#[test]
fn a_worker_is_asked_to_shut_down_once_for_each_failing_probe() {
    let mut story = fleet(1);
    assert_eq!(asked_to_shut_down(&story.silent("i-0", 700)).len(), 1);
    assert_eq!(asked_to_shut_down(&story.silent("i-0", 700)).len(), 0);
    assert_eq!(asked_to_shut_down(&story.silent("i-0", 710)).len(), 1, "it had refused");
}

/// The first fall silent one after the other, the rest go on answering.
fn outage(n: usize, silent: usize) -> Story {
    let mut story = fleet(n);
    for n in silent..n {
        story.in_service(&format!("i-{n}"), 699);
    }
    for n in 0..silent {
        assert_eq!(asked_to_shut_down(&story.silent(&format!("i-{n}"), 700 + n as i64)), [], "{n}");
    }
    story
}

#[test]
fn if_most_are_silent_at_once_none_is_destroyed() {
    for (n, silent) in [(3, 3), (5, 3), (5, 5)] {
        let mut story = outage(n, silent);
        assert_eq!(outages(&story), (1, 0), "{silent} of {n}");
        assert_eq!(asked_to_shut_down(&story.silent("i-1", 900)), []);
        assert_eq!(asked_to_shut_down(&story.pool.tick(at(900))), []);
    }
}

#[test]
fn half_is_not_more_than_half_and_two_are_not_three() {
    for (n, silent) in [(6, 3), (2, 2)] {
        let mut story = fleet(n);
        for n in silent..n {
            story.in_service(&format!("i-{n}"), 699);
        }
        assert_eq!(names(asked_to_shut_down(&story.silent("i-0", 700))), ["i-0"], "{silent} of {n}");
        assert_eq!(outages(&story), (0, 0));
    }
}

#[test]
fn workers_on_hold_are_evidence_but_are_not_destroyed() {
    let mut story = fleet(4);
    for name in ["i-0", "i-1"] {
        story.show(2, View { behavior: IdleBehavior::Hold, ..story.view(name) });
    }
    assert_eq!(asked_to_shut_down(&story.silent("i-0", 700)), []);
    assert_eq!(asked_to_shut_down(&story.silent("i-1", 700)), []);
    assert_eq!(asked_to_shut_down(&story.silent("i-2", 700)), []);
    assert_eq!(outages(&story), (1, 0));
}

#[test]
fn unknown_workers_count_and_booting_ones_of_our_own_do_not() {
    let mut story = Story::new();
    for name in ["i-0", "i-1", "i-2"] {
        story.listed(name, "small", name, 0);
    }
    for name in ["i-0", "i-1"] {
        story.show(2, View { behavior: IdleBehavior::Hold, ..story.view(name) });
        story.silent(name, 700);
    }
    assert_eq!(asked_to_shut_down(&story.silent("i-2", 700)), []);
    assert_eq!(outages(&story), (1, 0));
    let mut booting = Story::new();
    for name in ["i-0", "i-1", "i-2"] {
        booting.created(name, "small", 0);
    }
    for name in ["i-0", "i-1", "i-2"] {
        assert!(!asked_to_shut_down(&booting.silent(name, 700)).is_empty());
    }
    assert_eq!(outages(&booting), (0, 0));
}

#[test]
fn when_a_silent_one_answers_destroying_goes_on_after_one_more_chance() {
    let mut story = outage(5, 3);
    story.in_service("i-0", 800);
    assert_eq!(outages(&story), (1, 1));
    assert_eq!(
        asked_to_shut_down(&story.silent("i-1", 860)),
        [],
        "what comes back does not come back all at once"
    );
    assert_eq!(names(asked_to_shut_down(&story.silent("i-1", 861))), ["i-1"]);
    assert_eq!(names(asked_to_shut_down(&story.silent("i-2", 862))), ["i-2"]);
}

#[test]
fn healthy_workers_that_go_on_answering_do_not_end_it() {
    let mut story = outage(5, 3);
    for second in 702..900 {
        story.in_service("i-4", second);
        assert_eq!(asked_to_shut_down(&story.silent("i-1", second)), []);
    }
    assert_eq!(outages(&story), (1, 0));
}

#[test]
fn it_lasts_for_days_if_none_of_them_answers_and_ends_with_the_first_answer_of_a_new_one() {
    let mut story = outage(5, 3);
    for second in (710..200_000).step_by(250) {
        story.in_service("i-3", second);
        story.in_service("i-4", second);
        assert_eq!(asked_to_shut_down(&story.silent("i-0", second + 1)), [], "{second}");
        assert_eq!(asked_to_shut_down(&story.pool.tick(at(second + 2))), [], "{second}");
    }
    assert_eq!(outages(&story), (1, 0));
    story.created("i-9", "small", 200_000);
    story.in_service("i-9", 200_060);
    assert_eq!(outages(&story), (1, 1));
    story.in_service("i-3", 200_119);
    story.in_service("i-4", 200_119);
    assert_eq!(names(asked_to_shut_down(&story.silent("i-0", 200_121))), ["i-0"]);
}

/// One answer in a flap of the network must not give all others up.
#[test]
fn an_outage_begins_again_if_the_one_that_ended_it_is_out_of_reach_again() {
    let mut story = outage(4, 4);
    story.in_service("i-0", 800);
    assert_eq!(outages(&story), (1, 1));
    story.show(830, View { out_of_reach: true, ..story.view("i-0") });
    for (n, name) in ["i-1", "i-2", "i-3"].into_iter().enumerate() {
        assert_eq!(asked_to_shut_down(&story.silent(name, 1_200 + n as i64)), [], "{name}");
    }
    assert_eq!(outages(&story), (2, 1));
    story.in_service("i-2", 1_400);
    assert_eq!(outages(&story), (2, 2));
    assert_eq!(names(asked_to_shut_down(&story.silent("i-1", 1_471))), ["i-1"], "this one stays in reach");
}

/// Found by chaos (seed 1795971549006304): one new instance after another was made, and none of the dead ones went.
#[test]
fn a_new_one_that_has_answered_and_gone_has_ended_the_outage_all_the_same() {
    let mut story = outage(4, 4);
    story.created("i-9", "small", 800);
    story.in_service("i-9", 860);
    assert_eq!(outages(&story), (1, 1));
    story.show(880, View { state: State::Shutdown, out_of_reach: true, ..story.view("i-9") });
    assert_eq!(names(asked_to_shut_down(&story.silent("i-1", 930))), ["i-1"]);
    assert_eq!(outages(&story), (1, 1));
}

#[test]
fn a_new_one_that_does_not_boot_in_time_is_given_up_meanwhile_because_nothing_can_run_there() {
    let mut story = outage(5, 3);
    story.created("i-9", "small", 800);
    assert_eq!(names(asked_to_shut_down(&story.silent("i-9", 1_500))), ["i-9"]);
    assert_eq!(asked_to_shut_down(&story.silent("i-1", 1_501)), []);
    assert_eq!(outages(&story), (1, 0));
}

/// Found by chaos (seed 71): their boot probes ended with status 1, so our way to them was open.
#[test]
fn those_on_which_commands_run_and_fail_are_no_outage_and_end_one() {
    let mut story = Story::new();
    for name in ["i-0", "i-1", "i-2"] {
        story.listed(name, "small", name, 0);
        let silence = Some((Silence::NeverReady, at(700)));
        story.show(700, View { silence, last_contact: Some(at(700)), ..story.view(name) });
    }
    assert_eq!(outages(&story), (0, 0));
    let mut story = outage(5, 3);
    story.show(720, View { last_contact: Some(at(719)), ..story.view("i-0") });
    assert_eq!(outages(&story), (1, 1));
}

/// Found by chaos (seed 1795968428000528): they left the account no room for a new one, which would have ended the outage.
#[test]
fn one_on_which_commands_run_and_fail_is_judged_in_an_outage_too() {
    let mut story = outage(5, 3);
    for second in (750..1_500).step_by(50) {
        story.in_service("i-4", second);
    }
    let silence = Some((Silence::Unresponsive, at(1_500)));
    let shown = View { silence, last_contact: Some(at(1_500)), ..story.view("i-4") };
    assert_eq!(names(asked_to_shut_down(&story.show(1_500, shown))), ["i-4"]);
    assert_eq!(outages(&story), (1, 0));
}

#[test]
fn one_that_was_there_before_and_answers_for_the_first_time_is_no_new_one() {
    let mut story = fleet(5);
    story.created("i-9", "small", 600);
    story.in_service("i-3", 699);
    story.in_service("i-4", 699);
    for (n, name) in ["i-0", "i-1", "i-2"].into_iter().enumerate() {
        story.silent(name, 700 + n as i64);
    }
    story.in_service("i-9", 720);
    assert_eq!(outages(&story), (1, 0));
}

/// It was counted among the silent, although it had not passed its timeout.
#[test]
fn one_that_was_half_way_to_silence_and_answers_ends_it() {
    let mut story = fleet(5);
    story.in_service("i-3", 699);
    story.in_service("i-4", 699);
    story.silent("i-0", 700);
    assert_eq!(outages(&story), (1, 0));
    story.in_service("i-4", 1_200);
    assert_eq!(outages(&story), (1, 0), "that one was asked rarely, and nothing had failed there");
    story.show(1_201, View { out_of_reach: true, ..story.view("i-1") });
    story.in_service("i-1", 1_205);
    assert_eq!(outages(&story), (1, 1));
}

#[test]
fn an_outage_does_not_end_because_a_silent_worker_is_removed() {
    let mut story = outage(5, 3);
    story.show(710, View { state: State::Shutdown, ..story.view("i-0") });
    assert_eq!(asked_to_shut_down(&story.silent("i-1", 720)), []);
    assert_eq!(outages(&story), (1, 0));
}

#[test]
fn the_next_outage_is_one_of_its_own() {
    let mut story = outage(3, 3);
    for name in ["i-0", "i-1", "i-2"] {
        story.in_service(name, 800);
    }
    for name in ["i-0", "i-1", "i-2"] {
        assert_eq!(asked_to_shut_down(&story.silent(name, 9000)), []);
    }
    assert_eq!(outages(&story), (2, 1));
    assert_eq!(asked_to_shut_down(&story.pool.tick(at(9000 + 1799))), []);
}

/// A dead worker that the operator keeps to look at it is silent for good.
#[test]
fn a_silent_worker_on_hold_does_not_let_the_next_outage_destroy_the_others() {
    let mut story = outage(4, 4);
    story.show(790, View { behavior: IdleBehavior::Hold, ..story.view("i-3") });
    for name in ["i-0", "i-1", "i-2"] {
        story.in_service(name, 800);
    }
    assert_eq!(outages(&story), (1, 1));
    for name in ["i-0", "i-1", "i-2"] {
        assert_eq!(asked_to_shut_down(&story.silent(name, 9000)), [], "{name}");
    }
    assert_eq!(outages(&story), (2, 1));
}

#[test]
fn silence_of_workers_on_hold_alone_is_no_outage() {
    let mut story = fleet(3);
    for name in ["i-0", "i-1", "i-2"] {
        story.show(2, View { behavior: IdleBehavior::Hold, ..story.view(name) });
        story.silent(name, 700);
    }
    assert_eq!(outages(&story), (0, 0));
}

/// What the counts that are kept up must come to, found by a look at every worker.
fn counted(story: &Story, second: i64) -> (usize, usize) {
    let views = story.pool.workers.values().map(|slot| &*slot.view);
    let living = views.filter(|view| view.state != State::Shutdown);
    let busy = living.filter(|view| view.last_success.is_some() || view.state == State::Unknown);
    let quiet = |view: &&View| {
        let ready = view.state.is_ready();
        let timeout = if ready { story.policy.timeout_probe } else { story.policy.timeout_booting };
        let news = view.last_success.unwrap_or(view.appeared);
        view.silence.is_some() || since(at(second), news) >= timeout / 2
    };
    let busy: Vec<_> = busy.collect();
    (busy.iter().copied().filter(|view| quiet(view)).count(), busy.len())
}

proptest::proptest! {
    /// Judging must not look at every worker, because in an outage each of them tells of a failed probe.
    #[test]
    fn the_counts_that_are_kept_up_are_those_of_a_look_at_every_worker(
        steps in proptest::collection::vec((0..6usize, 0..6u8, 0..200i64), 1..80),
    ) {
        let mut story = Story::new();
        let mut second = 1;
        for (n, what, pause) in steps {
            second += pause;
            let name = format!("i-{n}");
            if !story.pool.workers.contains_key(&id(&name)) {
                story.listed(&name, "small", &name, second);
            }
            match what {
                0 | 1 => drop(story.in_service(&name, second)),
                2 => drop(story.silent(&name, second)),
                3 => drop(story.show(second, View { behavior: IdleBehavior::Hold, ..story.view(&name) })),
                4 => drop(story.show(second, View { state: State::Shutdown, silence: None, ..story.view(&name) })),
                _ => {
                    for _ in 0..2 {
                        story.listing(second, &[&name]);
                        second += 200;
                    }
                }
            }
            let (quiet, of) = counted(&story, second);
            proptest::prop_assert_eq!(story.pool.outage.counts(at(second)), (quiet, of));
        }
    }
}
