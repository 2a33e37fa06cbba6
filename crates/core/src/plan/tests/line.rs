//! The order of the line, positions, and the texts that users see.

use super::*;
use crate::queue::Fit;

#[test]
fn processes_first_then_locked_then_priority_then_age_then_uuid() {
    let mut scene = Scene::new();
    scene.add(1, Queued, 5);
    scene.add(2, Queued, 9).first_seen = at(50);
    scene.add(3, Queued, 9).first_seen = at(40);
    scene.add(4, Queued, 9).first_seen = at(40);
    scene.add(5, Locked, 1);
    scene.add(6, Running, 0);
    scene.worker("w-1", "big", State::Idle);
    scene.runs("w-1", 6);
    assert_eq!(scene.plan().order, [6, 5, 3, 4, 2, 1].map(uuid));
}

#[test]
fn every_reason_has_exactly_its_text() {
    let name = |name: &str| TypeName::new(name).unwrap();
    let capacity = "Waiting in queue at position 3.  Cluster is at capacity and cannot start any new instances right now.";
    let boot = "Waiting for a big instance to boot and be ready to accept work.";
    let cases = [
        (WaitReason::Allocated, "Container is allocated to an instance and preparing to run."),
        (
            WaitReason::PriorityZero { state: Locked },
            "This container will not be scheduled to run because its priority is 0 and state is Locked.",
        ),
        (
            WaitReason::OverSupervisors { max_supervisors: 1 },
            "Waiting in workflow queue at position 3.  Cluster is at capacity and cannot start any new workflows right now.",
        ),
        (WaitReason::PreviousAttempt, "Waiting for previous container attempt to exit."),
        (WaitReason::Booting { instance_type: name("big") }, boot),
        (
            WaitReason::Paused { instance_type: name("big"), cause: PauseReason::RateLimit },
            "Waiting in queue at position 3.  No big instance is created, because the cloud limits the rate of calls.",
        ),
        (
            WaitReason::AtCapacity { instance_types: vec![name("small"), name("big")] },
            "Waiting in queue at position 3.  Cluster is at capacity for all eligible instance types (small, big) and cannot start a new instance right now.",
        ),
        (
            WaitReason::AccountQuota,
            "Waiting in queue at position 3.  Cluster is at cloud account limits and cannot start any new instances right now.",
        ),
        (WaitReason::MaxInstances, capacity),
        (WaitReason::Ceiling { ceiling: 4 }, capacity),
        (WaitReason::StartingUp, capacity),
    ];
    for (reason, text) in cases {
        assert_eq!(Waiting { position: Some(3), reason, instance: None }.text(&BTreeMap::new()), text);
    }
}

#[test]
fn running_and_final_containers_have_nothing_to_say() {
    let mut scene = Scene::new();
    scene.worker("w-1", "big", State::Idle);
    for (n, state, priority) in [(1, Running, 1), (2, Running, 0), (3, Complete, 1), (4, Cancelled, 0)] {
        scene.add(n, state, priority);
        scene.runs("w-1", n);
    }
    assert!(scene.plan().waiting.is_empty());
}

#[test]
fn who_waits_for_what() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Idle);
    scene.worker("w-2", "small", State::Booting);
    scene.add(1, Locked, 1);
    scene.add(2, Locked, 1);
    scene.add(3, Queued, 0);
    scene.add(4, Queued, 1);
    scene.worker("w-3", "small", State::Idle);
    scene.runs("w-3", 4);
    scene.add(5, Locked, 1);
    scene.runs("w-3", 5);
    let small = typed(&scene.policy, "small").name.clone();
    assert_eq!(scene.reason(1), Some(WaitReason::Allocated));
    assert_eq!(scene.reason(2), Some(WaitReason::Booting { instance_type: small }));
    assert_eq!(scene.reason(3), Some(WaitReason::PriorityZero { state: Queued }));
    assert_eq!(scene.reason(4), Some(WaitReason::PreviousAttempt));
    assert_eq!(scene.reason(5), Some(WaitReason::Allocated));
}

#[test]
fn what_is_being_changed_or_cannot_be_read_is_left_alone_and_blocks_nobody() {
    let mut scene = Scene::new();
    scene.worker("w-1", "small", State::Idle);
    scene.add(1, Locked, 9).uncertain = true;
    scene.add(2, Locked, 9).unreadable = Some("priority".to_owned());
    scene.add(3, Locked, 9).fit = Fit::Unsized;
    scene.add(4, Locked, 1);
    assert_eq!(scene.actions(), [start(4, "w-1")]);
    assert!(matches!(scene.reason(1), Some(WaitReason::HandsOff { .. })));
    assert!(matches!(scene.reason(2), Some(WaitReason::HandsOff { .. })));
    assert_eq!(scene.reason(3), Some(WaitReason::NotSized));
}

#[test]
fn positions_count_from_one_in_the_order_of_the_line() {
    let mut scene = Scene::new();
    scene.gates(Gate::AtQuota(QuotaReason::Account));
    for n in 1..=3 {
        scene.add(n, Queued, 10 - n as i64);
    }
    assert!(scene.text(3).contains("position 3."), "{}", scene.text(3));
    assert!(scene.text(1).contains("cloud account limits"));
}
