//! Scheduler over the real Queue and Pool, and these over fakes.

use std::time::Duration;

use dispatch_core::container::ContainerState::{Complete, Locked};
use dispatch_core::container::Record;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::ports::ApiErrorKind;

use super::*;
use crate::messages::pool::SetIdleBehavior;
use crate::testing::{World, elapsed, id, instance, pass, pass_millis, policy, queued, uuid};

/// Five containers, all ended by now; nothing is left to do.
async fn after_work() -> World {
    let world = World::new(policy(), (1..=5).map(queued));
    pass(600).await;
    assert_eq!(world.queue_len().await, 0);
    world.lines.take();
    world.api.take_calls();
    world.cloud.calls.take();
    world.vms.commands.take();
    world
}

#[actix::test]
async fn a_thousand_nudges_make_one_round() {
    let world = after_work().await;
    pass_millis(500).await;
    let before = world.rounds();
    for _ in 0..500 {
        world.handles.scheduler.do_send(QueueChanged);
        world.handles.scheduler.do_send(PoolChanged);
    }
    pass_millis(100).await;
    assert_eq!(world.rounds() - before, 1.0);
}

#[actix::test]
async fn a_nudge_is_followed_within_hundredths_of_a_second() {
    let world = after_work().await;
    pass_millis(300).await;
    let before = world.rounds();
    world.handles.scheduler.send(PoolChanged).await.unwrap();
    pass_millis(15).await;
    assert_eq!(world.rounds() - before, 1.0);
}

#[actix::test]
async fn a_flood_of_nudges_makes_a_hundred_rounds_a_second_at_most() {
    let world = after_work().await;
    let (before, began) = (world.rounds(), elapsed());
    for _ in 0..1000 {
        world.handles.scheduler.do_send(PoolChanged);
        pass_millis(1).await;
    }
    let rounds = world.rounds() - before;
    let seconds = elapsed() - began;
    assert!(rounds <= 100.0 * seconds + 5.0 && rounds >= 50.0 * seconds, "{rounds} in {seconds} s");
}

#[actix::test]
async fn with_nothing_to_do_an_hour_has_rounds_by_the_timer_and_polls_alone() {
    let world = after_work().await;
    let before = world.rounds();
    pass(3600).await;
    let rounds = world.rounds() - before;
    // One a second, one a poll, a few a listing.
    assert!((3500.0..=3600.0 + 361.0 + 200.0).contains(&rounds), "{rounds}");
    let calls = world.api.take_names();
    assert_eq!(calls.len(), 2 * calls.iter().filter(|name| **name == "mine").count(), "polls alone");
    assert_eq!(world.cloud.calls.take().len(), 60, "listings alone");
    assert_eq!(world.lines.messages(), [""; 0], "nothing to tell");
}

#[actix::test]
async fn probes_that_find_nothing_new_make_no_rounds() {
    let world = after_work().await;
    world.cloud.put((0..20).map(|n| {
        let instance = instance(&format!("held-{n}"));
        crate::testing::tagged(instance, IdleBehavior::Hold)
    }));
    pass(120).await;
    world.vms.commands.take();
    let before = world.rounds();
    pass(600).await;
    let probes = world.vms.take_times("list").len();
    assert!(probes >= 20 * 58, "{probes}");
    let rounds = world.rounds() - before;
    assert!(rounds <= 600.0 + 61.0 + 40.0, "{rounds}");
}

#[actix::test]
async fn running_containers_make_no_rounds_either() {
    let world = World::new(policy(), (1..=5).map(queued));
    world.vms.on_start.replace(None);
    let api = Rc::clone(&world.api);
    let runs = move |uuid, _: &_| api.set_state(uuid, dispatch_core::container::ContainerState::Running);
    world.vms.on_start.replace(Some(Box::new(runs)));
    pass(300).await;
    let before = world.rounds();
    world.api.take_calls();
    world.lines.take();
    pass(3600).await;
    let rounds = world.rounds() - before;
    assert!(rounds <= 3600.0 + 361.0 + 200.0, "{rounds}");
    let changes = ["lock", "unlock", "cancel", "get"];
    assert!(!world.api.take_names().iter().any(|name| changes.contains(name)));
    let loud = world.lines.take().into_iter().filter(|line| line.level.is_at_least(slog::Level::Info));
    assert_eq!(loud.count(), 0);
}

#[actix::test]
async fn a_lock_that_keeps_failing_is_tried_less_and_less_often() {
    let world = World::new(policy(), [queued(1)]);
    world.api.fail("lock", 10_000, ApiErrorKind::Refused);
    pass(3600).await;
    let locks = world.api.take_names().iter().filter(|name| **name == "lock").count();
    // After 10, 20, 30, 50, 90, 170, 330 and 650 s, then every 600 s or so.
    assert!((11..=14).contains(&locks), "{locks}");
    let refusals = world.lines.messages().iter().filter(|it| *it == "action refused").count();
    assert!(refusals <= 2, "told once a minute: {refusals}");
}

#[actix::test]
async fn a_look_that_fails_is_tried_again_once_a_poll() {
    let world = after_work().await;
    world.cloud.put([instance("stranger")]);
    world.vms.run(&id("stranger"), uuid(99));
    world.api.fail("get", 10_000, ApiErrorKind::Connection);
    pass(120).await;
    let looks = world.api.take_names().iter().filter(|name| **name == "get").count();
    assert!((4..=13).contains(&looks), "{looks}");
    let before = world.rounds();
    pass(60).await;
    assert!(world.rounds() - before <= 60.0 + 7.0 + 10.0);
}

#[actix::test]
async fn a_process_that_the_controller_does_not_know_is_ended() {
    let world = after_work().await;
    world.cloud.put([instance("stranger")]);
    world.vms.run(&id("stranger"), uuid(99));
    pass(120).await;
    assert_eq!(world.vms.take_times("kill").len(), 1);
    assert_eq!(world.queue_len().await, 0);
}

#[actix::test]
async fn the_ceiling_follows_503s_and_comes_back() {
    let mut policy = policy();
    policy.initial_quota_estimate = 40;
    let world = World::new(policy, (1..=30).map(queued));
    world.vms.on_start.replace(None);
    pass(200).await;
    assert_eq!(world.plan().await.ceiling, 40);
    let running = world.plan().await.plan.facts.with_process;
    assert_eq!(running, 30);
    world.api.fail("mine", 1, ApiErrorKind::Overloaded);
    // A poll, and the round after it.
    for _ in 0..12 {
        pass(1).await;
        if world.plan().await.ceiling < 40 {
            break;
        }
    }
    pass(2).await;
    let low = world.plan().await.ceiling;
    assert!((15..30).contains(&low), "{low}");
    assert_eq!(world.meter.value("max_concurrent_containers"), Some(f64::from(low)));
    assert!(world.meter.value("last_503_time").unwrap() > 0.0);
    // All 30 go on running: while the cut is not obeyed, three quiet minutes end the trouble.
    pass(300).await;
    let plan = world.plan().await;
    assert!(plan.ceiling >= 33, "{} at {}", plan.ceiling, plan.plan.facts.with_process);
}

#[actix::test]
async fn nothing_is_decided_before_the_first_poll_and_listing() {
    let world = World::new(policy(), [queued(1)]);
    for _ in 0..3 {
        world.cloud.fail("list", dispatch_core::ports::CloudErrorKind::Unknown);
    }
    pass(170).await;
    assert!(!world.api.take_names().contains(&"lock"));
    assert!(!world.lines.messages().contains(&"ready".to_owned()));
    pass(120).await;
    assert_eq!(world.api.state(uuid(1)), Complete);
    assert_eq!(world.lines.messages().iter().filter(|it| *it == "ready").count(), 1);
}

#[actix::test]
async fn told_to_stop_it_plans_no_more() {
    let world = after_work().await;
    world.handles.scheduler.send(Quiesce).await.unwrap();
    let before = world.rounds();
    world.api.put([queued(7)]);
    pass(60).await;
    assert_eq!(world.rounds(), before);
    assert_eq!(world.api.take_names().iter().filter(|name| **name == "lock").count(), 0);
}

#[actix::test]
async fn an_instance_on_hold_gets_nothing_and_stays() {
    let world = World::new(policy(), [queued(1)]);
    world.vms.takes.set(Duration::from_millis(200));
    pass(65).await;
    let hold = SetIdleBehavior { id: id("vm-1"), wish: IdleBehavior::Hold.into() };
    world.handles.pool.send(hold).await.unwrap().unwrap();
    pass(600).await;
    assert_eq!(world.api.state(uuid(1)), Complete);
    assert!(world.cloud.instances.borrow().contains_key(&id("vm-1")));
    world.api.put([queued(2)]);
    pass(30).await;
    assert_eq!(world.api.state(uuid(2)), Locked, "waits for another");
    assert_eq!(world.cloud.orders.borrow().len(), 2);
}

#[actix::test]
async fn mailboxes_are_measured() {
    let world = after_work().await;
    for actor in ["queue", "pool", "worker", "scheduler", "cloud"] {
        let sample = format!("actor_mailbox_delay_seconds_count{{actor=\"{actor}\"}}");
        assert!(world.meter.value(&sample).unwrap() > 1.0, "{actor}");
    }
}

// ------------------------------------------------------------------ the state

#[actix::test]
async fn the_state_shows_the_plan_and_the_ceiling() {
    let world = World::new(policy(), (1..=5).map(queued));
    pass(20).await;
    let state = world.handles.scheduler.send(GetState).await.unwrap().into_json();
    assert_eq!((&state["ceiling"], &state["quiescent"]), (&64.into(), &false.into()));
    assert_eq!(state["plan"]["waiting"][uuid(1).as_str()]["reason"]["reason"], "booting");
}

#[actix::test]
async fn a_corrected_wall_clock_changes_no_shown_age() {
    let world = World::new(policy(), []);
    pass(30).await;
    let age_of_poll = || {
        let shown = world.meter.value("last_poll_success_time").unwrap();
        clock::wall_time().as_second() as f64 - shown
    };
    assert!((0.0..=30.0).contains(&age_of_poll()), "{}", age_of_poll());
    clock::correct_wall_clock(jiff::SignedDuration::from_secs(3600));
    // The controller dates what is submitted now by a clock that was right all the time.
    world.vms.still_booting.set(true);
    world.api.put([Record { created_at: Some(clock::wall_time()), ..queued(1) }]);
    pass(30).await;
    assert!((0.0..=30.0).contains(&age_of_poll()), "{}", age_of_poll());
    let waits = world.meter.value("containers_longest_wait_time_seconds").unwrap();
    assert!((1.0..=31.0).contains(&waits), "{waits}");
}
