//! The judge judges: a world in which something forbidden is done must not pass.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::pool::CordonScope;
use dispatch_core::ports::ArvadosApi;
use dispatch_core::time::after;
use dispatch_sim::clock::now;
use dispatch_sim::cloud::knobs::CloudCall;
use dispatch_sim::controller::ROOT_TOKEN;
use dispatch_sim::controller::facts::Origin;
use dispatch_sim::controller::faults::CallKind;
use dispatch_sim::controller::port::SimApi;
use dispatch_sim::controller::state::Changes;
use dispatch_sim::samples;
use dispatch_sim::world::{Note, World, WorldKnobs, job, simulate};

use crate::{minutes, seconds};

/// What a world says in which two containers run and then this is done.
fn verdict(deed: impl FnOnce(&mut World)) -> String {
    let story = AssertUnwindSafe(|| {
        simulate(WorldKnobs::new(99).with_jobs(2, 2, 600), async |world| {
            world.run_until("both run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
            deed(world);
            world.run_for(seconds(1)).await;
        });
    });
    let panic = catch_unwind(story).expect_err("the deed must not go unnoticed");
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn cancelling_a_container_whose_process_lives_breaks_i2() {
    let said = verdict(|world| {
        let uuid = world.containers()[0];
        let mut arvados = world.arvados.borrow_mut();
        let caller = arvados.authenticate(ROOT_TOKEN, Origin::Dispatcher).unwrap();
        let cancel = Changes { state: Some(ContainerState::Cancelled), ..Changes::default() };
        arvados.update(uuid, &cancel, caller, now()).unwrap();
    });
    assert!(said.contains("I2: "), "{said}");
}

#[test]
fn running_one_container_twice_breaks_i1() {
    let said = verdict(|world| {
        let uuid = world.containers()[0];
        let idle = world
            .busy_vms()
            .into_iter()
            .find(|vm| !world.vms.borrow().host(vm).unwrap().containers().any(|it| it == uuid));
        let mut vms = world.vms.borrow_mut();
        vms.begin_process(&idle.unwrap(), uuid, now(), now());
    });
    assert!(said.contains("I1: "), "{said}");
}

#[test]
fn destroying_a_busy_vm_is_noticed() {
    let said = verdict(|world| {
        let vm = world.busy_vms()[0].clone();
        world.note(Note::DestroySent(vm.clone()));
        world.vms.borrow_mut().end_at(vm, after(now(), Duration::from_millis(500)));
    });
    assert!(said.contains("answers and is to be destroyed"), "{said}");
}

/// Seed 1096: the call to destroy it had been lost, ten minutes before a restart found it and used it.
#[test]
fn a_busy_vm_that_the_cloud_takes_away_is_not_ours() {
    simulate(WorldKnobs::new(99).with_jobs(2, 2, 600), async |world| {
        world.run_until("both run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        let vm = world.busy_vms()[0].clone();
        world.note(Note::DestroySent(vm.clone()));
        world.cloud.borrow_mut().take_away(&vm, now());
        world.run_for(seconds(1)).await;
        assert_eq!(world.busy_vms().len(), 1);
    });
}

#[test]
fn more_vms_than_allowed_break_i5() {
    let knobs = WorldKnobs::new(98).with_jobs(3, 2, 600).with_instances(2);
    let story = AssertUnwindSafe(|| {
        simulate(knobs, async |world| {
            world.run_until("a VM", minutes(10), |world| world.vms_made() == 1).await;
            let policy = &world.knobs.policy;
            let small = policy.catalog.get("small").unwrap().clone();
            for secret in ["a", "b"] {
                let order = samples::order(&small, policy.instance_set_id.as_str(), secret);
                world.cloud.borrow_mut().adopt(&order, now());
            }
            world.run_for(minutes(5)).await;
        });
    });
    // The next listing would show them; the next create comes sooner.
    let panic = catch_unwind(story).expect_err("the deed must not go unnoticed");
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(said.contains("I5: "), "{said}");
}

#[test]
fn starting_on_a_held_vm_breaks_i6_and_destroying_it_i8() {
    for breach in ["I6: ", "I8: "] {
        let story = AssertUnwindSafe(|| {
            simulate(WorldKnobs::new(97).with_jobs(1, 2, 600), async |world| {
                world.run_until("it runs", minutes(10), |world| !world.busy_vms().is_empty()).await;
                let (vm, uuid) = (world.busy_vms()[0].clone(), world.containers()[0]);
                assert!(world.operator_sets(&vm, IdleBehavior::Hold).await);
                world.run_for(seconds(60)).await;
                world.note(if breach == "I6: " { Note::StartSent(vm, uuid) } else { Note::DestroySent(vm) });
                world.run_for(seconds(1)).await;
            });
        });
        let panic = catch_unwind(story).expect_err("the deed must not go unnoticed");
        let said = panic.downcast_ref::<String>().unwrap();
        assert!(said.contains(breach) && said.contains("--seed 97"), "{said}");
    }
}

#[test]
fn cancelling_a_complete_container_breaks_i2() {
    let said = verdict(|world| {
        let uuid = world.containers()[0];
        let mut arvados = world.arvados.borrow_mut();
        let caller = arvados.authenticate(ROOT_TOKEN, Origin::Dispatcher).unwrap();
        for state in [ContainerState::Complete, ContainerState::Cancelled] {
            let change = Changes { state: Some(state), ..Changes::default() };
            arvados.update(uuid, &change, caller, now()).unwrap();
        }
    });
    assert!(said.contains("was Complete and is now Cancelled"), "{said}");
}

#[test]
fn telling_a_wanted_process_to_end_breaks_i2_and_signal_9_is_forbidden() {
    for (signal, words) in [(15, "I2: "), (9, "was sent signal 9")] {
        let said = verdict(|world| {
            let vm = world.busy_vms()[0].clone();
            let uuid = world.vms.borrow().host(&vm).unwrap().containers().next().unwrap();
            world.vms.borrow_mut().signal_process(&vm, uuid, 1, signal, now());
        });
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn too_many_calls_or_creates_at_a_time_break_i5() {
    let calls = verdict(|world| (0..11).for_each(|_| world.note(Note::Sent(CloudCall::List))));
    assert!(calls.contains("I5: 11 calls to the cloud within a second, 10 allowed"), "{calls}");
    let creates = verdict(|world| (0..2).for_each(|_| world.note(Note::Sent(CloudCall::Create))));
    assert!(creates.contains("I5: 2 creates are in flight, 1 allowed"), "{creates}");
}

#[test]
fn more_on_a_vm_than_it_has_breaks_i6() {
    let said = verdict(|world| {
        let vm = world.busy_vms()[0].clone();
        let new = world.submit(job(2, 60));
        world.vms.borrow_mut().begin_process(&vm, new, now(), now());
    });
    assert!(said.contains("I6: ") && said.contains("containers there need 4"), "{said}");
}

/// What the judge says of the cost of a world in which this is done.
fn cost(deed: impl AsyncFnOnce(&mut World)) -> String {
    let story = AssertUnwindSafe(|| {
        simulate(WorldKnobs::new(96).with_jobs(2, 2, 60), async |world| {
            world.drain(minutes(30)).await;
            world.judge_costs();
            deed(world).await;
            world.judge_costs();
        });
    });
    let panic = catch_unwind(story).expect_err("the cost must not go unnoticed");
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn calls_without_end_about_one_container_are_a_cost() {
    let said = cost(async |world| {
        let api = SimApi::new(world.arvados.clone(), ROOT_TOKEN, Origin::Dispatcher, 1);
        let uuid = world.containers()[0];
        for _ in 0..150 {
            let refused = api.lock(uuid).await;
            assert!(refused.is_err(), "it is Complete");
        }
    });
    assert!(said.contains("cost: 151 calls to lock"), "{said}");
}

#[test]
fn vms_without_end_are_a_cost() {
    let said = cost(async |world| {
        let small = world.knobs.policy.catalog.get("small").unwrap().clone();
        for number in 0..100 {
            let order = samples::order(&small, "another-set", &number.to_string());
            world.cloud.borrow_mut().adopt(&order, now());
        }
    });
    assert!(said.contains("cost: 102 VMs made"), "{said}");
}

#[test]
fn starts_without_end_are_a_cost() {
    let said = cost(async |world| {
        let small = world.knobs.policy.catalog.get("small").unwrap().clone();
        let order = samples::order(&small, "another-set", "a");
        let vm = world.cloud.borrow_mut().adopt(&order, now()).id;
        let uuid = world.submit(job(1, 10));
        for _ in 0..70 {
            world.vms.borrow_mut().record_failed_start(&vm, uuid, now());
        }
    });
    assert!(said.contains("cost: 70 starts of"), "{said}");
}

#[test]
fn a_vm_that_stands_idle_for_hours_is_a_cost() {
    let said = cost(async |world| {
        let small = world.knobs.policy.catalog.get("small").unwrap().clone();
        let order = samples::order(&small, "another-set", "a");
        world.cloud.borrow_mut().adopt(&order, now());
        world.knobs.step = minutes(1);
        world.run_for(minutes(300)).await;
    });
    assert!(said.contains("seconds without a process on one VM"), "{said}");
}

#[test]
fn only_a_container_that_cannot_run_may_wait() {
    simulate(WorldKnobs::new(95).with_jobs(3, 2, 60), async |world| {
        let poisoned = world.containers()[0];
        world.arvados.borrow_mut().ailments.answer(poisoned, CallKind::Lock, 422);
        assert_eq!(world.containers_that_may_wait(), [poisoned].into());
        world.drain(minutes(30)).await;
        assert_eq!(world.count(ContainerState::Complete), 2);
        world.arvados.borrow_mut().ailments.heal();
        assert!(!world.settled());
    });
}

/// The lease of a dispatcher whose database is silent has run out after ten seconds: whatever it sends then breaks I9.
#[test]
fn an_action_without_a_lease_breaks_i9() {
    let said = verdict(|world| world.note(Note::ActedWithoutLease("create")));
    assert!(said.contains("I9: create"), "{said}");
}

#[test]
fn a_create_of_what_an_operator_has_paused_breaks_i10() {
    let said = verdict(|world| {
        let paused = Note::Cordoned { scope: CordonScope::All, until: None, under_way: 0 };
        world.note(paused);
        world.note(Note::CreateSent(Arc::clone(&world.knobs.policy.catalog.types()[0])));
    });
    assert!(said.contains("I10: ") && said.contains("although all is paused"), "{said}");
}

#[test]
fn renewing_more_vms_than_allowed_or_one_that_is_held_breaks_i11() {
    let said = verdict(|world| {
        world.configure(|policy| policy.drift_budget = 1);
        for vm in world.busy_vms() {
            world.note(Note::RenewalSent(vm));
        }
    });
    assert!(said.contains("I11: 2 VMs are renewed, 1 allowed"), "{said}");
    let story = AssertUnwindSafe(|| {
        simulate(WorldKnobs::new(99).with_jobs(1, 2, 600), async |world| {
            world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
            let vm = world.busy_vms()[0].clone();
            assert!(world.operator_sets(&vm, IdleBehavior::Hold).await);
            world.run_for(minutes(2)).await;
            world.note(Note::RenewalSent(vm));
            world.run_for(seconds(1)).await;
        });
    });
    let panic = catch_unwind(story).expect_err("the deed must not go unnoticed");
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(said.contains("I11: ") && said.contains("which is to be held"), "{said}");
}
