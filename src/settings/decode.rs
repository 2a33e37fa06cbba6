//! The merged tree → [`Settings`]: each table in its turn, what modules of their own read, and what keys mean together.

use std::path::PathBuf;

use dispatch_adapters::ssh::{KeyExchange, SshClient};
use dispatch_core::blueprint::Blueprint;
use dispatch_core::driver::{KeyAlgorithm, Parameters};
use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::{TagKeys, Tags};
use dispatch_core::policy::Policy;
use dispatch_core::secret::Secret;
use url::Url;

use super::drivers::{self, Driver, Drivers};
use super::host::{Environment, Host};
use super::key::PrivateKey;
use super::listen::{self, Listener, WEB_URL, is_loopback, parse_web_url};
use super::model::{CloudVms, ClusterJson, Containers, Controller, LogFormat, Logs, RunnerBinary, Settings};
use super::section::Section;
use super::table::{API, CLOUD_VMS, CONTAINERS, SYSTEM_LOGS, TLS, TOKENS, WEBSOCKET};
use super::websocket::{self, Websocket};
use super::{instance_types, key, postgresql, tls};

const DEFAULT_RUNNER: &str = "/usr/bin/crunch-run";

/// Reads everything; `None` after a problem (the report has it). What is at the same place of the file, or at none, is
/// told in the order of this function.
pub fn read(
    drivers: Drivers<'_>,
    id: &str,
    cluster: &Section<'_>,
    environment: &Environment,
    host: &Host,
) -> Option<Settings> {
    let services = cluster.section("Services");
    let url = controller_url(&services.section("Controller"), environment);
    let listeners =
        listen::read(&services.section("DispatchCloud"), environment.service_internal_url.as_deref());
    let tls = tls::read(&cluster.section("TLS"), listeners.iter().any(Listener::is_https));
    let containers = cluster.section("Containers");
    let cloud = containers.section("CloudVMs");
    let private_key = key::read(&containers);
    let driver = drivers::read(drivers, &cloud, private_key.as_ref(), environment);
    let is_complete = url.is_some() && private_key.is_some() && driver.is_some();

    let mut settings = unread(id, environment);
    (settings.listeners, settings.tls) = (listeners, tls);
    TOKENS.read(cluster, &mut settings);
    check_tokens(cluster, environment, &mut settings);
    WEBSOCKET.read(&services.section("Websocket"), &mut settings);
    settings.websocket.internal = websocket::internal(&services.section("Websocket"));
    TLS.read(&cluster.section("TLS"), &mut settings);
    SYSTEM_LOGS.read(&cluster.section("SystemLogs"), &mut settings);
    API.read(&cluster.section("API"), &mut settings);
    settings.postgresql = postgresql::read(&cluster.section("PostgreSQL").section("Connection"));
    CONTAINERS.read(&containers, &mut settings);
    let factor = settings.containers.preemptible_price_factor;
    settings.policy.catalog = instance_types::read(cluster, driver.as_ref(), factor, host);
    read_cloud_vms(&cloud, environment, &mut settings);

    warn_of_unsafe_controller(cluster, url.as_ref(), settings.controller.insecure);
    settings.controller.url = url.unwrap_or(settings.controller.url);
    settings.containers.private_key = private_key.unwrap_or(settings.containers.private_key);
    settings.driver = driver.unwrap_or(settings.driver);
    is_complete.then_some(settings)
}

/// What is read into. It has a value everywhere, so that the rest is read, and told about, after a problem too.
pub(super) fn unread(id: &str, environment: &Environment) -> Settings {
    let no_key = PrivateKey { pem: Secret::default(), algorithm: KeyAlgorithm::Ed25519, file: None };
    let description = drivers::DRIVERS[0];
    let parameters = Parameters::defaults(description.parameters());
    Settings {
        policy: Policy { cluster_id: id.to_owned(), ..Policy::with_defaults() },
        management_token: Secret::default(),
        system_root_token: Secret::default(),
        controller: Controller {
            url: Url::parse("http://unread.invalid/").expect("a constant"),
            insecure: false,
            request_timeout: std::time::Duration::ZERO,
        },
        websocket: Websocket {
            external: None,
            internal: Vec::new(),
            ping_interval: std::time::Duration::ZERO,
        },
        listeners: Vec::new(),
        tls: tls::Tls::default(),
        logs: Logs { level: slog::Level::Info, format: LogFormat::Json },
        postgresql: postgresql::Connection::default(),
        containers: Containers { private_key: no_key, preemptible_price_factor: 0.0 },
        cloud: CloudVms {
            enable: false,
            ssh_port: 22,
            key_exchange: KeyExchange::PostQuantum,
            ssh_client: SshClient::OpenSsh,
            image_id: String::new(),
            instance_init_command: String::new(),
            runner: RunnerBinary::None,
            runner_directory: String::new(),
            deploy_public_key: false,
            resource_tags: Tags::default(),
            tag_key_prefix: String::new(),
        },
        driver: Driver { description, parameters },
        runtime_directory: environment.runtime_directory.clone().unwrap_or_else(own_runtime_directory),
        state_directory: environment.state_directory.clone(),
        cluster: ClusterJson(serde_json::Value::Null),
    }
}

fn controller_url(section: &Section<'_>, environment: &Environment) -> Option<Url> {
    let text = section.text("ExternalURL");
    if text.is_empty() {
        let wanted = match &environment.api_host {
            Some(host) => {
                format!("{WEB_URL}; ARVADOS_API_HOST is not used by the service: write https://{host}/ here")
            }
            None => WEB_URL.to_owned(),
        };
        section.missing("ExternalURL", &wanted);
        return None;
    }
    let url = parse_web_url(&text);
    if url.is_none() {
        section.refuse("ExternalURL", WEB_URL);
    }
    url
}

/// The root token goes to the controller with each call.
fn warn_of_unsafe_controller(cluster: &Section<'_>, url: Option<&Url>, insecure: bool) {
    if insecure {
        cluster.section("TLS").warn_unsafe(
            "Insecure",
            "true: any certificate of the controller is accepted, so whoever redirects a connection gets the \
             SystemRootToken",
        );
    }
    if url.is_some_and(|url| url.scheme() == "http" && !is_loopback(url)) {
        cluster.section("Services").section("Controller").warn_unsafe(
            "ExternalURL",
            "http to another machine: the SystemRootToken is sent in clear with each call; use https",
        );
    }
}

fn check_tokens(cluster: &Section<'_>, environment: &Environment, settings: &mut Settings) {
    if settings.system_root_token.is_empty() {
        cluster.missing(
            "SystemRootToken",
            match environment.api_token {
                Some(_) => {
                    "the token for the controller; ARVADOS_API_TOKEN is not used by the service: write its value here"
                }
                None => "the token for the controller",
            },
        );
    }
    if settings.management_token.is_empty() {
        cluster.warn("ManagementToken", "empty: the management API answers 403 to everything");
    }
    settings.policy.instance_set_id = instance_set_id(&settings.system_root_token);
}

/// The instance set's id: the middle part of a v2 token, else the token's MD5 in hex.
fn instance_set_id(token: &Secret) -> InstanceSetId {
    use md5::Digest as _;
    let token = token.expose();
    let middle = token.strip_prefix("v2/").and_then(|rest| rest.split('/').next());
    middle.and_then(|id| InstanceSetId::new(id).ok()).unwrap_or_else(|| {
        let digest = hex::encode(md5::Md5::digest(token));
        InstanceSetId::new(&digest).expect("hex digits are an id")
    })
}

/// `CloudVMs`, after `Containers`: what is deployed depends on the engine.
fn read_cloud_vms(section: &Section<'_>, environment: &Environment, settings: &mut Settings) {
    match &environment.image_id {
        None => CLOUD_VMS.read(section, settings),
        Some(image) => {
            CLOUD_VMS.read_except(&["ImageID"], section, settings);
            settings.cloud.image_id.clone_from(image);
        }
    }
    let Settings { cloud, policy, .. } = settings;
    if !cloud.enable {
        section.warn("Enable", "false: this dispatcher runs all the same");
    }
    warn_of_slow_probes(section, policy);
    // This program has a runner of its own, which runs containers as plain processes and nothing else.
    if cloud.runner == RunnerBinary::ThisProgram && policy.runner.engine != "process" {
        cloud.runner = RunnerBinary::File(DEFAULT_RUNNER.into());
    }
    let deploys = cloud.runner != RunnerBinary::None;
    policy.runner.deploy_directory = deploys.then(|| cloud.runner_directory.clone());
    policy.tag_keys = TagKeys::new(&cloud.tag_key_prefix);
    policy.blueprint = Blueprint::new(&cloud.image_id, &cloud.instance_init_command);
    warn_of_unused_age(section, policy);
    warn_of_vain_reserve(section, policy);
}

fn warn_of_vain_reserve(section: &Section<'_>, policy: &Policy) {
    let reserve = section.section("IdleReserve");
    let is_vain = |name: &&str| policy.catalog.get(name).is_none();
    for name in policy.idle_reserve.rules().keys().map(|name| name.as_str()).filter(is_vain) {
        reserve.warn(name, "no instance type of that name is configured: nothing is kept for it");
    }
}

fn warn_of_unused_age(section: &Section<'_>, policy: &Policy) {
    if !policy.max_instance_age.is_zero() && policy.drift_budget == 0 {
        section.warn("MaxInstanceAge", "without a DriftBudget no instance is renewed, however old it is");
    }
}

fn warn_of_slow_probes(section: &Section<'_>, policy: &Policy) {
    let Some(rate) = policy.max_probes_per_second else { return };
    let round = f64::from(policy.max_instances) / f64::from(rate);
    if round > 3.0 * policy.probe_interval.as_secs_f64() {
        let message = format!(
            "with MaxInstances {} each instance is probed every {round:.0} s only, not every ProbeInterval",
            policy.max_instances
        );
        section.warn("MaxProbesPerSecond", &message);
    }
}

/// A directory of this user's own below the temporary one, which is everybody's; below `/tmp` if that is so
/// long that a socket's path would not fit.
fn own_runtime_directory() -> PathBuf {
    const LONGEST: usize = 41;
    let name = format!("arvados-dispatch-{}", rustix::process::geteuid().as_raw());
    let below = std::env::temp_dir().join(&name);
    if below.as_os_str().len() <= LONGEST { below } else { PathBuf::from("/tmp").join(name) }
}
