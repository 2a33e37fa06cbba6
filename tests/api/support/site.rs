//! One dispatcher: actors on this thread, HTTP on its own.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use arvados_dispatch_cloud::api::{self, Active, ApiState, HealthPolicy, SiteRules};
use awc::http::header::HeaderMap;
use awc::http::{Method, StatusCode};
use dispatch_actors::clock;
use dispatch_actors::cloud::CreateDefaults;
use dispatch_actors::long_work::LongWork;
use dispatch_actors::metrics::{KnownLabels, Metrics};
use dispatch_actors::pool::KeepsNothing;
use dispatch_actors::system::{self, Handles, Parts};
use dispatch_core::container::{ContainerState, Record, RuntimeConstraints, SchedulingParameters};
use dispatch_core::id::ContainerUuid;
use dispatch_core::policy::Policy;
use dispatch_core::queue::UnlockReason;
use dispatch_core::secret::Secret;
use dispatch_core::worker::runner::Commands;
use serde_json::Value;
use tokio::sync::watch;

use super::world::{Cloud, Controller, NoStdin, Shells};
use super::{DEADLINE, Logs, World, eventually};
use crate::config_support::{TestKey, load_site};

/// The recorded site's management token.
pub const TOKEN: &str = "managementtokenyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";

pub struct Site {
    pub url: String,
    pub world: Rc<World>,
    pub logs: Logs,
    pub metrics: Rc<Metrics>,
    pub active: watch::Sender<Option<Active>>,
    /// What is wrong on our own side.
    pub trouble: watch::Sender<Option<String>>,
    pub runner: watch::Sender<Result<(), String>>,
    pub history: actix::Addr<dispatch_actors::history::History>,
    pub client: awc::Client,
    server: ServerHandle,
}

/// What differs from the recorded site.
pub struct Options {
    pub token: &'static str,
    pub policy: Policy,
    pub health: HealthPolicy,
    pub tls: Option<rustls::ServerConfig>,
    /// Instead of actors on this thread.
    pub handles: Option<Handles>,
}

impl Default for Options {
    fn default() -> Self {
        let policy = quick_policy();
        let health = HealthPolicy { actor_answer: DEADLINE, ..HealthPolicy::new(&policy, false) };
        Self { token: TOKEN, policy, health, tls: None, handles: None }
    }
}

/// The recorded site's, at a pace for tests.
pub fn quick_policy() -> Policy {
    let mut policy = load_site(&TestKey::new()).settings.policy;
    policy.poll_interval = Duration::from_millis(50);
    policy.sync_interval = Duration::from_millis(100);
    policy.probe_interval = Duration::from_millis(50);
    policy.max_cloud_ops_per_second = 0;
    policy.max_probes_per_second = Some(1000);
    policy
}

/// The actors over that world.
pub fn start_actors(world: &Rc<World>, policy: Policy, metrics: Rc<Metrics>, log: slog::Logger) -> Handles {
    let commands = Commands::new(policy.runner.clone(), None);
    let shells = Rc::new(Shells(Rc::clone(world)));
    system::start(Parts {
        rounds: None,
        pulse: clock::pulse,
        long_work: LongWork::Elsewhere,
        policy: Arc::new(policy),
        api: Rc::new(Controller(Rc::clone(world))),
        feed: None,
        driver: Rc::new(Cloud(Rc::clone(world))),
        executors: Box::new(move |_| shells),
        create_defaults: CreateDefaults::default(),
        commands: Arc::new(commands),
        epoch: dispatch_core::worker::fence::Epoch::from_micros(1),
        start_config: Rc::new(NoStdin),
        cordons: Rc::new(KeepsNothing),
        random: Box::new(rand::rng()),
        metrics,
        log,
    })
}

impl Site {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let world = Rc::new(World::default());
        let logs = Logs::new();
        let types: Vec<_> = options.policy.catalog.types().iter().map(|it| it.name.clone()).collect();
        let unlock_reasons = UnlockReason::ALL.map(UnlockReason::as_str);
        let (metrics, registry) =
            Metrics::new(KnownLabels { types: &types, unlock_reasons: &unlock_reasons });
        let metrics = Rc::new(metrics);
        let (log, history) = dispatch_actors::history::recorded(logs.logger.clone(), &mut rand::rng());
        let handles = options.handles.unwrap_or_else(|| {
            start_actors(&world, options.policy.clone(), Rc::clone(&metrics), log.clone())
        });
        let trouble = watch::Sender::new(None);
        let active = watch::Sender::new(Some(Active::now(handles, trouble.subscribe())));
        let runner = watch::Sender::new(Ok(()));
        let rules = SiteRules { policy: Arc::new(options.policy), health: options.health };
        let state = ApiState {
            active: active.subscribe(),
            management_token: Secret::new(options.token),
            registry,
            requests: metrics.requests(),
            site: watch::Sender::new(rules).subscribe(),
            runner: runner.subscribe(),
            history: history.clone(),
            log,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let server = api::serve(listener, options.tls, state).unwrap();
        let handle = server.handle();
        actix_rt::spawn(server);
        // Its own 5 s, for each step, may be too little while other tests run beside this one.
        let connector = awc::Connector::new().timeout(2 * DEADLINE);
        let client = awc::Client::builder().connector(connector).timeout(2 * DEADLINE).disable_redirects();
        let client = client.finish();
        let history = history.history;
        Self { url, world, logs, metrics, active, runner, trouble, history, client, server: handle }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[("authorization", &bearer())], None).await
    }

    /// A form in the body.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let form_type = ("content-type", "application/x-www-form-urlencoded");
        self.ask(Method::POST, path, &[("authorization", &bearer()), form_type], Some(body)).await
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let mut response = request.send_body(body.unwrap_or_default()).await.unwrap();
        let body = response.body().limit(1 << 24).await.unwrap();
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Stops serving, requests in work aside.
    pub async fn stop(&self) {
        self.server.stop(true).await;
    }

    /// Waits until that container has a process, and tells where.
    pub async fn running(&self, uuid: &str) -> String {
        eventually(&format!("{uuid} runs"), async || {
            let instances = self.get("/arvados/v1/dispatch/instances").await.json();
            let items = instances["items"].as_array().unwrap().clone();
            let holds =
                |it: &&Value| it["running_container_uuids"].as_array().unwrap().contains(&uuid.into());
            items.iter().find(holds).map(|it| it["instance"].as_str().unwrap().to_owned())
        })
        .await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The order is given at once; its end is nobody's concern.
        drop(self.server.stop(false));
    }
}

pub fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

/// What the API said.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// It is an error of the API's form, with that status.
    #[track_caller]
    pub fn assert_error(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        let json = self.json();
        assert!(json["errors"][0].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        assert_eq!(self.header("content-type"), "application/json");
    }

    #[track_caller]
    pub fn assert_done(&self) {
        assert_eq!((self.status.as_u16(), self.body.as_str()), (200, ""), "{self:?}");
    }
}

pub fn uuid(number: u32) -> ContainerUuid {
    format!("zzzzz-dz642-{number:015}").parse().unwrap()
}

/// The recorded plain container.
pub fn recorded(uuid: ContainerUuid) -> Record {
    Record {
        uuid,
        state: ContainerState::Queued,
        priority: 562_948_158_082_432_002,
        locked_by: None,
        runtime_constraints: RuntimeConstraints { api: true, ram: 2 << 30, vcpus: 2, ..Default::default() },
        container_image: "0123456789abcdef0123456789abcdef+174".to_owned(),
        scheduling: SchedulingParameters::default(),
        created_at: Some("2026-11-22T21:08:52.366599Z".parse().unwrap()),
        preemption_notice: None,
        lock_count: None,
    }
}
