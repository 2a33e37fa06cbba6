//! The account without a cloud: slots, listings, what they tell, and when the next is due.

use std::time::Duration;

use super::*;
use crate::fixtures::{at, id, instance as listed_instance, policy, typed};
use crate::instance::{InstanceType, PricePoint};
use crate::ports::CloudErrorKind;
use crate::time::after;

fn account() -> Account {
    Account::new(Arc::new(policy()), at(0))
}

/// One of our instances.
fn ours(name: &str) -> Instance {
    let policy = policy();
    let mut made = listed_instance(name, &typed(&policy, "small"), "s3cr3t");
    made.tags.insert(&*policy.tag_keys.instance_set_id, policy.instance_set_id.as_str());
    made
}

fn no_prices(_: &Instance, _: &InstanceType) -> Vec<PricePoint> {
    Vec::new()
}

fn error(kind: CloudErrorKind) -> CloudError {
    CloudError { kind, code: "code".to_owned(), message: "the cloud says no".to_owned() }
}

/// A whole listing that begins and ends then; Pool confirms nothing.
fn list(account: &mut Account, second: i64, instances: &[Instance]) -> Vec<AccountEffect> {
    assert!(matches!(account.sync_is_due(at(second))[..], [AccountEffect::List(_)]));
    let effects = account.listed(instances.to_vec(), no_prices, at(second), at(second));
    account.absence_confirmed(&[], at(second));
    effects
}

/// The instances that a listing has told of, and those it lacked.
fn told(effects: &[AccountEffect]) -> (Vec<String>, Vec<InstanceId>) {
    let (mut shown, mut lacking) = (Vec::new(), Vec::new());
    for effect in effects {
        match effect {
            AccountEffect::Appeared(instance) => shown.push(format!("{} appeared", instance.id)),
            AccountEffect::Changed(instance) => shown.push(format!("{} changed", instance.id)),
            AccountEffect::AskAbsent { absent, .. } => lacking.extend(absent.clone()),
            AccountEffect::List(_) | AccountEffect::SyncAt(_) | AccountEffect::Tell(_) => {}
        }
    }
    (shown, lacking)
}

// ------------------------------------------------------------------ calls

#[test]
fn calls_are_a_slot_apart_in_order_and_unused_slots_are_not_saved_up() {
    let mut account = account();
    let rate = policy().max_cloud_ops_per_second;
    let apart = Duration::from_secs(1) / rate;
    let first = account.begin_call(AccountOperation::Destroy, at(10));
    let second = account.begin_call(AccountOperation::Create, at(10));
    assert_eq!((first.send_at, second.send_at), (at(10), after(at(10), apart)));
    assert_eq!(account.begin_call(AccountOperation::VerifyHostKey, at(10)).send_at, at(10), "it has no slot");
    assert_eq!(account.begin_call(AccountOperation::List, at(100)).send_at, at(100));
}

#[test]
fn without_a_limit_every_call_is_sent_at_once() {
    let policy = Policy { max_cloud_ops_per_second: 0, ..policy() };
    let mut account = Account::new(Arc::new(policy), at(0));
    for _ in 0..50 {
        assert_eq!(account.begin_call(AccountOperation::Create, at(1)).send_at, at(1));
    }
}

#[test]
fn a_rate_limit_that_ends_in_the_past_still_keeps_us_waiting() {
    let mut account = account();
    let slot = account.begin_call(AccountOperation::Create, at(10));
    let limited = |until| error(CloudErrorKind::RateLimited { until });
    assert_eq!(account.end_call::<()>(slot, Err(limited(at(3))), at(10)), Err(limited(at(11))));
    let slot = account.begin_call(AccountOperation::Create, at(10));
    assert_eq!(account.end_call::<()>(slot, Err(limited(at(40))), at(10)), Err(limited(at(40))));
}

// ------------------------------------------------------------------ what listings tell

#[test]
fn a_listing_tells_what_appeared_and_changed_and_asks_about_what_is_absent() {
    let mut account = account();
    list(&mut account, 0, &[ours("a"), ours("b"), ours("c")]);
    let moved = Instance { address: "10.0.0.9".to_owned(), ..ours("b") };
    let effects = list(&mut account, 60, &[moved, ours("c"), ours("d")]);
    assert_eq!(told(&effects), (vec!["b changed".to_owned(), "d appeared".to_owned()], vec![id("a")]));
}

#[test]
fn other_sets_instances_are_left_out_and_one_that_is_listed_twice_is_told_once() {
    let mut other = ours("x");
    other.tags.insert(&*policy().tag_keys.instance_set_id, "another set");
    let effects = list(&mut account(), 0, &[ours("a"), other, ours("a")]);
    assert_eq!(told(&effects), (vec!["a appeared".to_owned()], vec![]));
}

#[test]
fn an_absent_instance_is_asked_about_until_it_is_confirmed() {
    let mut account = account();
    list(&mut account, 0, &[ours("a")]);
    for second in [60, 120] {
        assert_eq!(told(&list(&mut account, second, &[])).1, [id("a")]);
    }
    account.absence_confirmed(&[id("a")], at(120));
    assert_eq!(told(&list(&mut account, 180, &[])).1, []);
}

#[test]
fn what_was_created_after_a_listing_began_is_not_absent_from_it() {
    let mut account = account();
    account.sync_is_due(at(60));
    account.created(&ours("a"), at(61));
    let effects = account.listed(vec![], no_prices, at(60), at(62));
    assert_eq!(told(&effects), (vec![], vec![]));
    account.absence_confirmed(&[], at(62));
    assert_eq!(told(&list(&mut account, 120, &[])).1, [id("a")]);
}

#[test]
fn tags_that_were_sent_are_news_only_if_a_listing_shows_others() {
    let mut account = account();
    list(&mut account, 0, &[ours("a")]);
    let mut tags = Tags::default();
    tags.insert("Owner", "lab");
    account.tags_sent(&id("a"), &tags);
    let mut saved = ours("a");
    saved.tags.merge(&tags);
    assert_eq!(told(&list(&mut account, 60, &[saved])).0, [""; 0]);
    assert_eq!(told(&list(&mut account, 120, &[ours("a")])).0, ["a changed"], "not saved");
}

// ------------------------------------------------------------------ when the next is due

#[test]
fn the_next_listing_is_an_interval_after_the_end_of_the_last_or_when_it_was_asked_for_meanwhile() {
    let interval = policy().sync_interval;
    let mut account = account();
    account.sync_is_due(at(0));
    assert_eq!(account.sync_is_due(at(1)), [], "one at a time");
    assert_eq!(account.absence_confirmed(&[], at(2)), [AccountEffect::SyncAt(after(at(2), interval))]);
    assert_eq!(account.sync_by(at(20)), [AccountEffect::SyncAt(at(20))], "the soonest wish holds");
    assert_eq!(account.sync_by(at(30)), []);
    account.sync_is_due(at(20));
    assert_eq!(account.sync_by(at(25)), [], "the one under way may have begun too early to tell");
    assert_eq!(account.absence_confirmed(&[], at(21)), [AccountEffect::SyncAt(at(25))]);
}

#[test]
fn failing_listings_are_told_each_and_their_end_once() {
    let mut account = account();
    let next = AccountEffect::SyncAt(after(at(0), policy().sync_interval));
    account.sync_is_due(at(0));
    let failed = AccountEffect::Tell(AccountFact::ListFailed(error(CloudErrorKind::Other)));
    assert_eq!(account.list_failed(error(CloudErrorKind::Other), at(0)), [failed, next]);
    let effects = list(&mut account, 60, &[]);
    assert_eq!(effects[0], AccountEffect::Tell(AccountFact::ListRecovered(Duration::from_secs(60))));
    assert!(matches!(list(&mut account, 120, &[])[..], [AccountEffect::AskAbsent { .. }]));
}

#[test]
fn while_the_cloud_wants_no_listings_none_is_made_whoever_asks() {
    let mut account = account();
    account.sync_is_due(at(0));
    let limited = error(CloudErrorKind::RateLimited { until: at(30) });
    assert_eq!(account.list_failed(limited, at(0)).last(), Some(&AccountEffect::SyncAt(at(30))));
    account.sync_by(at(5));
    assert_eq!(account.sync_is_due(at(5)), [AccountEffect::SyncAt(at(30))]);
    assert!(matches!(account.sync_is_due(at(30))[..], [AccountEffect::List(_)]));
}

// ------------------------------------------------------------------ the state

#[test]
fn the_state_shows_instances_without_their_secrets_and_calls_with_their_time() {
    let mut account = account();
    list(&mut account, 0, &[ours("a")]);
    account.begin_call(AccountOperation::Destroy, at(5));
    let text = serde_json::to_string(&account.inspect()).unwrap();
    assert!(!text.contains("s3cr3t"), "{text}");
    let state: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(state["instances"][0]["id"], "a");
    assert_eq!(state["calls"][0]["operation"], "Destroy");
    assert_eq!(state["calls"][0]["since"], at(5).to_string());
}

/// After a pause of this process all slots that have passed come at once.
#[test]
fn calls_whose_slots_have_passed_are_sent_one_by_one() {
    let mut policy = policy();
    policy.max_cloud_ops_per_second = 2;
    let mut account = Account::new(Arc::new(policy), at(0));
    let slots: Vec<_> = (0..3).map(|_| account.begin_call(AccountOperation::Destroy, at(0))).collect();
    let later = |millis| after(at(60), Duration::from_millis(millis));
    assert_eq!(account.send(slots[0], later(0)), None);
    assert_eq!(account.send(slots[1], later(0)), Some(later(500)));
    assert_eq!(account.send(slots[1], later(500)), None);
    assert_eq!(account.send(slots[2], later(500)), Some(later(1000)));
    let key = account.begin_call(AccountOperation::VerifyHostKey, later(500));
    assert_eq!(account.send(key, later(500)), None, "a question about a host key has no slot");
}

// ------------------------------------------------------------------ reload

#[test]
fn a_new_configuration_paces_the_next_calls_and_lists_no_later_than_it_says() {
    let mut account = account();
    list(&mut account, 0, &[]);
    let longer = Policy { sync_interval: 10 * policy().sync_interval, ..policy() };
    assert_eq!(account.use_policy(Arc::new(longer), at(1)), [], "the one that is due stays due");
    let mut sooner = policy();
    (sooner.sync_interval, sooner.max_cloud_ops_per_second) = (Duration::from_secs(5), 1);
    assert_eq!(account.use_policy(Arc::new(sooner), at(1)), [AccountEffect::SyncAt(at(6))]);
    let slots = [0, 1].map(|_| account.begin_call(AccountOperation::Destroy, at(10)).send_at);
    assert_eq!(slots, [at(10), at(11)]);
}
