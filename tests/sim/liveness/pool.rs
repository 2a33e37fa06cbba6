//! VMs that never boot, never answer, never go, or are held by an operator who has forgotten them.

use dispatch_core::container::ContainerState;
use dispatch_core::instance::Market;
use dispatch_sim::cloud::knobs::{CloudCall, CloudFault};
use dispatch_sim::group::Group;
use dispatch_sim::samples::{instance_type, spot_type};
use dispatch_sim::world::{LogLine, World, WorldKnobs, job, simulate};
use slog::Level;

use super::{complete, unlock_calls};
use crate::{minutes, seconds};

/// As README advises for boots that fail: hold one VM and look at it.
#[test]
fn a_held_vm_that_never_booted_is_no_trial() {
    let mut knobs = WorldKnobs::new(1).with_jobs(4, 2, 60).with_instances(8);
    knobs.vms.never_boots_rate = 1.0;
    simulate(knobs, async |world| {
        let is_a_trial = |world: &World| world.vms_made() >= 6 && world.own_vms().len() == 1;
        world.run_until("a trial boots", minutes(180), is_a_trial).await;
        world.run_for(seconds(10)).await;
        let held = world.own_vms()[0].clone();
        assert!(world.operator_forgets(&held).await);
        world.vms.borrow_mut().knobs.never_boots_rate = 0.0;
        complete(world, 4, minutes(90)).await;
        world.drain(minutes(30)).await;
        assert_eq!(world.own_vms(), [held]);
    });
}

/// It boots later, but its operator keeps it.
#[test]
fn creates_go_on_beside_a_vm_that_was_held_while_it_booted() {
    let mut knobs = WorldKnobs::new(2).with_jobs(6, 2, 60).with_instances(3);
    knobs.policy.max_concurrent_creates = 1;
    simulate(knobs, async |world| {
        world.run_until("a VM boots", minutes(5), |world| !world.own_vms().is_empty()).await;
        let held = world.own_vms()[0].clone();
        world.run_for(seconds(15)).await;
        assert!(world.operator_forgets(&held).await);
        complete(world, 6, minutes(20)).await;
    });
}

#[test]
fn vms_that_the_cloud_ends_while_they_boot_are_rationed_and_burn_no_attempt() {
    let mut knobs = WorldKnobs::new(3).with_jobs(10, 2, 60).with_instances(20);
    knobs.cloud.always_ends_booting.push(Group::sample("small"));
    knobs.policy.max_concurrent_creates = 0;
    knobs.log = Some(Level::Warning);
    simulate(knobs, async |world| {
        world.run_for(minutes(120)).await;
        let told = |line: &LogLine| {
            line.text.starts_with("instance ended while") && line.text.contains("Simulated.taken")
        };
        assert!(world.journal.borrow_mut().lines().iter().any(told), "with the cloud's reason");
        let made = world.vms_made();
        assert!(made <= 10 + 30, "{made} VMs in two hours");
        let unlocked = unlock_calls(world);
        assert!(unlocked <= 10, "{unlocked} unlocks");
        world.cloud.borrow_mut().knobs.always_ends_booting.clear();
        complete(world, 10, minutes(60)).await;
    });
}

#[test]
fn where_vms_end_while_they_boot_another_type_gets_its_turn() {
    let mut knobs = WorldKnobs::new(4).with_jobs(6, 2, 60).with_instances(20);
    knobs.policy.sizing.maximum_price_factor = 5.0;
    knobs.cloud.always_ends_booting.push(Group::sample("small"));
    simulate(knobs, async |world| complete(world, 6, minutes(45)).await);
}

#[test]
fn a_type_that_never_boots_or_never_answers_leaves_its_jobs_to_another() {
    for answers in [true, false] {
        let mut knobs = WorldKnobs::new(5).with_jobs(6, 2, 60).with_instances(8);
        knobs.policy.sizing.maximum_price_factor = 5.0;
        knobs.policy.timeout_booting = minutes(3);
        let lasting = &mut knobs.vms.lasting;
        let groups = if answers { &mut lasting.never_boot } else { &mut lasting.never_answer };
        groups.push(Group::sample("small"));
        simulate(knobs, async |world| {
            complete(world, 6, minutes(60)).await;
            assert!(world.vms_made() <= 16, "{} VMs", world.vms_made());
        });
    }
}

#[test]
fn a_subnet_that_lets_nothing_through_costs_time_and_little_else() {
    let mut knobs = WorldKnobs::new(6).with_jobs(20, 2, 60).with_instances(6);
    knobs.policy.timeout_booting = minutes(3);
    knobs.vms.lasting.one_unreachable_in = 3;
    simulate(knobs, async |world| {
        complete(world, 20, minutes(60)).await;
        assert!(world.vms_made() <= 30, "{} VMs", world.vms_made());
        world.drain(minutes(60)).await;
    });
}

#[test]
fn a_market_that_never_sells_stops_nobody_else() {
    for fault in [CloudFault::Other, CloudFault::QuotaMarket(Market::Spot)] {
        let mut knobs = WorldKnobs::new(7).with_jobs(8, 2, 60).with_instances(8);
        let types = [instance_type("small", 2), spot_type("spot", 2)];
        knobs.policy.catalog = dispatch_core::instance::Catalog::new(types.map(|it| (*it).clone()));
        for it in &mut knobs.containers[..4] {
            it.priority = 900;
            it.spec.scheduling.preemptible = true;
        }
        knobs.cloud.close(Group::Market(Market::Spot), fault, None);
        simulate(knobs, async |world| {
            world.drain(minutes(30)).await;
            assert_eq!(world.count(ContainerState::Complete), 4);
            world.run_for(minutes(60)).await;
            let creates =
                world.cloud.borrow().history().iter().filter(|it| it.call == CloudCall::Create).count();
            assert!(creates <= 100, "{creates} creates");
        });
    }
}

/// The retries that a quota allows served the type of the first in line alone, if that was refused for another reason.
#[test]
fn at_quota_a_type_that_can_never_be_had_leaves_the_retries_to_others() {
    for types in [["small", "large"], ["large", "small"]] {
        let mut knobs = WorldKnobs::new(22).with_jobs(5, 2, 60).with_instances(8);
        let catalog = types.map(|name| (*instance_type(name, if name == "small" { 2 } else { 8 })).clone());
        knobs.policy.catalog = dispatch_core::instance::Catalog::new(catalog);
        knobs.containers[0].priority = 900;
        knobs.containers[0].spec.runtime_constraints.vcpus = 8;
        knobs.cloud.close(Group::sample("large"), CloudFault::Other, None);
        for fault in [CloudFault::Other, CloudFault::QuotaAll] {
            knobs.cloud.strike_next(CloudCall::Create, fault);
        }
        simulate(knobs, async |world| {
            complete(world, 4, minutes(40)).await;
        });
    }
}

/// The one that runs waits for its steps, and the one that waits may not run: its type had the turn for ever.
#[test]
fn at_quota_a_supervisor_beyond_the_share_leaves_the_retries_to_the_steps() {
    let mut knobs = WorldKnobs::new(23).with_jobs(1, 2, 36_000).with_instances(8);
    knobs.containers[0].spec.scheduling.supervisor = true;
    knobs.cloud.quota_all = Some(1);
    simulate(knobs, async |world| {
        world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        world.submit(job(2, 60));
        world.run_for(minutes(1)).await;
        let mut other = job(8, 60);
        other.spec.scheduling.supervisor = true;
        world.submit(other);
        world.cloud.borrow_mut().knobs.quota_all = Some(2);
        complete(world, 1, minutes(40)).await;
    });
}

/// What stands first in line can never be had, and at the limit it would make room for itself: the instances that were
/// made for the others were ended as soon as they appeared, thousands of times.
#[test]
fn nothing_is_made_and_ended_in_turn_for_what_cannot_be_had() {
    let spoil = |knobs: &mut WorldKnobs, kind: usize| match kind {
        0 => knobs.vms.lasting.never_boot.push(Group::Market(Market::Spot)),
        1 => knobs.cloud.always_ends_booting.push(Group::Market(Market::Spot)),
        2 => knobs.cloud.close(Group::Market(Market::Spot), CloudFault::Other, None),
        3 => knobs.cloud.close(Group::Market(Market::Spot), CloudFault::QuotaMarket(Market::Spot), None),
        _ => knobs.cloud.close(
            Group::Market(Market::Spot),
            CloudFault::Capacity(dispatch_core::ports::CapacityScope::Offering),
            None,
        ),
    };
    for (kind, limit) in (0..5).flat_map(|kind| [(kind, 1), (kind, 2)]) {
        let mut knobs = WorldKnobs::new(16).with_jobs(6, 2, 120).with_instances(limit);
        let types = [instance_type("small", 2), spot_type("spot", 2)];
        knobs.policy.catalog = dispatch_core::instance::Catalog::new(types.map(|it| (*it).clone()));
        knobs.policy.timeout_booting = minutes(3);
        for it in &mut knobs.containers[..2] {
            it.priority = 900;
            it.spec.scheduling.preemptible = true;
        }
        spoil(&mut knobs, kind);
        simulate(knobs, async |world| {
            complete(world, 4, minutes(60)).await;
            assert!(world.vms_made() <= 20, "{kind}, {limit}: {} VMs", world.vms_made());
        });
    }
}

#[test]
fn a_vm_that_never_goes_is_told_and_asked_less_and_less_and_keeps_nobody_waiting() {
    let mut knobs = WorldKnobs::new(8).with_jobs(4, 2, 60).with_instances(3);
    knobs.log = Some(Level::Error);
    knobs.cloud.quota_all = Some(3);
    simulate(knobs, async |world| {
        world.run_until("one runs", minutes(10), |world| world.count(ContainerState::Running) >= 1).await;
        let vm = world.own_vms()[0].clone();
        world.cloud.borrow_mut().make_immortal(&vm);
        complete(world, 4, minutes(20)).await;
        world.drain(minutes(30)).await;
        for _ in 0..6 {
            world.submit(job(2, 60));
        }
        complete(world, 10, minutes(30)).await;
        let destroys = |world: &World| {
            let cloud = world.cloud.borrow();
            let of_it = cloud
                .history()
                .iter()
                .filter(|it| it.call == CloudCall::Destroy && it.vm.as_ref() == Some(&vm));
            of_it.count()
        };
        let before = destroys(world);
        world.run_for(minutes(240)).await;
        let more = destroys(world) - before;
        assert!((4..=20).contains(&more), "{more} destroys in four hours");
        let told = world.journal.borrow_mut().logged(vm.as_str());
        assert!(told >= 200, "{told} errors about it in four hours");
    });
}

/// With the limit of one create at a time, and calls that outlast the listing that shows their VM (chaos, seed
/// 700387). The judge counts the calls.
#[test]
fn a_second_create_waits_for_the_answer_to_the_first_although_its_vm_is_listed() {
    for seed in 9..14 {
        let mut knobs = WorldKnobs::new(seed).with_jobs(12, 2, 60).with_instances(8);
        knobs.policy.max_concurrent_creates = 1;
        knobs.policy.sync_interval = seconds(5);
        knobs.cloud.takes.insert(CloudCall::Create, dispatch_sim::chance::Span::seconds(40));
        simulate(knobs, async |world| complete(world, 12, minutes(40)).await);
    }
}

/// As `loopback` with one instance does: the id of each new VM was that of one that was destroyed.
#[test]
fn a_new_vm_under_the_id_of_a_destroyed_one_is_a_new_vm() {
    let mut knobs = WorldKnobs::new(15).with_jobs(1, 2, 10).with_instances(1);
    knobs.cloud.reuses_ids = true;
    knobs.policy.timeout_idle = seconds(20);
    simulate(knobs, async |world| {
        for number in 1..=4 {
            complete(world, number, minutes(10)).await;
            world.drain(minutes(10)).await;
            assert_eq!(world.vms_made(), number);
            world.submit(job(2, 10));
        }
    });
}

/// Found by chaos (seed 1795955844001182): room was made for the first, whose create is always refused, ten minutes
/// after its last try, just before the boot of the second would have failed. So that was never known, and the third,
/// for which there was no room, never had its turn.
#[test]
fn with_room_for_one_a_type_that_is_refused_and_one_that_never_boots_leave_a_turn_to_the_third() {
    let mut knobs = WorldKnobs::new(8).with_jobs(6, 2, 60).with_instances(1);
    for (position, it) in knobs.containers.iter_mut().enumerate() {
        (it.spec.runtime_constraints.vcpus, it.priority) = [(2, 957), (8, 864), (4, 2)][position % 3];
        it.spec.runtime_constraints.ram = it.spec.runtime_constraints.vcpus << 30;
    }
    let types = [("small", 2), ("medium", 4), ("large", 8)].map(|(name, vcpus)| instance_type(name, vcpus));
    knobs.policy.catalog = dispatch_core::instance::Catalog::new(types.map(|it| (*it).clone()));
    knobs.policy.sizing.maximum_price_factor = 1.0;
    knobs.cloud.close(Group::sample("small"), CloudFault::QuotaMarket(Market::Spot), None);
    knobs.vms.lasting.never_boot.push(Group::sample("large"));
    simulate(knobs, async |world| complete(world, 2, minutes(12 * 60)).await);
}
