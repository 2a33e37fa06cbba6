//! Our own network, and connections to single VMs.

use dispatch_core::container::ContainerState;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::time::after;
use dispatch_sim::clock::now;
use dispatch_sim::vm::facts::{Ending, VmFact};
use dispatch_sim::vm::knobs::Ssh;
use dispatch_sim::world::{World, WorldKnobs, simulate};

use crate::minutes;

fn processes_lost(world: &World) -> usize {
    let vms = world.vms.borrow();
    let lost = |fact: &VmFact| matches!(fact, VmFact::Ended { ending: Ending::VmGone, .. });
    vms.history().entries().iter().filter(|entry| lost(&entry.fact)).count()
}

fn outage_of(length: u64) {
    let mut knobs = WorldKnobs::new(length).with_jobs(5, 2, 3600);
    // The outage is to be longer than this, and not longer than three times this.
    knobs.policy.timeout_probe = minutes(length * 2 / 5);
    simulate(knobs, async |world| {
        world.run_until("all run", minutes(10), |world| world.count(ContainerState::Running) == 5).await;
        world.vms.borrow_mut().cut_network(now(), after(now(), minutes(length)));
        world.drain(minutes(120)).await;
        assert_eq!(processes_lost(world), 0, "no busy VM is destroyed");
        assert_eq!(world.count(ContainerState::Complete), 5);
    });
}

#[test]
fn five_minutes_without_network_lose_nothing() {
    outage_of(5);
}

#[test]
fn thirty_minutes_without_network_lose_nothing() {
    outage_of(30);
}

/// A dead VM that the operator keeps to look at it does not answer in between either.
#[test]
fn a_second_outage_loses_nothing_either_although_a_dead_vm_is_held() {
    let mut knobs = WorldKnobs::new(7).with_jobs(5, 2, 3 * 3600);
    knobs.policy.timeout_probe = minutes(5);
    simulate(knobs, async |world| {
        world.run_until("all run", minutes(10), |world| world.count(ContainerState::Running) == 5).await;
        let dead = world.busy_vms()[0].clone();
        assert!(world.operator_sets(&dead, IdleBehavior::Hold).await);
        world.vms.borrow_mut().behaviour(&dead).unwrap().ssh = Ssh::NoEntry;
        world.vms.borrow_mut().cut_connection(&dead);
        for _ in 0..2 {
            world.vms.borrow_mut().cut_network(now(), after(now(), minutes(12)));
            world.run_for(minutes(40)).await;
            assert_eq!(processes_lost(world), 0, "no busy VM is destroyed");
        }
        assert!(world.operator_kills(&dead).await);
        world.drain(minutes(240)).await;
        assert_eq!(world.count(ContainerState::Complete), 4);
    });
}

#[test]
fn a_connection_that_breaks_is_opened_again() {
    simulate(WorldKnobs::new(3).with_jobs(3, 2, 300), async |world| {
        world.run_until("all run", minutes(10), |world| world.count(ContainerState::Running) == 3).await;
        for vm in world.busy_vms() {
            world.vms.borrow_mut().cut_connection(&vm);
        }
        world.drain(minutes(30)).await;
        assert_eq!(world.count(ContainerState::Complete), 3);
        assert_eq!(world.summary().processes, 3);
    });
}
