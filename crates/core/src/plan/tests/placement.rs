//! Which instance a container goes to.

use super::*;

#[test]
fn a_locked_container_is_started_on_an_instance_that_is_ready() {
    let mut scene = Scene::new();
    scene.add(1, Locked, 1);
    scene.worker("w-1", "small", State::Idle);
    assert_eq!(scene.actions(), [start(1, "w-1")]);
}

#[test]
fn a_queued_container_is_locked_first() {
    let mut scene = Scene::new();
    scene.add(1, Queued, 1);
    scene.worker("w-1", "small", State::Idle);
    assert_eq!(scene.actions(), [lock(1)]);
}

#[test]
fn a_lock_in_flight_keeps_its_place_and_is_not_sent_twice() {
    let mut queue = crate::queue::ContainerQueue::new(10);
    queue.set_me(me());
    let mut scene = Scene::new();
    let mut poll = queue.begin_poll(at(0)).unwrap();
    for items in [vec![], vec![record(1, Queued, 9)], vec![]] {
        poll.answer(crate::ports::Page { items, undecodable: vec![] }, &queue, &policy()).unwrap();
    }
    queue.merge(poll, at(0));
    queue.begin(uuid(1), crate::queue::OperationKind::Lock).unwrap();
    let operation = queue.snapshot().entries[0].operation.clone();
    scene.add(1, Queued, 9).operation = operation;
    scene.add(2, Queued, 1);
    scene.worker("w-1", "small", State::Idle);
    scene.gates(Gate::Paused(PauseReason::RateLimit));
    assert_eq!(scene.actions(), [], "the place is taken");
}

#[test]
fn a_container_waits_for_the_instance_that_boots_and_others_do_not_take_it() {
    for state in [State::Unknown, State::Booting] {
        let mut scene = Scene::new();
        scene.add(1, Locked, 1);
        scene.worker("w-1", "small", state);
        assert_eq!(scene.actions(), []);
        scene.add(2, Locked, 1);
        assert_eq!(creates(&scene.actions()), [create_for("small", 2)]);
    }
}

#[test]
fn a_pending_create_is_waited_for_too() {
    let mut scene = Scene::new();
    scene.add(1, Locked, 1);
    scene.pending(1, "small");
    assert_eq!(scene.actions(), []);
}

#[test]
fn preferences_are_ready_then_full_then_cheap_then_id() {
    let ready = || {
        let mut scene = Scene::new();
        scene.add(1, Locked, 1);
        scene
    };
    let mut scene = ready();
    scene.worker("w-1", "small", State::Booting);
    scene.worker("w-2", "big", State::Idle);
    assert_eq!(scene.actions(), [start(1, "w-2")], "ready before cheap");

    let mut scene = ready();
    scene.worker("w-1", "small", State::Idle);
    scene.worker("w-2", "big", State::Idle);
    scene.add(2, Running, 1);
    scene.runs("w-2", 2);
    assert_eq!(scene.actions(), [start(1, "w-2")], "the fullest before cheap");

    let mut scene = ready();
    scene.worker("w-1", "big", State::Idle);
    scene.worker("w-2", "small", State::Idle);
    assert_eq!(scene.actions(), [start(1, "w-2")], "cheap before id");

    let mut scene = ready();
    scene.worker("w-2", "small", State::Idle);
    scene.worker("w-1", "small", State::Idle);
    assert_eq!(scene.actions(), [start(1, "w-1")], "whatever the order of the snapshot");
}

#[test]
fn of_types_of_one_price_more_ram_wins_before_more_vcpus_and_names_do_not_count() {
    let mut policy = policy();
    let wide = crate::fixtures::instance_type("z-wide", 8, 3.0, false);
    let mut deep = crate::fixtures::instance_type("a-deep", 2, 3.0, false);
    deep.ram *= 100;
    let twin = InstanceType { name: TypeName::new("b-twin").unwrap(), ..deep.clone() };
    policy.catalog = crate::instance::Catalog::new([wide, deep, twin]);
    let mut scene = Scene::with(policy);
    scene.add(1, Locked, 1);
    scene.worker("w-1", "z-wide", State::Idle);
    scene.worker("w-2", "a-deep", State::Idle);
    assert_eq!(scene.actions(), [start(1, "w-2")]);
    scene.pool.workers.clear();
    scene.worker("w-1", "b-twin", State::Idle);
    scene.worker("w-2", "a-deep", State::Idle);
    assert_eq!(scene.actions(), [start(1, "w-1")]);
}

#[test]
fn nothing_is_placed_where_nothing_may_be() {
    type Change = fn(&mut Scene);
    let cases: [(&str, Change); 7] = [
        ("hold", |scene| scene.change("w-1", |view| view.behavior = IdleBehavior::Hold)),
        ("drain", |scene| scene.change("w-1", |view| view.behavior = IdleBehavior::Drain)),
        ("shutdown", |scene| scene.change("w-1", |view| view.state = State::Shutdown)),
        ("missing", |scene| scene.pool.workers[0].missing = true),
        ("no type", |scene| scene.change("w-1", |view| view.instance_type = None)),
        ("a stale lock", |scene| scene.change("w-1", |view| view.stale.push(uuid(1)))),
        ("something unknown runs there", |scene| scene.runs("w-1", 77)),
    ];
    for (why, change) in cases {
        let mut scene = Scene::new();
        scene.add(1, Locked, 1);
        scene.worker("w-1", "big", State::Idle);
        change(&mut scene);
        assert_eq!(creates(&scene.actions()), [create_for("small", 1)], "{why}");
    }
}

#[test]
fn several_containers_share_an_instance_until_it_is_full() {
    let mut scene = Scene::new();
    scene.worker("w-1", "big", State::Idle);
    for n in 1..=5 {
        scene.add(n, Locked, 1);
    }
    let actions = scene.actions();
    assert_eq!(actions[..4], [1, 2, 3, 4].map(|n| start(n, "w-1")));
    assert_eq!(creates(&actions), [create_for("small", 5)]);
}

#[test]
fn a_sent_start_takes_its_place_before_the_worker_shows_it() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Idle);
    scene.add(1, Locked, 1);
    scene.pool.workers[0].sent.push(uuid(1));
    scene.add(2, Locked, 1);
    assert_eq!(creates(&scene.actions()), [create_for("small", 2)]);
}

#[test]
fn a_new_instance_is_shared_by_those_who_come_next() {
    let mut scene = Scene::new();
    scene.add_sized(1, Locked, 3, false);
    scene.add(2, Locked, 1);
    scene.add(3, Locked, 1);
    assert_eq!(creates(&scene.actions()), [create_for("big", 1), create_for("small", 3)]);
}

#[test]
fn no_more_containers_on_an_instance_than_the_site_allows() {
    let mut scene = Scene::with(Policy { max_containers_per_instance: 2, ..policy() });
    scene.worker("w-1", "big", State::Idle);
    for n in 1..=3 {
        scene.add(n, Locked, 1);
    }
    let actions = scene.actions();
    assert_eq!(actions[..2], [start(1, "w-1"), start(2, "w-1")]);
    assert_eq!(creates(&actions), [create_for("small", 3)]);
}

#[test]
fn zero_vcpu_containers_share_one_vcpu_between_them() {
    let mut scene = Scene::new();
    scene.worker("w-1", "big", State::Idle);
    for n in 1..=3 {
        scene.add_sized(n, Locked, 0, false);
    }
    for n in 4..=7 {
        scene.add(n, Locked, 1);
    }
    let actions = scene.actions();
    assert_eq!(actions[..6], [1, 2, 3, 4, 5, 6].map(|n| start(n, "w-1")));
    assert_eq!(creates(&actions), [create_for("small", 7)]);
}

#[test]
fn the_worker_of_its_last_failed_attempt_is_the_last_resort() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Idle);
    scene.add(1, Locked, 1);
    scene.failed(1, 1, "w-1");
    assert_eq!(scene.actions(), [start(1, "w-1")], "better than none");
    scene.worker("w-2", "big", State::Idle);
    assert_eq!(scene.actions(), [start(1, "w-2")], "not while another fits");
}

#[test]
fn nothing_is_started_or_locked_while_an_earlier_process_exists() {
    for state in [Queued, Locked] {
        let mut scene = Scene::new();
        scene.worker("w-1", "small", State::Idle);
        scene.add(1, state, 1);
        scene.ended(1, 95, EndedWhy::Exited);
        let actions = scene.actions();
        assert!(
            !actions.iter().any(|it| matches!(
                it,
                Action::Queue(QueueAction::LockContainer(_)) | Action::Pool(PoolAction::StartContainer(..))
            )),
            "{actions:?}"
        );
    }
}

#[test]
fn spot_and_on_demand_do_not_mix() {
    let mut scene = Scene::new();
    scene.worker("w-1", "big", State::Idle);
    scene.add_sized(1, Locked, 1, true);
    assert_eq!(creates(&scene.actions()), [create_for("small.spot", 1)]);
}

#[test]
fn a_start_carries_what_its_log_line_and_its_metric_say_of_the_record() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Idle);
    scene.add(1, Locked, 5).record.created_at = Some(at(3));
    let order = StartOrder {
        uuid: uuid(1),
        priority: 5,
        created_at: Some(at(3)),
        locked_at: None,
        failed_elsewhere: false,
    };
    assert_eq!(scene.plan().actions, [Action::Pool(PoolAction::StartContainer(order, id("w-1")))]);
}
