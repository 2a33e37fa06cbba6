//! What the dispatcher says of money, against the simulated cloud's bill.

use dispatch_core::id::InstanceId;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::ledger::{Category, Statement};
use dispatch_core::time::Timestamp;
use dispatch_sim::clock;
use dispatch_sim::world::{World, WorldKnobs, job, simulate};

use crate::{minutes, seconds};

/// A day's work of every size, part of it from the beginning.
fn day() -> WorldKnobs {
    let mut knobs = WorldKnobs::new(11).with_jobs(12, 2, 5400).with_jobs(4, 8, 9000).with_instances(8);
    knobs.containers.extend((0..20).map(|n| job(1, 300 + 400 * n)));
    knobs.policy.timeout_idle = minutes(5);
    knobs.step = seconds(5);
    knobs
}

fn total(statement: &Statement) -> f64 {
    statement.sums.iter().map(|sum| sum.amount).sum()
}

fn of(statement: &Statement, category: Category) -> f64 {
    statement.sums.iter().filter(|sum| sum.category == category).map(|sum| sum.amount).sum()
}

/// Within a hundredth.
fn assert_agree(what: &str, said: f64, billed: f64) {
    assert!(billed > 0.1, "{what}: a bill of {billed} proves nothing");
    assert!((said - billed).abs() <= billed / 100.0, "{what}: said {said}, billed {billed}");
}

/// What this life says of itself is what the cloud bills for that time; and by hours it is the same.
async fn agrees_with_the_bill(world: &World, began: Timestamp) -> Statement {
    let statement = world.statement().await;
    assert_agree("this life", total(&statement), world.bill(began, clock::now()));
    let by_hours: f64 = statement.hours.iter().flat_map(|hour| &hour.sums).map(|(_, _, amount)| amount).sum();
    assert!((by_hours - total(&statement)).abs() < 1e-6, "{by_hours} by hours, {} in all", total(&statement));
    assert!(statement.since >= began, "it claims no more than its own time");
    statement
}

#[test]
fn over_a_day_with_restarts_what_is_said_agrees_with_the_clouds_bill_within_one_percent() {
    simulate(day(), async |world| {
        let first = clock::now();
        let mut said = 0.0;
        for life in 0..3 {
            for _ in 0..4 {
                world.submit(job(2, 9000));
            }
            let began = clock::now();
            let there = world.bill_of_those_at(began);
            world.run_for(minutes(100)).await;
            let statement = agrees_with_the_bill(world, began).await;
            said += total(&statement);
            if life > 0 {
                assert_agree("before this life", statement.earlier.amount, there);
                assert_eq!(statement.earlier.of_unknown_age, 0);
            }
            world.restart().await;
        }
        // Between two lives nobody counts: a second each.
        assert_agree("all lives", said, world.bill(first, clock::now()));
        world.drain(minutes(600)).await;
    });
}

#[test]
fn containers_have_cost_what_their_instances_cost_while_they_ran_there() {
    simulate(day(), async |world| {
        let began = clock::now();
        world.drain(minutes(1500)).await;
        let statement = agrees_with_the_bill(world, began).await;
        let shared: f64 = statement.shares.iter().map(|share| share.amount).sum();
        assert!(
            (shared - of(&statement, Category::Inuse)).abs() < 1e-6,
            "{shared} is shared of {statement:?}"
        );
        assert_eq!(statement.shares.len(), 36);
        assert!(statement.shares.iter().all(|share| share.until.is_some()), "all have ended");
        assert!(statement.sums.iter().all(|sum| sum.per_hour == 0.0), "nothing is left that costs");
    });
}

/// An instance that works on nothing, and on hold for most of the time.
#[test]
fn what_an_instance_on_hold_costs_is_said_to_be_waste() {
    let mut knobs = WorldKnobs::new(5).with_jobs(1, 1, 60);
    knobs.step = seconds(5);
    simulate(knobs, async |world| {
        let began = clock::now();
        world.run_until("a VM", minutes(5), |world| !world.own_vms().is_empty()).await;
        world.run_for(seconds(10)).await;
        let id: InstanceId = world.own_vms().remove(0);
        assert!(world.operator_sets(&id, IdleBehavior::Hold).await);
        world.run_for(minutes(600)).await;
        let statement = agrees_with_the_bill(world, began).await;
        assert!(of(&statement, Category::Hold) > 0.95 * total(&statement), "{statement:?}");
        assert!(world.operator_sets(&id, IdleBehavior::Run).await);
        world.drain(minutes(60)).await;
    });
}

/// A VM that a listing has omitted may be taken for gone, and is found again: it is still one VM.
#[test]
fn listings_that_omit_vms_bill_nothing_twice() {
    let mut knobs = day();
    knobs.cloud.omit_rate = 0.2;
    simulate(knobs, async |world| {
        let began = clock::now();
        world.run_for(minutes(240)).await;
        agrees_with_the_bill(world, began).await;
        world.drain(minutes(1500)).await;
    });
}
