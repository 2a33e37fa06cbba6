//! VMs that are too old, or would be made otherwise today, give way to new ones: few at a time, and nothing is killed.

use std::collections::BTreeSet;

use dispatch_actors::messages::pool::SetIdleBehavior;
use dispatch_core::blueprint::Blueprint;
use dispatch_core::container::ContainerState;
use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Catalog, IdleBehavior, InstanceType};
use dispatch_core::note::Note;
use dispatch_core::policy::Policy;
use dispatch_core::pool::OperatorWish;
use dispatch_sim::clock::now;
use dispatch_sim::world::{World, WorldKnobs, simulate};

use crate::{minutes, seconds};

/// Jobs of five minutes for four VMs, for the better part of an hour. Two VMs may be renewed at a time.
fn busy_site(seed: u64) -> WorldKnobs {
    let mut knobs = WorldKnobs::new(seed).with_jobs(32, 2, 300).with_instances(4);
    knobs.policy.max_concurrent_creates = 4;
    knobs.policy.drift_budget = 2;
    knobs.step = seconds(1);
    knobs
}

async fn four_run(world: &mut World) -> BTreeSet<InstanceId> {
    world.run_until("four run", minutes(10), |world| world.count(ContainerState::Running) == 4).await;
    world.own_vms().into_iter().collect()
}

/// Lives on until none of these is left, and says how many were renewed at a time at most. The judge has an eye on the
/// same, and on what is killed.
async fn until_renewed(world: &mut World, old: &BTreeSet<InstanceId>) -> usize {
    let mut most = 0;
    for _ in 0..40 * 60 {
        world.run_for(seconds(1)).await;
        most = most.max(world.vms_being_renewed().len());
        if world.own_vms().iter().all(|vm| !old.contains(vm)) {
            return most;
        }
    }
    panic!("{old:?} are still there: {:?}", world.own_vms());
}

/// Every container has run once, to its end.
async fn ends_well(world: &mut World) {
    world.drain(minutes(180)).await;
    let summary = world.summary();
    assert_eq!((world.count(ContainerState::Complete), summary.processes, summary.unlocks), (32, 32, 0));
}

/// The types as before, with so much more memory said to be theirs.
fn with_more_memory(policy: &Policy) -> Catalog {
    let larger = |it: &InstanceType| InstanceType { ram: it.ram + (1 << 30), ..it.clone() };
    Catalog::new(policy.catalog.types().iter().map(|it| larger(it)))
}

#[test]
fn after_a_restart_with_another_image_every_vm_is_renewed_two_at_a_time() {
    simulate(busy_site(41), async |world| {
        let old = four_run(world).await;
        world.configure(|policy| policy.blueprint = Blueprint::new("another image", ""));
        world.restart().await;
        assert_eq!(world.vms_that_have_drifted().len(), 4);
        assert_eq!(until_renewed(world, &old).await, 2);
        assert!(world.count(ContainerState::Running) > 0, "the work goes on meanwhile");
        assert_eq!(world.vms_that_have_drifted(), []);
        ends_well(world).await;
    });
}

#[test]
fn after_a_reload_with_another_definition_of_a_type_every_vm_is_renewed_two_at_a_time() {
    simulate(busy_site(42), async |world| {
        let old = four_run(world).await;
        world.run_for(minutes(3)).await;
        world.reload(|policy| policy.catalog = with_more_memory(policy));
        assert_eq!(until_renewed(world, &old).await, 2);
        ends_well(world).await;
    });
}

/// Two that an earlier dispatcher has begun to renew are all that may be, whoever comes.
#[test]
fn an_old_vm_is_renewed_and_a_restart_forgets_no_renewal() {
    let mut knobs = busy_site(43);
    knobs.policy.max_instance_age = minutes(7);
    simulate(knobs, async |world| {
        let old = four_run(world).await;
        world.run_until("two drain", minutes(20), |world| world.vms_being_renewed().len() == 2).await;
        let first = world.vms_being_renewed();
        world.restart().await;
        world.run_for(seconds(30)).await;
        assert_eq!(world.vms_being_renewed(), first);
        assert_eq!(until_renewed(world, &old).await, 2);
        ends_well(world).await;
    });
}

/// Whatever else the keys say, the world is the same, event by event.
#[test]
fn without_a_budget_everything_is_as_it_was() {
    let history = |old_age, image: &'static str| {
        let mut knobs = busy_site(44);
        knobs.policy.drift_budget = 0;
        knobs.policy.max_instance_age = old_age;
        simulate(knobs, async |world| {
            four_run(world).await;
            world.configure(|policy| policy.blueprint = Blueprint::new(image, ""));
            world.restart().await;
            ends_well(world).await;
            world.history()
        })
    };
    assert_eq!(history(seconds(0), ""), history(minutes(5), "another image"));
}

#[test]
fn a_greater_budget_is_used_at_once() {
    let mut knobs = busy_site(45);
    knobs.policy.drift_budget = 0;
    knobs.policy.max_instance_age = minutes(1);
    simulate(knobs, async |world| {
        four_run(world).await;
        world.run_for(minutes(4)).await;
        assert_eq!(world.vms_being_renewed(), []);
        world.reload(|policy| policy.drift_budget = 1);
        world.run_for(seconds(2)).await;
        assert_eq!(world.vms_being_renewed().len(), 1);
        world.reload(|policy| policy.drift_budget = 3);
        world.run_for(seconds(2)).await;
        assert_eq!(world.vms_being_renewed().len(), 3);
        ends_well(world).await;
    });
}

/// A hold is never overruled, and neither is the word that an instance is to be used again.
#[test]
fn what_an_operator_has_said_of_a_vm_counts_for_more() {
    let mut knobs = busy_site(46);
    knobs.policy.max_instance_age = minutes(6);
    simulate(knobs, async |world| {
        let held = four_run(world).await.into_iter().next_back().unwrap();
        assert!(world.operator_sets(&held, IdleBehavior::Hold).await);
        world.run_until("two drain", minutes(20), |world| world.vms_being_renewed().len() == 2).await;
        let taken_back = world.vms_being_renewed()[0].clone();
        let note = Some(Note::new(now(), "alice", "still needed"));
        let wish = OperatorWish { behavior: IdleBehavior::Run, note, spares_held: false };
        let message = SetIdleBehavior { id: taken_back.clone(), wish };
        assert!(world.handles().pool.send(message).await.unwrap().is_ok());
        world.restart().await;
        world.run_for(minutes(15)).await;
        let there = world.own_vms();
        assert!(there.contains(&held) && there.contains(&taken_back), "{held} and {taken_back}: {there:?}");
        assert!(world.operator_sets(&held, IdleBehavior::Run).await);
        ends_well(world).await;
    });
}
