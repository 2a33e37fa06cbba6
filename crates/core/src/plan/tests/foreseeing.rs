//! Where a round leads, as it is and under another configuration.

use super::*;

fn recorded(text: &str) -> RecordedRound {
    serde_json::from_str(text).unwrap()
}

fn first_creates() -> RecordedRound {
    recorded(include_str!("recorded/first_creates.json"))
}

fn with_instances(round: &RecordedRound, most: u32) -> PlanInput {
    round.under(&PlanRules { max_instances: most, ..(*round.input.rules).clone() })
}

fn with_process(input: &PlanInput) -> usize {
    input.fleet.hosts.iter().map(|host| host.processes.len()).sum()
}

/// Nine containers: under a limit of three instances some wait, and are told why.
#[test]
fn the_rounds_are_followed_until_nothing_more_is_done() {
    let round = first_creates();
    let foresight = foresee(&round.input, round.ceiling, round.now);
    assert_eq!(foresight.input.fleet.hosts.len(), 3);
    assert_eq!(foresight.created.values().sum::<usize>() + round.input.fleet.creates.len(), 3);
    assert_eq!(foresight.started, with_process(&foresight.input));
    let waits = foresight.plan.waiting.values().filter(|it| it.reason == WaitReason::MaxInstances).count();
    assert!(waits > 0 && foresight.started + waits == 9, "{:?}", foresight.plan.waiting);
    // It is the end: planned once more, the same comes out.
    let again = foresee(&foresight.input, round.ceiling, round.now);
    assert_eq!((again.started, again.created.len(), &again.plan), (0, 0, &foresight.plan));
}

#[test]
fn under_a_higher_limit_all_have_a_place() {
    let round = first_creates();
    let foresight = foresee(&with_instances(&round, 40), round.ceiling, round.now);
    assert_eq!((foresight.started, with_process(&foresight.input)), (9, 9));
    assert!(foresight.input.fleet.hosts.len() > 3);
    assert_eq!(foresight.shut_down, 0);
}

#[test]
fn under_a_lower_limit_no_more_than_that_are_created() {
    let round = first_creates();
    let foresight = foresee(&with_instances(&round, 1), round.ceiling, round.now);
    assert_eq!((foresight.created.values().sum::<usize>(), foresight.input.fleet.hosts.len()), (1, 1));
}

/// A ceiling that a 503 has lowered does not follow the configuration.
#[test]
fn the_ceiling_is_what_a_reload_would_make_it() {
    let mut round = first_creates();
    round.input.limits.ceiling = 3;
    assert_eq!(with_instances(&round, 40).limits.ceiling, 40);
    round.ceiling.is_lowered = true;
    assert_eq!(with_instances(&round, 40).limits.ceiling, 3);
}

/// A reload would spare them, too.
#[test]
fn who_loses_all_types_is_not_said_to_be_cancelled() {
    let round = first_creates();
    let rules = PlanRules { catalog: crate::instance::Catalog::new([]), ..(*round.input.rules).clone() };
    let planned = plan(&round.under(&rules), round.now);
    let cancels =
        planned.actions.iter().any(|it| matches!(it, Action::Queue(QueueAction::CancelContainer(..))));
    assert!(!cancels, "{:?}", planned.actions);
}
