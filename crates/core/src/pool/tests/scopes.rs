//! How far holds on creates reach, and that each says when it ends.

use super::*;
use crate::instance::{Catalog, Market};

/// `big`, and the same of the cloud's types on the spot market.
fn both_markets() -> Story {
    let mut policy = policy();
    let on_demand = InstanceType::clone(&typed(&policy, "big"));
    let spot = InstanceType {
        name: "big.cheap".parse().unwrap(),
        preemptible: true,
        ..InstanceType::clone(&on_demand)
    };
    policy.catalog = Catalog::new([on_demand, spot]);
    Story::with(policy)
}

#[test]
fn a_lack_on_one_market_is_none_on_the_other_although_the_cloud_names_the_type_alike() {
    for scope in [CapacityScope::Offering, CapacityScope::QuotaGroup] {
        for (lacking, there) in [("big", "big.cheap"), ("big.cheap", "big")] {
            let mut story = both_markets();
            story.refused(lacking, CloudErrorKind::Capacity(scope), 0);
            assert_eq!(story.gate(lacking, 1), Gate::AtCapacity(at(60)), "{scope:?}");
            assert_eq!(story.gate(there, 1), Gate::Open, "{scope:?}");
        }
    }
}

#[test]
fn boot_failures_on_one_market_do_not_ration_the_other() {
    let mut story = both_markets();
    for n in 0..3 {
        let name = format!("bad-{n}");
        story.created(&name, "big.cheap", n);
        story.pool.booted(&id(&name), false, at(n));
        story.show(n, View { state: State::Shutdown, ..story.view(&name) });
    }
    assert_eq!(story.gate("big.cheap", 5), Gate::Paused(PauseReason::BootsFail));
    assert_eq!(story.gate("big", 5), Gate::Open);
}

/// An end that nobody is woken for is a queue that stands still (docs/lessons.md, "Lesson 11").
#[test]
fn each_hold_says_when_it_ends() {
    let quota = |scope| CloudErrorKind::Quota(scope);
    let cases = [
        (CloudErrorKind::RateLimited { until: at(33) }, at(33)),
        (quota(QuotaScope::All), at(300)),
        (quota(QuotaScope::Market(Market::OnDemand)), at(300)),
        (CloudErrorKind::Capacity(CapacityScope::Offering), at(60)),
        (CloudErrorKind::Capacity(CapacityScope::QuotaGroup), at(60)),
        (CloudErrorKind::Capacity(CapacityScope::All), at(60)),
        (CloudErrorKind::Other, at(5)),
    ];
    for (kind, end) in cases {
        let mut story = Story::new();
        story.created("i-1", "small", 0);
        story.refused("big", kind.clone(), 0);
        assert_ne!(story.gate("big", 1), Gate::Open, "{kind:?}");
        assert_eq!(story.pool.holds.next_end(at(1)), Some(end), "{kind:?}");
        assert!(story.pool.wakes_at(at(1)) <= Some(end), "{kind:?}");
        let ended = since(end, at(0)).as_secs() as i64;
        assert_eq!(story.gate("big", ended), Gate::Open, "{kind:?}");
        assert_eq!(story.pool.holds.next_end(end), None, "{kind:?}: nobody is woken for what is over");
    }
}

#[test]
fn the_pause_of_an_offering_that_does_not_boot_says_when_it_ends() {
    let mut story = both_markets();
    for n in 0..3 {
        let name = format!("bad-{n}");
        story.created(&name, "big", n);
        story.pool.booted(&id(&name), false, at(n));
        story.show(n, View { state: State::Shutdown, ..story.view(&name) });
    }
    assert_eq!(story.pool.holds.next_end(at(5)), Some(at(2 + 60)));
    assert_eq!(story.gate("big", 62), Gate::Open);
}

/// Whichever comes first, the answer or a listing: the quota has room again.
#[test]
fn a_retry_that_a_listing_shows_first_ends_the_hold() {
    let mut story = Story::new();
    story.created("i-1", "small", 0);
    story.refused("small", CloudErrorKind::Quota(QuotaScope::All), 10);
    let retry = story.create("small", "s-2", 310).unwrap();
    assert_eq!(story.gate("small", 311), Gate::AtQuota(QuotaReason::Account), "one at a time");
    story.listed("i-2", "small", "s-2", 312);
    assert_ne!(story.gate("small", 313), Gate::AtQuota(QuotaReason::Account));
    story.answered(retry, "i-2", "small", "s-2", 320);
    assert_ne!(story.gate("small", 321), Gate::AtQuota(QuotaReason::Account));
}
