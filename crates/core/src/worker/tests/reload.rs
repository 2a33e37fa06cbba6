//! The site's configuration was read anew.

use std::time::Duration;

use super::*;
use crate::instance::Catalog;

/// Without the type of the stories' instance.
fn without_its_type() -> Policy {
    let mut policy = policy();
    let kept = policy.catalog.types().iter().filter(|it| it.name.as_str() != "big");
    policy.catalog = Catalog::new(kept.map(|it| InstanceType::clone(it)).collect::<Vec<_>>());
    policy
}

fn use_policy(policy: Policy) -> Command {
    Command::UsePolicy(Arc::new(policy))
}

#[test]
fn an_instance_whose_type_is_configured_no_longer_drains_and_ends_when_it_is_empty() {
    let mut story = Story::running(&[1]);
    let effects = story.on(10, use_policy(without_its_type()));
    assert!(effects.contains(&WorkerEffect::Tell(WorkerFact::Draining(DrainReason::TypeNotConfigured))));
    let view = story.view();
    assert_eq!((view.behavior, view.instance_type.is_none()), (IdleBehavior::Drain, true));
    assert_eq!((view.state, view.processes.len()), (State::Running, 1), "what runs goes on");
    story.probe_now(lists(&[]));
    assert_eq!(story.state(), State::Shutdown);
}

#[test]
fn an_empty_one_ends_at_once_and_one_on_hold_is_kept() {
    let mut story = Story::idle();
    story.on(10, use_policy(without_its_type()));
    assert_eq!(story.state(), State::Shutdown);
    let mut held = Story::idle();
    held.on(9, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    held.on(10, use_policy(without_its_type()));
    assert_eq!((held.view().behavior, held.state()), (IdleBehavior::Hold, State::Idle));
    assert!(held.view().instance_type.is_none());
}

/// A name may mean another type of the cloud now: the instance is what it is.
#[test]
fn a_type_with_another_size_or_price_is_what_the_instance_has_now() {
    let mut story = Story::idle();
    let mut changed = policy();
    let with_price = |it: &Arc<InstanceType>| InstanceType {
        price: crate::instance::Price::new(9.0).unwrap(),
        vcpus: 16,
        ..InstanceType::clone(it)
    };
    changed.catalog = Catalog::new(changed.catalog.types().iter().map(with_price).collect::<Vec<_>>());
    story.on(10, use_policy(changed));
    let view = story.view();
    assert_eq!(view.behavior, IdleBehavior::Run);
    assert_eq!(view.instance_type.map(|it| (it.vcpus, it.price.per_hour())), Some((16, 9.0)));
}

#[test]
fn a_shorter_timeout_counts_from_before() {
    let mut story = Story::idle();
    story.on(10, Completion::Tick);
    assert_eq!(story.state(), State::Idle);
    story.on(11, use_policy(Policy { timeout_idle: Duration::from_secs(5), ..policy() }));
    assert_eq!(story.state(), State::Shutdown, "it has been idle since second 1");
}

#[test]
fn one_that_ends_takes_the_configuration_up_and_ends() {
    let mut story = Story::idle();
    story.on(9, Command::ShutDown(ShutdownReason::Idle));
    let effects = story.on(10, use_policy(without_its_type()));
    assert_eq!((effects, story.state()), (Vec::new(), State::Shutdown));
    assert!(story.view().instance_type.is_none());
}

/// What an instance was ordered with cannot be changed by a file: its disk, and the market it is on.
#[test]
fn an_instance_keeps_the_disk_and_the_market_that_it_was_ordered_with() {
    let mut story = Story::idle();
    let before = story.view().instance_type.unwrap();
    let mut changed = policy();
    let with_disk = |it: &Arc<InstanceType>| InstanceType {
        added_scratch: it.added_scratch + (1 << 40),
        preemptible: !it.preemptible,
        ..InstanceType::clone(it)
    };
    changed.catalog = Catalog::new(changed.catalog.types().iter().map(with_disk).collect::<Vec<_>>());
    story.on(10, use_policy(changed));
    let view = story.view();
    let now = view.instance_type.filter(|_| view.behavior == IdleBehavior::Run);
    let is_harmless = now
        .is_none_or(|now| (now.added_scratch, now.preemptible) == (before.added_scratch, before.preemptible));
    assert!(
        is_harmless,
        "containers are placed there for a disk that it does not have, and on a market it is not on"
    );
}

/// A mistake that is mended soon ends nothing that is at work.
#[test]
fn one_that_was_drained_for_its_type_is_used_again_when_that_comes_back() {
    let mut story = Story::running(&[1]);
    story.on(10, use_policy(without_its_type()));
    assert_eq!(story.view().behavior, IdleBehavior::Drain);
    story.on(20, use_policy(policy()));
    let view = story.view();
    assert_eq!((view.behavior, view.instance_type.is_some()), (IdleBehavior::Run, true));

    // Somebody wants it drained.
    let mut story = Story::running(&[1]);
    story.on(10, use_policy(without_its_type()));
    story.on(11, Command::SetIdleBehavior(IdleBehavior::Drain, None));
    story.on(20, use_policy(policy()));
    assert_eq!(story.view().behavior, IdleBehavior::Drain);
}

/// Its jobs may run for days, and the cloud bills it.
#[test]
fn what_it_costs_is_known_when_its_type_is_not_configured_any_more() {
    let mut story = Story::idle();
    let price = story.view().like.map(|it| it.price);
    story.on(9, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    story.on(10, use_policy(without_its_type()));
    assert_eq!((story.view().like.map(|it| it.price), price.is_some()), (price, true));
}

/// What it has was told after another type until then, and it was never known as ordered with that.
#[test]
fn one_that_was_found_without_its_type_takes_it_when_it_is_configured() {
    let all = policy();
    let big = typed(&all, "big");
    let other = InstanceType {
        name: TypeName::new("other").unwrap(),
        added_scratch: 1 << 40,
        ..InstanceType::clone(&big)
    };
    let mut without = without_its_type();
    let others = without.catalog.types().iter().map(|it| InstanceType::clone(it)).chain([other]);
    without.catalog = Catalog::new(others.collect::<Vec<_>>());
    let (machine, _) = Machine::new(instance("i-1", &big, "s"), false, Arc::new(without), at(0));
    let mut story = Story { machine, now: 0, done: Vec::new() };
    assert_eq!(story.view().like.map(|it| it.name.to_string()), Some("other".to_owned()));
    story.on(10, use_policy(all));
    assert_eq!(story.view().instance_type.map(|it| it.name.to_string()), Some("big".to_owned()));
}
