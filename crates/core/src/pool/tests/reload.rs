//! The site's configuration was read anew.

use super::*;
use crate::instance::Catalog;

fn without(name: &str) -> Policy {
    let mut policy = policy();
    let kept = policy.catalog.types().iter().filter(|it| it.name.as_str() != name);
    policy.catalog = Catalog::new(kept.map(|it| InstanceType::clone(it)).collect::<Vec<_>>());
    policy
}

fn reload(story: &mut Story, policy: Policy) -> Vec<PoolEffect> {
    let groups = [(policy.catalog.types()[0].offering(), "standard".to_owned())].into();
    let effects = story.pool.use_policy(Arc::new(policy), groups, at(0));
    story.hear(effects)
}

#[test]
fn every_worker_is_told_and_the_scheduler_looks_again() {
    let mut story = Story::new();
    story.created("a", "small", 0);
    story.listed("b", "big", "b", 1);
    let effects = reload(&mut story, without("big"));
    let told = effects.iter().filter_map(|effect| match effect {
        PoolEffect::Command(id, _, Command::UsePolicy(policy)) => {
            assert!(policy.catalog.get("big").is_none());
            Some(id.to_string())
        }
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(effects.last(), Some(&PoolEffect::FleetChanged));
}

/// A plan that was made with the types of before may be on its way.
#[test]
fn what_is_configured_otherwise_now_is_not_created() {
    let mut story = Story::new();
    let (big, small) = (story.typed("big"), story.typed("small"));
    let mut changed = without("big");
    let dearer =
        InstanceType { price: crate::instance::Price::new(7.0).unwrap(), ..InstanceType::clone(&small) };
    changed.catalog = Catalog::new([dearer]);
    reload(&mut story, changed);
    for it in [big, small] {
        let refused = story.pool.create(it, Some(uuid(1)), Secret::new("s"), at(1));
        assert_eq!(refused, Err(CreateRefusal::TypeChanged));
    }
    let now = Arc::clone(story.pool.policy.catalog.get("small").unwrap());
    assert!(story.pool.create(now, Some(uuid(1)), Secret::new("s"), at(1)).is_ok());
}

#[test]
fn a_lower_limit_holds_at_once_and_a_higher_one_opens_the_gate() {
    let mut story = Story::new();
    story.created("a", "small", 0);
    let small = story.typed("small");
    reload(&mut story, Policy { max_instances: 1, ..policy() });
    assert_eq!(story.pool.gate(&small, at(1)), Gate::AtQuota(QuotaReason::MaxInstances));
    reload(&mut story, Policy { max_instances: 2, ..policy() });
    assert_eq!(story.pool.gate(&small, at(1)), Gate::Open);
}
