//! Tests of how the simulated cloud behaves.

use dispatch_core::instance::{Market, Offering};
use dispatch_core::ports::{CapacityScope, CloudDriver, HostKey, HostKeyVerdict, QuotaScope};
use dispatch_core::time::after;

use super::knobs::RateLimit;
use super::*;
use crate::chance::Span;
use crate::group::Group;
use crate::{clock, samples};

fn driver(knobs: CloudKnobs) -> SimCloud {
    clock::begin();
    SimCloud::new(Rc::new(RefCell::new(FakeCloud::new(1, knobs, None))))
}

async fn create(driver: &SimCloud, secret: &str) -> Result<Instance, CloudErrorKind> {
    create_as(driver, &samples::instance_type("small", 2), secret).await
}

async fn create_as(
    driver: &SimCloud,
    instance_type: &Arc<InstanceType>,
    secret: &str,
) -> Result<Instance, CloudErrorKind> {
    driver.create(&samples::order(instance_type, "set", secret)).await.map_err(|error| error.kind)
}

async fn listed(driver: &SimCloud) -> Vec<InstanceId> {
    driver.list(&Tags::default()).await.unwrap().into_iter().map(|it| it.id).collect()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_vm_is_listed_before_its_create_returns() {
    let driver = driver(CloudKnobs::default());
    let creating = create(&driver, "s");
    let looking = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        listed(&driver).await
    };
    let (created, seen) = tokio::join!(creating, looking);
    assert_eq!(seen, [created.unwrap().id]);
}

#[tokio::test(start_paused = true)]
async fn an_address_comes_later() {
    let driver = driver(CloudKnobs::default());
    assert_eq!(create(&driver, "s").await.unwrap().address, "");
    pass(10).await;
    let instance = driver.list(&Tags::default()).await.unwrap().remove(0);
    assert!(instance.address.starts_with("127."), "{}", instance.address);
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_is_lost_made_a_vm_and_sent_again_makes_no_second() {
    let driver = driver(CloudKnobs::default());
    driver.cloud().borrow_mut().knobs.strike_next(CloudCall::Create, CloudFault::LostAnswer);
    assert_eq!(create(&driver, "s").await, Err(CloudErrorKind::Unknown));
    let [made] = &listed(&driver).await[..] else { panic!("one VM") };
    assert_eq!(create(&driver, "s").await.unwrap().id, *made);
    assert_eq!(listed(&driver).await.len(), 1);
    assert_ne!(create(&driver, "t").await.unwrap().id, *made);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_lost_on_its_way_made_nothing() {
    let driver = driver(CloudKnobs::default());
    driver.cloud().borrow_mut().knobs.strike_next(CloudCall::Create, CloudFault::LostCall);
    assert_eq!(create(&driver, "s").await, Err(CloudErrorKind::Unknown));
    assert!(listed(&driver).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn quotas_count_what_exists_and_have_a_scope() {
    let spot = samples::spot_type("cheap", 2);
    let driver = driver(CloudKnobs {
        quota_all: Some(2),
        quota_market: BTreeMap::from([(Market::Spot, 1)]),
        ..CloudKnobs::default()
    });
    create_as(&driver, &spot, "a").await.unwrap();
    let over_spot = CloudErrorKind::Quota(QuotaScope::Market(Market::Spot));
    assert_eq!(create_as(&driver, &spot, "b").await, Err(over_spot));
    let second = create(&driver, "c").await.unwrap();
    assert_eq!(create(&driver, "d").await, Err(CloudErrorKind::Quota(QuotaScope::All)));
    driver.destroy(&second.id).await.unwrap();
    assert_eq!(create(&driver, "d").await, Err(CloudErrorKind::Quota(QuotaScope::All)));
    pass(10).await;
    create(&driver, "d").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn capacity_ends_for_an_offering_or_a_quota_group() {
    let (small, large) = (samples::instance_type("small", 2), samples::instance_type("large", 8));
    let offering = Offering { provider_type: small.provider_type.clone(), market: Market::OnDemand };
    let driver = driver(CloudKnobs {
        capacity: BTreeMap::from([(offering, 0)]),
        quota_group: BTreeMap::from([(("std".to_owned(), Market::OnDemand), 1)]),
        ..CloudKnobs::default()
    });
    let none_of_it = CloudErrorKind::Capacity(CapacityScope::Offering);
    assert_eq!(create_as(&driver, &small, "a").await, Err(none_of_it));
    create_as(&driver, &large, "b").await.unwrap();
    let none_of_its_group = CloudErrorKind::Capacity(CapacityScope::QuotaGroup);
    assert_eq!(create_as(&driver, &large, "c").await, Err(none_of_its_group));
    create_as(&driver, &samples::spot_type("large", 8), "d").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_rate_are_told_when_to_come_back() {
    let limit = RateLimit { calls: 2, within: Duration::from_secs(10), wait: Duration::from_secs(7) };
    let driver = driver(CloudKnobs {
        rate_limits: BTreeMap::from([(CloudCall::List, limit)]),
        ..CloudKnobs::default()
    });
    listed(&driver).await;
    listed(&driver).await;
    let refused = driver.list(&Tags::default()).await.unwrap_err().kind;
    assert!(matches!(refused, CloudErrorKind::RateLimited { until } if until > clock::now()));
    pass(10).await;
    listed(&driver).await;
    assert_eq!(driver.cloud().borrow().most_calls_within(Duration::from_secs(1)), 3);
}

#[tokio::test(start_paused = true)]
async fn a_listing_may_lag_and_omit_a_vm() {
    let knobs = CloudKnobs { listed_after: Span::seconds(30), ..CloudKnobs::default() };
    let driver = driver(knobs);
    let id = create(&driver, "s").await.unwrap().id;
    assert!(listed(&driver).await.is_empty());
    pass(30).await;
    assert_eq!(listed(&driver).await, std::slice::from_ref(&id));
    driver.cloud().borrow_mut().omit_next(&id, 2);
    assert!(listed(&driver).await.is_empty());
    assert!(listed(&driver).await.is_empty());
    // Until another listing comes, a dispatcher cannot know better (found by seed 12579).
    let concealed = || driver.cloud().borrow().omitted_lately(clock::now(), Duration::from_secs(300));
    pass(3000).await;
    assert_eq!(concealed(), 1);
    assert_eq!(listed(&driver).await, [id]);
    assert_eq!(concealed(), 1, "its answer may be on its way");
    pass(300).await;
    assert_eq!(concealed(), 0);
}

#[tokio::test(start_paused = true)]
async fn changed_tags_are_merged_and_may_show_late() {
    let driver = driver(CloudKnobs { tags_lag: Span::seconds(20), ..CloudKnobs::default() });
    let id = create(&driver, "s").await.unwrap().id;
    let mut hold = Tags::default();
    hold.insert("ArvadosIdleBehavior", "hold");
    driver.set_tags(&id, &hold).await.unwrap();
    assert!(driver.list(&hold).await.unwrap().is_empty());
    pass(20).await;
    let shown = driver.list(&hold).await.unwrap().remove(0).tags;
    assert_eq!(shown.get("ArvadosInstanceType"), Some("small"));
}

#[tokio::test(start_paused = true)]
async fn a_destroyed_vm_is_listed_while_it_stops_and_then_gone() {
    let driver = driver(CloudKnobs::default());
    let id = create(&driver, "s").await.unwrap().id;
    driver.destroy(&id).await.unwrap();
    assert_eq!(listed(&driver).await, std::slice::from_ref(&id));
    pass(10).await;
    assert!(listed(&driver).await.is_empty());
    driver.destroy(&id).await.unwrap();
    assert_eq!(driver.set_tags(&id, &Tags::default()).await.unwrap_err().kind, CloudErrorKind::NotFound);
    let cloud = driver.cloud().borrow();
    let vm = cloud.vm(&id).unwrap();
    assert!(vm.destroyed_at.unwrap() > vm.made_at && vm.ends_at.unwrap() > vm.destroyed_at.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_destroy_may_be_lost_or_ignored_and_the_vm_lives_on() {
    let driver = driver(CloudKnobs::default());
    let id = create(&driver, "s").await.unwrap().id;
    for (fault, succeeds) in [(CloudFault::IgnoredSilently, true), (CloudFault::LostCall, false)] {
        driver.cloud().borrow_mut().knobs.strike_next(CloudCall::Destroy, fault);
        assert_eq!(driver.destroy(&id).await.is_ok(), succeeds);
        pass(60).await;
        assert_eq!(listed(&driver).await, std::slice::from_ref(&id));
    }
}

#[tokio::test(start_paused = true)]
async fn spot_vms_are_taken_away() {
    let knobs =
        CloudKnobs { spot_taken_rate: 1.0, spot_taken_after: Span::seconds(100), ..CloudKnobs::default() };
    let driver = driver(knobs);
    create_as(&driver, &samples::spot_type("cheap", 2), "a").await.unwrap();
    create(&driver, "b").await.unwrap();
    assert_eq!(listed(&driver).await.len(), 2);
    pass(120).await;
    assert_eq!(listed(&driver).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn faults_may_last_and_are_stopped() {
    let driver = driver(CloudKnobs::default());
    let minute = Duration::from_secs(60);
    let only = Some(CloudCall::Create);
    driver.cloud().borrow_mut().knobs.strike_all(only, CloudFault::Unauthorized, clock::now(), minute);
    assert_eq!(create(&driver, "s").await, Err(CloudErrorKind::Unauthorized));
    listed(&driver).await;
    driver.cloud().borrow_mut().knobs.stop_faults();
    create(&driver, "s").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn history_tells_every_call_and_how_many_existed() {
    let driver = driver(CloudKnobs::default());
    create(&driver, "a").await.unwrap();
    create(&driver, "b").await.unwrap();
    let cloud = driver.cloud().borrow();
    let existing: Vec<usize> = cloud.history().iter().map(|entry| entry.existing).collect();
    assert_eq!(existing, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_driver_knows_a_hosts_key_if_it_is_told_to() {
    let driver = driver(CloudKnobs { host_keys: HostKeyVerdict::Genuine, ..CloudKnobs::default() });
    let id = create(&driver, "s").await.unwrap().id;
    let key = |base64: &str| HostKey { algorithm: "ssh-ed25519".to_owned(), base64: base64.to_owned() };
    let verdict = async |base64: &str| driver.verify_host_key(&id, &key(base64)).await.unwrap();
    assert_eq!(verdict(id.as_str()).await, HostKeyVerdict::Genuine);
    assert_eq!(verdict("impostor").await, HostKeyVerdict::Forged);
}

#[tokio::test(start_paused = true)]
async fn an_immortal_vm_is_listed_for_ever_after_its_destroy() {
    let driver = driver(CloudKnobs::default());
    let id = create(&driver, "s").await.unwrap().id;
    driver.cloud().borrow_mut().make_immortal(&id);
    driver.destroy(&id).await.unwrap();
    pass(24 * 3600).await;
    assert_eq!(listed(&driver).await, [id]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_closed_for_ever_outlives_the_end_of_faults_and_another_does_not() {
    let mut knobs = CloudKnobs::default();
    knobs.close(Group::sample("small"), CloudFault::Other, None);
    knobs.close(
        Group::sample("large"),
        CloudFault::Other,
        Some(after(clock::epoch(), Duration::from_secs(3600))),
    );
    let driver = driver(knobs);
    let large = samples::instance_type("large", 8);
    assert!(create(&driver, "a").await.is_err() && create_as(&driver, &large, "b").await.is_err());
    driver.cloud().borrow_mut().knobs.stop_faults();
    assert!(create(&driver, "c").await.is_err() && create_as(&driver, &large, "d").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_vm_that_the_cloud_ends_while_it_boots_vanishes_from_listings() {
    let mut knobs = CloudKnobs::default();
    knobs.always_ends_booting.push(Group::Everything);
    let driver = driver(knobs);
    let id = create(&driver, "s").await.unwrap().id;
    pass(20).await;
    assert_eq!(listed(&driver).await, []);
    assert!(driver.cloud().borrow().vm(&id).unwrap().taken_away);
}
