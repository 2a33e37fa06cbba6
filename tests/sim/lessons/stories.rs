//! Lessons that only the whole dispatcher can show, each as it happened elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::InstanceId;
use dispatch_core::time::{Timestamp, since};
use dispatch_sim::chance::Span;
use dispatch_sim::cloud::knobs::CloudCall;
use dispatch_sim::controller::faults::CallKind;
use dispatch_sim::vm::facts::VmFact;
use dispatch_sim::vm::knobs::Ssh;
use dispatch_sim::world::{World, WorldKnobs, simulate};

use crate::{minutes, seconds};

/// How long each VM stood idle between the end of one process and the start of the next, shortest first.
fn idle_between_jobs(world: &World) -> Vec<Duration> {
    let mut ended: BTreeMap<InstanceId, Timestamp> = BTreeMap::new();
    let mut gaps = Vec::new();
    for entry in world.vms.borrow().history().entries() {
        match &entry.fact {
            VmFact::Ended { vm, .. } => drop(ended.insert(vm.clone(), entry.at)),
            VmFact::Started { vm, .. } => gaps.extend(ended.remove(vm).map(|at| since(entry.at, at))),
            _ => {}
        }
    }
    gaps.sort();
    gaps
}

/// Makes it impossible for the next dispatcher to hear of that VM.
fn silence(world: &World, vm: &InstanceId) {
    world.vms.borrow_mut().behaviour(vm).unwrap().ssh = Ssh::NoEntry;
    world.vms.borrow_mut().cut_connection(vm);
}

fn started(world: &World) -> usize {
    let vms = world.vms.borrow();
    vms.history().entries().iter().filter(|entry| matches!(entry.fact, VmFact::Started { .. })).count()
}

/// Lesson 31: it was 4.6 to 7.6 s at the median, and 17 s at worst. As soon as a poll shows that a container
/// has ended, its VM is asked, and not at its next turn.
#[test]
fn a_vm_stands_idle_for_a_moment_only_between_two_jobs() {
    let mut knobs = WorldKnobs::new(31).with_instances(2);
    for length in 0..40 {
        knobs = knobs.with_jobs(1, 2, 10 + length % 13);
    }
    knobs.policy.poll_interval = seconds(1);
    simulate(knobs, async |world| {
        world.drain(minutes(60)).await;
        let gaps = idle_between_jobs(world);
        assert_eq!(gaps.len(), 38);
        assert!(gaps[gaps.len() / 2] < seconds(2), "{gaps:?}");
        assert!(gaps[gaps.len() - 1] < seconds(4), "{gaps:?}");
    });
}

/// Lessons 5 and 24: the record says Running or Locked, and the VM that runs it has not been heard of yet.
#[test]
fn after_a_restart_nobody_is_judged_before_the_last_vm_has_answered() {
    let mut knobs = WorldKnobs::new(5).with_jobs(3, 2, 600).with_instances(3);
    knobs.policy.max_concurrent_creates = 0;
    knobs.network_fails = true;
    simulate(knobs, async |world| {
        world.run_until("all run", minutes(10), |world| world.count(ContainerState::Running) == 3).await;
        let mute = world.busy_vms()[0].clone();
        silence(world, &mute);
        world.restart().await;
        // Longer than StaleLockTimeout, several polls and listings.
        world.run_for(minutes(4)).await;
        assert_eq!(world.count(ContainerState::Running), 3);
        world.vms.borrow_mut().behaviour(&mute).unwrap().ssh = Ssh::Fine;
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 3);
        assert_eq!(started(world), 3);
    });
}

/// Lesson 6: a busy VM's boot probe fails, and the new dispatcher has a runner of another name.
#[test]
fn after_a_restart_a_busy_vm_with_a_failing_boot_probe_is_not_destroyed() {
    let mut knobs = WorldKnobs::new(6).with_jobs(2, 2, 1800).with_instances(2);
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        world.run_until("all run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        for vm in world.busy_vms() {
            world.vms.borrow_mut().behaviour(&vm).unwrap().boots_at = None;
        }
        world.knobs.runner = "another runner".to_owned();
        world.restart().await;
        world.drain(minutes(120)).await;
        assert_eq!(world.count(ContainerState::Complete), 2);
        assert_eq!(world.vms_made(), 2);
    });
}

/// Lessons 20 and 23: nothing that runs fits the new configuration, and every gauge is set all the same.
#[test]
fn a_running_container_outlives_the_removal_of_every_type_that_fits_it() {
    simulate(WorldKnobs::new(23).with_jobs(2, 8, 600), async |world| {
        world.run_until("they run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        world.configure(|policy| {
            let small = policy.catalog.get("small").unwrap().clone();
            policy.catalog = dispatch_core::instance::Catalog::new([(*small).clone()]);
        });
        for _ in 0..3 {
            world.restart().await;
            world.run_for(minutes(1)).await;
            assert_eq!(world.count(ContainerState::Running), 2);
        }
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 2);
    });
}

/// Lesson 25: a controller that takes 4 s an answer, and a hundred new containers.
#[test]
fn while_a_hundred_new_containers_are_looked_at_the_others_are_started() {
    let mut knobs = WorldKnobs::new(25).with_jobs(5, 2, 5).with_instances(5);
    knobs.policy.max_concurrent_creates = 0;
    knobs.api_latency = Span::seconds(4);
    simulate(knobs, async |world| {
        world.run_until("the first wait for VMs", minutes(5), |world| !world.own_vms().is_empty()).await;
        for _ in 0..100 {
            world.submit(dispatch_sim::world::job(2, 5));
        }
        world
            .run_until("the first are done", minutes(4), |world| world.count(ContainerState::Complete) >= 5)
            .await;
        world.drain(minutes(240)).await;
        assert_eq!(world.count(ContainerState::Complete), 105);
    });
}

/// Lesson 12: a cloud that lists a VM long before the create call returns.
#[test]
fn a_vm_that_is_listed_before_its_create_returns_is_counted_once() {
    let mut knobs = WorldKnobs::new(12).with_jobs(6, 2, 30).with_instances(3);
    knobs.cloud.takes.insert(CloudCall::Create, Span::seconds(90));
    knobs.policy.sync_interval = seconds(10);
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 6);
        assert_eq!(world.vms_made(), 3);
        // Counted twice, the three would have been held for six: more locks than there is room, and taken back.
        assert_eq!(world.summary().unlocks, 0);
    });
}

/// Its user reads in one place why, and what there is; and is told once.
#[test]
fn a_container_that_fits_nowhere_is_cancelled_once_with_what_there_is() {
    simulate(WorldKnobs::new(1).with_jobs(1, 1000, 10), async |world| {
        world.drain(minutes(5)).await;
        world.run_for(minutes(5)).await;
        let uuid = world.containers()[0];
        let arvados = world.arvados.borrow();
        let error = arvados.container(uuid).unwrap().runtime_status["error"].to_string();
        for word in ["1000 VCPUs", "small", "large"] {
            assert!(error.contains(word), "{word}: {error}");
        }
        assert_eq!(arvados.history().tally(uuid).cancels, 1);
        assert_eq!(arvados.history().calls_of(CallKind::Update), 1);
        assert_eq!(arvados.history().tally(uuid).locks, 0);
    });
}
