//! Tests of what is wrong with VMs for ever. They share the helpers of the other tests of VMs.

use dispatch_core::ports::ExecErrorKind;

use super::super::lasting::{Lasting, StartFailure};
use super::{World, list, run, start};
use crate::clock;
use crate::controller::state::ContainerSpec;
use crate::group::Group;
use crate::vm::knobs::VmKnobs;

fn knobs(lasting: Lasting) -> VmKnobs {
    VmKnobs { lasting, ..VmKnobs::default() }
}

#[tokio::test(start_paused = true)]
async fn a_vm_that_never_answers_does_not_when_faults_stop_either() {
    for lasting in [
        Lasting { never_answer: vec![Group::sample("small")], ..Lasting::default() },
        Lasting { one_unreachable_in: 1, ..Lasting::default() },
    ] {
        let world = World::new(knobs(lasting));
        let (_, shell) = world.booted_vm("a").await;
        assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::ConnectTimeout));
        world.vms.borrow_mut().stop_faults(clock::now());
        assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::ConnectTimeout));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_never_boots_does_not_when_faults_stop_either() {
    let lasting = Lasting { never_boot: vec![Group::sample("small")], ..Lasting::default() };
    let world = World::new(knobs(lasting));
    world.vms.borrow_mut().stop_faults(clock::now());
    let (id, _) = world.booted_vm("a").await;
    assert!(!world.vms.borrow().host(&id).unwrap().has_booted(clock::now()));
}

#[tokio::test(start_paused = true)]
async fn every_start_of_a_container_fails_and_another_one_starts() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let (bad, good) =
        (world.locked(ContainerSpec::default()).await, world.locked(ContainerSpec::default()).await);
    world.vms.borrow_mut().knobs.lasting.start_failures.insert(bad, StartFailure::Silent);
    world.vms.borrow_mut().stop_faults(clock::now());
    assert_eq!(start(&shell, bad).await, Ok(1));
    assert_eq!(start(&shell, good).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_lying_runner_lists_what_does_not_run_there() {
    let world = World::new(VmKnobs::default());
    let (id, shell) = world.booted_vm("a").await;
    let uuid = world.locked(ContainerSpec::default()).await;
    world.vms.borrow_mut().behaviour(&id).unwrap().also_lists.insert(uuid);
    assert_eq!(list(&shell).await, format!("{uuid}\n"));
    assert_eq!(world.vms.borrow().host(&id).unwrap().containers().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silence_of_some_vms_begins_and_ends() {
    let world = World::new(VmKnobs::default());
    let (id, shell) = world.booted_vm("a").await;
    let now = clock::now();
    world.vms.borrow_mut().silence(
        &id,
        now,
        dispatch_core::time::after(now, std::time::Duration::from_secs(90)),
    );
    world.pass(1).await;
    assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::ConnectTimeout));
    world.pass(60).await;
    assert_eq!(run(&shell, "true").await.unwrap().0, 0);
}
