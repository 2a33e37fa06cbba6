//! The dispatcher: the five actors on this thread, the management API on its own.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arvados_dispatch_cloud::api::{self, Active, ApiState, HealthPolicy, SiteRules};
use arvados_dispatch_cloud::settings::{LogFormat, Logs};
use arvados_dispatch_cloud::telemetry::{self, LogGuard};
use bytes::Bytes;
use dispatch_actors::clock;
use dispatch_actors::cloud::CreateDefaults;
use dispatch_actors::long_work::LongWork;
use dispatch_actors::messages::pool::GetPool;
use dispatch_actors::messages::queue::GetQueue;
use dispatch_actors::metrics::{KnownLabels, Metrics};
use dispatch_actors::pool::KeepsNothing;
use dispatch_actors::system::{self, Handles, Parts};
use dispatch_actors::worker::StartConfig;
use dispatch_core::id::{ContainerUuid, InstanceSetId};
use dispatch_core::instance::InstanceType;
use dispatch_core::policy::{Policy, PollWindow};
use dispatch_core::pool::WorkerSnapshot;
use dispatch_core::queue::UnlockReason;
use dispatch_core::secret::Secret;
use dispatch_core::worker::fence::Epoch;
use dispatch_core::worker::runner::Commands;
use prometheus::Registry;
use prometheus::proto::{Histogram, Metric};
use tokio::sync::watch;

use crate::bridge::Bridge;
use crate::world::{SET, World, catalog};

pub const TOKEN: &str = "management-token-of-a-measurement";

type Told = (watch::Sender<Option<Active>>, watch::Sender<Option<String>>, watch::Sender<Result<(), String>>);

pub struct Site {
    pub handles: Handles,
    pub url: String,
    registry: Registry,
    /// What the API is told of us, as long as this lives.
    _told: Told,
    _log: LogGuard,
}

fn policy(vms: u32) -> Policy {
    let mut policy = Policy::with_defaults();
    policy.catalog = catalog();
    policy.instance_set_id = InstanceSetId::new(SET).unwrap();
    policy.poll_window = PollWindow::Whole;
    policy.max_instances = vms;
    // More containers than VMs, because some have room for several.
    policy.initial_quota_estimate = 2 * vms;
    // All of them stay, although it takes a while to fill them.
    policy.timeout_idle = Duration::from_secs(3_600);
    policy.sizing.keep_buffers_per_vcpu = 0;
    policy.runner.boot_probe_command = "true".to_owned();
    policy.runner.deploy_directory = None;
    policy
}

impl Site {
    pub async fn start(world: &World) -> Self {
        // The first answer comes when all that world has been made.
        world.carry(|_| async {}).await;
        let policy = Arc::new(policy(crate::VMS as u32));
        let types: Vec<_> = policy.catalog.types().iter().map(|it| it.name.clone()).collect();
        let unlock_reasons = UnlockReason::ALL.map(UnlockReason::as_str);
        let (metrics, registry) =
            Metrics::new(KnownLabels { types: &types, unlock_reasons: &unlock_reasons });
        let logs = Logs { level: slog::Level::Info, format: LogFormat::Json };
        let (log, _, guard) = telemetry::logger_to(logs, "zzzzz", false, std::io::sink());
        let (log, history) = dispatch_actors::history::recorded(log, &mut rand::rng());
        let requests = metrics.requests();
        let bridge = Rc::new(Bridge(world.clone()));
        let shells = Rc::clone(&bridge);
        let handles = system::start(Parts {
            rounds: None,
            pulse: clock::pulse,
            long_work: LongWork::Elsewhere,
            policy: Arc::clone(&policy),
            api: Rc::clone(&bridge) as _,
            feed: None,
            driver: bridge,
            executors: Box::new(move |_| shells),
            create_defaults: CreateDefaults::default(),
            commands: Arc::new(Commands::new(policy.runner.clone(), None)),
            epoch: Epoch::at(clock::now()),
            start_config: Rc::new(NoStdin),
            cordons: Rc::new(KeepsNothing),
            random: Box::new(rand::rng()),
            metrics: Rc::new(metrics),
            log: log.clone(),
        });
        let trouble = watch::Sender::new(None);
        let active = watch::Sender::new(Some(Active::now(handles.clone(), trouble.subscribe())));
        let runner = watch::Sender::new(Ok(()));
        let health =
            HealthPolicy { actor_answer: Duration::from_secs(60), ..HealthPolicy::new(&policy, false) };
        let rules = SiteRules { policy: Arc::clone(&policy), health };
        let state = ApiState {
            active: active.subscribe(),
            management_token: Secret::new(TOKEN),
            registry: registry.clone(),
            requests,
            site: watch::Sender::new(rules).subscribe(),
            runner: runner.subscribe(),
            history,
            log,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        actix_rt::spawn(api::serve(listener, None, state).unwrap());
        Self { handles, url, registry, _told: (active, trouble, runner), _log: guard }
    }

    /// Whether all containers have been seen, and all VMs are in service.
    pub async fn has_started(&self, vms: usize) -> bool {
        let progress = self.progress().await;
        progress.is_polled && progress.in_service == vms
    }

    pub async fn progress(&self) -> Progress {
        let queue = self.handles.queue.send(GetQueue).await.unwrap();
        let pool = self.handles.pool.send(GetPool).await.unwrap();
        let is_in_service = |it: &&WorkerSnapshot| it.view.state.is_ready();
        let counted = |name: &str| self.histograms(name).first().map_or(0, Histogram::get_sample_count);
        Progress {
            containers: queue.snapshot.entries.len(),
            with_process: pool.snapshot.workers.iter().map(|it| it.containers().count()).sum(),
            in_service: pool.snapshot.workers.iter().filter(is_in_service).count(),
            is_polled: queue.snapshot.polled_at.is_some(),
            rounds: counted("scheduling_round_seconds"),
        }
    }

    fn family(&self, name: &str) -> Vec<Metric> {
        let name = format!("arvados_dispatchcloud_{name}");
        let families = self.registry.gather();
        families.iter().find(|it| it.name() == name).map_or(Vec::new(), |it| it.get_metric().to_vec())
    }

    fn histograms(&self, name: &str) -> Vec<Histogram> {
        self.family(name).iter().map(|metric| metric.get_histogram().clone()).collect()
    }

    /// The pieces of work so far, the longest first.
    pub fn work(&self) -> Work {
        let mut work = Work::default();
        for metric in self.family("actor_work_seconds") {
            let label =
                |name| metric.get_label().iter().find(|it| it.name() == name).map_or("", |it| it.value());
            let histogram = metric.get_histogram();
            let buckets = histogram.get_bucket().iter().map(|it| (it.upper_bound(), it.cumulative_count()));
            let piece = Piece {
                count: histogram.get_sample_count(),
                seconds: histogram.get_sample_sum(),
                within: buckets.collect(),
            };
            work.0.insert(format!("{}: {}", label("actor"), label("work")), piece);
        }
        work
    }
}

/// How far the dispatcher has come.
#[derive(Default)]
pub struct Progress {
    containers: usize,
    with_process: usize,
    in_service: usize,
    is_polled: bool,
    rounds: u64,
}

impl Progress {
    pub fn print_since(&self, before: &Self) {
        let Self { containers, with_process, in_service, rounds, .. } = self;
        println!(
            "  {containers} containers in the queue, {with_process} with a process, {in_service} VMs in service, \
             {} rounds planned",
            rounds - before.rounds
        );
    }
}

/// Pieces of work, by actor and name.
#[derive(Default)]
pub struct Work(BTreeMap<String, Piece>);

#[derive(Default, Clone)]
struct Piece {
    count: u64,
    seconds: f64,
    /// How many took no longer than each bound, in seconds.
    within: Vec<(f64, u64)>,
}

impl Piece {
    fn since(&self, before: &Self) -> Self {
        let earlier = |n: usize| before.within.get(n).map_or(0, |it| it.1);
        let within = self.within.iter().enumerate().map(|(n, (bound, count))| (*bound, count - earlier(n)));
        Self {
            count: self.count - before.count,
            seconds: self.seconds - before.seconds,
            within: within.collect(),
        }
    }

    /// None took longer than that, in milliseconds.
    fn longest(&self) -> f64 {
        let bound = self.within.iter().find(|(_, count)| *count == self.count);
        bound.map_or(f64::INFINITY, |(bound, _)| bound * 1e3)
    }

    fn longer_than(&self, bound: f64) -> u64 {
        let within = self.within.iter().find(|it| it.0 == bound).map_or(0, |it| it.1);
        self.count - within
    }
}

impl Work {
    pub fn print_since(&self, before: &Self) {
        let nothing = Piece::default();
        let since = self.0.iter().map(|(name, it)| (name, it.since(before.0.get(name).unwrap_or(&nothing))));
        let mut pieces: Vec<_> = since.filter(|(_, it)| it.count > 0).collect();
        pieces.sort_by(|a, b| b.1.longest().total_cmp(&a.1.longest()));
        println!(
            "  work on the actors' thread      times   mean ms   longest ≤ ms   > 50 ms   > 100 ms   all, s"
        );
        for (name, it) in pieces.into_iter().take(12) {
            let mean = 1e3 * it.seconds / it.count as f64;
            println!(
                "  {name:<28} {:>8} {mean:>9.2} {:>14} {:>9} {:>10} {:>8.2}",
                it.count,
                it.longest(),
                it.longer_than(0.05),
                it.longer_than(0.1),
                it.seconds
            );
        }
    }
}

/// Simulated processes need no configuration.
struct NoStdin;

impl StartConfig for NoStdin {
    fn stdin(&self, _: ContainerUuid, _: &InstanceType, _: &str) -> Bytes {
        Bytes::from_static(b"{}")
    }
}
