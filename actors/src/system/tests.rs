//! The whole dispatcher on a small day: what it does, what it logs, what it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix::{AsyncContext, Context};
use dispatch_core::container::ContainerState::{Complete, Locked, Running};
use dispatch_core::ports::ApiErrorKind;

use super::Handles;
use crate::catalogue::{self, CONTEXT_KEYS, Event};
use crate::queue::Queue;
use crate::testing::{Line, Odd, Spoil, World, instance, pass, pass_millis, policy, queued, record, uuid};

/// Five containers on instances of three CPUs.
async fn small_day() -> World {
    let world = World::new(policy(), (1..=5).map(queued));
    world.vms.takes.set(Duration::from_millis(200));
    pass(600).await;
    world
}

#[actix::test]
async fn five_containers_run_on_two_instances_and_all_is_gone_in_the_end() {
    let world = small_day().await;
    for n in 1..=5 {
        assert_eq!(world.api.state(uuid(n)), Complete);
    }
    assert_eq!(world.queue_len().await, 0);
    assert_eq!(world.cloud.orders.borrow().len(), 2);
    assert!(world.cloud.instances.borrow().is_empty(), "no instance outlives its use");
    let pool = world.pool().await;
    assert!(pool.workers.is_empty() && pool.pending.is_empty() && pool.fleet.ended.is_empty());
    let names = world.api.take_names();
    let count = |name: &str| names.iter().filter(|it| **it == name).count();
    assert_eq!((count("lock"), count("unlock"), count("cancel")), (5, 0, 0), "no attempt was wasted");
    let starts = world.vms.take_times("start");
    assert_eq!(starts.len(), 5);
    assert_eq!(world.vms.open.get(), 0, "no connection is left");
}

#[actix::test]
async fn the_day_is_counted_once_each() {
    let world = small_day().await;
    let expected = [
        ("boot_outcomes{outcome=\"success\"}", 2.0),
        ("boot_outcomes{outcome=\"aborted\"}", 0.0),
        ("instances_disappeared{state=\"shutdown\"}", 2.0),
        ("driver_operations{error=\"0\",operation=\"Create\"}", 2.0),
        ("driver_operations{error=\"0\",operation=\"Destroy\"}", 2.0),
        ("instances_time_to_ssh_seconds_count", 2.0),
        ("instances_time_to_ready_for_container_seconds_count", 2.0),
        ("instances_time_from_shutdown_request_to_disappearance_seconds_count", 2.0),
        ("containers_time_from_queue_to_lock_seconds_count", 5.0),
        ("containers_time_from_lock_to_crunch_run_seconds_count", 5.0),
        ("containers_time_from_queue_to_crunch_run_seconds_count", 5.0),
        ("controller_requests_total{call=\"lock\",status=\"200\"}", 5.0),
        ("containers_running", 0.0),
        ("containers_longest_wait_time_seconds", 0.0),
        ("instances_total{category=\"idle\",instance_type=\"small\"}", 0.0),
        ("queue_entries{instance_type=\"small\",state=\"Queued\"}", 0.0),
        ("active", 1.0),
    ];
    for (sample, value) in expected {
        assert_eq!(world.meter.value(sample), Some(value), "{sample}");
    }
}

#[actix::test]
async fn the_gauges_follow_the_day() {
    let world = World::new(policy(), (1..=5).map(queued));
    pass(30).await;
    let gauge = |name: &str| world.meter.value(name).unwrap();
    assert_eq!(gauge("containers_running"), 0.0, "the address of the first instance is not known yet");
    assert!(gauge("containers_longest_wait_time_seconds") >= 28.0);
    assert_eq!(gauge("instances_total{category=\"booting\",instance_type=\"small\"}"), 2.0);
    assert_eq!(gauge("containers_allocated_not_started"), 5.0);
    pass(15).await;
    assert_eq!(gauge("containers_running"), 5.0);
    assert_eq!(gauge("instances_total{category=\"inuse\",instance_type=\"small\"}"), 2.0);
    assert_eq!(gauge("vcpus_total{category=\"inuse\"}"), 6.0);
    assert_eq!(gauge("queue_entries{instance_type=\"small\",state=\"Running\"}"), 5.0);
    assert_eq!(gauge("max_concurrent_containers"), 64.0);
}

// ------------------------------------------------------------------ the log

fn check(line: &Line) {
    let event = catalogue::ALL.iter().find(|event| event.message == line.message);
    let event: &Event = event.unwrap_or_else(|| panic!("`{}` is not in the catalogue", line.message));
    assert_eq!(line.level, event.level, "{}", line.message);
    for key in line.facts.keys() {
        let known = event.keys.iter().chain(&CONTEXT_KEYS).any(|it| it == key);
        assert!(known, "`{}` has no key {key}", line.message);
    }
}

#[actix::test]
async fn every_line_of_the_day_is_in_the_catalogue_with_its_level_and_keys() {
    let lines = small_day().await.lines.take();
    assert!(lines.len() > 50);
    lines.iter().for_each(check);
}

#[actix::test]
async fn a_containers_life_can_be_read_from_the_log() {
    let lines = small_day().await.lines.take();
    let life: Vec<_> = lines
        .iter()
        .filter(|line| line.facts.get("ContainerUUID").is_some_and(|it| it == uuid(1).as_str()))
        .map(|line| line.message.as_str())
        .collect();
    assert_eq!(
        life,
        [
            "adding container to queue",
            "lock succeeded",
            "creating new instance",
            "starting container",
            "crunch-run process started",
            "crunch-run process ended",
            "container finished -- dropping from queue",
        ]
    );
    let vm: Vec<_> = lines
        .iter()
        .filter(|line| line.facts.get("Instance").is_some_and(|it| it == "vm-1"))
        .filter(|line| line.level.is_at_least(slog::Level::Info) && !line.facts.contains_key("ContainerUUID"))
        .map(|line| line.message.as_str())
        .collect();
    assert_eq!(
        vm,
        [
            "instance appeared in cloud",
            "boot probe succeeded",
            "probes succeeded, instance is in service",
            "shutdown worker",
            "shutting down",
            "instance disappeared in cloud",
        ]
    );
}

#[actix::test]
async fn no_secret_is_logged() {
    let world = small_day().await;
    let secrets: BTreeSet<_> =
        world.cloud.orders.borrow().iter().map(|order| order.secret.expose().to_owned()).collect();
    assert_eq!(secrets.len(), 2, "each instance has its own");
    for line in world.lines.take() {
        assert!(!secrets.iter().any(|secret| format!("{line:?}").contains(secret)), "{line:?}");
    }
}

#[actix::test]
async fn a_bad_day_is_in_the_catalogue_too() {
    let world = World::new(policy(), (1..=5).map(queued));
    world.api.fail("mine", 2, ApiErrorKind::Connection);
    world.api.fail("lock", 2, ApiErrorKind::Overloaded);
    world.api.spoil("lock", 1, Spoil::Lost);
    world.cloud.fail("create", dispatch_core::ports::CloudErrorKind::Other);
    let capacity = dispatch_core::ports::CapacityScope::All;
    world.cloud.fail("create", dispatch_core::ports::CloudErrorKind::Capacity(capacity));
    world.cloud.fail("list", dispatch_core::ports::CloudErrorKind::Unknown);
    world.cloud.fail("destroy", dispatch_core::ports::CloudErrorKind::Other);
    world.vms.odd("boot", 2, Odd::Exits(1));
    world.vms.odd("start", 1, Odd::Exits(1));
    world.vms.odd("list", 1, Odd::Fails(dispatch_core::ports::ExecErrorKind::ConnectionLost));
    pass(1500).await;
    let lines = world.lines.take();
    lines.iter().for_each(check);
    let mut counts = BTreeMap::<_, usize>::new();
    for line in &lines {
        *counts.entry(line.message.as_str()).or_default() += 1;
    }
    for message in [
        "error updating queue",
        "queue is being updated again",
        "controller is overloaded, fewer calls at a time",
        "create failed",
        "capacity error -- pausing instance create calls",
        "sync failed",
        "sync succeeded again",
        "not booted yet",
        "error starting crunch-run process",
        "requeueing locked container",
        "destroy failed",
        "worker still listed after shutdown; retrying",
    ] {
        assert!(counts.contains_key(message), "{message}: {counts:?}");
    }
    let hold = lines.iter().find(|line| line.message.starts_with("capacity error")).unwrap();
    assert_eq!(hold.facts["error"], "the cloud says capacity");
    assert!((1..=5).all(|n| world.api.state(uuid(n)) == Complete), "and yet all ran");
    assert!(world.cloud.instances.borrow().is_empty());
}

// ------------------------------------------------------------------ starting again, stopping

#[actix::test]
async fn what_an_earlier_dispatcher_left_goes_on() {
    let world = World::new(policy(), [record(1, Running), record(2, Locked)]);
    world.cloud.put([instance("old")]);
    world.vms.run(&crate::testing::id("old"), uuid(1));
    pass(300).await;
    assert_eq!(world.api.state(uuid(1)), Running, "its process lives");
    assert_eq!(world.api.state(uuid(2)), Complete, "placed again as it was");
    let names = world.api.take_names();
    assert!(!names.contains(&"unlock") && !names.contains(&"cancel"), "{names:?}");
}

#[actix::test]
async fn told_to_stop_nothing_new_begins_and_it_is_soon_over() {
    let world = World::new(policy(), (1..=5).map(queued));
    world.api.takes.set(Duration::from_millis(100));
    pass_millis(450).await;
    world.handles.quiesce(Duration::from_secs(10)).await;
    assert!(crate::testing::elapsed() < 5.0, "{}", crate::testing::elapsed());
    world.api.take_calls();
    world.cloud.calls.take();
    pass(100).await;
    assert_eq!(world.api.take_names(), [""; 0]);
    assert_eq!(world.cloud.take_times("create").len(), 0);
    assert_eq!(world.meter.value("active"), Some(0.0));
    assert_eq!(world.handles.silent(Duration::from_secs(1)).await, [""; 0], "health still answers");
}

// ------------------------------------------------------------------ the state

#[actix::test]
async fn the_state_of_all_actors_and_workers_is_one_document_without_secrets() {
    let world = World::new(policy(), (1..=5).map(queued));
    pass(45).await;
    let state = world.handles.debug_state(Duration::from_secs(1)).await;
    for actor in ["queue", "pool", "scheduler", "cloud"] {
        assert!(state[actor].is_object() && state[actor]["error"].is_null(), "{actor}: {state}");
    }
    assert_eq!(state["workers"]["vm-1"]["state"], "running");
    let text = state.to_string();
    for order in world.cloud.orders.borrow().iter() {
        assert!(!text.contains(order.secret.expose()), "{text}");
    }
}

#[actix::test]
async fn an_actor_that_is_gone_does_not_answer_and_the_others_do() {
    let world = World::new(policy(), [queued(1)]);
    pass(1).await;
    // Never run: whatever is sent to it is dropped with it.
    let context = Context::<Queue>::new();
    let queue = context.address();
    drop(context);
    let handles = Handles { queue, ..world.handles.clone() };
    let state = handles.debug_state(Duration::from_secs(1)).await;
    assert_eq!(state["queue"], serde_json::json!({ "error": "does not answer" }));
    assert!(state["pool"]["fleet"].is_object());
}
