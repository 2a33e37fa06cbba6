//! Renewal: a worker that is too old or has drifted gets nothing new, and ends when it is empty.

use super::*;
use crate::blueprint::Blueprint;
use crate::instance::{Catalog, Instance};
use crate::note::Note;

const BEFORE: &str = "ami-1";

/// A site whose VMs are made from this image.
fn with_image(image: &str) -> Policy {
    Policy { blueprint: Blueprint::new(image, ""), ..policy() }
}

/// A VM that was made from the image of before.
fn made_before() -> Instance {
    let before = with_image(BEFORE);
    let it = typed(&before, "big");
    let mut shown = instance("i-1", &it, "s");
    shown.tags.insert(&*before.tag_keys.blueprint, before.blueprint.of(&it));
    shown
}

fn found(shown: Instance, policy: Policy) -> Story {
    let (machine, done) = Machine::new(shown, true, Arc::new(policy), at(0));
    let mut story = Story { machine, now: 0, done };
    story.probe(0, 1, boots());
    story
}

fn drifted() -> Story {
    found(made_before(), with_image("ami-2"))
}

#[test]
fn a_vm_of_another_image_has_drifted_and_one_without_the_tag_has_not() {
    assert!(drifted().view().drifted);
    assert!(!found(made_before(), with_image(BEFORE)).view().drifted);
    let of_the_reference = instance("i-1", &typed(&policy(), "big"), "s");
    assert!(!found(of_the_reference, with_image("ami-2")).view().drifted);
}

#[test]
fn another_definition_of_the_type_makes_drift_by_a_reload_and_its_price_does_not() {
    let reload = |change: fn(&mut InstanceType)| {
        let mut story = found(made_before(), with_image(BEFORE));
        let mut policy = with_image(BEFORE);
        let changed = |it: &Arc<InstanceType>| {
            let mut it = InstanceType::clone(it);
            change(&mut it);
            it
        };
        policy.catalog = Catalog::new(policy.catalog.types().iter().map(changed).collect::<Vec<_>>());
        story.on(10, Command::UsePolicy(Arc::new(policy)));
        (story.view().drifted, story.view().behavior)
    };
    assert_eq!(reload(|it| it.ram += 1), (true, IdleBehavior::Run));
    assert_eq!(reload(|it| it.price = crate::instance::Price::ZERO), (false, IdleBehavior::Run));
}

#[test]
fn an_empty_one_ends_at_once_and_says_why_in_its_tags() {
    let mut story = drifted();
    let effects = story.on(10, Command::Renew(Renewal::Drift));
    let age = std::time::Duration::from_secs(10);
    assert!(effects.contains(&WorkerEffect::Tell(WorkerFact::Renewing { why: Renewal::Drift, age })));
    let saved = effects.iter().find_map(|effect| match effect {
        WorkerEffect::SaveTags(tags) => Some(tags),
        _ => None,
    });
    let keys = policy().tag_keys;
    assert_eq!(saved.and_then(|tags| tags.get(&keys.idle_behavior)), Some("drain"));
    assert_eq!(saved.and_then(|tags| keys.note_of(tags)), Some(Renewal::Drift.note(at(10))));
    let view = story.view();
    assert_eq!((view.state, view.renewal), (State::Shutdown, Some(Renewal::Drift)));
}

#[test]
fn what_runs_there_ends_by_itself_and_nothing_new_is_started() {
    let mut story = Story::running(&[1]);
    story.on(10, Command::Renew(Renewal::Age));
    let view = story.view();
    assert_eq!((view.state, view.behavior, view.processes.len()), (State::Running, IdleBehavior::Drain, 1));
    assert_eq!(story.try_on(11, start(2)).1, Err(WorkerRefusal::NotTakingContainers));
    assert!(!story.done.iter().any(|it| matches!(it, WorkerEffect::Kill(_) | WorkerEffect::Destroy)));
    story.probe_now(lists(&[]));
    assert_eq!(story.state(), State::Shutdown);
}

#[test]
fn what_somebody_has_said_of_it_is_not_overruled() {
    let note = || Some(Note::new(at(9), "alice", ""));
    for behavior in [IdleBehavior::Run, IdleBehavior::Hold, IdleBehavior::Drain] {
        let mut story = Story::running(&[1]);
        story.on(9, Command::SetIdleBehavior(behavior, note()));
        assert_eq!(story.on(10, Command::Renew(Renewal::Age)), []);
        assert_eq!((story.view().behavior, story.view().renewal), (behavior, None));
    }
}

#[test]
fn a_configuration_that_was_mended_meanwhile_counts() {
    let mut story = drifted();
    story.on(9, Command::UsePolicy(Arc::new(with_image(BEFORE))));
    assert_eq!(story.on(10, Command::Renew(Renewal::Drift)), []);
    assert_eq!(story.state(), State::Idle);
}

#[test]
fn an_operator_takes_it_back_and_then_it_is_no_renewal() {
    for behavior in [IdleBehavior::Run, IdleBehavior::Hold, IdleBehavior::Drain] {
        let mut story = Story::running(&[1]);
        story.on(10, Command::Renew(Renewal::Age));
        story.on(11, Command::SetIdleBehavior(behavior, Some(Note::new(at(11), "alice", "needed"))));
        let view = story.view();
        assert_eq!((view.behavior, view.renewal), (behavior, None));
    }
}

/// It counts in the budget of the next dispatcher, whether its tags show that at once or later.
#[test]
fn the_next_dispatcher_reads_the_renewal_from_the_tags() {
    let keys = policy().tag_keys;
    let mut renewed = instance("i-1", &typed(&policy(), "big"), "s");
    renewed.tags.insert(&*keys.idle_behavior, "drain");
    renewed.tags.insert(&*keys.idle_note, Renewal::Age.note(at(0)).to_tag());
    let (machine, _) = Machine::new(renewed.clone(), false, Arc::new(policy()), at(0));
    assert_eq!(machine.view().renewal, Some(Renewal::Age));

    let mut story = Story::unknown();
    assert_eq!(story.view().renewal, None);
    story.on(60, Command::InstanceUpdated(renewed));
    assert_eq!((story.view().behavior, story.view().renewal), (IdleBehavior::Drain, Some(Renewal::Age)));
}

#[test]
fn one_that_ends_already_goes_on_ending() {
    let mut story = Story::idle();
    story.on(9, Command::ShutDown(ShutdownReason::Idle));
    assert_eq!(story.on(10, Command::Renew(Renewal::Age)), []);
    assert_eq!((story.state(), story.view().renewal), (State::Shutdown, None));
}
