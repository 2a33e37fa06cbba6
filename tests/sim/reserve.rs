//! Spare VMs: what comes next need not wait for a boot, and whoever waits for a quota need not wait for a spare one.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ledger::Category;
use dispatch_core::reserve::{Calendar, IdleReserve, ReserveRule, Spares};
use dispatch_core::time::{Timestamp, after, since};
use dispatch_sim::clock;
use dispatch_sim::world::{World, WorldKnobs, job, simulate};
use jiff::tz::TimeZone;

use crate::{minutes, seconds};

/// That many of `small`, in these hours.
fn reserve(instances: u32, hours: &str) -> IdleReserve {
    let calendar = Calendar { hours: hours.parse().unwrap(), ..Calendar::default() };
    let rule = ReserveRule { spares: Spares { instances, percent_of_busy: 0 }, calendar };
    IdleReserve::new(BTreeMap::from([("small".parse().unwrap(), vec![rule])]))
}

fn site(instances: u32) -> WorldKnobs {
    let mut knobs = WorldKnobs::new(61);
    knobs.policy.max_concurrent_creates = 0;
    knobs.policy.idle_reserve = reserve(instances, "");
    knobs
}

fn smalls(world: &World) -> usize {
    world.vms_of_type(&"small".parse().unwrap()).len()
}

/// How long it takes from its submission until it runs.
async fn wait_of_one(world: &mut World) -> (ContainerUuid, Duration) {
    let submitted = clock::now();
    let uuid = world.submit(job(1, 600));
    let runs = |world: &World| world.state_of(uuid) == Some(ContainerState::Running);
    world.run_until("it runs", minutes(30), runs).await;
    (uuid, since(clock::now(), submitted))
}

async fn end_the_reserve(world: &mut World) {
    world.reload(|policy| policy.idle_reserve = IdleReserve::default());
    world.drain(minutes(60)).await;
}

#[test]
fn with_a_spare_vm_a_container_does_not_wait_for_a_boot_and_the_spare_is_replaced() {
    let wait = |spares: u32| {
        simulate(site(spares), async |world| {
            world.run_for(minutes(20)).await;
            assert_eq!(smalls(world), spares as usize, "kept for longer than TimeoutIdle");
            let (_, waited) = wait_of_one(world).await;
            world.run_for(minutes(5)).await;
            assert_eq!(smalls(world), 1 + spares as usize, "one is busy");
            end_the_reserve(world).await;
            waited
        })
    };
    let (without, with) = (wait(0), wait(1));
    assert!(2 * with < without, "{with:?} with a spare one, {without:?} without");
}

#[test]
fn a_spare_vm_makes_room_for_whoever_waits_for_a_quota_and_comes_back_after() {
    let mut knobs = site(1);
    knobs.policy.max_instances = 2;
    knobs.policy.initial_quota_estimate = 100;
    simulate(knobs, async |world| {
        world.run_for(minutes(5)).await;
        let large = [world.submit(job(8, 900)), world.submit(job(8, 900))];
        let both_run =
            |world: &World| large.iter().all(|it| world.state_of(*it) == Some(ContainerState::Running));
        world.run_until("both large ones run", minutes(20), both_run).await;
        assert_eq!(smalls(world), 0, "it was in the way");
        world
            .run_until("they have ended", minutes(40), |world| world.count(ContainerState::Complete) == 2)
            .await;
        world.run_until("the spare one is back", minutes(20), |world| smalls(world) == 1).await;
        end_the_reserve(world).await;
    });
}

/// A time of day, by the clock of UTC.
fn time_of_day(at: Timestamp) -> String {
    let it = at.to_zoned(TimeZone::UTC);
    format!("{:02}:{:02}", it.hour(), it.minute())
}

#[test]
fn outside_its_hours_nothing_is_kept() {
    let mut knobs = site(0);
    let (begin, end) = (after(clock::epoch(), minutes(60)), after(clock::epoch(), minutes(120)));
    knobs.policy.idle_reserve = reserve(2, &format!("{}-{}", time_of_day(begin), time_of_day(end)));
    simulate(knobs, async |world| {
        world.run_for(minutes(58)).await;
        assert_eq!(smalls(world), 0, "its hour has not begun");
        world.run_for(minutes(12)).await;
        assert_eq!(smalls(world), 2, "it has");
        world.run_for(minutes(48)).await;
        assert_eq!(smalls(world), 2, "and is not over");
        world.run_until("they are gone", minutes(10), |world| smalls(world) == 0).await;
        world.drain(minutes(10)).await;
    });
}

#[test]
fn a_restart_neither_ends_spare_vms_nor_makes_more() {
    simulate(site(2), async |world| {
        world.run_for(minutes(10)).await;
        let before = world.own_vms();
        assert_eq!(before.len(), 2);
        world.restart().await;
        world.run_for(minutes(20)).await;
        assert_eq!(world.own_vms(), before);
        end_the_reserve(world).await;
    });
}

#[test]
fn what_a_reserve_costs_stands_apart_and_is_no_waste() {
    simulate(site(1), async |world| {
        world.run_for(minutes(60)).await;
        let statement = world.statement().await;
        let amount = |category: Category| -> f64 {
            statement.sums.iter().filter(|sum| sum.category == category).map(|sum| sum.amount).sum()
        };
        assert!(amount(Category::Spare) > 10.0 * amount(Category::Idle), "{:?}", statement.sums);
        end_the_reserve(world).await;
    });
}

#[test]
fn vms_that_do_not_boot_are_not_made_again_and_again_for_a_reserve() {
    let mut knobs = site(2);
    knobs.vms.never_boots_rate = 1.0;
    simulate(knobs, async |world| {
        world.run_for(minutes(180)).await;
        assert!(world.vms_made() <= 8, "{} VMs were made that nobody waits for", world.vms_made());
        world.stop_faults();
        end_the_reserve(world).await;
    });
}

#[test]
fn a_reload_makes_a_reserve_larger_or_smaller_at_once() {
    simulate(site(1), async |world| {
        world.run_for(minutes(5)).await;
        assert_eq!(smalls(world), 1);
        world.reload(|policy| policy.idle_reserve = reserve(3, ""));
        world.run_until("more are kept", minutes(10), |world| smalls(world) == 3).await;
        world.reload(|policy| policy.idle_reserve = reserve(1, ""));
        world.run_until("fewer are kept", minutes(10), |world| smalls(world) == 1).await;
        world.run_for(seconds(600)).await;
        assert_eq!(smalls(world), 1);
        end_the_reserve(world).await;
    });
}
