//! The site's wishes, typed and checked. What each key means is in `config/default.yml`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::{Catalog, TagKeys, Tags};
use dispatch_core::policy::{Policy, Runner, Sizing};
use dispatch_core::secret::Secret;

use super::drivers::Driver;
use super::key::PrivateKey;
use super::listen::Listener;
use super::postgresql::Connection;
use super::tls::Tls;

/// Everything that we read of a cluster's section.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The five letters.
    pub cluster_id: String,
    /// Bearer token of the management API; empty = none is accepted.
    pub management_token: Secret,
    /// Token for the controller, and for the processes on workers.
    pub system_root_token: Secret,
    /// The controller.
    pub controller: Controller,
    /// Event hints; `None` = polling only.
    pub websocket: Option<Url>,
    /// Where the management API may listen: the first whose address is local. At least one.
    pub listeners: Vec<Listener>,
    /// For listeners with `https`.
    pub tls: Tls,
    /// Logs.
    pub logs: Logs,
    /// The site's database, for the one-dispatcher lock.
    pub postgresql: Connection,
    /// The section `Containers`, `CloudVMs` aside.
    pub containers: Containers,
    /// The section `Containers.CloudVMs`.
    pub cloud: CloudVms,
    /// The driver and its parameters.
    pub driver: Driver,
    /// The instance types, derived ones included.
    pub instance_types: Catalog,
    /// Where our private files are: sockets and the key for the ssh client. Not in the file: systemd's word,
    /// else the system's temporary directory.
    pub runtime_directory: PathBuf,
    /// All sections, defaults merged in.
    pub(super) cluster: ClusterJson,
}

/// How the controller is reached.
#[derive(Debug, Clone)]
pub struct Controller {
    /// Its base URL.
    pub url: Url,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// Deadline of one call.
    pub request_timeout: Duration,
}

impl Controller {
    /// `HOST` or `HOST:PORT`, as `ARVADOS_API_HOST` has it.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logs {
    /// The least important level that is shown.
    pub level: slog::Level,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people: time, level, message, facts; in colour on a terminal.
    Text,
    /// Level, message and facts, for a journal that adds the time.
    Plain,
}

impl LogFormat {
    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Plain => "plain",
        }
    }
}

/// The section `Containers`, `CloudVMs` aside.
#[derive(Debug, Clone)]
pub struct Containers {
    /// The key that opens the VMs.
    pub private_key: PrivateKey,
    /// How long placement waits for unknown workers at start.
    pub stale_lock_timeout: Duration,
    /// Shell text, used if nothing is deployed.
    pub crunch_run_command: String,
    /// Further arguments of every start.
    pub crunch_run_arguments: Vec<String>,
    /// Bytes added to each container's memory.
    pub reserve_extra_ram: u64,
    /// `--runtime-engine`.
    pub runtime_engine: String,
    /// Storage server buffers a VCPU beside the container; 0 = no such server.
    pub keep_buffers_per_vcpu: u32,
    /// Types up to this many times the cheapest price are eligible.
    pub maximum_price_factor: f64,
    /// Price of derived preemptible types; 0 = none are derived.
    pub preemptible_price_factor: f64,
    /// How often the server lets a container be dispatched; for reporting.
    pub max_dispatch_attempts: u32,
}

/// The section `Containers.CloudVMs`. In counts, 0 = unlimited.
#[derive(Debug, Clone)]
pub struct CloudVms {
    /// Whether the site says that this dispatcher is used; false is a warning, no more.
    pub enable: bool,
    /// Port of the VMs' SSH servers, unless an address has one.
    pub ssh_port: u16,
    /// How often the queue is polled, at most.
    pub poll_interval: Duration,
    /// How often the cloud is listed.
    pub sync_interval: Duration,
    /// How often each worker is probed.
    pub probe_interval: Duration,
    /// Shell text that succeeds when a VM has booted.
    pub boot_probe_command: String,
    /// Probes a second as the file has it; `None` = it says nothing.
    pub max_probes_per_second: Option<u32>,
    /// Time between two signals to a process that is to end.
    pub timeout_signal: Duration,
    /// How long a stale run lock is tolerated.
    pub timeout_stale_run_lock: Duration,
    /// How long a process is signalled before it is given up.
    pub timeout_term: Duration,
    /// How long a worker may be idle.
    pub timeout_idle: Duration,
    /// How long an unknown or booting worker may go without a successful probe.
    pub timeout_booting: Duration,
    /// How long any other worker may go without one.
    pub timeout_probe: Duration,
    /// How long a worker may stay listed after a destroy call before the next.
    pub timeout_shutdown: Duration,
    /// Driver calls a second.
    pub max_cloud_ops_per_second: u32,
    /// Creates in flight.
    pub max_concurrent_creates: u32,
    /// Instances in any state and creates in flight.
    pub max_instances: u32,
    /// Containers on one instance.
    pub max_containers_per_instance: u32,
    /// Where the ceiling starts; 0 = at `max_instances`.
    pub initial_quota_estimate: u32,
    /// Share of the ceiling that supervisors may take; 0 = no limit.
    pub supervisor_fraction: f64,
    /// The image of new VMs.
    pub image_id: String,
    /// Shell text that is run on first boot, after ours.
    pub instance_init_command: String,
    /// What is deployed as the runner.
    pub runner: RunnerBinary,
    /// Directory on instances for the deployed runner.
    pub runner_directory: String,
    /// Whether new VMs are told our public key.
    pub deploy_public_key: bool,
    /// Tags of every VM besides ours.
    pub resource_tags: Tags,
    /// What the names of our tags begin with.
    pub tag_key_prefix: String,
}

/// What is deployed as the runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunnerBinary {
    /// Nothing: `CrunchRunCommand` is there already.
    None,
    /// A file of this host.
    File(PathBuf),
    /// This very program.
    ThisProgram,
}

/// A whole cluster section. Its `Debug` shows nothing of it: it is full of secrets.
#[derive(Clone)]
pub struct ClusterJson(pub Value);

impl fmt::Debug for ClusterJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(cluster)")
    }
}

impl Settings {
    /// The whole cluster section as the site's other programs would have it: every section, defaults merged
    /// in, entries of maps completed. Full of secrets.
    pub fn cluster_json(&self) -> &Value {
        &self.cluster.0
    }

    /// Whose instances these are: the middle part of a v2 token, else the token's MD5 in hex.
    pub fn instance_set_id(&self) -> InstanceSetId {
        use md5::Digest as _;
        let token = self.system_root_token.expose();
        let middle = token.strip_prefix("v2/").and_then(|rest| rest.split('/').next());
        middle.and_then(|id| InstanceSetId::new(id).ok()).unwrap_or_else(|| {
            let digest = hex::encode(md5::Md5::digest(token));
            InstanceSetId::new(&digest).expect("hex digits are an id")
        })
    }

    /// What the core needs.
    pub fn policy(&self) -> Policy {
        let cloud = &self.cloud;
        Policy {
            cluster_id: self.cluster_id.clone(),
            poll_interval: cloud.poll_interval,
            sync_interval: cloud.sync_interval,
            probe_interval: cloud.probe_interval,
            max_probes_per_second: cloud.max_probes_per_second,
            timeout_signal: cloud.timeout_signal,
            timeout_stale_run_lock: cloud.timeout_stale_run_lock,
            timeout_term: cloud.timeout_term,
            timeout_idle: cloud.timeout_idle,
            timeout_booting: cloud.timeout_booting,
            timeout_probe: cloud.timeout_probe,
            timeout_shutdown: cloud.timeout_shutdown,
            stale_lock_timeout: self.containers.stale_lock_timeout,
            max_cloud_ops_per_second: cloud.max_cloud_ops_per_second,
            max_concurrent_creates: cloud.max_concurrent_creates,
            max_instances: cloud.max_instances,
            max_containers_per_instance: cloud.max_containers_per_instance,
            initial_quota_estimate: cloud.initial_quota_estimate,
            max_dispatch_attempts: self.containers.max_dispatch_attempts,
            supervisor_fraction: cloud.supervisor_fraction,
            sizing: self.sizing(),
            catalog: self.instance_types.clone(),
            runner: self.runner(),
            instance_set_id: self.instance_set_id(),
            tag_keys: TagKeys::new(&cloud.tag_key_prefix),
        }
    }

    fn sizing(&self) -> Sizing {
        Sizing {
            reserve_extra_ram: self.containers.reserve_extra_ram,
            keep_buffers_per_vcpu: u64::from(self.containers.keep_buffers_per_vcpu),
            maximum_price_factor: self.containers.maximum_price_factor,
        }
    }

    fn runner(&self) -> Runner {
        let deploys = self.cloud.runner != RunnerBinary::None;
        Runner {
            command: self.containers.crunch_run_command.clone(),
            arguments: self.containers.crunch_run_arguments.clone(),
            engine: self.containers.runtime_engine.clone(),
            boot_probe_command: self.cloud.boot_probe_command.clone(),
            deploy_directory: deploys.then(|| self.cloud.runner_directory.clone()),
        }
    }
}
