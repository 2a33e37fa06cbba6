//! Pool with stubs for Cloud and Scheduler; its workers are real, on fake VMs.

mod logged;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use actix::{Actor, Addr};
use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::{IdleBehavior, Instance};
use dispatch_core::policy::PlanRules;
use dispatch_core::pool::{Gate, GoneReply, PauseReason};
use dispatch_core::ports::{CapacityScope, CloudError, CloudErrorKind, ExecErrorKind, QuotaScope};
use dispatch_core::time::after;
use dispatch_core::worker::runner::Commands;
use dispatch_core::worker::{AttemptOutcome, KillReason, ShutdownReason, StartOrder};
use rand::SeedableRng as _;
use std::time::Duration;

use super::*;
use crate::catalogue;
use crate::messages::cloud::{DestroyAnswer, DestroyInstance, SetTags};
use crate::system::spawn_workers;

use crate::testing::{
    Executors, FakeVms, Lines, Meter, NoSecrets, Odd, Stub, cloud_error, elapsed, id, instance, pass,
    pass_millis, pause, policy, seconds, shared, tagged, uuid,
};
use crate::worker::WorkerParts;

type Answers = Rc<RefCell<VecDeque<Result<Instance, CloudError>>>>;

struct Site {
    pool: Addr<Pool>,
    /// What creates come to; when there is none, an instance of that secret.
    answers: Answers,
    creates: Stub<OrderInstance>,
    syncs: Stub<SyncBy>,
    nudges: Stub<PoolChanged>,
    destroys: Stub<DestroyInstance>,
    vms: Rc<FakeVms>,
    meter: Meter,
    lines: Lines,
}

fn site_with(policy: Policy) -> Site {
    pause();
    let (log, lines) = Lines::new();
    let (meter, vms, answers) = (Meter::new(), Rc::new(FakeVms::default()), Answers::default());
    let scripted = Rc::clone(&answers);
    let creates = Stub::new(move |order: &OrderInstance| {
        let made = Ok(with_secret(&order.secret));
        let answer = scripted.borrow_mut().pop_front().unwrap_or(made);
        async move {
            pass_millis(500).await;
            answer
        }
    });
    let (syncs, nudges, losses) = (Stub::silent(), Stub::silent(), Stub::silent());
    let destroys = Stub::new(|_| async { Some(DestroyAnswer { sent: clock::now(), outcome: Ok(()) }) });
    let tags = Stub::<SetTags>::new(|_| async { Ok(()) });
    let policy = shared(policy);
    let repeats = Rc::default();
    let worker = WorkerParts {
        repeats: Rc::clone(&repeats),
        executors: Rc::new(Executors(Rc::clone(&vms))),
        start_config: Rc::new(NoSecrets),
        remote_user: "crunch".to_owned(),
        fence: crate::testing::fence(),
        secret_path: "/secret".to_owned(),
        destroy: destroys.recipient.clone(),
        set_tags: tags.recipient.clone(),
        metrics: Rc::clone(&meter.metrics),
        log: log.clone(),
    };
    let pool = Pool::new(PoolParts {
        pulse: clock::pulse,
        repeats,
        quota_groups: BTreeMap::new(),
        commands: Arc::new(Commands::new(policy.runner.clone(), None)),
        policy,
        create: creates.recipient.clone(),
        sync_by: syncs.recipient.clone(),
        scheduler: nudges.recipient.clone(),
        losses: losses.recipient.clone(),
        spawn: spawn_workers(worker),
        cordons: Rc::new(KeepsNothing),
        random: Box::new(rand_chacha::ChaCha8Rng::seed_from_u64(1)),
        metrics: Rc::clone(&meter.metrics),
        log,
    });
    Site { pool: pool.start(), answers, creates, syncs, nudges, destroys, vms, meter, lines }
}

fn order(uuid: ContainerUuid) -> StartOrder {
    StartOrder { uuid, priority: 1, created_at: None, locked_at: None, failed_elsewhere: false }
}

fn site() -> Site {
    site_with(policy())
}

/// An instance that carries that secret.
fn with_secret(secret: &Secret) -> Instance {
    let mut made = instance(&format!("vm-{}", &secret.expose()[..6]));
    made.tags.insert(&*policy().tag_keys.instance_secret, secret.expose());
    made
}

/// With these instances in service.
async fn with_workers(names: &[&str]) -> Site {
    let site = site();
    for name in names {
        site.appear(instance(name)).await;
    }
    pass(2).await;
    site.nudges.take();
    site.lines.take();
    site
}

impl Site {
    async fn appear(&self, instance: Instance) {
        self.pool.send(InstanceAppeared { instance }).await.unwrap();
    }

    async fn view(&self) -> PoolView {
        self.pool.send(GetPool).await.unwrap()
    }

    async fn create(&self) -> Result<(), CreateRefusal> {
        let instance_type = Arc::clone(&policy().catalog.types()[0]);
        self.pool.send(CreateInstance { instance_type, container: Some(uuid(1)) }).await.unwrap()
    }

    async fn start(&self, n: usize, name: &str) -> Result<(), PoolRefusal> {
        let start = StartContainer { order: order(uuid(n)), instance: id(name) };
        self.pool.send(start).await.unwrap()
    }

    async fn gate(&self) -> Gate {
        let fleet = Arc::clone(&self.view().await.snapshot.fleet);
        let supply = fleet.supply(&PlanRules::from(&policy()), &fleet.census(), clock::now());
        *supply.gates.values().next().unwrap()
    }

    async fn containers(&self) -> Vec<ContainerUuid> {
        self.view()
            .await
            .snapshot
            .workers
            .iter()
            .flat_map(|worker| worker.containers().collect::<Vec<_>>())
            .collect()
    }
}

// ------------------------------------------------------------------ creates, holds

#[actix::test]
async fn a_create_counts_from_the_moment_it_is_sent_and_once() {
    let site = site();
    site.create().await.unwrap();
    let view = site.view().await;
    assert_eq!((view.in_flight, view.snapshot.pending.len(), view.snapshot.workers.len()), (1, 1, 0));
    assert_eq!(site.create().await, Err(CreateRefusal::Gate(Gate::Paused(PauseReason::CreatesInFlight))));
    // The listing is faster than the answer.
    let [order] = &site.creates.messages()[..] else { panic!() };
    site.appear(with_secret(&order.secret)).await;
    let view = site.view().await;
    assert_eq!((view.snapshot.pending.len(), view.snapshot.workers.len()), (0, 1));
    assert!(view.snapshot.workers[0].view.ours, "its secret is ours");
    pass(1).await;
    let view = site.view().await;
    assert_eq!((view.in_flight, view.snapshot.workers.len()), (0, 1));
    assert_eq!(site.vms.open.get(), 1, "one worker");
}

#[actix::test]
async fn each_create_has_a_secret_of_its_own() {
    let site = site();
    for _ in 0..3 {
        site.create().await.unwrap();
        pass(1).await;
    }
    let secrets: std::collections::BTreeSet<_> =
        site.creates.messages().iter().map(|order| order.secret.clone()).collect();
    assert_eq!(secrets.len(), 3);
    assert!(secrets.iter().all(|secret| secret.expose().len() == 40));
}

#[actix::test]
async fn a_create_of_unknown_outcome_stays_pending_until_a_later_listing_lacks_it() {
    let site = site();
    site.answers.borrow_mut().push_back(Err(cloud_error(CloudErrorKind::Unknown)));
    site.create().await.unwrap();
    pass(1).await;
    let [sync] = &site.syncs.messages()[..] else { panic!() };
    assert_eq!(seconds(sync.at), 60.5);
    assert_eq!(site.view().await.snapshot.pending.len(), 1);
    let listed = |at| ListingFinished { began: after(crate::testing::epoch(), Duration::from_secs(at)) };
    site.pool.send(listed(30)).await.unwrap();
    assert_eq!(site.view().await.snapshot.pending.len(), 1);
    site.nudges.take();
    site.pool.send(listed(61)).await.unwrap();
    assert_eq!(site.view().await.snapshot.pending.len(), 0);
    pass_millis(5).await;
    assert_eq!(site.nudges.count(), 1);
    assert_eq!(site.lines.messages()[1], "outcome of create is unknown");
}

/// A create that fails like that holds creates until then, when the scheduler is told once.
async fn wakes_the_scheduler(kind: CloudErrorKind, end: f64) {
    let site = site();
    site.answers.borrow_mut().push_back(Err(cloud_error(kind)));
    site.create().await.unwrap();
    pass(1).await;
    assert_ne!(site.gate().await, Gate::Open);
    site.nudges.take();
    pass(100).await;
    let nudges: Vec<_> = site.nudges.take().iter().map(|(at, _)| seconds(*at)).collect();
    assert_eq!(nudges, [end]);
    assert_eq!(site.gate().await, Gate::Open);
}

#[actix::test]
async fn the_end_of_a_rate_limit_wakes_the_scheduler() {
    let until = after(crate::testing::epoch(), Duration::from_secs(30));
    wakes_the_scheduler(CloudErrorKind::RateLimited { until }, 30.0).await;
}

#[actix::test]
async fn the_end_of_a_lack_of_capacity_wakes_the_scheduler() {
    wakes_the_scheduler(CloudErrorKind::Capacity(CapacityScope::Offering), 60.5).await;
}

#[actix::test]
async fn the_end_of_a_quota_hold_wakes_the_scheduler() {
    wakes_the_scheduler(CloudErrorKind::Quota(QuotaScope::All), 60.5).await;
}

#[actix::test]
async fn a_quota_is_one_line_a_hold_and_tells_the_instances_that_exist() {
    let site = site_with(Policy { max_concurrent_creates: 3, ..policy() });
    for name in ["a", "b"] {
        site.appear(instance(name)).await;
    }
    pass(2).await;
    let refusals = || std::iter::repeat_with(|| Err(cloud_error(CloudErrorKind::Quota(QuotaScope::All))));
    site.answers.borrow_mut().extend(refusals().take(3));
    for _ in 0..3 {
        site.create().await.unwrap();
    }
    pass(1).await;
    // The retry that the hold allows.
    site.answers.borrow_mut().extend(refusals().take(1));
    pass(300).await;
    site.create().await.unwrap();
    pass(1).await;
    let lines = site.lines.take();
    let told: Vec<_> = lines.iter().filter(|it| it.message == catalogue::AT_QUOTA.message).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].facts["Instances"], "2");
}

#[actix::test]
async fn the_end_of_a_pause_after_a_failure_wakes_the_scheduler() {
    wakes_the_scheduler(CloudErrorKind::Other, 5.5).await;
}

#[actix::test]
async fn a_hold_that_ends_while_workers_talk_is_not_missed() {
    let site = site();
    for name in ["a", "b", "c"] {
        site.appear(tagged(instance(name), IdleBehavior::Hold)).await;
    }
    pass(2).await;
    site.answers.borrow_mut().push_back(Err(cloud_error(CloudErrorKind::Capacity(CapacityScope::All))));
    site.create().await.unwrap();
    pass(1).await;
    let held = elapsed() - 0.5;
    site.nudges.take();
    pass(59).await;
    let quiet: Vec<_> = site.nudges.take();
    assert!(quiet.is_empty(), "{quiet:?}");
    pass(1).await;
    let nudges: Vec<_> = site.nudges.take().iter().map(|(at, _)| seconds(*at)).collect();
    assert!(nudges.iter().any(|at| (at - held - 60.0).abs() < 0.2), "{nudges:?}");
}

// ------------------------------------------------------------------ starts, kills

#[actix::test]
async fn a_started_container_counts_at_once_and_is_never_lost_from_sight() {
    let site = with_workers(&["a"]).await;
    site.start(1, "a").await.unwrap();
    for _ in 0..20 {
        assert_eq!(site.containers().await, [uuid(1)]);
        pass_millis(1).await;
    }
    assert_eq!(site.start(1, "a").await, Err(PoolRefusal::AlreadyRunning));
    assert_eq!(site.view().await.in_flight, 0);
    assert!(site.nudges.count() >= 1);
}

#[actix::test]
async fn a_start_that_the_worker_refuses_is_taken_back_and_told() {
    let site = with_workers(&["a"]).await;
    // Pool has not seen the worker's new view when the start is asked for.
    let hold = SetIdleBehavior { id: id("a"), wish: IdleBehavior::Hold.into() };
    let start = StartContainer { order: order(uuid(1)), instance: id("a") };
    let (held, started) = (site.pool.send(hold), site.pool.send(start));
    held.await.unwrap().unwrap();
    started.await.unwrap().unwrap();
    pass_millis(10).await;
    assert_eq!(site.containers().await, []);
    assert_eq!(site.start(1, "a").await, Err(PoolRefusal::NotPlaceable));
    assert!(site.nudges.count() >= 2);
    assert_eq!(site.vms.take_times("start").len(), 0);
}

#[actix::test]
async fn a_process_that_has_ended_is_remembered_until_it_is_forgotten() {
    let site = with_workers(&["a"]).await;
    site.start(1, "a").await.unwrap();
    pass(1).await;
    site.vms.end(uuid(1));
    site.nudges.take();
    pass(11).await;
    assert_eq!(site.containers().await, []);
    assert!(site.view().await.snapshot.fleet.ended.contains_key(&uuid(1)));
    assert_eq!(site.nudges.count(), 1, "one change, one nudge");
    let forget = || ForgetProcess { uuid: uuid(1), outcome: AttemptOutcome::LeftLocked };
    site.pool.send(forget()).await.unwrap().unwrap();
    assert!(site.view().await.snapshot.fleet.ended.is_empty());
    assert_eq!(site.pool.send(forget()).await.unwrap(), Err(PoolRefusal::NoSuchProcess));
}

#[actix::test]
async fn a_kill_reaches_whoever_has_the_process() {
    let site = with_workers(&["a", "b"]).await;
    site.start(1, "b").await.unwrap();
    pass(1).await;
    let kill = |n| KillContainer { uuid: uuid(n), reason: KillReason::Operator("test".into()) };
    assert_eq!(site.pool.send(kill(2)).await.unwrap(), Err(PoolRefusal::NoSuchProcess));
    site.pool.send(kill(1)).await.unwrap().unwrap();
    pass_millis(50).await;
    assert_eq!(site.containers().await, []);
    assert_eq!(site.vms.take_times("kill").len(), 1);
}

#[actix::test]
async fn what_is_forgotten_is_not_shown_any_more_at_the_same_moment() {
    let site = with_workers(&["a"]).await;
    site.start(1, "a").await.unwrap();
    pass(1).await;
    site.vms.end(uuid(1));
    pass(11).await;
    site.pool
        .send(ForgetProcess { uuid: uuid(1), outcome: AttemptOutcome::StillLocked })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(site.view().await.snapshot.fleet.failed_starts.len(), 1);
    site.pool.send(ForgetAttempts { uuid: uuid(1) }).await.unwrap();
    assert_eq!(site.view().await.snapshot.fleet.failed_starts.len(), 0);
}

// ------------------------------------------------------------------ probes

#[actix::test]
async fn three_hundred_workers_are_probed_within_the_rate_and_each_in_its_turn() {
    let site = site();
    for n in 0..300 {
        site.appear(tagged(instance(&format!("vm-{n:03}")), IdleBehavior::Hold)).await;
    }
    pass(20).await;
    site.vms.commands.take();
    pass(60).await;
    let commands = site.vms.commands.take();
    let lists: Vec<_> = commands.iter().filter(|(.., kind)| *kind == "list").collect();
    for second in 20..80 {
        let within = |at: f64| (f64::from(second)..f64::from(second + 1)).contains(&at);
        let probes = lists.iter().filter(|(at, ..)| within(*at)).count();
        assert!(probes <= 31, "{probes} in second {second}");
    }
    let mut by_vm = BTreeMap::<_, usize>::new();
    for (_, vm, _) in &lists {
        *by_vm.entry(vm).or_default() += 1;
    }
    assert_eq!(by_vm.len(), 300);
    assert!(by_vm.values().all(|n| (5..=7).contains(n)), "{by_vm:?}");
    let (oldest, _) = site.view().await.probe_ages;
    assert!(oldest < 12.0, "{oldest}");
}

#[actix::test]
async fn probes_that_find_nothing_new_are_no_news_and_are_shown_all_the_same() {
    let site = site();
    site.appear(tagged(instance("a"), IdleBehavior::Hold)).await;
    pass(15).await;
    site.nudges.take();
    pass(60).await;
    assert_eq!(
        site.nudges.take().len(),
        1,
        "a late list has told of all that an earlier dispatcher may have started"
    );
    let before = site.view().await.snapshot.workers[0].view.last_success;
    pass(100).await;
    assert_eq!(site.nudges.count(), 0);
    assert!(site.view().await.snapshot.workers[0].view.last_success > before);
}

// ------------------------------------------------------------------ instances

#[actix::test]
async fn a_snapshot_is_kept_until_something_changes_and_no_longer() {
    let site = with_workers(&["a"]).await;
    let (one, two) = (site.view().await.snapshot, site.view().await.snapshot);
    assert!(Arc::ptr_eq(&one, &two));
    site.start(1, "a").await.unwrap();
    let three = site.view().await.snapshot;
    assert!(!Arc::ptr_eq(&two, &three));
    pass(11).await;
    assert!(!Arc::ptr_eq(&three, &site.view().await.snapshot), "the worker was probed");
}

#[actix::test]
async fn an_instance_that_was_destroyed_is_gone_with_the_first_listing_that_lacks_it() {
    let site = with_workers(&["a"]).await;
    let kill = ShutdownInstance { id: id("a"), reason: ShutdownReason::Operator("test".into()) };
    site.pool.send(kill).await.unwrap().unwrap();
    pass(1).await;
    assert_eq!(site.destroys.count(), 1);
    let gone = InstanceGone { id: id("a"), began: clock::now(), reason: None };
    assert_eq!(site.pool.send(gone).await.unwrap(), GoneReply::Confirmed);
    pass_millis(5).await;
    assert!(site.view().await.snapshot.workers.is_empty());
    assert_eq!(site.vms.open.get(), 0, "its worker has stopped");
    assert_eq!(site.meter.value("instances_disappeared{state=\"shutdown\"}"), Some(1.0));
    let count = "instances_time_from_shutdown_request_to_disappearance_seconds_count";
    assert_eq!(site.meter.value(count), Some(1.0));
    assert!(site.lines.messages().contains(&"instance disappeared in cloud".to_owned()));
}

#[actix::test]
async fn an_instance_that_vanishes_takes_its_processes_with_it_after_a_second_listing() {
    let site = with_workers(&["a"]).await;
    site.start(1, "a").await.unwrap();
    pass(20).await;
    site.vms.odd("list", 100, Odd::Fails(ExecErrorKind::Refused));
    pass(1).await;
    let gone = || InstanceGone { id: id("a"), began: clock::now(), reason: None };
    assert_eq!(site.pool.send(gone()).await.unwrap(), GoneReply::Suspected);
    assert_eq!(site.syncs.count(), 1, "a second listing is asked for");
    assert!(site.view().await.snapshot.workers[0].missing);
    pass(15).await;
    assert_eq!(site.pool.send(gone()).await.unwrap(), GoneReply::Confirmed);
    assert!(site.view().await.snapshot.fleet.ended.contains_key(&uuid(1)));
    assert_eq!(site.meter.value("instances_disappeared{state=\"running\"}"), Some(1.0));
}

#[actix::test]
async fn without_a_runner_nothing_is_created_and_its_return_is_news() {
    let site = site();
    site.pool.send(RunnerChanged { commands: None }).await.unwrap();
    assert_eq!(site.create().await, Err(CreateRefusal::Gate(Gate::Paused(PauseReason::RunnerUnreadable))));
    site.nudges.take();
    let commands = Some(Arc::new(Commands::new(policy().runner, None)));
    site.pool.send(RunnerChanged { commands }).await.unwrap();
    pass_millis(5).await;
    assert_eq!(site.nudges.count(), 1);
    assert_eq!(site.create().await, Ok(()));
}

// ------------------------------------------------------------------ errors that an operator must see

/// The one line with that message.
fn error_told(site: &Site, message: &str) -> crate::testing::Line {
    let mut told = site.lines.take();
    told.retain(|line| line.message == message);
    assert_eq!(told.len(), 1, "{message}: {told:?}");
    assert_eq!(told[0].level, slog::Level::Error);
    told.remove(0)
}

#[actix::test]
async fn an_outage_of_ours_is_told_as_an_error_and_nobody_is_destroyed() {
    let site = site();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        site.vms.run(&id(name), uuid(n));
        site.appear(instance(name)).await;
    }
    pass(5).await;
    site.vms.odd("list", 1000, Odd::Fails(ExecErrorKind::Refused));
    pass(700).await;
    let told = error_told(&site, "holding off destroys: most workers are unreachable");
    assert_eq!((&*told.facts["Unreachable"], &*told.facts["Instances"]), ("3", "3"));
    assert_eq!(site.destroys.count(), 0);
}

#[actix::test]
async fn boot_failures_that_limit_creates_are_told_as_an_error() {
    let site = site();
    site.vms.still_booting.set(true);
    for _ in 0..3 {
        site.create().await.unwrap();
        pass(700).await;
    }
    let told = error_told(&site, "boot failures: creates are limited");
    assert_eq!((&*told.facts["ProviderType"], &*told.facts["Failures"]), ("small on-demand", "3"));
}

// ------------------------------------------------------------------ the state

#[actix::test]
async fn the_state_shows_workers_and_creates_in_flight_without_secrets() {
    let site = with_workers(&["a"]).await;
    let sent = clock::now();
    site.create().await.unwrap();
    let [order] = &site.creates.messages()[..] else { panic!() };
    site.start(1, "a").await.unwrap();
    let state = site.pool.send(GetState).await.unwrap().into_json();
    assert_eq!(state["creates"][0]["since"], sent.to_string());
    assert_eq!(state["fleet"]["hosts"][0]["id"], "a");
    assert_eq!(state["fleet"]["hosts"][0]["processes"][0]["uuid"], uuid(1).as_str());
    assert_eq!(state["workers"]["a"]["listed"], true);
    assert!(!state.to_string().contains(order.secret.expose()), "{state}");
    let workers = site.pool.send(GetWorkers).await.unwrap();
    assert_eq!(workers.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[actix::test]
async fn when_we_stop_each_fence_is_told_and_what_was_not_told_is_said() {
    let site = with_workers(&["a", "b"]).await;
    site.vms.take_kinds();
    assert_eq!(site.pool.send(ReleaseFences).await.unwrap(), 0);
    assert_eq!(site.vms.take_kinds(), ["release", "release"]);
    // Another dispatcher's by now: there is nothing to be told.
    for (odd, failed) in
        [(Odd::Exits(95), 1), (Odd::Exits(91), 0), (Odd::Fails(ExecErrorKind::ConnectTimeout), 1)]
    {
        site.lines.take();
        site.vms.odd("release", 1, odd);
        assert_eq!(site.pool.send(ReleaseFences).await.unwrap(), failed);
        let told = site.lines.messages();
        let told = told.iter().filter(|told| **told == catalogue::FENCE_NOT_RELEASED.message).count();
        assert_eq!(told, failed);
    }
}

/// As after a SIGSTOP: timers are late, and connections are dead.
#[actix::test]
async fn what_others_did_not_do_while_we_were_paused_is_not_their_silence() {
    let mut short = policy();
    short.timeout_probe = Duration::from_secs(20);
    let site = site_with(short);
    for name in ["a", "b"] {
        site.appear(instance(name)).await;
    }
    pass(5).await;
    site.lines.take();
    site.vms.odd("list", 2, Odd::Fails(ExecErrorKind::ConnectionLost));
    tokio::time::advance(Duration::from_secs(40)).await;
    pass(20).await;
    assert_eq!(site.destroys.take().len(), 0);
    let told = site.lines.messages();
    assert_eq!(told.iter().filter(|told| **told == catalogue::PAUSED.message).count(), 1, "{told:?}");
    assert!(site.view().await.snapshot.workers.iter().all(|worker| worker.view.state.is_ready()));
}

#[actix::test]
async fn nothing_is_created_while_our_own_side_fails() {
    let site = site();
    site.pool.send(OwnSideChanged { fails: true }).await.unwrap();
    assert_eq!(site.create().await, Err(CreateRefusal::Gate(Gate::Paused(PauseReason::OwnSide))));
    site.pool.send(OwnSideChanged { fails: false }).await.unwrap();
    assert_eq!(site.create().await, Ok(()));
}
