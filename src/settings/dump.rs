//! The effective configuration, for `config dump`: every key that we read, no secrets.

use serde_json::{Map, Value, json};
use url::Url;

use super::drivers::Driver;
use super::model::{CloudVms, Containers, RunnerBinary, Settings};
use super::tls::PemSource;
use super::units::format_duration;

/// What is shown instead of a secret.
pub const HIDDEN: &str = "(secret)";

impl Settings {
    /// Every key that we read with the value in force, as a configuration of its own.
    pub fn dump(&self) -> Value {
        json!({"Clusters": {self.cluster_id.as_str(): {
            "ManagementToken": hidden(self.management_token.expose()),
            "SystemRootToken": hidden(self.system_root_token.expose()),
            "Services": self.dump_services(),
            "TLS": {
                "Certificate": pem(self.tls.certificate.as_ref()),
                "Key": pem(self.tls.key.as_ref()),
                "Insecure": self.controller.insecure,
            },
            "SystemLogs": {"LogLevel": level(self.logs.level), "Format": self.logs.format.as_str()},
            "API": {"RequestTimeout": format_duration(self.controller.request_timeout)},
            "PostgreSQL": {"Connection": self.dump_connection()},
            "Containers": containers(&self.containers, &self.cloud, &self.driver),
            "InstanceTypes": self.cluster_json()["InstanceTypes"],
        }}})
    }

    fn dump_services(&self) -> Value {
        let listeners = self.listeners.iter().map(|it| {
            let listen = if it.bind == it.url { "" } else { it.bind.as_str() };
            (it.url.to_string(), json!({"ListenURL": listen}))
        });
        json!({
            "Controller": {"ExternalURL": without_password(&self.controller.url)},
            "DispatchCloud": {"InternalURLs": Map::from_iter(listeners)},
            "Websocket": {"ExternalURL": self.websocket.as_ref().map(without_password).unwrap_or_default()},
        })
    }

    fn dump_connection(&self) -> Map<String, Value> {
        let shown =
            |key: &str, value: &str| if key.ends_with("password") { hidden(value) } else { value.into() };
        self.postgresql.0.iter().map(|(key, value)| (key.clone(), shown(key, value))).collect()
    }
}

/// A password in a URL is of no use to us, and is somebody's all the same.
fn without_password(url: &Url) -> String {
    let mut shown = url.clone();
    if url.password().is_some() {
        shown.set_password(Some("secret")).expect("what has a password can have another");
    }
    shown.into()
}

pub(super) fn hidden(secret: &str) -> Value {
    if secret.is_empty() { "".into() } else { HIDDEN.into() }
}

fn pem(source: Option<&PemSource>) -> Value {
    match source {
        None => "".into(),
        Some(PemSource::Inline(_)) => HIDDEN.into(),
        Some(PemSource::File(path)) => path.to_string_lossy().into(),
    }
}

fn level(level: slog::Level) -> &'static str {
    match level {
        slog::Level::Critical | slog::Level::Error => "error",
        slog::Level::Warning => "warning",
        slog::Level::Info => "info",
        slog::Level::Debug => "debug",
        slog::Level::Trace => "trace",
    }
}

fn containers(containers: &Containers, cloud: &CloudVms, driver: &Driver) -> Value {
    json!({
        "DispatchPrivateKey": HIDDEN,
        "StaleLockTimeout": format_duration(containers.stale_lock_timeout),
        "CrunchRunCommand": containers.crunch_run_command,
        "CrunchRunArgumentsList": containers.crunch_run_arguments,
        "ReserveExtraRAM": containers.reserve_extra_ram,
        "RuntimeEngine": containers.runtime_engine,
        "LocalKeepBlobBuffersPerVCPU": containers.keep_buffers_per_vcpu,
        "MaximumPriceFactor": containers.maximum_price_factor,
        "PreemptiblePriceFactor": containers.preemptible_price_factor,
        "MaxDispatchAttempts": containers.max_dispatch_attempts,
        "CloudVMs": cloud_vms(cloud, driver),
    })
}

fn cloud_vms(cloud: &CloudVms, driver: &Driver) -> Value {
    let mut map = json!({
        "Enable": cloud.enable,
        "SSHPort": cloud.ssh_port.to_string(),
        "PollInterval": format_duration(cloud.poll_interval),
        "SyncInterval": format_duration(cloud.sync_interval),
        "ProbeInterval": format_duration(cloud.probe_interval),
        "BootProbeCommand": cloud.boot_probe_command,
        "TimeoutSignal": format_duration(cloud.timeout_signal),
        "TimeoutStaleRunLock": format_duration(cloud.timeout_stale_run_lock),
        "TimeoutTERM": format_duration(cloud.timeout_term),
        "TimeoutIdle": format_duration(cloud.timeout_idle),
        "TimeoutBooting": format_duration(cloud.timeout_booting),
        "TimeoutProbe": format_duration(cloud.timeout_probe),
        "TimeoutShutdown": format_duration(cloud.timeout_shutdown),
        "MaxCloudOpsPerSecond": cloud.max_cloud_ops_per_second,
        "MaxConcurrentInstanceCreateOps": cloud.max_concurrent_creates,
        "MaxInstances": cloud.max_instances,
        "MaxRunningContainersPerInstance": cloud.max_containers_per_instance,
        "InitialQuotaEstimate": cloud.initial_quota_estimate,
        "SupervisorFraction": cloud.supervisor_fraction,
        "ImageID": cloud.image_id,
        "InstanceInitCommand": cloud.instance_init_command,
        "DeployRunnerBinary": runner(&cloud.runner),
        "DeployRunnerDirectory": cloud.runner_directory,
        "DeployPublicKey": cloud.deploy_public_key,
        "ResourceTags": cloud.resource_tags.0,
        "TagKeyPrefix": cloud.tag_key_prefix,
        "Driver": driver.name(),
        "DriverParameters": driver.dump(),
    });
    // A rate that the file does not set follows the number of workers: there is no number to show.
    if let Some(rate) = cloud.max_probes_per_second {
        map["MaxProbesPerSecond"] = rate.into();
    }
    map
}

fn runner(runner: &RunnerBinary) -> String {
    match runner {
        RunnerBinary::None => String::new(),
        RunnerBinary::File(path) => path.display().to_string(),
        RunnerBinary::ThisProgram => "/proc/self/exe".to_owned(),
    }
}
