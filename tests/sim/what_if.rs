//! What a plan under another configuration says is what happens when that is set.

use std::time::Duration;

use dispatch_actors::messages::scheduler::{GetPlan, PlanView};
use dispatch_core::container::ContainerState;
use dispatch_core::instance::{Catalog, InstanceType, Price};
use dispatch_core::plan::{RecordedRound, foresee, plan};
use dispatch_core::policy::{PlanRules, Policy};
use dispatch_sim::controller::faults::Fault;
use dispatch_sim::world::{World, WorldKnobs, simulate};
use serde_json::Value;

use crate::{minutes, seconds};

async fn last(world: &World) -> PlanView {
    world.handles().scheduler.send(GetPlan).await.expect("it lives")
}

/// As `plan` gets it.
fn recorded(view: &PlanView) -> RecordedRound {
    let json = serde_json::to_string(&view.record().expect("there was a round")).unwrap();
    serde_json::from_str(&json).unwrap()
}

fn actions(plan: &dispatch_core::plan::Plan) -> Value {
    serde_json::to_value(&plan.actions).unwrap()
}

/// The first round after the reload that does anything.
async fn next_actions(world: &mut World) -> Value {
    for _ in 0..2_000 {
        world.run_for(Duration::from_millis(2)).await;
        let view = last(world).await;
        if !view.plan.actions.is_empty() {
            return actions(&view.plan);
        }
    }
    world.fail("nothing was done")
}

/// Asks what a change would do, makes it, and compares. Returns what was done.
async fn ask_then_do(world: &mut World, change: impl Fn(&mut Policy)) -> Value {
    // Nothing is under way: what is planned next is planned for the change alone.
    let view = last(world).await;
    assert!(view.plan.actions.is_empty(), "{:?}", view.plan.actions);
    let round = recorded(&view);
    let mut policy = world.knobs.policy.clone();
    change(&mut policy);
    let input = round.under(&PlanRules::from(&policy));
    let asked = actions(&plan(&input, round.now));
    world.reload(change);
    let done = next_actions(world).await;
    assert_eq!(asked, done);
    done
}

#[test]
fn a_higher_limit_does_what_was_said() {
    let mut knobs = WorldKnobs::new(41).with_jobs(12, 2, 3600).with_instances(3);
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        world.run_until("three run", minutes(10), |world| world.count(ContainerState::Running) == 3).await;
        world.run_for(minutes(3)).await;
        let foretold = {
            let round = recorded(&last(world).await);
            let mut policy = world.knobs.policy.clone();
            policy.max_instances = 40;
            foresee(&round.under(&PlanRules::from(&policy)), round.ceiling, round.now)
        };
        let done = ask_then_do(world, |policy| policy.max_instances = 40).await;
        assert!(!done.as_array().unwrap().is_empty());
        world.run_until("all run", minutes(20), |world| world.count(ContainerState::Running) == 12).await;
        assert_eq!(
            world.own_vms().len(),
            foretold.input.fleet.hosts.len(),
            "where it leads was foretold, too"
        );
    });
}

#[test]
fn another_definition_of_types_does_what_was_said() {
    let mut knobs = WorldKnobs::new(42).with_jobs(3, 2, 3600).with_instances(2);
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        world.run_until("two run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        world.run_for(minutes(3)).await;
        ask_then_do(world, |policy| {
            policy.max_instances = 3;
            let types = policy.catalog.types().iter().map(|it| InstanceType::clone(it));
            let dear = |it: InstanceType| match it.name.as_str() {
                "small" => InstanceType { price: Price::new(5.0).unwrap(), ..it },
                _ => it,
            };
            policy.catalog = Catalog::new(types.map(dear).collect::<Vec<_>>());
        })
        .await;
        let large = world.knobs.policy.catalog.get("large").unwrap().name.clone();
        world.run_for(minutes(2)).await;
        assert_eq!(world.vms_of_type(&large).len(), 1, "the cheaper one is taken");
    });
}

/// After a 503 the ceiling does not follow the configuration, and that is said.
#[test]
fn a_ceiling_that_was_lowered_stays_as_was_said() {
    let mut knobs = WorldKnobs::new(43).with_jobs(30, 2, 3600).with_instances(20);
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        world.run_until("some run", minutes(10), |world| world.count(ContainerState::Running) >= 12).await;
        world.arvados.borrow_mut().faults.rates = vec![(Fault::Overloaded, 1.0)];
        world.run_for(seconds(25)).await;
        world.arvados.borrow_mut().faults.rates = Vec::new();
        world.run_for(seconds(3)).await;
        let round = recorded(&last(world).await);
        assert!(round.ceiling.is_lowered, "{:?}", round.ceiling);
        let mut policy = world.knobs.policy.clone();
        policy.max_instances = 100;
        let input = round.under(&PlanRules::from(&policy));
        assert_eq!(input.limits.ceiling, round.input.limits.ceiling);
    });
}
