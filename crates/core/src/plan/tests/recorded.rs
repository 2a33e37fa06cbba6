//! Five rounds of dispatchers in the simulated world, recorded by `tests/sim/rounds.rs`: the same input gives the
//! same plan, here and today.

use super::*;
use crate::ceiling::CeilingFacts;

fn gives_the_recorded_plan(text: &str) {
    let round: RecordedRound = serde_json::from_str(text).unwrap();
    let planned = plan(&round.input, round.now);
    assert!(!planned.actions.is_empty() && !planned.waiting.is_empty(), "it says something");
    assert_eq!(round.replay(), Ok(()));
    assert_eq!(crate::invariants::check_plan(&round.input, &planned, round.now), Ok(()));
}

#[test]
fn the_first_creates_are_planned_as_recorded() {
    gives_the_recorded_plan(include_str!("recorded/first_creates.json"));
}

#[test]
fn the_first_starts_are_planned_as_recorded() {
    gives_the_recorded_plan(include_str!("recorded/first_starts.json"));
}

#[test]
fn a_round_at_the_accounts_quota_is_planned_as_recorded() {
    gives_the_recorded_plan(include_str!("recorded/at_the_accounts_quota.json"));
}

#[test]
fn a_round_in_which_a_type_has_no_capacity_is_planned_as_recorded() {
    gives_the_recorded_plan(include_str!("recorded/a_type_without_capacity.json"));
}

#[test]
fn a_round_after_a_restart_is_planned_as_recorded() {
    gives_the_recorded_plan(include_str!("recorded/after_a_restart.json"));
}

/// A record is read back as it was written, and what comes out otherwise is named.
#[test]
fn the_first_difference_of_a_replay_is_named() {
    let text = include_str!("recorded/first_creates.json");
    let round: RecordedRound = serde_json::from_str(text).unwrap();
    let planned = plan(&round.input, round.now);
    let ceiling = CeilingFacts { is_lowered: true, estimate: 3, running: 4 };
    let record = RoundRecord { now: round.now, input: &round.input, plan: &planned, ceiling };
    let written: RecordedRound = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!((written.replay(), written.ceiling), (Ok(()), ceiling));
    let actions = planned.actions.len();
    for (change, at, recorded) in [
        (serde_json::json!({ "over_quota": 7 }), "/facts/over_quota", "7"),
        (serde_json::json!({ "new": "a/b" }), "/facts/new", "\"a/b\""),
    ] {
        let mut changed = written.clone();
        let facts = changed.plan["facts"].as_object_mut().unwrap();
        facts.extend(change.as_object().unwrap().clone());
        let difference = changed.replay().unwrap_err();
        assert_eq!((difference.at.as_str(), difference.recorded.as_str()), (at, recorded));
    }
    let mut shorter = written;
    shorter.plan["actions"].as_array_mut().unwrap().pop();
    let difference = shorter.replay().unwrap_err();
    assert_eq!(difference.at, format!("/actions/{}", actions - 1));
    assert!(difference.to_string().contains("recorded nothing, planned {"), "{difference}");
}
