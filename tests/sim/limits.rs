//! Quota, capacity, rate limits, and workflows that fill the cluster.

use dispatch_core::container::ContainerState;
use dispatch_core::id::ProviderType;
use dispatch_core::instance::{Catalog, InstanceType, Market, Offering};
use dispatch_sim::cloud::knobs::{CloudCall, CloudKnobs, RateLimit};
use dispatch_sim::samples::{instance_type, spot_type};
use dispatch_sim::vm::knobs::Job;
use dispatch_sim::world::{World, WorldKnobs, job, simulate};

use crate::{minutes, seconds};

#[test]
fn a_quota_that_flaps_burns_no_attempts() {
    let mut knobs = WorldKnobs::new(1).with_jobs(30, 2, 60);
    knobs.cloud.quota_all = Some(2);
    simulate(knobs, async |world| {
        for quota in [2, 5, 1, 4, 0, 3] {
            world.cloud.borrow_mut().knobs.quota_all = Some(quota);
            world.run_for(seconds(150)).await;
        }
        world.drain(minutes(240)).await;
        assert_eq!(world.count(ContainerState::Complete), 30);
        // Each lock leads to a start, but for the one in which each lowering of the quota may catch a container.
        assert!(world.summary().unlocks <= 6, "{} unlocks", world.summary().unlocks);
    });
}

#[test]
fn a_quota_that_is_raised_is_noticed_without_any_vm_ending() {
    let mut knobs = WorldKnobs::new(2).with_jobs(4, 2, 7200);
    knobs.cloud.quota_all = Some(1);
    simulate(knobs, async |world| {
        world.run_until("one runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        world.cloud.borrow_mut().knobs.quota_all = None;
        world.run_until("all run", minutes(40), |world| world.count(ContainerState::Running) == 4).await;
    });
}

/// Five containers are done while three more important ones have no place; then these get theirs.
async fn five_overtake_three(world: &mut World, make_room: impl FnOnce(&mut CloudKnobs)) {
    let are_done = |world: &World| world.count(ContainerState::Complete) == 5;
    world.run_until("the five others are done", minutes(10), are_done).await;
    make_room(&mut world.cloud.borrow_mut().knobs);
    world.drain(minutes(30)).await;
    assert_eq!(world.count(ContainerState::Complete), 8);
}

#[test]
fn one_type_without_capacity_does_not_block_the_others() {
    let mut knobs = WorldKnobs::new(3).with_jobs(3, 8, 30).with_jobs(5, 1, 30);
    let provider_type = ProviderType::new("std.large").unwrap();
    knobs.cloud.capacity.insert(Offering { provider_type, market: Market::OnDemand }, 0);
    for it in &mut knobs.containers[..3] {
        it.priority = 900;
    }
    simulate(knobs, async |world| five_overtake_three(world, |knobs| knobs.capacity.clear()).await);
}

#[test]
fn a_type_that_is_always_refused_blocks_nobody_and_another_takes_its_place() {
    let mut knobs = WorldKnobs::new(11).with_jobs(3, 2, 30).with_jobs(3, 8, 30);
    knobs.policy.sizing.maximum_price_factor = 5.0;
    let provider_type = ProviderType::new("std.small").unwrap();
    knobs.cloud.refused.insert(Offering { provider_type, market: Market::OnDemand });
    for it in &mut knobs.containers[..3] {
        it.priority = 900;
    }
    simulate(knobs, async |world| {
        world.drain(minutes(20)).await;
        assert_eq!(world.count(ContainerState::Complete), 6);
    });
}

#[test]
fn one_family_without_quota_does_not_block_the_other() {
    let mut knobs = WorldKnobs::new(8).with_jobs(3, 2, 60).with_jobs(5, 8, 60);
    let of_another_family = InstanceType {
        provider_type: ProviderType::new("other.large").unwrap(),
        ..InstanceType::clone(&instance_type("large", 8))
    };
    knobs.policy.catalog = Catalog::new([(*instance_type("small", 2)).clone(), of_another_family]);
    knobs.policy.sizing.maximum_price_factor = 1.0;
    knobs.cloud.quota_group.insert(("std".to_owned(), Market::OnDemand), 0);
    for it in &mut knobs.containers[..3] {
        it.priority = 900;
    }
    simulate(knobs, async |world| five_overtake_three(world, |knobs| knobs.quota_group.clear()).await);
}

#[test]
fn spot_without_capacity_does_not_stop_the_same_type_on_demand() {
    let mut knobs = WorldKnobs::new(9).with_jobs(8, 2, 30);
    let types = [instance_type("small", 2), spot_type("small.spot", 2)];
    let same = |it: std::sync::Arc<InstanceType>| InstanceType {
        provider_type: ProviderType::new("std.same").unwrap(),
        ..InstanceType::clone(&it)
    };
    knobs.policy.catalog = Catalog::new(types.map(same));
    let provider_type = ProviderType::new("std.same").unwrap();
    knobs.cloud.capacity.insert(Offering { provider_type, market: Market::Spot }, 0);
    for it in &mut knobs.containers[..4] {
        it.priority = 900;
        it.spec.scheduling.preemptible = true;
    }
    simulate(knobs, async |world| {
        world
            .run_until("on demand is done", minutes(15), |world| world.count(ContainerState::Complete) == 4)
            .await;
        world.cloud.borrow_mut().knobs.capacity.clear();
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 8);
    });
}

#[test]
fn a_spot_quota_does_not_stop_on_demand() {
    let mut knobs = WorldKnobs::new(4).with_jobs(8, 2, 30);
    let types = [instance_type("small", 2), spot_type("spot", 2)];
    knobs.policy.catalog = Catalog::new(types.map(|it| (*it).clone()));
    knobs.cloud.quota_market.insert(Market::Spot, 0);
    for it in &mut knobs.containers[..4] {
        it.priority = 900;
        it.spec.scheduling.preemptible = true;
    }
    simulate(knobs, async |world| {
        world
            .run_until("on demand is done", minutes(15), |world| world.count(ContainerState::Complete) == 4)
            .await;
        world.cloud.borrow_mut().knobs.quota_market.clear();
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 8);
    });
}

#[test]
fn a_rate_limit_is_waited_for() {
    let mut knobs = WorldKnobs::new(5).with_jobs(10, 2, 120);
    knobs.policy.max_concurrent_creates = 0;
    let limit = RateLimit { calls: 2, within: seconds(60), wait: seconds(30) };
    knobs.cloud.rate_limits.insert(CloudCall::Create, limit);
    simulate(knobs, async |world| {
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 10);
    });
}

/// Each submits two steps and waits for them.
fn submit_ten_supervisors(world: &mut World) {
    for _ in 0..10 {
        let mut supervisor = job(2, 5);
        supervisor.spec.scheduling.supervisor = true;
        let uuid = world.submit(supervisor);
        let behaviour = Job { children: vec![job(2, 20); 2], ..Job::default() };
        world.vms.borrow_mut().knobs.job_of.insert(uuid, behaviour);
    }
}

#[test]
fn supervisors_that_fill_the_cluster_leave_room_for_their_steps() {
    simulate(WorldKnobs::new(6).with_instances(4), async |world| {
        submit_ten_supervisors(world);
        world.drain(minutes(120)).await;
        assert_eq!(world.count(ContainerState::Complete), 30);
    });
}

/// Half of MaxInstances would be 32 supervisors, and the account has four VMs: steps must have room there, too.
fn supervisors_fill_four_vms(limit: impl FnOnce(&mut CloudKnobs)) {
    let mut knobs = WorldKnobs::new(12).with_instances(64);
    limit(&mut knobs.cloud);
    simulate(knobs, async |world| {
        world.submit(job(2, 120));
        submit_ten_supervisors(world);
        world.drain(minutes(240)).await;
        assert_eq!(world.count(ContainerState::Complete), 31);
    });
}

#[test]
fn supervisors_leave_room_for_their_steps_at_the_accounts_quota() {
    supervisors_fill_four_vms(|knobs| knobs.quota_all = Some(4));
}

/// EC2's VcpuLimitExceeded, which is no quota of all, and is tried again every minute.
#[test]
fn supervisors_leave_room_for_their_steps_at_a_quota_groups_limit() {
    supervisors_fill_four_vms(|knobs| {
        knobs.quota_group.insert(("std".to_owned(), Market::OnDemand), 4);
    });
}

#[test]
fn a_rate_limit_of_listings_is_waited_for_and_nothing_is_given_up_meanwhile() {
    let mut knobs = WorldKnobs::new(13).with_jobs(10, 2, 120).with_instances(4);
    let limit = RateLimit { calls: 1, within: seconds(180), wait: seconds(150) };
    knobs.cloud.rate_limits.insert(CloudCall::List, limit);
    simulate(knobs, async |world| {
        world.drain(minutes(120)).await;
        assert_eq!(world.count(ContainerState::Complete), 10);
        assert_eq!(world.summary().processes, 10);
    });
}

#[test]
fn a_lowered_limit_is_kept_after_a_restart() {
    simulate(WorldKnobs::new(7).with_jobs(20, 2, 60).with_instances(6), async |world| {
        world.run_until("four VMs", minutes(10), |world| world.own_vms().len() >= 4).await;
        world.configure(|policy| policy.max_instances = 2);
        world.restart().await;
        world.drain(minutes(120)).await;
        assert_eq!(world.count(ContainerState::Complete), 20);
    });
}
