//! Records planning rounds of simulated dispatchers, for `crates/core/src/plan/tests/recorded`: what a round was
//! planned from, when, and what it came to. `cargo test --test sim record_rounds -- --ignored` writes them anew.

use dispatch_actors::messages::scheduler::GetPlan;
use dispatch_core::container::ContainerState;
use dispatch_core::id::ProviderType;
use dispatch_core::instance::{Market, Offering};
use dispatch_core::plan::{self, Action, PlanInput, PoolAction, QueueAction, RecordedRound, dated_from};
use dispatch_core::time::Timestamp;
use dispatch_sim::controller::Submission;
use dispatch_sim::samples::spot_type;
use dispatch_sim::world::chaos::rounds_of_chaos;
use dispatch_sim::world::{World, WorldKnobs, job, simulate};
use serde_json::json;

use crate::{minutes, seconds};

/// The time from one look at the scheduler to the next: shorter than that from one round to the next.
const LOOK: std::time::Duration = std::time::Duration::from_millis(4);

/// The first round from now on whose actions are like that.
async fn round(world: &mut World, is_wanted: impl Fn(&[Action]) -> bool) -> (PlanInput, Timestamp) {
    for _ in 0..200_000 {
        let view = world.handles().scheduler.send(GetPlan).await.unwrap();
        let now = dispatch_actors::clock::now();
        if let Some(input) = view.input.filter(|_| is_wanted(&view.plan.actions)) {
            return (input, now);
        }
        world.run_for(LOOK).await;
    }
    world.fail("no such round")
}

fn record(name: &str, (input, now): (PlanInput, Timestamp)) {
    let origin = input.queue.first_poll_began.unwrap();
    let (input, now) = (input.dated_from(origin), dated_from(now, origin));
    let plan = plan::plan(&input, now);
    let round = json!({ "now": now, "input": input, "plan": plan });
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/core/src/plan/tests/recorded");
    let text = serde_json::to_string_pretty(&round).unwrap() + "\n";
    std::fs::write(format!("{folder}/{name}.json"), text).unwrap();
}

fn is_create(action: &Action) -> bool {
    matches!(action, Action::Pool(PoolAction::CreateInstance(..) | PoolAction::CreateSpare(_)))
}

fn is_start(action: &Action) -> bool {
    matches!(action, Action::Pool(PoolAction::StartContainer(..)))
}

fn is_unlock(action: &Action) -> bool {
    matches!(action, Action::Queue(QueueAction::UnlockContainer(..)))
}

fn is_lock(action: &Action) -> bool {
    matches!(action, Action::Queue(QueueAction::LockContainer(_)))
}

/// Jobs of both sizes, more than there are instances.
fn crowd(seed: u64) -> WorldKnobs {
    let mut knobs = WorldKnobs::new(seed).with_jobs(6, 1, 60).with_jobs(3, 6, 90).with_instances(3);
    knobs.policy.max_concurrent_creates = 0;
    knobs
}

#[test]
#[ignore = "writes the recorded rounds of crates/core anew"]
fn record_rounds() {
    simulate(crowd(1), async |world| {
        record("first_creates", round(world, |actions| actions.iter().any(is_create)).await);
        record("first_starts", round(world, |actions| actions.iter().any(is_start)).await);
    });
    let mut knobs = crowd(2);
    (knobs.policy.max_instances, knobs.cloud.quota_all) = (0, Some(2));
    simulate(knobs, async |world| {
        // Somebody of higher priority comes when all others are locked.
        world.run_until("they are locked", minutes(1), |world| world.count(ContainerState::Locked) > 4).await;
        let urgent = job(1, 60);
        world.submit(Submission { priority: 900, ..urgent });
        record("at_the_accounts_quota", round(world, |actions| actions.iter().any(is_unlock)).await);
    });
    let mut knobs = crowd(3);
    let mut types: Vec<_> = knobs.policy.catalog.types().iter().map(|it| (**it).clone()).collect();
    types.push((*spot_type("spot", 8)).clone());
    knobs.policy.catalog = dispatch_core::instance::Catalog::new(types);
    let provider_type = ProviderType::new("std.large").unwrap();
    knobs.cloud.capacity.insert(Offering { provider_type, market: Market::OnDemand }, 0);
    simulate(knobs, async |world| {
        world.run_for(seconds(40)).await;
        record("a_type_without_capacity", round(world, |actions| actions.iter().any(is_lock)).await);
    });
    let mut knobs = crowd(4);
    // As short as it can be, so that the next dispatcher begins to plan while it still adopts starts.
    knobs.policy.stale_lock_timeout = seconds(5);
    simulate(knobs, async |world| {
        world.run_until("some run", minutes(10), |world| world.events() > 60).await;
        world.restart().await;
        record("after_a_restart", round(world, |actions| !actions.is_empty()).await);
    });
}

/// A plan depends on nothing but what is written down: the rounds of troubled worlds come out the same, after a way
/// through JSON, elsewhere and later.
#[test]
fn a_thousand_recorded_rounds_of_chaos_come_out_the_same() {
    let mut replayed = 0;
    for seed in 0.. {
        for line in rounds_of_chaos(seed, 250) {
            let round: RecordedRound = serde_json::from_str(&line).unwrap();
            assert_eq!(round.replay(), Ok(()), "seed {seed}, planned at {}", round.now);
            replayed += 1;
        }
        if replayed >= 1_000 {
            return;
        }
    }
}
