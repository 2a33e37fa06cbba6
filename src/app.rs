//! The application: the parts that the settings ask for, wired and running.
//!
//! ```text
//!   settings ─► policy, metrics, driver, executors, controller client, runner ─► the five actors (this arbiter)
//!                                  listener ─► api (threads of its own) ─► asks the actors
//! ```

use std::net::{TcpListener, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use dispatch_actors::cloud::CreateDefaults;
use dispatch_actors::metrics::{KnownLabels, Metrics};
use dispatch_actors::pool::{GetPool, RunnerChanged};
use dispatch_actors::system::{self, Handles, Parts};
use dispatch_actors::worker::StartConfig as StartStdin;
use dispatch_actors::{catalogue, clock, event};
use dispatch_adapters::{arvados, loopback, ssh};
use dispatch_core::id::{ContainerUuid, TypeName};
use dispatch_core::instance::InstanceType;
use dispatch_core::policy::Policy;
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::ports::{CloudDriver, ExecutorFactory, HostKeyVerifier};
use dispatch_core::queue::UnlockReason;
use dispatch_core::worker::runner::Commands;
use prometheus::Registry;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use slog::Logger;
use tokio::sync::watch;

use crate::api::{self, Active, ApiState, CertReloader, HealthPolicy};
use crate::drivers;
use crate::runner_file;
use crate::settings::{Listener, Loaded, Settings, StartConfig};

/// Calls in flight get this long to end when we stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Certificates are read anew this often, and on SIGHUP.
const RELOAD_CERTIFICATE: Duration = Duration::from_secs(3600);

/// A running dispatcher. Made and used on one arbiter.
pub struct Application {
    handles: Handles,
    metrics: Rc<Metrics>,
    driver: Rc<dyn CloudDriver>,
    faults: Option<loopback::Faults>,
    server: Serving,
    url: String,
    log: Logger,
    /// Tasks that end with the application.
    tasks: Vec<actix_rt::task::JoinHandle<()>>,
}

impl Application {
    /// Wires and starts everything. When it returns, the management API is being served.
    ///
    /// # Errors
    /// If a part cannot be had: a port taken, no ssh client, a driver that is not built in. One line.
    pub async fn build(loaded: &Loaded, log: Logger) -> Result<Self> {
        let settings = &loaded.settings;
        let policy = Arc::new(settings.policy());
        let (listener, chosen) = bind(settings)?;
        let (metrics, registry) = metrics(&policy, loaded);
        let metrics = Rc::new(metrics);
        let key = ssh::check_private_key(settings.containers.private_key.pem.expose())
            .context("cannot use Containers.DispatchPrivateKey")?;
        let opened = drivers::open(settings, &key.openssh_public, &registry, &log).await?;
        let commands = runner_file::commands(&settings.cloud.runner, &policy.runner);
        let (runner, runner_seen) = watch::channel(commands.as_ref().map(|_| ()).map_err(Clone::clone));
        let parts = Parts {
            api: Rc::new(controller(settings)?),
            driver: Rc::clone(&opened.driver),
            executors: executors(settings, log.clone())?,
            create_defaults: create_defaults(settings, key.openssh_public),
            commands: commands
                .clone()
                .unwrap_or_else(|_| Arc::new(Commands::without_binary(policy.runner.clone()))),
            start_config: Rc::new(Stdin(StartConfig::new(settings))),
            random: Box::new(StdRng::from_rng(&mut rand::rng())),
            policy: Arc::clone(&policy),
            metrics: Rc::clone(&metrics),
            log: log.clone(),
        };
        let handles = system::start(parts);
        let state = ApiState {
            active: watch::channel(Some(Active::now(handles.clone()))).1,
            management_token: settings.management_token.clone(),
            registry,
            requests: metrics.requests(),
            health: HealthPolicy::new(&policy),
            runner: runner_seen,
            log: log.clone(),
        };
        let address = listener.local_addr().context("cannot tell the address that is listened on")?;
        let server = Serving::start(settings, listener, chosen.is_https(), state)?;
        let url = url(&chosen, address.port());
        event!(log, catalogue::LISTENING, "URL" => &url, "Listen" => %address,
            "Service" => "arvados-dispatch-cloud", "Version" => env!("CARGO_PKG_VERSION"));
        let mut application = Self {
            handles,
            metrics,
            driver: opened.driver,
            faults: opened.faults,
            server,
            url,
            log,
            tasks: Vec::new(),
        };
        if let Err(error) = commands {
            application.wait_for_runner(settings, policy, runner, error);
        }
        application.reload_certificate_hourly();
        Ok(application)
    }

    /// Where the management API is reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The actors, for those who ask them directly.
    pub fn handles(&self) -> &Handles {
        &self.handles
    }

    /// The cloud: the demo counts and ends what is left.
    pub fn driver(&self) -> Rc<dyn CloudDriver> {
        Rc::clone(&self.driver)
    }

    /// Makes a loopback cloud's instances misbehave.
    pub fn faults(&self) -> Option<loopback::Faults> {
        self.faults.clone()
    }

    /// The pool now.
    ///
    /// # Errors
    /// If the actor is gone.
    pub async fn pool(&self) -> Result<Arc<PoolSnapshot>> {
        Ok(self.handles.pool.send(GetPool).await.context("the pool has stopped")?.snapshot)
    }

    /// How many creates have succeeded.
    pub fn instances_created(&self) -> usize {
        self.metrics.driver_operations.with_label_values(&["Create", "0"]).get() as usize
    }

    /// Reads the certificate anew; keeps the old one if the new cannot be used.
    pub fn reload_certificate(&self) {
        if let Some(certificate) = &self.server.certificate {
            reload(certificate, &self.log);
        }
    }

    /// Stops placing, lets calls in flight end, then closes the API. VMs and containers go on.
    pub async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.handles.quiesce(STOP_WITHIN).await;
        self.server.handle.stop(true).await;
    }

    /// No VM is created until the runner can be read; then everything goes on as if it always had been.
    fn wait_for_runner(
        &mut self,
        settings: &Settings,
        policy: Arc<Policy>,
        runner: watch::Sender<Result<(), String>>,
        error: String,
    ) {
        let path = runner_file::path(&settings.cloud.runner).unwrap_or_default().display().to_string();
        event!(self.log, catalogue::RUNNER_UNREADABLE, "Path" => path, "error" => error);
        // Lost only if the pool is gone, and then nothing is created at all.
        self.handles.pool.do_send(RunnerChanged { commands: None });
        let (setting, pool) = (settings.cloud.runner.clone(), self.handles.pool.clone());
        self.tasks.push(actix_rt::spawn(async move {
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
        }));
    }

    fn reload_certificate_hourly(&mut self) {
        let Some(certificate) = self.server.certificate.clone() else { return };
        let log = self.log.clone();
        self.tasks.push(actix_rt::spawn(async move {
            loop {
                tokio::time::sleep(RELOAD_CERTIFICATE).await;
                reload(&certificate, &log);
            }
        }));
    }
}

/// Keeps the old certificate if the new one cannot be used.
fn reload(certificate: &CertReloader, log: &Logger) {
    if let Err(error) = certificate.reload() {
        event!(log, catalogue::CERTIFICATE_UNUSABLE, "error" => %error);
    }
}

/// The management API while it is served.
struct Serving {
    handle: ServerHandle,
    certificate: Option<Rc<CertReloader>>,
}

impl Serving {
    fn start(settings: &Settings, listener: TcpListener, https: bool, state: ApiState) -> Result<Self> {
        let certificate = match https {
            true => {
                Some(Rc::new(CertReloader::new(settings.tls.clone()).context("cannot use TLS.Certificate")?))
            }
            false => None,
        };
        let tls = certificate.as_ref().map(|it| it.server_config());
        let server = api::serve(listener, tls, state).context("cannot serve the management API")?;
        let handle = server.handle();
        actix_rt::spawn(async move {
            // It ends when it is told to; an error of an accept thread has been logged there.
            let _ = server.await;
        });
        Ok(Self { handle, certificate })
    }
}

/// The first listener whose address is ours.
fn bind(settings: &Settings) -> Result<(TcpListener, Listener)> {
    let mut last = None;
    for listener in &settings.listeners {
        let (host, port) = listener.address();
        match (host.as_str(), port)
            .to_socket_addrs()
            .and_then(|found| TcpListener::bind(&*found.collect::<Vec<_>>()))
        {
            Ok(bound) => return Ok((bound, listener.clone())),
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                last = Some(format!("{host}:{port}: {error}"));
            }
            Err(error) => {
                bail!("cannot listen on {host}:{port}: {error} (Services.DispatchCloud.InternalURLs)")
            }
        }
    }
    bail!(
        "cannot listen: no address of Services.DispatchCloud.InternalURLs is this host's ({})",
        last.unwrap_or_else(|| "none configured".to_owned())
    )
}

/// What clients call, as configured; where the system chose the port, that port.
fn url(listener: &Listener, port: u16) -> String {
    let mut url = listener.url.clone();
    if listener.url == listener.bind {
        // Cannot fail: it has a host, or it could not have been bound.
        let _ = url.set_port(Some(port));
    }
    url.as_str().trim_end_matches('/').to_owned()
}

fn metrics(policy: &Policy, loaded: &Loaded) -> (Metrics, Registry) {
    let types: Vec<TypeName> = policy.catalog.types().iter().map(|it| it.name.clone()).collect();
    let reasons = UnlockReason::ALL.map(UnlockReason::as_str);
    let (metrics, registry) = Metrics::new(KnownLabels { types: &types, unlock_reasons: &reasons });
    let now = clock::now();
    metrics.config_loaded(&loaded.sha256, loaded.modified.unwrap_or(now), now);
    metrics.build_info(env!("CARGO_PKG_VERSION"));
    (metrics, registry)
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

/// Everything that can fail is done now; what is left needs only the verifier.
fn executors(settings: &Settings, log: Logger) -> Result<system::MakeExecutors> {
    let (private_key, default_port) = (settings.containers.private_key.pem.clone(), settings.cloud.ssh_port);
    let prepared = ssh::Prepared::new(&private_key, "ssh".into(), &settings.runtime_directory)?;
    Ok(Box::new(move |verifier: Rc<dyn HostKeyVerifier>| {
        let executors = prepared.into_executors(verifier, default_port, ssh::Deadlines::default(), log);
        Rc::new(executors) as Rc<dyn ExecutorFactory>
    }))
}

fn create_defaults(settings: &Settings, public_key: String) -> CreateDefaults {
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
