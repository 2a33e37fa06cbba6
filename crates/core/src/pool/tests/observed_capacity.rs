//! How many instances the account gives, as the cloud's last refusals told.

use super::*;
use crate::instance::Market;
use crate::ports::CapacityScope;

const GROUP: CloudErrorKind = CloudErrorKind::Capacity(CapacityScope::QuotaGroup);

fn capacity(story: &Story, name: &str) -> Option<(ObservedScope, usize)> {
    let supply = story.supply(0);
    let capacity = supply.observed_capacity.get(&story.typed(name).name)?;
    Some((capacity.scope.clone(), capacity.instances))
}

fn group() -> ObservedScope {
    ObservedScope::Group("standard".to_owned(), Market::OnDemand)
}

#[test]
fn a_refusal_for_a_quota_group_is_remembered_for_its_types_until_more_are_seen_running() {
    let mut story = Story::new();
    for name in ["i-1", "i-2"] {
        story.listed(name, "small", name, 0);
    }
    assert_eq!(capacity(&story, "small"), None);
    story.create("big", "pending", 5).unwrap();
    story.refused("big", GROUP, 10);
    assert_eq!(
        [capacity(&story, "small"), capacity(&story, "big")],
        [Some((group(), 3)), Some((group(), 3))]
    );
    assert_eq!(capacity(&story, "small.spot"), None, "a market of its own");
    for name in ["i-3", "i-4"] {
        story.listed(name, "small", name, 20);
    }
    assert_eq!(capacity(&story, "small"), Some((group(), 3)), "what boots proves nothing");
    for name in ["i-1", "i-2", "i-3", "i-4"] {
        story.in_service(name, 30);
    }
    story.listing(40, &[]);
    assert_eq!(capacity(&story, "small"), None);
}

#[test]
fn the_narrowest_counts_and_one_instance_is_the_least() {
    let mut story = Story::new();
    story.refused("small", GROUP, 10);
    assert_eq!(capacity(&story, "big"), Some((group(), 1)));
    for name in ["i-1", "i-2"] {
        story.listed(name, "small", name, 20);
    }
    story.refused("small", GROUP, 100);
    story.listed("i-3", "small", "i-3", 200);
    story.refused("small", CloudErrorKind::Quota(QuotaScope::All), 200);
    assert_eq!(capacity(&story, "small"), Some((group(), 2)));
    assert_eq!(capacity(&story, "small.spot"), Some((ObservedScope::Quota(QuotaScope::All), 3)));
}

#[test]
fn types_share_the_capacity_of_their_group_and_one_without_a_capacity_has_no_end() {
    let mut story = Story::new();
    story.refused("small", GROUP, 10);
    let capacitys = |story: &Story, names: &[&str]| {
        let types: Vec<_> = names.iter().map(|name| story.typed(name)).collect();
        story.supply(0).observed_capacity_for(&types)
    };
    assert_eq!(capacitys(&story, &["small", "big"]), Some(1));
    assert_eq!(capacitys(&story, &["small", "small.spot"]), None);
    assert_eq!(capacitys(&story, &[]), None);
}
