//! What operators have forbidden to be created.

use super::*;
use crate::instance::Market;
use crate::note::Note;
use crate::time::after;

fn note(reason: &str) -> Note {
    Note::new(at(0), "alice", reason)
}

fn pause(scope: CordonScope, until: i64) -> Pause {
    Pause { scope, until: at(until), note: note("maintenance") }
}

const BY_OPERATOR: Gate = Gate::Paused(PauseReason::Operator);

/// What workers are told, and why.
fn told(effects: &[PoolEffect]) -> Vec<(String, &'static str, String)> {
    let of = |effect: &PoolEffect| match effect {
        PoolEffect::Command(id, _, Command::DrainWithType(note)) => {
            Some((id.to_string(), "drain", note.reason.clone()))
        }
        PoolEffect::Command(id, _, Command::RunWithType(note)) => {
            Some((id.to_string(), "run", note.reason.clone()))
        }
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

fn line(id: &str, what: &'static str, reason: &str) -> (String, &'static str, String) {
    (id.to_owned(), what, reason.to_owned())
}

#[test]
fn nothing_is_created_before_a_pause_ends_and_then_everything_goes_on_by_itself() {
    let mut story = Story::new();
    let effects = story.pool.pause_creates(pause(CordonScope::All, 100)).unwrap();
    assert!(effects.contains(&PoolEffect::FleetChanged), "the scheduler looks again");
    assert_eq!((story.gate("small", 99), story.gate("big", 99)), (BY_OPERATOR, BY_OPERATOR));
    assert!(matches!(story.create("small", "s", 99), Err(CreateRefusal::Gate(gate)) if gate == BY_OPERATOR));
    assert_eq!(story.gate("small", 100), Gate::Open);
    assert_eq!(story.pool.wakes_at(at(99)), Some(at(100)));
    let effects = story.pool.tick(at(100));
    assert!(
        matches!(&effects[0], PoolEffect::Tell(PoolFact::CreatesResumed(pause)) if pause.until == at(100))
    );
    assert!(effects.contains(&PoolEffect::FleetChanged));
    assert!(story.pool.cordons().pauses.is_empty());
}

#[test]
fn a_pause_is_of_everything_a_market_or_a_type_and_each_ends_for_itself() {
    let mut story = Story::new();
    story.pool.pause_creates(pause(CordonScope::Market(Market::Spot), 100)).unwrap();
    story.pool.pause_creates(pause(CordonScope::Type("big".parse().unwrap()), 300)).unwrap();
    assert_eq!(story.gate("small.spot", 1), BY_OPERATOR);
    assert_eq!(story.gate("big", 1), BY_OPERATOR);
    assert_eq!(story.gate("small", 1), Gate::Open);
    assert_eq!(story.gate("small.spot", 200), Gate::Open);
    story.pool.resume_creates(&CordonScope::Type("big".parse().unwrap())).unwrap();
    assert_eq!(story.gate("big", 1), Gate::Open);
    assert_eq!(story.pool.resume_creates(&CordonScope::All), Err(PoolRefusal::NoSuchPause));
    let unknown = CordonScope::Type("huge".parse().unwrap());
    assert_eq!(story.pool.pause_creates(pause(unknown, 1)), Err(PoolRefusal::NoSuchType));
}

#[test]
fn a_second_pause_of_a_scope_takes_the_place_of_the_first() {
    let mut story = Story::new();
    story.pool.pause_creates(pause(CordonScope::All, 1000)).unwrap();
    story.pool.pause_creates(pause(CordonScope::All, 10)).unwrap();
    assert_eq!(story.pool.cordons().pauses.len(), 1);
    assert_eq!(story.gate("small", 11), Gate::Open);
}

/// At `MaxInstances` room is made for a container that waits: that would be of no use while nothing is created.
#[test]
fn a_pause_comes_before_every_other_reason() {
    let mut story = Story::with(Policy { max_instances: 1, ..policy() });
    story.created("a", "small", 0);
    assert_eq!(story.gate("small", 1), Gate::AtQuota(QuotaReason::MaxInstances));
    story.pool.pause_creates(pause(CordonScope::All, 100)).unwrap();
    assert_eq!(story.gate("small", 1), BY_OPERATOR);
}

#[test]
fn a_drained_type_is_not_created_and_its_instances_are_drained_but_those_on_hold() {
    let mut story = Story::new();
    story.created("a", "small", 0);
    story.created("b", "big", 0);
    story.created("c", "small", 0);
    let held = View { behavior: IdleBehavior::Hold, ..story.view("c") };
    story.show(1, held);
    let small: TypeName = "small".parse().unwrap();
    let effects = story.pool.drain_type(&small, note("too slow")).unwrap();
    // Whether it is on hold knows the worker.
    let reason = "type small is drained: too slow";
    assert_eq!(told(&effects), [line("a", "drain", reason), line("c", "drain", reason)]);
    assert_eq!(story.gate("small", 2), Gate::Paused(PauseReason::TypeDrained));
    assert_eq!(story.gate("big", 2), Gate::Open);
    // One whose create was under way is drained as soon as it appears.
    let effects = story.pool.appear(
        instance("d", &story.typed("small"), "d"),
        Some(inventory::OwnOrder { secret: None, sent: at(0) }),
        at(3),
    );
    assert_eq!(told(&effects), [line("d", "drain", reason)]);
    assert_eq!(story.pool.drain_type(&"huge".parse().unwrap(), note("")), Err(PoolRefusal::NoSuchType));
}

#[test]
fn a_type_in_use_again_uses_the_instances_that_were_drained_with_it_and_no_others() {
    let mut story = Story::new();
    for name in ["a", "b"] {
        story.created(name, "small", 0);
    }
    let small: TypeName = "small".parse().unwrap();
    story.pool.drain_type(&small, note("")).unwrap();
    let with_it = Some(Note { reason: "type small is drained".to_owned(), ..note("") });
    story.show(1, View { behavior: IdleBehavior::Drain, note: with_it, ..story.view("a") });
    story.show(1, View { behavior: IdleBehavior::Drain, note: None, ..story.view("b") });
    let effects = story.pool.run_type(&small, &note("fixed")).unwrap();
    assert_eq!(told(&effects), [line("a", "run", "fixed")]);
    assert_eq!(story.gate("small", 2), Gate::Open);
}

#[test]
fn what_was_kept_holds_after_a_restart() {
    let mut before = Story::new();
    before.pool.pause_creates(pause(CordonScope::All, 100)).unwrap();
    before.pool.drain_type(&"small".parse().unwrap(), note("")).unwrap();
    let mut after = Story::new();
    after.pool.restore_cordons(Cordons::clone(before.pool.cordons()), at(1));
    assert_eq!(after.gate("big", 1), BY_OPERATOR);
    // It may be on hold although its tags do not show that yet.
    assert_eq!(told(&after.listed("a", "small", "a", 2)), []);
    after.listed("b", "small", "b", 2);
    after.show(3, View { note: Some(note("let it run")), ..after.view("b") });
    let listing = |story: &mut Story, began| told(&story.pool.listing_finished(at(began)));
    assert_eq!(listing(&mut after, 60), []);
    assert_eq!(listing(&mut after, 130), [line("a", "drain", "type small is drained")], "b is wanted");
}

#[test]
fn what_has_ended_is_not_restored_and_nothing_lasts_longer_than_it_may() {
    let mut kept = Cordons::default();
    kept.pause(pause(CordonScope::All, 100));
    kept.pause(Pause { until: Timestamp::MAX, ..pause(CordonScope::Market(Market::Spot), 0) });
    let mut story = Story::new();
    story.pool.restore_cordons(kept, at(100));
    let ends: Vec<_> = story.pool.cordons().pauses.iter().map(|pause| pause.until).collect();
    assert_eq!(ends, [after(at(100), LONGEST_PAUSE)]);
}

#[test]
fn the_clouds_last_refusal_of_a_type_is_remembered_until_one_succeeds() {
    let mut story = Story::new();
    story.refused("small", CloudErrorKind::Other, 1);
    let refusals = story.pool.snapshot().refusals;
    let refusal = &refusals[&"small".parse::<TypeName>().unwrap()];
    assert_eq!((refusal.at, refusal.code.as_str(), refusal.message.as_str()), (at(1), "E", "no"));
    story.created("a", "small", 100);
    assert!(story.pool.snapshot().refusals.is_empty());
    // One that was sent before, and is answered after the refusal of another, proves nothing.
    let (early, late) = (story.create("small", "b", 110).unwrap(), story.create("small", "c", 111).unwrap());
    story.fails(late, CloudErrorKind::Unknown, 112);
    story.answered(early, "b", "small", "b", 113);
    assert_eq!(story.pool.snapshot().refusals.len(), 1);
}

#[test]
fn a_drain_that_spares_held_instances_leaves_them_on_hold() {
    let mut story = Story::new();
    story.created("a", "small", 0);
    story.show(1, View { behavior: IdleBehavior::Hold, ..story.view("a") });
    let wish = OperatorWish { spares_held: true, ..OperatorWish::from(IdleBehavior::Drain) };
    assert_eq!(story.pool.set_behavior(&id("a"), wish), Err(PoolRefusal::OnHold));
    assert!(story.pool.set_behavior(&id("a"), IdleBehavior::Drain.into()).is_ok());
}
