//! Which instances are renewed: the oldest first, few at a time, and nothing that somebody wants otherwise.

use std::time::Duration;

use super::*;
use crate::note::Note;
use crate::worker::Renewal;

/// Instances may become an hour old, and that many are renewed at a time.
fn renewing(budget: u32) -> Story {
    let hour = Duration::from_secs(3600);
    Story::with(Policy { max_instance_age: hour, drift_budget: budget, ..policy() })
}

impl Story {
    /// These are in service since that second, one after another, and all is known of earlier dispatchers.
    fn fleet(&mut self, names: &[&str], second: i64) {
        self.listing(second - 200, &[]);
        for (n, name) in (0..).zip(names) {
            self.created(name, "small", second + n);
            self.in_service(name, second + n);
        }
    }

    /// Whom a listing at that second has renewed, and why.
    fn renewed(&mut self, second: i64) -> Vec<(String, Renewal)> {
        let effects = self.pool.listing_finished(at(second));
        renewed(&self.hear(effects))
    }

    /// The worker has heard of its renewal.
    fn draining(&mut self, name: &str, second: i64) {
        let view = View {
            behavior: IdleBehavior::Drain,
            renewal: Some(Renewal::Age),
            note: Some(Renewal::Age.note(at(second))),
            ..self.view(name)
        };
        self.show(second, view);
    }
}

fn renewed(effects: &[PoolEffect]) -> Vec<(String, Renewal)> {
    let of = |effect: &PoolEffect| match effect {
        PoolEffect::Command(id, _, Command::Renew(why)) => Some((id.to_string(), *why)),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

fn for_age(names: &[&str]) -> Vec<(String, Renewal)> {
    names.iter().map(|name| ((*name).to_owned(), Renewal::Age)).collect()
}

#[test]
fn the_oldest_go_first_and_the_next_when_one_of_them_is_gone() {
    let mut story = renewing(2);
    story.fleet(&["d", "c", "b", "a"], 1000);
    assert_eq!(story.renewed(4599), [], "none is an hour old");
    assert_eq!(story.renewed(4601), for_age(&["d", "c"]));
    assert_eq!(story.renewed(4700), [], "they have not answered yet");
    story.draining("d", 4701);
    story.draining("c", 4701);
    assert_eq!(story.renewed(4760), [], "they drain");
    let ending = View {
        state: State::Shutdown,
        destroy_acknowledged: true,
        destroy_called: Some(at(4800)),
        processes: Vec::new(),
        ..story.view("d")
    };
    story.show(4800, ending);
    assert_eq!(story.renewed(4810), [], "one that ends is not gone");
    story.pool.gone(&id("d"), None, at(5000), at(5001));
    assert_eq!(story.renewed(5002), for_age(&["b"]));
}

#[test]
fn without_a_budget_nothing_is_renewed() {
    let mut story = renewing(0);
    story.fleet(&["a"], 1000);
    assert_eq!(story.renewed(100_000), []);
}

#[test]
fn an_instance_that_has_drifted_is_renewed_at_any_age() {
    let mut story = renewing(5);
    story.fleet(&["a", "b"], 1000);
    let drifted = View { drifted: true, ..story.view("b") };
    story.show(1100, drifted);
    assert_eq!(story.renewed(1101), [("b".to_owned(), Renewal::Drift)]);
    assert_eq!(story.renewed(9000), for_age(&["a"]));
}

#[test]
fn the_clouds_own_date_counts_and_one_that_cannot_be_true_does_not() {
    let mut story = renewing(5);
    story.listing(800, &[]);
    for (name, launched) in [("old", -5000), ("young", 900), ("strange", 99_000)] {
        let shown = Instance { launched: Some(at(launched)), ..instance(name, &story.typed("small"), name) };
        story.pool.appeared(shown, at(1000));
        story.in_service(name, 1001);
    }
    assert_eq!(story.renewed(1200), for_age(&["old"]));
    assert_eq!(story.renewed(4500), for_age(&["young"]));
    assert_eq!(story.renewed(4600), for_age(&["strange"]), "counted from when it was first seen");
}

/// A hold that a found instance has may not show in its tags yet, and so may what an earlier dispatcher has begun.
#[test]
fn a_dispatcher_that_has_just_begun_waits_until_tags_are_as_they_are() {
    let mut story = renewing(1);
    story.listing(1000, &[]);
    let shown = Instance { launched: Some(at(-9000)), ..instance("a", &story.typed("small"), "a") };
    story.pool.appeared(shown, at(1000));
    story.in_service("a", 1001);
    assert_eq!(story.renewed(1119), []);
    assert_eq!(story.renewed(1121), for_age(&["a"]));
}

/// A change that makes one instance unfit for a renewal.
type Spoils = fn(&mut View);

#[test]
fn what_somebody_wants_otherwise_or_is_not_in_service_is_left_alone() {
    let spared: [(&str, Spoils); 7] = [
        ("held", |view| view.behavior = IdleBehavior::Hold),
        ("drained", |view| view.behavior = IdleBehavior::Drain),
        ("told to run", |view| view.note = Some(Note::new(at(0), "alice", ""))),
        ("booting", |view| view.state = State::Booting),
        ("unknown", |view| view.state = State::Unknown),
        ("ending", |view| view.state = State::Shutdown),
        ("another's", |view| view.fence = FenceView::Anothers),
    ];
    for (what, spoil) in spared {
        let mut story = renewing(5);
        story.fleet(&["a"], 1000);
        let mut view = story.view("a");
        spoil(&mut view);
        story.show(1001, view);
        assert_eq!(story.renewed(9000), [], "{what}");
    }
}

#[test]
fn one_that_the_cloud_takes_away_or_a_listing_lacks_needs_no_renewal() {
    let mut story = renewing(5);
    story.fleet(&["a", "b"], 1000);
    let busy = View { state: State::Running, processes: vec![process(1)], ..story.view("a") };
    story.show(1002, busy);
    story.pool.note_spot_notice(uuid(1), "soon");
    story.pool.gone(&id("b"), None, at(9000), at(9000));
    assert_eq!(story.renewed(9000), []);
}

#[test]
fn an_empty_instance_that_a_container_waits_for_is_not_renewed_before_that_has_started() {
    let mut story = renewing(5);
    story.fleet(&["a"], 1000);
    story.pool.keep(Arc::new([id("a")].into()), Arc::default());
    assert_eq!(story.renewed(9000), []);
    let busy = View { state: State::Running, processes: vec![process(1)], ..story.view("a") };
    story.show(9001, busy);
    assert_eq!(story.renewed(9002), for_age(&["a"]), "what runs there ends by itself");
}

/// An image that does not boot must not eat the fleet, and no more a cloud that has nothing left.
#[test]
fn nothing_is_renewed_that_could_not_be_replaced() {
    let mut story = renewing(5);
    story.fleet(&["a"], 1000);
    story.refused("small", CloudErrorKind::Capacity(CapacityScope::Offering), 8999);
    assert_eq!(story.renewed(9000), []);

    let mut story = renewing(5);
    story.fleet(&["a"], 1000);
    let bad = ["x", "y", "z"];
    for name in bad {
        story.created(name, "small", 8000);
    }
    for name in bad {
        story.pool.booted(&id(name), false, at(8001));
        story.pool.remove(&id(name), None, at(8002));
    }
    assert_eq!(story.gate("small", 9000), Gate::Open, "one create may be tried");
    assert_eq!(story.renewed(9000), []);
}

/// The one that goes makes the room for the one that comes.
#[test]
fn at_a_quota_renewal_goes_on() {
    let mut story = renewing(1);
    story.pool.policy = Arc::new(Policy { max_instances: 2, ..Policy::clone(&story.policy) });
    story.fleet(&["a", "b"], 1000);
    assert_eq!(story.gate("small", 9000), Gate::AtQuota(QuotaReason::MaxInstances));
    assert_eq!(story.renewed(9000), for_age(&["a"]));
}

#[test]
fn what_an_earlier_dispatcher_has_begun_counts_in_the_budget() {
    let mut story = renewing(1);
    story.fleet(&["a", "b"], 1000);
    story.draining("a", 1001);
    assert_eq!(story.renewed(9000), []);
}

#[test]
fn a_greater_budget_is_used_when_the_configuration_is_read_anew() {
    let mut story = renewing(1);
    story.fleet(&["a", "b", "c"], 1000);
    assert_eq!(story.renewed(9000), for_age(&["a"]));
    let more = Policy { drift_budget: 2, ..Policy::clone(&story.policy) };
    let effects = story.pool.use_policy(Arc::new(more), [].into(), at(9001));
    assert_eq!(renewed(&effects), for_age(&["b"]));
    let off = Policy { drift_budget: 0, ..Policy::clone(&story.policy) };
    let effects = story.pool.use_policy(Arc::new(off), [].into(), at(9002));
    assert_eq!(renewed(&effects), []);
}
