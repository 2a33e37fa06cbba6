//! The merged tree → [`Settings`], section by section.

use dispatch_core::instance::Tags;
use std::path::PathBuf;

use super::drivers::{self, Drivers};
use super::host::{Environment, Host};
use super::listen::{self, Listener, WEB_URL, parse_web_url};
use super::model::{CloudVms, ClusterJson, Containers, Controller, LogFormat, Logs, RunnerBinary, Settings};
use super::section::Section;
use super::{instance_types, key, postgresql, tls};

const DEFAULT_RUNNER: &str = "/usr/bin/crunch-run";
const SELF: &str = "/proc/self/exe";

/// Reads everything; `None` after a problem (the report has it).
pub fn read(
    drivers: Drivers<'_>,
    id: &str,
    cluster: &Section<'_>,
    environment: &Environment,
    host: &Host,
) -> Option<Settings> {
    let services = cluster.section("Services");
    let controller = controller(cluster, &services);
    let listeners =
        listen::read(&services.section("DispatchCloud"), environment.service_internal_url.as_deref());
    let tls = tls::read(&cluster.section("TLS"), listeners.iter().any(Listener::is_https));
    let containers = cluster.section("Containers");
    let cloud = containers.section("CloudVMs");
    let private_key = key::read(&containers);
    let driver = drivers::read(drivers, &cloud, private_key.as_ref(), environment);
    let system_root_token = cluster.secret("SystemRootToken");
    if system_root_token.is_empty() {
        cluster.missing("SystemRootToken", "the token for the controller");
    }
    let management_token = cluster.secret("ManagementToken");
    if management_token.is_empty() {
        cluster.warn("ManagementToken", "empty: the management API answers 403 to everything");
    }
    let websocket = websocket(&services);
    let logs = logs(&cluster.section("SystemLogs"));
    let postgresql = postgresql::read(&cluster.section("PostgreSQL").section("Connection"));
    let instance_types = instance_types::read(cluster, driver.as_ref(), host);
    let engine = containers.text("RuntimeEngine");
    let cloud = cloud_vms(&cloud, &engine, environment);
    Some(Settings {
        cluster_id: id.to_owned(),
        management_token,
        system_root_token,
        controller: controller?,
        websocket,
        listeners,
        tls,
        logs,
        postgresql,
        containers: containers_of(&containers, private_key, engine)?,
        cloud,
        driver: driver?,
        runtime_directory: environment.runtime_directory.clone().unwrap_or_else(own_runtime_directory),
        instance_types,
        cluster: ClusterJson(serde_json::Value::Null),
    })
}

fn controller(cluster: &Section<'_>, services: &Section<'_>) -> Option<Controller> {
    let section = services.section("Controller");
    let insecure = cluster.section("TLS").flag("Insecure");
    let request_timeout = cluster.section("API").interval("RequestTimeout");
    let text = section.text("ExternalURL");
    if text.is_empty() {
        section.missing("ExternalURL", WEB_URL);
        return None;
    }
    let Some(url) = parse_web_url(&text) else {
        section.refuse("ExternalURL", WEB_URL);
        return None;
    };
    Some(Controller { url, insecure, request_timeout })
}

fn websocket(services: &Section<'_>) -> Option<url::Url> {
    let section = services.section("Websocket");
    let text = section.text("ExternalURL");
    let url = url::Url::parse(&text).ok().filter(|url| {
        matches!(url.scheme(), "ws" | "wss" | "http" | "https")
            && url.host_str().is_some_and(|it| !it.is_empty())
    });
    if url.is_none() && !text.is_empty() {
        section.refuse("ExternalURL", "a URL such as wss://ws.zzzzz.example.com/websocket, or nothing");
    }
    url
}

fn logs(section: &Section<'_>) -> Logs {
    let level = match section.text("LogLevel").to_ascii_lowercase().as_str() {
        "panic" | "fatal" | "error" => slog::Level::Error,
        "warn" | "warning" => slog::Level::Warning,
        "" | "info" => slog::Level::Info,
        "debug" => slog::Level::Debug,
        "trace" => slog::Level::Trace,
        _ => {
            section.refuse("LogLevel", "panic, fatal, error, warning, info, debug or trace");
            slog::Level::Info
        }
    };
    let format = match section.text("Format").as_str() {
        "" | "json" => LogFormat::Json,
        "text" => LogFormat::Text,
        "plain" => LogFormat::Plain,
        _ => {
            section.refuse("Format", "json, text or plain");
            LogFormat::Json
        }
    };
    Logs { level, format }
}

fn containers_of(section: &Section<'_>, key: Option<key::PrivateKey>, engine: String) -> Option<Containers> {
    let containers = Containers {
        private_key: key?,
        stale_lock_timeout: section.interval("StaleLockTimeout"),
        crunch_run_command: section.text("CrunchRunCommand"),
        crunch_run_arguments: section.texts("CrunchRunArgumentsList"),
        reserve_extra_ram: section.size("ReserveExtraRAM"),
        runtime_engine: engine,
        keep_buffers_per_vcpu: section.count("LocalKeepBlobBuffersPerVCPU"),
        maximum_price_factor: section.number("MaximumPriceFactor"),
        preemptible_price_factor: section.number("PreemptiblePriceFactor"),
        max_dispatch_attempts: section.count("MaxDispatchAttempts"),
    };
    Some(containers)
}

fn cloud_vms(section: &Section<'_>, engine: &str, environment: &Environment) -> CloudVms {
    let enable = section.flag("Enable");
    if !enable {
        section.warn("Enable", "false: this dispatcher runs all the same");
    }
    let cloud = CloudVms {
        enable,
        ssh_port: ssh_port(section),
        poll_interval: section.interval("PollInterval"),
        sync_interval: section.interval("SyncInterval"),
        probe_interval: section.interval("ProbeInterval"),
        boot_probe_command: section.text("BootProbeCommand"),
        max_probes_per_second: max_probes(section),
        timeout_signal: section.interval("TimeoutSignal"),
        timeout_stale_run_lock: section.interval("TimeoutStaleRunLock"),
        timeout_term: section.interval("TimeoutTERM"),
        timeout_idle: section.interval("TimeoutIdle"),
        timeout_booting: section.interval("TimeoutBooting"),
        timeout_probe: section.interval("TimeoutProbe"),
        timeout_shutdown: section.interval("TimeoutShutdown"),
        max_cloud_ops_per_second: section.count("MaxCloudOpsPerSecond"),
        max_concurrent_creates: section.count("MaxConcurrentInstanceCreateOps"),
        max_instances: section.count("MaxInstances"),
        max_containers_per_instance: section.count("MaxRunningContainersPerInstance"),
        initial_quota_estimate: section.count("InitialQuotaEstimate"),
        supervisor_fraction: section.number("SupervisorFraction"),
        image_id: environment.image_id.clone().unwrap_or_else(|| section.text("ImageID")),
        instance_init_command: section.text("InstanceInitCommand"),
        runner: runner(section, engine),
        runner_directory: section.text("DeployRunnerDirectory"),
        deploy_public_key: section.flag("DeployPublicKey"),
        resource_tags: Tags(section.section("ResourceTags").text_map()),
        tag_key_prefix: section.text("TagKeyPrefix"),
    };
    warn_of_slow_probes(section, &cloud);
    cloud
}

fn ssh_port(section: &Section<'_>) -> u16 {
    section.text("SSHPort").parse().ok().filter(|port| *port > 0).unwrap_or_else(|| {
        section.refuse("SSHPort", "a port number from 1 to 65535");
        22
    })
}

/// As the file has it, below 1 as the default; `None` = the file says nothing, and we follow the workers' number.
fn max_probes(section: &Section<'_>) -> Option<u32> {
    if !section.is_set("MaxProbesPerSecond") {
        return None;
    }
    match section.integer("MaxProbesPerSecond") {
        ..1 => Some(10),
        rate => Some(u32::try_from(rate).unwrap_or(u32::MAX)),
    }
}

fn warn_of_slow_probes(section: &Section<'_>, cloud: &CloudVms) {
    let Some(rate) = cloud.max_probes_per_second else { return };
    let round = f64::from(cloud.max_instances) / f64::from(rate);
    if round > 3.0 * cloud.probe_interval.as_secs_f64() {
        let message = format!(
            "with MaxInstances {} each instance is probed every {round:.0} s only, not every ProbeInterval",
            cloud.max_instances
        );
        section.warn("MaxProbesPerSecond", &message);
    }
}

fn runner(section: &Section<'_>, engine: &str) -> RunnerBinary {
    match section.text("DeployRunnerBinary").as_str() {
        "" => RunnerBinary::None,
        SELF if engine == "process" => RunnerBinary::ThisProgram,
        SELF => RunnerBinary::File(DEFAULT_RUNNER.into()),
        path if path.starts_with('/') => RunnerBinary::File(path.into()),
        _ => {
            section.refuse("DeployRunnerBinary", "an absolute path, or nothing");
            RunnerBinary::None
        }
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
