//! The controller, and what users do there.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::time::after;
use dispatch_sim::clock::now;
use dispatch_sim::controller::faults::{Burst, CallKind, Fault};
use dispatch_sim::controller::hidden::Hidden;
use dispatch_sim::vm::facts::CommandKind;
use dispatch_sim::world::{FeedKnobs, World, WorldKnobs, simulate};

use crate::{minutes, seconds};

#[test]
fn an_hour_without_the_api_is_survived() {
    simulate(WorldKnobs::new(1).with_jobs(20, 2, 600).with_instances(5), async |world| {
        world.run_until("five run", minutes(10), |world| world.count(ContainerState::Running) == 5).await;
        world.arvados.borrow_mut().faults.strike_all(Fault::Unauthorized, now(), minutes(60));
        world.drain(minutes(240)).await;
        assert_eq!(world.count(ContainerState::Complete), 20);
        assert_eq!(world.summary().processes, 20);
    });
}

#[test]
fn bursts_of_503s_cost_time_and_nothing_else() {
    let mut knobs = WorldKnobs::new(2).with_jobs(40, 2, 30).with_instances(10);
    let from = after(dispatch_sim::clock::epoch(), seconds(60));
    let burst = |start: u64| Burst {
        from: after(from, minutes(start)),
        until: after(from, minutes(start + 1)),
        only: None,
        fault: Fault::Overloaded,
        rate: 0.5,
    };
    knobs.faults.bursts = [0, 2, 4].map(burst).to_vec();
    simulate(knobs, async |world| {
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 40);
    });
}

#[test]
fn answers_lost_after_the_change_do_no_harm() {
    let mut knobs = WorldKnobs::new(3).with_jobs(20, 2, 20).with_instances(5);
    knobs.faults.rates = vec![(Fault::LostAnswer, 0.2)];
    simulate(knobs, async |world| {
        for kind in [CallKind::Lock, CallKind::Lock, CallKind::Update] {
            world.arvados.borrow_mut().faults.strike_next(kind, Fault::LostAnswer);
        }
        world.drain(minutes(120)).await;
        assert_eq!(world.count(ContainerState::Complete), 20);
    });
}

/// As while a database is being restored: every list is empty, and every single record is answered with 404.
#[test]
fn a_controller_that_shows_nothing_for_a_while_ends_no_job() {
    for (jobs, hidden_for) in [(1, 3), (4, 3), (1, 29), (4, 100)] {
        simulate(WorldKnobs::new(5).with_jobs(jobs, 2, 600), async |world| {
            let all_run = |world: &World| world.count(ContainerState::Running) == jobs;
            world.run_until("all run", minutes(10), all_run).await;
            let until = after(now(), seconds(hidden_for));
            world.arvados.borrow_mut().hidden = Some(Hidden { only: None, until });
            world.drain(minutes(30)).await;
            assert_eq!(world.count(ContainerState::Complete), jobs);
            assert_eq!(world.summary().processes, jobs as u64, "{hidden_for} s");
        });
    }
}

/// A restart finds VMs whose processes have records that nobody shows.
#[test]
fn a_controller_that_shows_nothing_while_the_dispatcher_restarts_ends_no_job() {
    simulate(WorldKnobs::new(6).with_jobs(4, 2, 900), async |world| {
        world.run_until("all run", minutes(10), |world| world.count(ContainerState::Running) == 4).await;
        let until = after(now(), seconds(100));
        world.arvados.borrow_mut().hidden = Some(Hidden { only: None, until });
        world.restart().await;
        world.drain(minutes(60)).await;
        assert_eq!((world.count(ContainerState::Complete), world.summary().processes), (4, 4));
    });
}

#[test]
fn the_process_of_a_deleted_record_ends_within_a_minute_and_those_of_most_within_five() {
    for (jobs, deleted, within) in [(9, 1, 1), (9, 9, 5)] {
        simulate(WorldKnobs::new(7).with_jobs(jobs, 2, 3600), async |world| {
            let all_run = |world: &World| world.count(ContainerState::Running) == jobs;
            world.run_until("all run", minutes(10), all_run).await;
            for uuid in world.containers().into_iter().take(deleted) {
                world.arvados.borrow_mut().delete(uuid, now());
            }
            let left = |world: &World| world.busy_vms().len() == jobs - deleted;
            world.run_until("their processes have ended", minutes(within), left).await;
            for uuid in world.containers() {
                world.arvados.borrow_mut().cancel_by_user(uuid, now());
            }
            world.drain(minutes(30)).await;
        });
    }
}

#[test]
fn a_user_who_cancels_forty_jobs_at_once_waits_for_none_of_them() {
    let mut knobs = WorldKnobs::new(8).with_jobs(40, 2, 3600).with_instances(40);
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        world.run_until("all run", minutes(20), |world| world.count(ContainerState::Running) == 40).await;
        for uuid in world.containers() {
            world.arvados.borrow_mut().cancel_by_user(uuid, now());
        }
        world.run_until("nothing runs", seconds(20), |world| world.busy_vms().is_empty()).await;
        world.drain(minutes(30)).await;
    });
}

#[test]
fn a_user_who_cancels_gets_rid_of_a_running_container() {
    simulate(WorldKnobs::new(4).with_jobs(3, 1, 3600), async |world| {
        world.run_until("all run", minutes(10), |world| world.count(ContainerState::Running) == 3).await;
        for uuid in world.containers() {
            world.arvados.borrow_mut().cancel_by_user(uuid, now());
        }
        world.drain(minutes(5)).await;
        assert_eq!(world.count(ContainerState::Cancelled), 3);
    });
}

#[test]
fn a_queued_container_that_nobody_wants_is_left_alone() {
    simulate(WorldKnobs::new(5).with_jobs(3, 1, 10), async |world| {
        let all = world.containers();
        world.arvados.borrow_mut().cancel_by_user(all[0], now());
        world.drain(minutes(10)).await;
        assert_eq!(world.state_of(all[0]), Some(ContainerState::Queued));
        assert_eq!(world.count(ContainerState::Complete), 2);
        assert_eq!(world.arvados.borrow().history().tally(all[0]).locks, 0);
    });
}

#[test]
fn containers_that_are_deleted_leave_nothing_behind() {
    simulate(WorldKnobs::new(6).with_jobs(4, 1, 3600), async |world| {
        world.run_until("all run", minutes(10), |world| world.count(ContainerState::Running) == 4).await;
        for uuid in world.containers() {
            world.arvados.borrow_mut().delete(uuid, now());
        }
        world.drain(minutes(10)).await;
        assert!(world.queue().await.snapshot.entries.is_empty());
    });
}

#[test]
fn a_poisoned_record_hurts_only_itself() {
    simulate(WorldKnobs::new(7).with_jobs(4, 1, 10), async |world| {
        let poisoned = world.containers()[0];
        world.arvados.borrow_mut().poison(poisoned, "runtime_constraints", "nonsense".into());
        world
            .run_until("the others are done", minutes(10), |world| world.count(ContainerState::Complete) == 3)
            .await;
        world.arvados.borrow_mut().cure(poisoned);
        world.drain(minutes(10)).await;
        assert_eq!(world.count(ContainerState::Complete), 4);
    });
}

/// It shows for a second what was: polls come often here, or hinted questions do, so that many show the time before a lock
/// or an end.
#[test]
fn a_controller_that_reads_from_a_replica_gets_nothing_killed_or_locked_twice() {
    for seed in 1..=10 {
        let mut knobs = WorldKnobs::new(seed).with_jobs(60, 2, 5).with_instances(6);
        knobs.feed = (seed % 2 == 0).then(FeedKnobs::default);
        knobs.policy.poll_interval = seconds(if seed % 3 == 0 { 10 } else { 1 });
        knobs.replica_lag = Duration::from_millis(950);
        simulate(knobs, async |world| {
            world.drain(minutes(30)).await;
            assert_eq!(world.count(ContainerState::Complete), 60);
            let kills = world.vms.borrow().history().commands().get(&CommandKind::Kill).copied();
            assert_eq!(kills, None, "killed");
            assert_eq!(world.summary().processes, 60, "each ran once");
            let arvados = world.arvados.borrow();
            let locks: u32 = world.containers().iter().map(|it| arvados.history().tally(*it).locks).sum();
            assert_eq!(locks, 60, "each was locked once");
        });
    }
}
