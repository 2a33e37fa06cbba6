//! Our own network, and connections to single VMs.

use dispatch_core::container::ContainerState;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::time::after;
use dispatch_sim::clock::now;
use dispatch_sim::cloud::knobs::CloudCall;
use dispatch_sim::group::Group;
use dispatch_sim::vm::facts::{Ending, VmFact};
use dispatch_sim::vm::knobs::Ssh;
use dispatch_sim::world::{World, WorldKnobs, job, simulate};

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

/// A call a second: a rack that answers again is ended VM by VM for no reason any more, unless somebody asks once more.
#[test]
fn vms_that_answer_again_while_their_destroy_waits_for_its_turn_are_kept() {
    const SILENT: usize = 20;
    let mut knobs = WorldKnobs::new(11).with_instances(60).with_jobs(SILENT, 2, 3600).with_jobs(30, 8, 3600);
    knobs.policy.max_cloud_ops_per_second = 1;
    knobs.policy.max_concurrent_creates = 0;
    knobs.policy.max_containers_per_instance = 1;
    knobs.groups_fall_silent = true;
    simulate(knobs, async |world| {
        let all = |world: &World| world.count(ContainerState::Running) == SILENT + 30;
        world.run_until("all run", minutes(20), all).await;
        let rack = world.vms_of(&Group::sample("small"));
        let turn = |world: &World, ssh: Ssh| {
            let mut vms = world.vms.borrow_mut();
            rack.iter().for_each(|id| vms.behaviour(id).expect("it exists").ssh = ssh);
        };
        turn(world, Ssh::Hanging);
        for vm in &rack {
            world.vms.borrow_mut().cut_connection(vm);
        }
        let destroyed = |world: &World| destroys(world) > 0;
        world.run_until("the first is destroyed", minutes(20), destroyed).await;
        turn(world, Ssh::Fine);
        world.drain(minutes(180)).await;
        let lost = processes_lost(world);
        assert!(lost < SILENT / 2, "{lost} of {SILENT} lost");
        assert_eq!(world.count(ContainerState::Complete), SILENT + 30 - lost);
    });
}

fn destroys(world: &World) -> usize {
    let cloud = world.cloud.borrow();
    cloud.history().iter().filter(|entry| entry.call == CloudCall::Destroy).count()
}

/// Somebody else answers there, without the secret: longer than a silent VM is kept, and shorter than an hour.
#[test]
fn a_vm_whose_address_belongs_to_another_machine_for_a_while_keeps_its_job_and_gets_nothing_new() {
    let mut knobs = WorldKnobs::new(12).with_jobs(1, 1, 3600).with_instances(4);
    knobs.policy.timeout_probe = minutes(5);
    knobs.policy.max_containers_per_instance = 4;
    simulate(knobs, async |world| {
        world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        let vm = world.busy_vms()[0].clone();
        let answers_as = |world: &World, ssh: Ssh| {
            world.vms.borrow_mut().behaviour(&vm).expect("it exists").ssh = ssh;
            world.vms.borrow_mut().cut_connection(&vm);
        };
        answers_as(world, Ssh::Impostor);
        world.run_for(minutes(1)).await;
        world.submit(job(1, 60));
        world.run_for(minutes(30)).await;
        assert_eq!(world.count(ContainerState::Complete), 1, "the second has run elsewhere");
        assert_eq!(processes_lost(world), 0);
        answers_as(world, Ssh::Fine);
        world.drain(minutes(180)).await;
        assert_eq!((world.count(ContainerState::Complete), world.summary().processes), (2, 2));
    });
}

/// A cleaner has emptied `/var/run`, and the next dispatcher has to be told anew who is who.
#[test]
fn vms_that_have_lost_their_secret_keep_their_jobs_across_a_restart() {
    let mut knobs = WorldKnobs::new(13).with_jobs(5, 2, 3600);
    knobs.vms.secret_lost_rate = 1.0;
    knobs.policy.timeout_booting = minutes(5);
    simulate(knobs, async |world| {
        world.run_until("all run", minutes(10), |world| world.count(ContainerState::Running) == 5).await;
        world.run_for(minutes(20)).await;
        world.restart().await;
        world.drain(minutes(180)).await;
        assert_eq!((world.count(ContainerState::Complete), world.summary().processes), (5, 5));
    });
}
