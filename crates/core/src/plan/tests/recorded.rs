//! Five rounds of dispatchers in the simulated world, recorded by `tests/sim/rounds.rs`: the same input gives the
//! same plan, here and today.

use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
struct Round {
    now: Timestamp,
    input: PlanInput,
    plan: Value,
}

fn gives_the_recorded_plan(text: &str) {
    let round: Round = serde_json::from_str(text).unwrap();
    let planned = plan(&round.input, round.now);
    assert!(!planned.actions.is_empty() && !planned.waiting.is_empty(), "it says something");
    assert_eq!(serde_json::to_value(&planned).unwrap(), round.plan);
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
