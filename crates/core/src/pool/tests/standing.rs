//! The ends of holds on creates are told once they are for good.

use super::*;

/// The holds that have ended, and when, since this was asked last.
fn ended(story: &mut Story, second: i64) -> Vec<(HoldKind, String, Timestamp)> {
    let effects = story.pool.tick(at(second));
    let told = effects.into_iter().filter_map(|effect| match effect {
        PoolEffect::Tell(PoolFact::HoldEnded { hold, at }) => Some((hold.kind, hold.scope, at)),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_hold_has_ended_when_there_was_none_like_it_for_a_minute() {
    let mut story = Story::new();
    story.refused("small", CloudErrorKind::Capacity(CapacityScope::Offering), 0);
    assert_eq!(ended(&mut story, 59), []);
    assert_eq!(ended(&mut story, 60), [], "its time is over");
    assert_eq!(story.pool.wakes_at(at(61)), Some(at(120)));
    assert_eq!(ended(&mut story, 119), []);
    let offering = story.typed("small").offering().to_string();
    assert_eq!(ended(&mut story, 120), [(HoldKind::Capacity, offering, at(60))]);
    assert_eq!(ended(&mut story, 500), [], "once");
}

#[test]
fn one_that_begins_again_at_once_has_not_ended() {
    let mut story = Story::new();
    for second in [0, 62, 124] {
        story.refused("small", CloudErrorKind::Capacity(CapacityScope::Offering), second);
        assert_eq!(ended(&mut story, second + 1), []);
        assert_eq!(ended(&mut story, second + 61), []);
    }
    assert_eq!(ended(&mut story, 300).len(), 1);
}

#[test]
fn each_kind_of_hold_is_named_with_its_scope() {
    let mut story = Story::new();
    story.refused("big", CloudErrorKind::Other, 0);
    story.refused("big.spot", CloudErrorKind::Quota(QuotaScope::Market(crate::instance::Market::Spot)), 0);
    story.refused("small", CloudErrorKind::RateLimited { until: at(30) }, 0);
    ended(&mut story, 1);
    ended(&mut story, 100);
    let told = ended(&mut story, 200);
    let told: Vec<_> = told.iter().map(|(kind, scope, _)| (kind.as_str(), scope.as_str())).collect();
    assert_eq!(
        told,
        [("rate limit", "all"), ("create failed", "p.big on-demand")],
        "the quota is still reached"
    );
    story.created("s", "small.spot", 400);
    ended(&mut story, 401);
    let told = ended(&mut story, 600);
    assert_eq!(
        told.iter().map(|(kind, scope, _)| (*kind, scope.as_str())).collect::<Vec<_>>(),
        [(HoldKind::Quota, "spot")]
    );
}
