//! Holds: scope, end, and who is woken.

use super::*;
use crate::instance::Market;

const QUOTA: CloudErrorKind = CloudErrorKind::Quota(QuotaScope::All);

fn spot_quota() -> CloudErrorKind {
    CloudErrorKind::Quota(QuotaScope::Market(Market::Spot))
}

fn gates(story: &Story, second: i64) -> Vec<(&'static str, Gate)> {
    ["small", "big", "small.spot", "big.spot"]
        .into_iter()
        .map(|name| (name, story.gate(name, second)))
        .collect()
}

fn open(story: &Story, second: i64) -> Vec<&'static str> {
    gates(story, second).into_iter().filter(|(_, gate)| *gate == Gate::Open).map(|(name, _)| name).collect()
}

#[test]
fn a_quota_holds_until_fewer_instances_exist() {
    let mut story = Story::new();
    for name in ["i-1", "i-2"] {
        story.created(name, "small", 0);
    }
    story.listing(5, &[]);
    story.refused("big", QUOTA, 10);
    assert!(story.told.iter().any(|it| matches!(it, PoolFact::QuotaHold { instances: 2, .. })));
    assert_eq!(story.gate("small.spot", 11), Gate::AtQuota(QuotaReason::Account));
    assert!(story.supply(11).at_quota());
    story.show(
        12,
        View {
            state: State::Shutdown,
            destroy_acknowledged: true,
            destroy_called: Some(at(12)),
            ..story.view("i-1")
        },
    );
    story.listing(20, &["i-1"]);
    assert_eq!(open(&story, 21).len(), 4);
}

#[test]
fn one_create_is_tried_after_five_minutes_and_then_after_twice_as_long_up_to_half_an_hour() {
    let mut story = Story::new();
    story.created("i-1", "small", 0);
    story.refused("small", QUOTA, 0);
    let (mut second, mut waits) = (0, Vec::new());
    for _ in 0..5 {
        let retry = story.pool.holds.next_end(at(second)).expect("the scheduler is woken");
        let wait = since(retry, at(second)).as_secs() as i64;
        assert_ne!(story.gate("small", second + wait - 1), Gate::Open);
        second += wait;
        waits.push(wait);
        let create = story.create("small", "again", second).unwrap();
        assert_eq!(story.gate("big", second), Gate::AtQuota(QuotaReason::Account), "one at a time");
        story.fails(create, QUOTA, second);
    }
    assert_eq!(waits, [300, 600, 1200, 1800, 1800]);
}

#[test]
fn creates_that_were_in_flight_together_do_not_double_the_wait() {
    let mut story = Story::new();
    story.created("i-1", "small", 0);
    let creates: Vec<_> = (0..4).map(|n| story.create("small", &format!("s{n}"), 1).unwrap()).collect();
    for create in creates {
        story.fails(create, QUOTA, 2);
    }
    assert_eq!(story.pool.holds.next_end(at(2)), Some(at(302)));
    assert!(story.told.iter().any(|it| matches!(it, PoolFact::QuotaHold { instances: 1, .. })));
}

fn quota_holds_told(story: &Story) -> Vec<usize> {
    let told = story.told.iter().filter_map(|it| match it {
        PoolFact::QuotaHold { instances, .. } => Some(*instances),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_quota_is_told_once_a_hold_with_the_instances_that_exist() {
    let mut story = Story::new();
    for name in ["i-1", "i-2"] {
        story.created(name, "small", 0);
        story.in_service(name, 1);
    }
    let creates: Vec<_> = (0..4).map(|n| story.create("small", &format!("s{n}"), 1).unwrap()).collect();
    for create in creates {
        story.fails(create, QUOTA, 2);
    }
    assert_eq!(quota_holds_told(&story), [2], "once, and what is in flight does not exist");
    let retry = story.create("small", "retry", 302).unwrap();
    story.fails(retry, QUOTA, 303);
    assert_eq!(quota_holds_told(&story), [2], "a retry that is refused goes on with the hold");
    for second in [400, 500, 600] {
        story.listing(second, &["i-2"]);
    }
    story.refused("small", QUOTA, 700);
    assert_eq!(quota_holds_told(&story), [2, 1], "another hold");
}

#[test]
fn a_retry_that_succeeds_ends_the_hold_and_an_older_create_does_not() {
    let mut story = Story::new();
    story.created("i-1", "small", 0);
    let older = story.create("small", "older", 1).unwrap();
    story.refused("small", QUOTA, 2);
    story.answered(older, "i-2", "small", "older", 3);
    assert_eq!(story.gate("small", 4), Gate::AtQuota(QuotaReason::Account));
    let retry = story.create("small", "retry", 302).unwrap();
    story.answered(retry, "i-3", "small", "retry", 303);
    assert_ne!(story.gate("small", 304), Gate::AtQuota(QuotaReason::Account));
}

#[test]
fn a_retry_that_fails_of_something_else_is_not_the_last() {
    let mut story = Story::new();
    story.created("i-1", "small", 0);
    story.refused("small", QUOTA, 0);
    let retry = story.create("small", "retry", 300).unwrap();
    story.fails(retry, CloudErrorKind::Capacity(CapacityScope::Offering), 300);
    assert_eq!(open(&story, 301), Vec::<&str>::new());
    assert_eq!(open(&story, 361), ["small", "big", "small.spot", "big.spot"]);
}

#[test]
fn with_nothing_running_a_retry_comes_every_minute_and_one_at_a_time() {
    let mut story = Story::new();
    for round in 0..3 {
        story.refused("small", QUOTA, 60 * round);
        assert_eq!(open(&story, 60 * round + 59), Vec::<&str>::new());
        assert_eq!(story.pool.wakes_at(at(60 * round)), Some(at(60 * round + 60)));
        story.pool.tick(at(60 * round + 60));
        let left = story.supply(60 * round + 60).near_quota_left;
        assert_eq!(left, [(QuotaScope::All, 1)].into());
    }
    assert_eq!(
        story.snapshot(200).fleet.holds.refused_types().keys().collect::<Vec<_>>(),
        [&story.typed("small").name]
    );
}

/// Otherwise a type that is refused for another reason would have every retry.
#[test]
fn a_retry_that_is_refused_for_another_reason_was_the_turn_of_its_type_too() {
    let mut story = Story::new();
    story.refused("small", QUOTA, 0);
    story.refused("big", CloudErrorKind::Other, 60);
    let holds = story.snapshot(61).fleet.holds.clone();
    assert_eq!(holds.refused_types().values().collect::<Vec<_>>(), [&at(60), &at(0)]);
}

#[test]
fn whose_turn_it_is_is_forgotten_with_the_quota() {
    let mut story = Story::new();
    for name in ["i-1", "i-2"] {
        story.created(name, "small", 0);
        story.in_service(name, 1);
    }
    story.refused("big", QUOTA, 2);
    assert_eq!(story.snapshot(3).fleet.holds.refused_types().len(), 1);
    for second in [100, 200, 300] {
        story.listing(second, &["i-2"]);
    }
    assert!(story.snapshot(301).fleet.holds.refused_types().is_empty());
}

fn refused_types(story: &Story, second: i64) -> Vec<String> {
    story.snapshot(second).fleet.holds.refused_types().keys().map(|name| name.to_string()).collect()
}

/// Otherwise a spot type that can never be had has every retry, as long as instances on demand are made meanwhile.
#[test]
fn whose_turn_it_is_on_one_market_is_remembered_whatever_is_made_on_the_other() {
    let mut story = Story::new();
    story.refused("small.spot", spot_quota(), 0);
    story.created("i-1", "small", 10);
    assert_eq!(refused_types(&story, 11), ["small.spot"]);
}

/// Otherwise each instance that takes the place of one that has ended is of a dearer type.
#[test]
fn whose_turn_it_is_on_one_market_is_forgotten_with_its_quota_although_the_other_has_one() {
    let mut story = Story::new();
    let on_demand = CloudErrorKind::Quota(QuotaScope::Market(Market::OnDemand));
    for name in ["i-1", "i-2"] {
        story.created(name, "small", 0);
        story.in_service(name, 1);
    }
    story.refused("small", on_demand, 2);
    story.refused("small.spot", spot_quota(), 2);
    assert_eq!(refused_types(&story, 3).len(), 2);
    for second in [100, 200, 300] {
        story.listing(second, &["i-2"]);
    }
    assert_eq!(refused_types(&story, 301), ["small.spot"]);
}

#[test]
fn a_spot_quota_does_not_stop_on_demand_creates() {
    let mut story = Story::new();
    for (name, it) in [("i-1", "small"), ("i-2", "small"), ("i-3", "small.spot")] {
        story.created(name, it, 0);
    }
    story.refused("small.spot", spot_quota(), 1);
    assert!(story.told.iter().any(|it| matches!(it, PoolFact::QuotaHold { instances: 1, .. })));
    for n in 0..5 {
        assert_eq!(open(&story, 2), ["small", "big"]);
        story.created(&format!("i-1{n}"), "small", 2);
    }
    assert!(!story.supply(2).at_quota());
}

#[test]
fn after_a_quota_creates_go_one_beyond_it_until_more_are_seen_running() {
    let mut story = Story::new();
    for name in ["i-1", "i-2"] {
        story.created(name, "small", 0);
        story.in_service(name, 1);
    }
    story.refused("small", QUOTA, 2);
    let retry = story.create("small", "i-3", 302).unwrap();
    story.answered(retry, "i-3", "small", "i-3", 303);
    assert_eq!(story.gate("small", 304), Gate::Paused(PauseReason::NearQuota));
    assert_eq!(story.supply(304).near_quota_left, [(QuotaScope::All, 0)].into());
    story.in_service("i-3", 400);
    story.listing(401, &[]);
    assert_eq!(story.gate("small", 402), Gate::Open);
    assert!(story.supply(402).near_quota_left.is_empty());
}

/// Refused although nothing existed: once one has come about, one beyond it may be tried.
#[test]
fn what_is_held_to_fit_the_quota_is_one_instance_at_least() {
    let mut story = Story::new();
    story.refused("small", QUOTA, 0);
    story.created("i-1", "small", 60);
    assert_eq!(story.gate("small", 61), Gate::Open);
    story.created("i-2", "small", 61);
    assert_eq!(story.gate("small", 62), Gate::Paused(PauseReason::NearQuota));
}

/// It is never destroyed, so it may stay for ever without becoming ready.
#[test]
fn an_instance_on_hold_that_never_boots_does_not_stop_creates_for_ever() {
    let mut story = Story::new();
    story.created("i-1", "small", 0);
    story.in_service("i-1", 1);
    story.refused("small", QUOTA, 2);
    story.created("i-2", "small", 302);
    story.listing(303, &[]);
    assert_eq!(story.gate("small", 304), Gate::Paused(PauseReason::NearQuota));
    story.show(305, View { behavior: IdleBehavior::Hold, ..story.view("i-2") });
    story.listing(306, &[]);
    assert_eq!(story.gate("small", 307), Gate::Open);
}

/// The cloud lists it for ever, so one more could not be made for ever.
#[test]
fn an_instance_that_never_ends_counts_against_near_quota_for_five_minutes_and_for_max_instances_always() {
    let mut story = Story::with(Policy { max_instances: 3, ..policy() });
    story.created("immortal", "small", 0);
    story.in_service("immortal", 1);
    story.refused("small", QUOTA, 2);
    let ending = View { state: State::Shutdown, ending_since: Some(at(100)), ..story.view("immortal") };
    story.show(100, ending);
    story.created("i-2", "small", 302);
    let effects = story.pool.listing_finished(at(399));
    assert!(effects.contains(&PoolEffect::SyncBy(at(400))), "{effects:?}");
    assert_eq!(story.gate("small", 399), Gate::Paused(PauseReason::NearQuota));
    assert_eq!(story.supply(399).near_quota_left, [(QuotaScope::All, 0)].into());
    story.listing(400, &[]);
    assert_eq!(story.gate("small", 401), Gate::Open);
    assert_eq!(story.supply(401).near_quota_left, [(QuotaScope::All, 1)].into());
    assert_eq!(story.supply(401).instances_left, Some(1));
    story.created("i-3", "small", 402);
    assert_eq!(story.gate("small", 403), Gate::AtQuota(QuotaReason::MaxInstances));
}

#[test]
fn a_lack_of_capacity_holds_its_scope_for_a_minute() {
    let cases = [
        (CapacityScope::Offering, vec!["small", "small.spot", "big.spot"]),
        (CapacityScope::QuotaGroup, vec!["small.spot", "big.spot"]),
        (CapacityScope::All, vec![]),
    ];
    for (scope, still_open) in cases {
        let mut story = Story::new();
        story.refused("big", CloudErrorKind::Capacity(scope), 0);
        assert_eq!(open(&story, 59), still_open, "{scope:?}");
        assert_eq!(story.gate("big", 59), Gate::AtCapacity(at(60)));
        assert_eq!(story.pool.wakes_at(at(0)), Some(at(60)), "the scheduler is woken");
        assert_eq!(open(&story, 60).len(), 4);
    }
}

#[test]
fn entries_of_one_offering_share_its_hold() {
    let mut policy = policy();
    let mut twin = crate::fixtures::instance_type("twin", 4, 4.1, false);
    twin.provider_type = typed(&policy, "big").provider_type.clone();
    let types =
        policy.catalog.types().iter().map(|it| InstanceType::clone(it)).chain([twin]).collect::<Vec<_>>();
    policy.catalog = crate::instance::Catalog::new(types);
    let mut story = Story::with(policy);
    story.refused("big", CloudErrorKind::Capacity(CapacityScope::Offering), 0);
    assert_eq!(story.gate("twin", 1), Gate::AtCapacity(at(60)));
}

#[test]
fn a_rate_limit_pauses_all_creates_until_it_ends() {
    let mut story = Story::new();
    story.refused("big", CloudErrorKind::RateLimited { until: at(30) }, 0);
    assert_eq!(story.gate("small.spot", 29), Gate::Paused(PauseReason::RateLimit));
    assert_eq!(story.pool.wakes_at(at(0)), Some(at(30)));
    assert_eq!(open(&story, 30).len(), 4);
}

#[test]
fn an_error_that_says_nothing_pauses_longer_each_time_up_to_a_minute() {
    let mut story = Story::new();
    let mut second = 0;
    for wait in [5, 10, 20, 40, 60, 60] {
        story.refused("big", CloudErrorKind::Other, second);
        assert_eq!(story.gate("big", second + wait - 1), Gate::Paused(PauseReason::CreateFailed));
        assert_eq!(story.pool.wakes_at(at(second)), Some(at(second + wait)));
        second += wait;
        assert_eq!(story.gate("big", second), Gate::Open);
    }
}

/// Such as a price that the spot market does not take, or a type that the region does not have.
#[test]
fn an_error_that_says_nothing_pauses_its_offering_alone_unless_rights_are_missing() {
    for kind in [CloudErrorKind::Other, CloudErrorKind::NotFound] {
        let mut story = Story::new();
        story.refused("big", kind.clone(), 0);
        assert_eq!(open(&story, 1), ["small", "small.spot", "big.spot"], "{kind:?}");
        story.created("i-1", "small", 1);
        assert_eq!(
            story.gate("big", 2),
            Gate::Paused(PauseReason::CreateFailed),
            "{kind:?}: small says nothing of it"
        );
    }
    let mut story = Story::new();
    story.refused("big", CloudErrorKind::Unauthorized, 0);
    assert_eq!(open(&story, 4), [] as [&str; 0]);
    assert_eq!(open(&story, 5).len(), 4);
}

/// The lease had run out: the cloud was not asked.
#[test]
fn a_create_that_was_not_sent_pauses_nothing_and_is_no_failure() {
    let mut story = Story::new();
    let create = story.create("big", "c", 0).unwrap();
    assert_eq!(story.fails(create, CloudErrorKind::NotSent, 5), []);
    assert!(story.pool.pending(create).is_none());
    assert_eq!(open(&story, 5).len(), 4);
}

/// The retry that a quota hold allows, and the trial after boots that failed, are due as before.
#[test]
fn a_create_that_was_not_sent_uses_up_no_trial() {
    let mut story = Story::new();
    story.created("i-1", "big", 0);
    story.refused("small", CloudErrorKind::Quota(QuotaScope::All), 1);
    let due = (1..1_000).find(|second| story.gate("small", *second) == Gate::Open).expect("a retry");
    let retry = story.create("small", "c", due).unwrap();
    story.fails(retry, CloudErrorKind::NotSent, due + 5);
    assert_eq!(story.gate("small", due + 5), Gate::Open);

    let mut story = Story::new();
    boots_fail(&mut story, 3);
    let due = (1..1_000).find(|second| story.gate("small", *second) == Gate::Open).expect("a trial");
    let trial = story.create("small", "c", due).unwrap();
    story.fails(trial, CloudErrorKind::NotSent, due + 5);
    assert_eq!(story.gate("small", due + 5), Gate::Open);
}

fn boots_fail(story: &mut Story, times: i64) {
    for n in 0..times {
        story.created(&format!("bad-{n}"), "small", 0);
        let effects = story.pool.booted(&id(&format!("bad-{n}")), false, at(n));
        story.hear(effects);
        story.show(n, View { state: State::Shutdown, ..story.view(&format!("bad-{n}")) });
    }
}

#[test]
fn three_boot_failures_ration_the_creates_of_an_offering() {
    let mut story = Story::new();
    boots_fail(&mut story, 2);
    assert_eq!(story.gate("small", 2), Gate::Open);
    boots_fail(&mut story, 1);
    assert!(story.told.iter().any(|it| matches!(it, PoolFact::BootsFail { failures: 3, .. })));
    assert_eq!(story.gate("small", 5), Gate::Paused(PauseReason::BootsFail));
    assert_eq!(open(&story, 5), ["big", "small.spot", "big.spot"]);
    assert!(story.pool.wakes_at(at(5)).is_some(), "the scheduler is woken");
}

#[test]
fn a_bad_image_is_tried_by_one_at_a_time_less_and_less_often_up_to_half_an_hour() {
    let mut story = Story::new();
    boots_fail(&mut story, 3);
    let (mut second, mut waits) = (2, Vec::new());
    for n in 0..7 {
        let end = story.pool.holds.next_end(at(second)).unwrap();
        let wait = since(end, at(second)).as_secs() as i64;
        assert_eq!(story.gate("small", second + wait - 1), Gate::Paused(PauseReason::BootsFail));
        waits.push(wait);
        second += wait;
        let name = format!("try-{n}");
        story.created(&name, "small", second);
        assert_eq!(story.gate("small", second + 7200), Gate::Paused(PauseReason::BootsFail), "one at a time");
        story.show(second, View { state: State::Shutdown, ..story.view(&name) });
        story.pool.booted(&id(&name), false, at(second));
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 1800, 1800]);
}

/// Ten VMs that failed together put the next trial off for hours.
#[test]
fn boots_that_fail_together_are_one_step_of_the_rationing() {
    let mut story = Story::new();
    let names: Vec<_> = (0..10).map(|n| format!("bad-{n}")).collect();
    for name in &names {
        story.created(name, "small", 0);
    }
    let fail = |story: &mut Story, name: &str, second| {
        let effects = story.pool.booted(&id(name), false, at(second));
        story.hear(effects);
        story.show(second, View { state: State::Shutdown, ..story.view(name) });
    };
    for (name, second) in names.iter().zip(600..) {
        fail(&mut story, name, second);
    }
    assert_eq!(story.pool.holds.next_end(at(610)), Some(at(602 + 60)), "from the third failure");
    assert_eq!(story.gate("small", 662), Gate::Open);
    story.created("trial", "small", 662);
    fail(&mut story, "trial", 1262);
    assert_eq!(story.pool.holds.next_end(at(1262)), Some(at(1262 + 120)), "a failed trial doubles the wait");
}

/// The operator keeps it to look for the cause, so it stays for as long as that takes.
#[test]
fn an_instance_on_hold_is_no_trial() {
    let mut story = Story::new();
    boots_fail(&mut story, 3);
    story.created("kept", "small", 100);
    assert_eq!(story.gate("small", 4000), Gate::Paused(PauseReason::BootsFail), "it is the trial");
    story.show(101, View { behavior: IdleBehavior::Hold, ..story.view("kept") });
    assert_eq!(story.gate("small", 4000), Gate::Open);
}

#[test]
fn an_instance_that_is_not_booting_or_of_another_offering_is_no_trial() {
    let mut story = Story::new();
    boots_fail(&mut story, 3);
    story.created("ending", "small", 100);
    story.show(101, View { state: State::Shutdown, ..story.view("ending") });
    story.listed("found", "small", "found", 102);
    story.created("other", "big", 103);
    assert_eq!(story.gate("small", 4000), Gate::Open);
}

#[test]
fn why_an_instance_was_ended_while_it_booted_is_said_until_one_boots() {
    let mut story = Story::new();
    let said = |story: &Story| {
        let refusals = story.snapshot(0).refusals;
        refusals.get(&"small".parse().unwrap()).map(|it| (it.is_end(), it.message.clone()))
    };
    story.created("i-1", "small", 0);
    for began in [100, 200, 216] {
        story.listing(began, if began == 100 { &[] } else { &["i-1"] });
    }
    assert_eq!(said(&story), Some((true, "Taken: back".to_owned())));
    story.created("i-2", "small", 300);
    assert!(said(&story).is_some(), "to be accepted is not to boot");
    story.pool.booted(&id("i-2"), true, at(400));
    assert_eq!(said(&story), None);
}

/// 540 creates were made in two hours for ten jobs: nobody counted them as failed.
#[test]
fn an_instance_that_ends_by_itself_while_it_boots_is_a_failed_boot() {
    let mut story = Story::new();
    for n in 0..3 {
        let (name, second) = (format!("i-{n}"), 1000 * n);
        story.created(&name, "small", second);
        story.listing(second + 100, &[]);
        story.listing(second + 200, &[&name]);
        story.listing(second + 216, &[&name]);
        assert!(story.snapshot(0).workers.is_empty());
    }
    let ended = |it: &&PoolFact| matches!(it, PoolFact::EndedWhileBooting { reason: Some(_), .. });
    assert_eq!(story.told.iter().filter(ended).count(), 3);
    assert_eq!(story.gate("small", 2218), Gate::Paused(PauseReason::BootsFail));
    assert_eq!(open(&story, 2218), ["big", "small.spot", "big.spot"], "another type gets its turn");
}

#[test]
fn an_end_that_we_or_the_operator_may_have_wanted_is_no_failed_boot() {
    let wanted: [fn(View) -> View; 3] = [
        |view| View { behavior: IdleBehavior::Hold, ..view },
        |view| View {
            state: State::Shutdown,
            destroy_acknowledged: true,
            destroy_called: Some(at(1)),
            ..view
        },
        |view| View { state: State::Idle, ..view },
    ];
    for change in wanted {
        let mut story = Story::new();
        story.created("i-1", "small", 0);
        story.listing(100, &[]);
        story.show(101, change(story.view("i-1")));
        story.listing(200, &["i-1"]);
        story.listing(216, &["i-1"]);
        assert!(story.snapshot(0).workers.is_empty());
        assert!(!story.told.iter().any(|it| matches!(it, PoolFact::EndedWhileBooting { .. })));
    }
}

#[test]
fn creates_that_fail_together_are_one_step_of_the_backoff() {
    let mut story = Story::new();
    let creates: Vec<_> = (0..4).map(|n| story.create("big", &format!("s{n}"), 1).unwrap()).collect();
    for (create, second) in creates.into_iter().zip(2..) {
        story.fails(create, CloudErrorKind::Other, second);
    }
    assert_eq!(story.pool.holds.next_end(at(6)), Some(at(7)));
    story.refused("big", CloudErrorKind::Other, 7);
    assert_eq!(story.pool.holds.next_end(at(7)), Some(at(17)), "a new failure doubles the wait");
}

/// The answer of a slow call came while the retry was in flight, and was taken for its answer.
#[test]
fn the_refusal_of_an_older_create_is_not_the_retrys() {
    let mut story = Story::new();
    story.created("i-1", "small", 0);
    let slow = story.create("small", "slow", 1).unwrap();
    story.refused("small", QUOTA, 2);
    let retry = story.create("small", "retry", 302).unwrap();
    story.fails(slow, QUOTA, 303);
    assert_eq!(story.gate("small", 304), Gate::AtQuota(QuotaReason::Account), "one retry at a time");
    assert_eq!(story.gate("small", 4000), Gate::AtQuota(QuotaReason::Account), "it is still in flight");
    story.fails(retry, QUOTA, 305);
    assert_eq!(story.pool.holds.next_end(at(305)), Some(at(905)));
}

#[test]
fn one_success_ends_the_rationing() {
    let mut story = Story::new();
    boots_fail(&mut story, 3);
    assert!(story.supply(3).on_trial.contains(&story.typed("small").name));
    story.created("good", "small", 100);
    story.pool.booted(&id("good"), true, at(101));
    assert_eq!(story.gate("small", 102), Gate::Open);
}

#[test]
fn no_refusal_leaves_the_gate_of_its_own_type_open() {
    let over = CloudErrorKind::RateLimited { until: at(5) };
    for (kind, why) in [(spot_quota(), "another market's quota"), (over, "a limit that is over")] {
        let mut story = Story::new();
        story.refused("small", kind, 10);
        assert_ne!(story.gate("small", 11), Gate::Open, "{why}");
        assert_eq!(story.gate("big", 11), Gate::Open, "{why}: it may be had");
        assert_eq!(story.gate("small", 16), Gate::Open, "{why}: for a moment");
    }
}

fn vain(story: &Story, second: i64) -> Vec<String> {
    story.supply(second).vain.iter().map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn no_room_is_made_for_ten_minutes_for_what_was_refused_for_another_reason_than_a_limit() {
    for kind in [CloudErrorKind::Capacity(CapacityScope::Offering), CloudErrorKind::Other, spot_quota()] {
        let mut story = Story::new();
        story.refused("small", kind.clone(), 10);
        assert_eq!(vain(&story, 609), ["small"], "{kind:?}");
        assert_eq!(vain(&story, 610), [""; 0], "{kind:?}");
    }
}

#[test]
fn no_room_is_made_for_what_is_at_quota_while_none_of_it_exists() {
    for (others, expected) in [(false, vec!["small"]), (true, vec![])] {
        let mut story = Story::new();
        if others {
            story.created("i-1", "big", 0);
        }
        story.refused("small", QUOTA, 10);
        assert_eq!(vain(&story, 11), expected, "others exist: {others}");
    }
}

/// At that limit a container that waits ends the placement and makes room, which is of no use to these types.
#[test]
fn a_hold_comes_before_max_instances() {
    let capacity = CloudErrorKind::Capacity(CapacityScope::Offering);
    for (kind, gate) in [
        (capacity, Gate::AtCapacity(at(70))),
        (CloudErrorKind::Other, Gate::Paused(PauseReason::CreateFailed)),
        (QUOTA, Gate::AtQuota(QuotaReason::Account)),
    ] {
        let mut story = Story::with(Policy { max_instances: 1, ..policy() });
        story.refused("big", kind.clone(), 10);
        story.listed("i-1", "small", "of-another-life", 11);
        assert_eq!(story.gate("big", 12), gate, "{kind:?}");
    }
}
