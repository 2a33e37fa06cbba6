//! One container that the controller does not serve, and calls that fail for all.

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::time::after;
use dispatch_sim::chance::Span;
use dispatch_sim::clock;
use dispatch_sim::controller::ROOT_TOKEN;
use dispatch_sim::controller::facts::{Fact, Origin};
use dispatch_sim::controller::faults::{Burst, CallKind, Fault};
use dispatch_sim::controller::state::Changes;
use dispatch_sim::world::{World, WorldKnobs, job, simulate};
use serde_json::{Value, json};

use super::{complete, others, tally};
use crate::{minutes, seconds};

/// Nineteen healthy containers, and one of the highest priority that is poisoned.
async fn beside_a_poisoned_one(
    world: &mut World,
    poison: impl FnOnce(&mut World, ContainerUuid),
) -> ContainerUuid {
    let poisoned = others(world, 500)[0];
    poison(world, poisoned);
    complete(world, 19, minutes(20)).await;
    world.run_for(minutes(60)).await;
    poisoned
}

fn twenty(seed: u64) -> WorldKnobs {
    let mut knobs = WorldKnobs::new(seed).with_jobs(20, 2, 60).with_instances(4);
    knobs.containers[7].priority = 900;
    knobs
}

#[test]
fn a_container_that_can_never_be_locked_keeps_nobody_waiting() {
    for status in [403, 404, 422, 500, 502] {
        simulate(twenty(1), async |world| {
            let poisoned = beside_a_poisoned_one(world, |world, uuid| {
                world.arvados.borrow_mut().ailments.answer(uuid, CallKind::Lock, status);
            })
            .await;
            assert_eq!(world.state_of(poisoned), Some(ContainerState::Queued), "{status}");
            let asked = tally(world, poisoned).lock_calls;
            // Doubling to ten minutes: some nine tries in the first half of an hour, then six in an hour.
            assert!((2..=25).contains(&asked), "{status}: {asked} calls to lock it");
            assert!(world.vms_made() <= 4 + 2, "{status}: {} VMs", world.vms_made());
        });
    }
}

#[test]
fn the_only_vm_is_not_kept_for_a_container_that_cannot_be_locked() {
    let mut knobs = WorldKnobs::new(2).with_jobs(5, 2, 30).with_instances(1);
    knobs.containers[0].priority = 900;
    simulate(knobs, async |world| {
        let poisoned = others(world, 500)[0];
        world.arvados.borrow_mut().ailments.answer(poisoned, CallKind::Lock, 422);
        complete(world, 4, minutes(10)).await;
    });
}

#[test]
fn a_container_whose_mounts_can_never_be_read_keeps_nobody_waiting() {
    for status in [404, 500, 502] {
        simulate(twenty(3), async |world| {
            let poisoned = beside_a_poisoned_one(world, |world, uuid| {
                world.arvados.borrow_mut().ailments.answer(uuid, CallKind::List, status);
            })
            .await;
            assert_eq!(world.state_of(poisoned), Some(ContainerState::Queued), "{status}");
        });
    }
}

#[test]
fn a_record_that_is_malformed_or_alternates_keeps_nobody_waiting() {
    let bad: [(&str, Value); 4] = [
        // The list of waiting containers shows one that was not asked for.
        ("priority", json!(0)),
        ("runtime_constraints", "nonsense".into()),
        ("scheduling_parameters", json!([1, 2])),
        ("mounts", "nonsense".into()),
    ];
    for (attribute, value) in bad {
        for alternates in [false, true] {
            simulate(twenty(4), async |world| {
                let poisoned = others(world, 500)[0];
                let ail = |world: &World| {
                    let ailments = &mut world.arvados.borrow_mut().ailments;
                    ailments.record(poisoned, attribute, value.clone(), alternates);
                };
                ail(world);
                let healthy = |world: &World| {
                    let all = others(world, 900);
                    all.iter().filter(|uuid| world.state_of(**uuid) == Some(ContainerState::Complete)).count()
                };
                world.run_until("19 are complete", minutes(20), |world| healthy(world) == 19).await;
            });
        }
    }
}

/// It fits nowhere, and is to be cancelled; the server refuses that.
#[test]
fn a_container_that_fits_nowhere_and_cannot_be_cancelled_keeps_nobody_waiting() {
    let mut knobs = twenty(5);
    knobs.containers[7].spec.runtime_constraints.vcpus = 1000;
    simulate(knobs, async |world| {
        let poisoned = beside_a_poisoned_one(world, |world, uuid| {
            world.arvados.borrow_mut().ailments.answer(uuid, CallKind::Update, 422);
        })
        .await;
        let asked = tally(world, poisoned).cancel_calls;
        assert!(asked <= 500, "{asked} calls to cancel it");
    });
}

#[test]
fn a_container_that_can_never_be_unlocked_keeps_nobody_waiting() {
    for status in [403, 422, 502] {
        simulate(twenty(6), async |world| {
            beside_a_poisoned_one(world, |world, uuid| {
                // Its user takes it back as soon as it is Locked; from then on it is to be unlocked.
                world.arvados.borrow_mut().ailments.answer(uuid, CallKind::Unlock, status);
                world.arvados.borrow_mut().ailments.answer(uuid, CallKind::Update, status);
                world.arvados.borrow_mut().set_priority(uuid, 0, clock::now());
            })
            .await;
        });
    }
}

/// The calls of that kind within a minute in which all of them answer 502, at a cluster that may have 64 VMs. None
/// of them boots, and their users take the Locked containers back, so that these are to be unlocked.
fn calls_while_all_fail(kind: CallKind, seed: u64) -> u64 {
    let mut knobs = WorldKnobs::new(seed).with_jobs(200, 2, 600).with_instances(64);
    knobs.policy.max_concurrent_creates = 0;
    knobs.vms.boots_after = Span::seconds(3600);
    let (from, until) = (clock::epoch(), after(clock::epoch(), minutes(20)));
    knobs.faults.bursts.push(Burst { from, until, only: Some(kind), fault: Fault::BadGateway, rate: 1.0 });
    simulate(knobs, async |world| {
        world.run_for(seconds(60)).await;
        for uuid in world.containers() {
            if world.state_of(uuid) == Some(ContainerState::Locked) {
                world.arvados.borrow_mut().cancel_by_user(uuid, clock::now());
            }
        }
        world.run_for(seconds(30)).await;
        let count = |world: &World| world.arvados.borrow().history().calls_of(kind);
        let before = count(world);
        assert!(before > 0, "no {kind:?} was sent");
        world.run_for(seconds(60)).await;
        count(world) - before
    })
}

#[test]
fn locks_and_unlocks_that_fail_wait_for_the_next_poll() {
    // Six polls in a minute, and at most a few at each: they share one back-off.
    for kind in [CallKind::Lock, CallKind::Unlock] {
        let calls = calls_while_all_fail(kind, 7);
        assert!(calls <= 6 * 16, "{calls} calls of {kind:?} in a minute");
    }
}

#[test]
fn what_can_be_placed_is_found_behind_a_thousand_that_cannot() {
    let mut knobs = WorldKnobs::new(9).with_jobs(1200, 8, 60).with_jobs(3, 1, 30).with_instances(6);
    for it in &mut knobs.containers[..1200] {
        it.priority = 900;
    }
    let provider_type = dispatch_core::id::ProviderType::new("std.large").unwrap();
    let offering = dispatch_core::instance::Offering {
        provider_type,
        market: dispatch_core::instance::Market::OnDemand,
    };
    knobs.cloud.capacity.insert(offering, 0);
    knobs.settings.page_items = Some(100);
    knobs.step = seconds(1);
    simulate(knobs, async |world| {
        complete(world, 3, minutes(15)).await;
        let lists = world.arvados.borrow().history().calls_of(CallKind::List);
        assert!(lists <= 15 * 6 * 25, "{lists} lists");
    });
}

#[test]
fn after_a_mass_cancel_the_first_refused_lock_asks_for_a_poll() {
    let mut knobs = WorldKnobs::new(10).with_jobs(150, 2, 40).with_instances(4);
    knobs.policy.poll_interval = seconds(60);
    simulate(knobs, async |world| {
        let polls = |world: &World| world.arvados.borrow().history().calls_of(CallKind::List);
        world.run_until("four run", minutes(10), |world| world.count(ContainerState::Running) == 4).await;
        let before = polls(world);
        world.run_until("a poll", minutes(5), |world| polls(world) > before).await;
        world.run_for(seconds(2)).await;
        let now = clock::now();
        for uuid in world.containers() {
            if world.state_of(uuid) == Some(ContainerState::Queued) {
                world.arvados.borrow_mut().cancel_by_user(uuid, now);
            }
        }
        world.run_for(minutes(15)).await;
        let refused = |fact: &Fact| matches!(fact, Fact::Refused { call: CallKind::Lock, .. });
        let arvados = world.arvados.borrow();
        let refusals = arvados.history().entries().iter().filter(|it| refused(&it.fact)).count();
        assert!(refusals <= 8, "{refusals} locks were refused");
    });
}

#[test]
fn a_final_container_whose_mounts_are_poisoned_is_forgotten() {
    simulate(twenty(11), async |world| {
        let poisoned = others(world, 500)[0];
        world.arvados.borrow_mut().ailments.answer(poisoned, CallKind::List, 502);
        world.run_for(minutes(1)).await;
        cancel_as_a_user(world, poisoned);
        complete(world, 19, minutes(20)).await;
        world.run_for(minutes(2)).await;
        let known: Vec<_> = world.queue().await.snapshot.entries.iter().map(|it| it.record.uuid).collect();
        assert!(!known.contains(&poisoned), "{known:?}");
    });
}

fn cancel_as_a_user(world: &World, uuid: ContainerUuid) {
    let cancel = Changes { state: Some(ContainerState::Cancelled), ..Changes::default() };
    let mut arvados = world.arvados.borrow_mut();
    let user = arvados.authenticate(ROOT_TOKEN, Origin::User).unwrap();
    arvados.update(uuid, &cancel, user, clock::now()).unwrap();
}

/// The user takes it back, so no list of what waits shows it any more: it is asked for by its uuid, and each such
/// question fails. Every poll failed with it.
#[test]
fn a_container_that_the_controller_cannot_list_does_not_stop_the_polls() {
    for status in [403, 404, 422, 500, 502] {
        simulate(WorldKnobs::new(u64::from(status)).with_jobs(4, 2, 30), async |world| {
            let bad = world.containers()[0];
            world.arvados.borrow_mut().ailments.hide(bad, status);
            world.run_for(seconds(5)).await;
            let now = clock::now();
            world.arvados.borrow_mut().set_priority(bad, 0, now);
            world.run_for(seconds(60)).await;
            for _ in 0..4 {
                world.submit(job(2, 30));
            }
            complete(world, 7, minutes(10)).await;
        });
    }
}
