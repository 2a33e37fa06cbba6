//! Cloud against a cloud of a few instances; Pool is a set of stubs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::{IdleBehavior, Tags};
use dispatch_core::pool::GoneReply;
use dispatch_core::ports::CloudErrorKind;
use dispatch_core::secret::Secret;

use super::*;
use crate::testing::{
    FakeCloud, Lines, Meter, Stub, elapsed, epoch, id, instance, pass, pass_millis, pause, policy, seconds,
    shared, tagged,
};

/// What Pool was told, in order.
#[derive(Debug, PartialEq)]
enum Told {
    Appeared(String),
    Changed(String),
    Gone(String),
    /// A listing that began then.
    Finished(f64),
}
use Told::{Appeared, Changed, Finished, Gone};

/// Whom to ask for a listing, and in how long.
type Wish = Rc<RefCell<Option<(Recipient<SyncBy>, Duration)>>>;

/// Pool, as far as Cloud knows it: one actor, so that the order shows.
struct Ear {
    told: Rc<RefCell<Vec<Told>>>,
    reply: Rc<RefCell<GoneReply>>,
    /// What it asks of Cloud when an instance is gone.
    wants: Wish,
}

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<InstanceAppeared> for Ear {
    type Result = ();
    fn handle(&mut self, message: InstanceAppeared, _: &mut Context<Self>) {
        self.told.borrow_mut().push(Appeared(message.instance.id.to_string()));
    }
}

impl Handler<InstanceChanged> for Ear {
    type Result = ();
    fn handle(&mut self, message: InstanceChanged, _: &mut Context<Self>) {
        self.told.borrow_mut().push(Changed(message.instance.id.to_string()));
    }
}

impl Handler<InstanceGone> for Ear {
    type Result = MessageResult<InstanceGone>;
    fn handle(&mut self, message: InstanceGone, _: &mut Context<Self>) -> Self::Result {
        self.told.borrow_mut().push(Gone(message.id.to_string()));
        if let Some((cloud, wait)) = self.wants.take() {
            cloud.do_send(SyncBy { at: dispatch_core::time::after(clock::now(), wait) });
        }
        MessageResult(*self.reply.borrow())
    }
}

impl Handler<ListingFinished> for Ear {
    type Result = ();
    fn handle(&mut self, message: ListingFinished, _: &mut Context<Self>) {
        self.told.borrow_mut().push(Finished(seconds(message.began)));
    }
}

struct Site {
    driver: Rc<FakeCloud>,
    cloud: Addr<Cloud>,
    told: Rc<RefCell<Vec<Told>>>,
    reply: Rc<RefCell<GoneReply>>,
    wants: Wish,
    meter: Meter,
    lines: Lines,
}

fn site_with(driver: Rc<FakeCloud>, policy: Policy, defaults: CreateDefaults) -> Site {
    pause();
    let (log, lines) = Lines::new();
    let meter = Meter::new();
    let (told, reply) = (Rc::default(), Rc::new(RefCell::new(GoneReply::Suspected)));
    let wants = Wish::default();
    let ear = Ear { told: Rc::clone(&told), reply: Rc::clone(&reply), wants: Rc::clone(&wants) }.start();
    let listeners = CloudListeners {
        appeared: ear.clone().recipient(),
        changed: ear.clone().recipient(),
        gone: ear.clone().recipient(),
        finished: ear.recipient(),
    };
    let telemetry = (Rc::clone(&meter.metrics), log);
    let cloud =
        Cloud::new(shared(policy), Rc::clone(&driver) as Rc<dyn CloudDriver>, defaults, listeners, telemetry);
    Site { driver, cloud: cloud.start(), told, reply, wants, meter, lines }
}

fn site(instances: impl IntoIterator<Item = Instance>) -> Site {
    site_with(FakeCloud::with(instances), policy(), CreateDefaults::default())
}

/// An order to end it, whose worker never takes it back.
fn destroy(id: InstanceId) -> DestroyInstance {
    DestroyInstance { id, worker: Stub::new(|_| async { true }).recipient }
}

fn create() -> OrderInstance {
    let instance_type = Arc::clone(&policy().catalog.types()[0]);
    OrderInstance { instance_type, secret: Secret::new("s3cr3t") }
}

// ------------------------------------------------------------------ pieces

/// Pool takes all that is in its mailbox without a break: what else is to be done is done between the pieces.
#[actix::test]
async fn the_first_listing_of_a_large_site_is_told_a_piece_at_a_time_and_in_order() {
    let names: Vec<_> = (0..1_201).map(|n| format!("vm-{n:04}")).collect();
    let site = site(names.iter().map(|name| instance(name)));
    while site.told.borrow().is_empty() {
        tokio::task::yield_now().await;
    }
    let first = site.told.borrow().len();
    assert!(first < names.len(), "{first} without a break");
    pass_millis(10).await;
    let told = site.told.take();
    let (finished, appeared) = told.split_last().unwrap();
    assert_eq!(*finished, Finished(0.0));
    assert_eq!(appeared, names.into_iter().map(Appeared).collect::<Vec<_>>());
}

// ------------------------------------------------------------------ slots

#[actix::test]
async fn calls_are_a_slot_apart_and_in_order() {
    let site = site([]);
    pass(1).await;
    site.driver.calls.take();
    let destroys: Vec<_> = (0..5).map(|n| site.cloud.send(destroy(id(&n.to_string())))).collect();
    for destroy in destroys {
        destroy.await.unwrap().unwrap().outcome.unwrap();
    }
    let gaps: Vec<_> = site.driver.take_times("destroy").windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap > 0.09), "{gaps:?}");
    assert_eq!(site.meter.value("driver_operations{error=\"0\",operation=\"Destroy\"}"), Some(5.0));
}

#[actix::test]
async fn slots_that_were_not_used_are_not_saved_up() {
    let site = site([]);
    pass(100).await;
    site.driver.calls.take();
    let one = site.cloud.send(destroy(id("a")));
    let two = site.cloud.send(destroy(id("b")));
    let _ = futures_util::future::join(one, two).await;
    let times = site.driver.take_times("destroy");
    assert!(times[1] - times[0] > 0.09, "{times:?}");
}

/// A listing that began before the call was sent says nothing of what the call has done.
#[actix::test]
async fn a_destroy_tells_when_it_was_sent_and_not_when_it_was_asked_for() {
    let site = site([]);
    pass(100).await;
    let asked = clock::now();
    let one = site.cloud.send(destroy(id("a")));
    let two = site.cloud.send(destroy(id("b")));
    let (_, two) = futures_util::future::join(one, two).await;
    let waited = dispatch_core::time::since(two.unwrap().unwrap().sent, asked);
    assert!(waited > Duration::from_millis(90), "{waited:?}");
}

#[actix::test]
async fn zero_operations_a_second_is_no_limit() {
    let mut policy = policy();
    policy.max_cloud_ops_per_second = 0;
    let site = site_with(FakeCloud::with([]), policy, CreateDefaults::default());
    pass(1).await;
    site.driver.calls.take();
    let calls: Vec<_> = (0..50).map(|n| site.cloud.send(destroy(id(&n.to_string())))).collect();
    futures_util::future::join_all(calls).await;
    assert!(elapsed() < 1.01, "{}", elapsed());
}

#[actix::test]
async fn a_question_about_everybodys_instances_has_a_slot_and_is_counted_and_is_no_listing() {
    let foreign = instance("theirs");
    let site = site([foreign.clone()]);
    let first = site.cloud.send(GetVisibleInstances);
    let second = site.cloud.send(GetVisibleInstances);
    let (first, second) = futures_util::future::join(first, second).await;
    assert_eq!(first.unwrap().unwrap(), [foreign]);
    assert!(second.unwrap().is_ok());
    pass(1).await;
    let times = site.driver.take_times("list");
    assert_eq!(times.len(), 3, "the first listing of ours comes first: {times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] > 0.09), "{times:?}");
    let filters = site.driver.filters.take();
    assert_eq!(filters.iter().map(|it| it.0.is_empty()).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(site.meter.value("driver_operations{error=\"0\",operation=\"List\"}"), Some(3.0));
    let finished = site.told.borrow().iter().filter(|it| matches!(it, Finished(_))).count();
    assert_eq!(finished, 1, "Pool hears of ours only");
    site.driver.fail("list", CloudErrorKind::Other);
    assert!(site.cloud.send(GetVisibleInstances).await.unwrap().is_err());
    assert_eq!(site.meter.value("driver_operations{error=\"1\",operation=\"List\"}"), Some(1.0));
    assert_eq!(site.lines.messages(), Vec::<String>::new());
}

// ------------------------------------------------------------------ creates

#[actix::test]
async fn an_order_carries_tags_secret_key_and_the_sites_command() {
    let defaults = CreateDefaults {
        image: "ami-1".to_owned(),
        resource_tags: BTreeMap::from([("Owner".to_owned(), "lab".to_owned())]),
        init_command: "mount /scratch".to_owned(),
        public_key: Some("ssh-ed25519 AAAA".to_owned()),
    };
    let site = site_with(FakeCloud::with([]), policy(), defaults);
    site.cloud.send(create()).await.unwrap().unwrap();
    let order = site.driver.orders.borrow_mut().pop().unwrap();
    assert_eq!((order.image.as_str(), order.public_key.as_deref()), ("ami-1", Some("ssh-ed25519 AAAA")));
    assert_eq!(
        order.init_command,
        "umask 0177 && echo -n \"s3cr3t\" >/var/run/arvados-instance-secret\nmount /scratch"
    );
    let tag = |key| order.tags.get(key);
    assert_eq!(tag("Owner"), Some("lab"));
    assert_eq!(tag("ArvadosInstanceSetID"), Some("unset"));
    assert_eq!(tag("ArvadosInstanceType"), Some("small"));
    assert_eq!(tag("ArvadosIdleBehavior"), Some("run"));
    assert_eq!(tag("ArvadosInstanceSecret"), Some("s3cr3t"));
    let blueprint = policy().blueprint.of(&order.instance_type);
    assert_eq!(tag("ArvadosInstanceBlueprint"), Some(blueprint.as_str()));
}

#[actix::test]
async fn a_created_instance_is_told_by_its_answer_and_its_address_by_the_next_listing() {
    let site = site([]);
    pass(1).await;
    site.told.take();
    site.cloud.send(create()).await.unwrap().unwrap();
    pass(60).await;
    assert_eq!(site.told.take(), [Changed("vm-1".into()), Finished(60.0)]);
}

#[actix::test]
async fn a_listing_older_than_a_creates_answer_does_not_call_it_gone() {
    let site = site([]);
    pass(59).await;
    // The listing begins at 60 s, shows nothing, and takes two seconds.
    site.driver.takes.set(Duration::from_secs(2));
    pass_millis(1050).await;
    site.driver.takes.set(Duration::ZERO);
    site.told.take();
    site.cloud.send(create()).await.unwrap().unwrap();
    pass(3).await;
    assert_eq!(site.told.take(), [Finished(60.0)]);
    pass(60).await;
    assert_eq!(site.told.take()[0], Changed("vm-1".into()));
}

#[actix::test]
async fn a_driver_that_never_answers_is_given_up() {
    let site = site([]);
    pass(1).await;
    site.driver.takes.set(Duration::from_secs(100_000));
    let error = site.cloud.send(create()).await.unwrap().unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unknown, "it may have taken effect");
    assert!((300.0..302.0).contains(&elapsed()), "{}", elapsed());
    let errors = "cloud_errors_total{code=\"timeout\",kind=\"unknown\",operation=\"Create\"}";
    assert_eq!(site.meter.value(errors), Some(1.0));
}

#[actix::test]
async fn a_rate_limit_that_ends_in_the_past_still_asks_for_patience() {
    let site = site([]);
    pass(1).await;
    site.driver.fail("create", CloudErrorKind::RateLimited { until: epoch() });
    let error = site.cloud.send(create()).await.unwrap().unwrap_err();
    let CloudErrorKind::RateLimited { until } = error.kind else { panic!("{error:?}") };
    assert!(seconds(until) >= 2.0);
}

// ------------------------------------------------------------------ listings

#[actix::test]
async fn it_lists_at_once_and_then_every_interval() {
    let site = site([instance("a")]);
    pass(130).await;
    assert_eq!(site.told.take(), [Appeared("a".into()), Finished(0.0), Finished(60.0), Finished(120.0)]);
}

#[actix::test]
async fn a_listing_tells_what_appeared_changed_and_is_absent_and_then_that_it_is_over() {
    let site = site([instance("a"), instance("b"), instance("c")]);
    pass(59).await;
    site.told.take();
    site.driver.instances.borrow_mut().remove(&id("a"));
    site.driver.put([tagged(instance("b"), IdleBehavior::Hold), instance("d")]);
    pass(2).await;
    let told = site.told.take();
    assert_eq!(told, [Changed("b".into()), Appeared("d".into()), Gone("a".into()), Finished(60.0)]);
}

#[actix::test]
async fn an_absent_instance_is_told_again_until_pool_confirms() {
    let site = site([instance("a")]);
    pass(1).await;
    site.driver.instances.borrow_mut().clear();
    site.told.take();
    pass(120).await;
    assert_eq!(site.told.take(), [Gone("a".into()), Finished(60.0), Gone("a".into()), Finished(120.0)]);
    site.reply.replace(GoneReply::Confirmed);
    pass(120).await;
    assert_eq!(site.told.take(), [Gone("a".into()), Finished(180.0), Finished(240.0)]);
}

#[actix::test]
async fn other_sets_instances_are_nobodys_business() {
    let mut other = instance("other");
    other.tags.insert(&*policy().tag_keys.instance_set_id, "another set");
    let mut bare = instance("bare");
    bare.tags = Tags::default();
    let site = site([instance("a"), other, bare]);
    pass(1).await;
    assert_eq!(site.told.take(), [Appeared("a".into()), Finished(0.0)]);
}

#[actix::test]
async fn a_listing_begins_when_the_call_is_sent() {
    let site = site([]);
    pass_millis(59_950).await;
    site.told.take();
    // Twenty calls take the slots until 62 s; the listing is due at 60 s.
    let calls: Vec<_> = (0..20).map(|n| site.cloud.send(destroy(id(&n.to_string())))).collect();
    futures_util::future::join_all(calls).await;
    pass(2).await;
    let [Finished(began)] = site.told.take()[..] else { panic!() };
    assert!((61.9..62.1).contains(&began), "{began}");
}

#[actix::test]
async fn a_listing_wanted_while_another_is_told_is_not_forgotten() {
    let site = site([instance("a")]);
    pass(1).await;
    site.driver.instances.borrow_mut().clear();
    site.wants.replace(Some((site.cloud.clone().recipient(), Duration::from_secs(15))));
    site.told.take();
    pass(80).await;
    let told = site.told.take();
    let began = |told: &Told| if let Finished(at) = told { Some(at.round()) } else { None };
    assert_eq!(told.iter().filter_map(began).collect::<Vec<_>>(), [60.0, 75.0], "{told:?}");
}

#[actix::test]
async fn the_soonest_wish_for_a_listing_wins_and_a_later_one_changes_nothing() {
    let site = site([]);
    pass(1).await;
    site.told.take();
    let at = |second| dispatch_core::time::after(epoch(), Duration::from_secs(second));
    for second in [30, 20, 40] {
        site.cloud.send(SyncBy { at: at(second) }).await.unwrap();
    }
    pass(90).await;
    assert_eq!(site.told.take(), [Finished(20.0), Finished(80.0)]);
}

#[actix::test]
async fn failing_listings_are_retried_each_interval_and_told_once_a_minute() {
    let mut policy = policy();
    policy.sync_interval = Duration::from_secs(10);
    let site = site_with(FakeCloud::with([]), policy, CreateDefaults::default());
    for _ in 0..8 {
        site.driver.fail("list", CloudErrorKind::Unauthorized);
    }
    pass(85).await;
    assert_eq!(site.driver.take_times("list").len(), 9);
    assert_eq!(site.told.take(), [Finished(80.0)]);
    assert_eq!(site.lines.messages(), ["sync failed", "sync failed", "sync succeeded again"]);
    assert_eq!(site.meter.value("driver_operations{error=\"1\",operation=\"List\"}"), Some(8.0));
}

#[actix::test]
async fn a_rate_limited_listing_waits_whatever_is_wished() {
    let site = site([]);
    let until = dispatch_core::time::after(epoch(), Duration::from_secs(300));
    site.driver.fail("list", CloudErrorKind::RateLimited { until });
    pass(1).await;
    site.cloud.send(Sync).await.unwrap();
    pass(298).await;
    assert_eq!(site.driver.take_times("list"), [0.0]);
    pass(2).await;
    assert_eq!(site.driver.take_times("list"), [300.0]);
}

#[actix::test]
async fn a_listing_whose_rate_limit_is_over_already_does_not_spin() {
    let mut policy = policy();
    policy.max_cloud_ops_per_second = 0;
    let site = site_with(FakeCloud::with([]), policy, CreateDefaults::default());
    for _ in 0..100 {
        site.driver.fail("list", CloudErrorKind::RateLimited { until: epoch() });
    }
    pass(30).await;
    assert!(site.driver.take_times("list").len() <= 31);
}

// ------------------------------------------------------------------ tags, keys

#[actix::test]
async fn tags_that_could_not_be_saved_show_as_a_change_in_the_next_listing() {
    let site = site([instance("a")]);
    pass(1).await;
    site.told.take();
    let tags = policy().tag_keys.for_saving(None, IdleBehavior::Hold);
    site.driver.fail("set_tags", CloudErrorKind::Other);
    let saved = site.cloud.send(SetTags { id: id("a"), tags: tags.clone() }).await.unwrap();
    assert!(saved.is_err());
    pass(60).await;
    assert_eq!(site.told.take(), [Changed("a".into()), Finished(60.0)]);
    site.cloud.send(SetTags { id: id("a"), tags }).await.unwrap().unwrap();
    pass(60).await;
    assert_eq!(site.told.take(), [Finished(120.0)], "saved: no news");
}

#[actix::test]
async fn host_keys_are_verified_by_the_driver() {
    let site = site([]);
    let verifier = DriverVerifier(site.cloud.clone().recipient());
    let key = dispatch_core::ports::HostKey { algorithm: "ssh-ed25519".into(), base64: "AAAA".into() };
    use dispatch_core::ports::HostKeyVerifier as _;
    assert_eq!(verifier.verify(&id("a"), &key).await, Ok(HostKeyVerdict::NotSupported));
}

// ------------------------------------------------------------------ the state

#[actix::test]
async fn the_state_shows_known_instances_and_calls_in_flight_without_secrets() {
    let site = site([]);
    pass(1).await;
    site.cloud.send(create()).await.unwrap().unwrap();
    pass(60).await;
    site.driver.takes.set(Duration::from_secs(5));
    let destroy = site.cloud.send(destroy(id("vm-1")));
    let state = site.cloud.send(GetState).await.unwrap().into_json();
    assert_eq!(state["instances"][0]["id"], "vm-1");
    assert_eq!(state["calls"][0]["operation"], "Destroy");
    assert_eq!(state["calls"][0]["since"], clock::now().to_string());
    assert!(!state.to_string().contains("s3cr3t"), "{state}");
    destroy.await.unwrap().unwrap().outcome.unwrap();
    let state = site.cloud.send(GetState).await.unwrap().into_json();
    assert_eq!(state["calls"].as_array().map(Vec::len), Some(0));
}

/// While a call waits for its turn its worker may have seen that the instance lives.
#[actix::test]
async fn a_destroy_that_its_worker_takes_back_is_neither_sent_nor_counted() {
    let site = site([]);
    pass(1).await;
    site.driver.calls.take();
    let worker = Stub::new(|_| async { false }).recipient;
    let kept = DestroyInstance { id: id("vm-1"), worker };
    let (kept, ended) =
        futures_util::future::join(site.cloud.send(kept), site.cloud.send(destroy(id("vm-2")))).await;
    assert!(kept.unwrap().is_none());
    ended.unwrap().unwrap().outcome.unwrap();
    assert_eq!(site.driver.take_times("destroy").len(), 1);
    assert_eq!(site.meter.value("driver_operations{error=\"0\",operation=\"Destroy\"}"), Some(1.0));
}

/// The lease had run out: that says nothing about the cloud.
#[actix::test]
async fn a_call_that_was_not_sent_is_not_counted() {
    let site = site([]);
    pass(1).await;
    site.driver.fail("create", CloudErrorKind::NotSent);
    site.driver.fail("create", CloudErrorKind::Other);
    for _ in 0..2 {
        site.cloud.send(create()).await.unwrap().unwrap_err();
    }
    assert_eq!(site.meter.value("driver_operations{error=\"1\",operation=\"Create\"}"), Some(1.0));
}
