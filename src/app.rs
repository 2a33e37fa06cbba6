//! The application: the parts that the settings ask for, wired and running.
//!
//! ```text
//!   settings ─► Site: policy, metrics, key ─┬─► Standby: serves the API, touches nothing ──┐ the lock is held
//!                                           │                                              ▼
//!                                           └──────── no lock is asked for ─────────► Application
//!
//!   Application: driver, executors, controller client, runner ─► the five actors (this arbiter)
//!                                              api (threads of its own) ─► asks the actors
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use dispatch_actors::cloud::CreateDefaults;
use dispatch_actors::history::{self, EndFollowing, History, HistoryHandle};
use dispatch_actors::lease::Lease;
use dispatch_actors::lease::ports::{LeasedApi, LeasedDriver, LeasedExecutors};
use dispatch_actors::long_work::LongWork;
use dispatch_actors::messages::pool::{GetPool, RunnerChanged};
use dispatch_actors::metrics::{KnownLabels, Metrics};
use dispatch_actors::system::{self, Handles, MakeExecutors, Parts};
use dispatch_actors::worker::StartConfig as StartStdin;
use dispatch_actors::{catalogue, clock, event};
use dispatch_adapters::{arvados, boot_time, loopback, ssh};
use dispatch_core::id::{ContainerUuid, TypeName};
use dispatch_core::instance::InstanceType;
use dispatch_core::policy::Policy;
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::ports::CloudDriver;
use dispatch_core::queue::UnlockReason;
use dispatch_core::worker::runner::Commands;
use prometheus::Registry;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use slog::Logger;
use tokio::sync::watch;

use crate::api::{Active, ApiState, HealthPolicy, SiteRules};
use crate::cordons_file::CordonsFile;
use crate::drivers;
use crate::event_feed;
use crate::executors;
use crate::neighbours;
use crate::own_metrics;
use crate::own_side;
use crate::recording::Recording;
use crate::runner_file;
use crate::serving::{Bound, Serving};
use crate::settings::{Loaded, Settings, StartConfig};

/// Calls in flight get this long to end when we stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// All VMs get this long after that to note that we have stopped.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

/// Where is told what happens: in the log, and to whoever asks later.
#[derive(Debug, Clone)]
pub struct Told {
    /// The log, which is recorded.
    pub log: Logger,
    /// Its events.
    pub history: HistoryHandle,
    /// Where planning rounds are written down, if they are.
    pub recording: Option<Recording>,
}

impl Told {
    /// Records what is logged from now on. The record is kept on a thread of its own.
    pub fn recorded(log: Logger) -> Self {
        let (log, history) = history::recorded(log, &mut rand::rng());
        Self { log, history, recording: None }
    }
}

/// A dispatcher that serves the management API as standby, and touches nothing: no controller, no cloud, no VM,
/// no directory of ours.
pub struct Standby<'a> {
    site: Site<'a>,
    server: Serving,
}

impl<'a> Standby<'a> {
    /// When it returns, the management API is being served.
    ///
    /// # Errors
    /// If a part cannot be had: a port taken, an unusable key, no region for the cloud. What can be known now must not
    /// be found out when the other one has failed. One line.
    pub async fn listen(loaded: &'a Loaded, told: Told) -> Result<Self> {
        let (site, state) = Site::new(loaded, told)?;
        drivers::check(&loaded.settings).await?;
        let server = Bound::new(&loaded.settings)?.serve(&loaded.settings, state)?;
        Ok(Self { site, server })
    }

    /// Reads the certificate anew; keeps the old one if the new cannot be used.
    pub fn reload_certificate(&self) {
        self.server.reload_certificate();
    }

    /// From now on that configuration holds, as far as it differs in what a reload takes up.
    pub fn use_configuration(&self, loaded: &Loaded) {
        self.site.rules.send_replace(rules(&loaded.settings));
        tell_file(loaded, &self.site.metrics);
    }

    /// Begins to work, for as long as the lease lasts.
    ///
    /// # Errors
    /// If a part cannot be had: no ssh client, a driver that is not built in. One line.
    pub async fn activate(self, lease: Lease) -> Result<Application> {
        Ok(Application { work: self.site.work(lease).await?, server: self.server })
    }

    /// Closes the API.
    pub async fn stop(self) {
        self.site.history.history.do_send(EndFollowing);
        self.server.stop().await;
    }
}

/// A running dispatcher. Made and used on one arbiter.
pub struct Application {
    work: Work,
    server: Serving,
}

impl Application {
    /// Wires and starts everything. When it returns, the management API is being served.
    ///
    /// # Errors
    /// If a part cannot be had: a port taken, no ssh client, a driver that is not built in. One line.
    pub async fn build(loaded: &Loaded, lease: Lease, told: Told) -> Result<Self> {
        let (site, state) = Site::new(loaded, told)?;
        let bound = Bound::new(&loaded.settings)?;
        // A client that calls now waits, and is never told that this is a standby.
        let work = site.work(lease).await?;
        Ok(Self { work, server: bound.serve(&loaded.settings, state)? })
    }

    /// Where the management API is reached.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The actors, for those who ask them directly.
    pub fn handles(&self) -> &Handles {
        &self.work.handles
    }

    /// The cloud: the demo counts and ends what is left.
    pub fn driver(&self) -> Rc<dyn CloudDriver> {
        Rc::clone(&self.work.driver)
    }

    /// Makes a loopback cloud's instances misbehave.
    pub fn faults(&self) -> Option<loopback::Faults> {
        self.work.faults.clone()
    }

    /// The pool now.
    ///
    /// # Errors
    /// If the actor is gone.
    pub async fn pool(&self) -> Result<Arc<PoolSnapshot>> {
        Ok(self.work.handles.pool.send(GetPool).await.context("the pool has stopped")?.snapshot)
    }

    /// How many creates have succeeded.
    pub fn instances_created(&self) -> usize {
        self.work.metrics.driver_operations.with_label_values(&["Create", "0"]).get() as usize
    }

    /// Reads the certificate anew; keeps the old one if the new cannot be used.
    pub fn reload_certificate(&self) {
        self.server.reload_certificate();
    }

    /// From now on that configuration holds, as far as it differs in what a reload takes up.
    pub fn use_configuration(&self, loaded: &Loaded) {
        let rules = rules(&loaded.settings);
        self.work.handles.use_policy(&rules.policy, &*self.work.driver);
        self.work.rules.send_replace(rules);
        tell_file(loaded, &self.work.metrics);
    }

    /// Stops placing, lets calls in flight end, then closes the API. VMs and containers go on.
    pub async fn stop(self) {
        for task in &self.work.tasks {
            task.abort();
        }
        self.work.handles.quiesce(STOP_WITHIN).await;
        if self.work.handles.release_fences(RELEASE_WITHIN).await.is_none() {
            event!(self.work.log, catalogue::FENCES_NOT_RELEASED);
        }
        self.work.history.do_send(EndFollowing);
        self.server.stop().await;
    }
}

/// What is the same whether we work or stand by.
struct Site<'a> {
    loaded: &'a Loaded,
    /// What holds now, and what the API knows of it.
    rules: watch::Sender<SiteRules>,
    metrics: Rc<Metrics>,
    /// The driver adds its own series.
    registry: Registry,
    /// Of `DispatchPrivateKey`.
    public_key: String,
    /// What the API knows of us.
    active: watch::Sender<Option<Active>>,
    runner: watch::Sender<Result<(), String>>,
    history: HistoryHandle,
    /// Where planning rounds are written down, if they are.
    recording: Option<Recording>,
    log: Logger,
}

impl<'a> Site<'a> {
    fn new(loaded: &'a Loaded, told: Told) -> Result<(Self, ApiState)> {
        let Told { log, history, recording } = told;
        let settings = &loaded.settings;
        let rules = watch::Sender::new(rules(settings));
        let (metrics, registry) = metrics(loaded);
        let key = ssh::check_private_key(settings.containers.private_key.pem.expose())
            .context("cannot use Containers.DispatchPrivateKey")?;
        let (active, active_seen) = watch::channel(None);
        let (runner, runner_seen) = watch::channel(Ok(()));
        let state = ApiState {
            active: active_seen,
            management_token: settings.management_token.clone(),
            registry: registry.clone(),
            requests: metrics.requests(),
            site: rules.subscribe(),
            runner: runner_seen,
            history: history.clone(),
            log: log.clone(),
        };
        let (metrics, public_key) = (Rc::new(metrics), key.openssh_public);
        let site =
            Self { loaded, rules, metrics, registry, public_key, active, runner, history, recording, log };
        Ok((site, state))
    }

    /// Opens the cloud and starts the actors.
    async fn work(self, lease: Lease) -> Result<Work> {
        let (settings, policy) = (&self.loaded.settings, Arc::clone(&self.rules.borrow().policy));
        let opened = drivers::open(settings, &self.public_key, &self.registry, &self.log).await?;
        let commands = runner_file::commands(&settings.cloud.runner, &policy.runner);
        drop(self.runner.send_replace(commands.as_ref().map(|_| ()).map_err(Clone::clone)));
        let (make_executors, trouble) = executors::prepare(settings, self.log.clone())?;
        let epoch = lease.epoch();
        let parts = Parts {
            pulse: boot_time::pulse,
            long_work: LongWork::Elsewhere,
            epoch,
            api: Rc::new(LeasedApi { inner: controller(settings)?, lease: lease.clone() }),
            feed: event_feed::open(settings)?,
            driver: Rc::new(LeasedDriver { inner: Rc::clone(&opened.driver), lease: lease.clone() }),
            executors: leased(make_executors, lease),
            create_defaults: create_defaults(settings, self.public_key.clone()),
            commands: commands
                .clone()
                .unwrap_or_else(|_| Arc::new(Commands::without_binary(policy.runner.clone()))),
            start_config: Rc::new(Stdin(StartConfig::new(settings))),
            rounds: self.recording.as_ref().map(|it| it.begin(&self.log)).transpose()?,
            cordons: Rc::new(CordonsFile::new(settings.state_directory.as_deref(), self.log.clone())),
            random: Box::new(StdRng::from_rng(&mut rand::rng())),
            policy,
            metrics: Rc::clone(&self.metrics),
            log: self.log.clone(),
        };
        let handles = system::start(parts);
        self.active.send_replace(Some(Active::now(handles.clone(), trouble.clone())));
        let told = own_side::tell(trouble, handles.pool.clone(), self.log.clone());
        let mut tasks = vec![actix_rt::spawn(told), self.tell_neighbours(&handles)];
        tasks.extend(commands.err().map(|error| self.wait_for_runner(&handles, error)));
        Ok(Work {
            handles,
            metrics: self.metrics,
            driver: opened.driver,
            faults: opened.faults,
            tasks,
            rules: self.rules,
            history: self.history.history,
            log: self.log,
        })
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.rules.borrow().policy)
    }

    fn tell_neighbours(&self, handles: &Handles) -> actix_rt::task::JoinHandle<()> {
        let (cloud, policy, log) = (handles.cloud.clone(), self.policy(), self.log.clone());
        actix_rt::spawn(async move { neighbours::tell(&cloud, &policy, &log).await })
    }

    /// No VM is created until the runner can be read; then everything goes on as if it always had been.
    fn wait_for_runner(&self, handles: &Handles, error: String) -> actix_rt::task::JoinHandle<()> {
        let setting = self.loaded.settings.cloud.runner.clone();
        let path = runner_file::path(&setting).unwrap_or_default().display().to_string();
        event!(self.log, catalogue::RUNNER_UNREADABLE, "Path" => path, "error" => error);
        // Lost only if the pool is gone, and then nothing is created at all.
        handles.pool.do_send(RunnerChanged { commands: None });
        let (pool, policy, runner) = (handles.pool.clone(), self.policy(), self.runner.clone());
        actix_rt::spawn(async move {
            loop {
                tokio::time::sleep(runner_file::RETRY).await;
                match runner_file::commands(&setting, &policy.runner) {
                    Ok(commands) => {
                        pool.do_send(RunnerChanged { commands: Some(commands) });
                        drop(runner.send_replace(Ok(())));
                        return;
                    }
                    Err(error) => drop(runner.send_replace(Err(error))),
                }
            }
        })
    }
}

/// The actors and what they work with.
struct Work {
    handles: Handles,
    metrics: Rc<Metrics>,
    driver: Rc<dyn CloudDriver>,
    faults: Option<loopback::Faults>,
    /// Tasks that end with the application.
    tasks: Vec<actix_rt::task::JoinHandle<()>>,
    rules: watch::Sender<SiteRules>,
    history: actix::Addr<History>,
    log: Logger,
}

/// Only who has the lease starts and ends processes.
fn leased(make: MakeExecutors, lease: Lease) -> MakeExecutors {
    Box::new(move |verifier| Rc::new(LeasedExecutors { inner: make(verifier), lease }))
}

/// What a configuration says of what is shown.
fn rules(settings: &Settings) -> SiteRules {
    let policy = Arc::new(settings.policy.clone());
    SiteRules { health: HealthPolicy::new(&policy, !settings.websocket.feed_urls().is_empty()), policy }
}

fn metrics(loaded: &Loaded) -> (Metrics, Registry) {
    let types: Vec<TypeName> =
        loaded.settings.policy.catalog.types().iter().map(|it| it.name.clone()).collect();
    let reasons = UnlockReason::ALL.map(UnlockReason::as_str);
    let (metrics, registry) = Metrics::new(KnownLabels { types: &types, unlock_reasons: &reasons });
    tell_file(loaded, &metrics);
    metrics.build_info(crate::VERSION);
    let Settings { runtime_directory, state_directory, .. } = &loaded.settings;
    own_metrics::register(&registry, [runtime_directory].into_iter().chain(state_directory).cloned());
    (metrics, registry)
}

/// Tells which file is in force.
fn tell_file(loaded: &Loaded, metrics: &Metrics) {
    let now = clock::now();
    metrics.config_loaded(&loaded.sha256, loaded.modified.unwrap_or(now), now);
}

fn controller(settings: &Settings) -> Result<arvados::Client> {
    arvados::Client::new(arvados::Options {
        base_url: settings.controller.url.clone(),
        token: settings.system_root_token.clone(),
        insecure: settings.controller.insecure,
        timeout: settings.controller.request_timeout,
    })
    .context("cannot use Services.Controller.ExternalURL")
}

/// What every order of this site has in common; `cloudtest` orders the same.
pub(crate) fn create_defaults(settings: &Settings, public_key: String) -> CreateDefaults {
    CreateDefaults {
        image: settings.cloud.image_id.clone(),
        resource_tags: settings.cloud.resource_tags.0.clone(),
        init_command: settings.cloud.instance_init_command.clone(),
        public_key: settings.cloud.deploy_public_key.then_some(public_key),
    }
}

/// The settings' start configuration behind the actors' trait.
struct Stdin(StartConfig);

impl StartStdin for Stdin {
    fn stdin(&self, uuid: ContainerUuid, instance_type: &InstanceType, address: &str) -> Bytes {
        self.0.stdin(uuid, instance_type, address)
    }
}
