//! The site's wishes, typed and checked. What each key means is in its row (`table`) and in `config/default.yml`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use url::Url;
use zeroize::Zeroize as _;

use dispatch_adapters::ssh::{KeyExchange, SshClient};
use dispatch_core::instance::Tags;
use dispatch_core::policy::Policy;
use dispatch_core::secret::Secret;

use super::drivers::Driver;
use super::key::PrivateKey;
use super::listen::Listener;
use super::postgresql::Connection;
use super::tls::Tls;
use super::websocket::Websocket;

/// Everything that we read of a cluster's section.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the core decides by.
    pub policy: Policy,
    /// Bearer token of the management API; empty = none is accepted.
    pub management_token: Secret,
    /// Token for the controller, and for the processes on workers.
    pub system_root_token: Secret,
    /// The controller.
    pub controller: Controller,
    /// Where the event feed is.
    pub websocket: Websocket,
    /// Where the management API may listen: the first whose address is local. At least one.
    pub listeners: Vec<Listener>,
    /// Certificate and key of listeners with `https`.
    pub tls: Tls,
    /// Logs.
    pub logs: Logs,
    /// The site's database, for the one-dispatcher lock.
    pub postgresql: Connection,
    /// What of the section `Containers` is no policy.
    pub containers: Containers,
    /// What of the section `Containers.CloudVMs` is no policy.
    pub cloud: CloudVms,
    /// The driver and its parameters.
    pub driver: Driver,
    /// Where our private files are: sockets and the key for the ssh client. Not in the file: systemd's word,
    /// else the system's temporary directory.
    pub runtime_directory: PathBuf,
    /// Where that is kept which must outlive a restart and stands nowhere else. Not in the file: systemd's word;
    /// `None` = nowhere.
    pub state_directory: Option<PathBuf>,
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
    /// A JSON object in each line.
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

/// What of the section `Containers` is no policy.
#[derive(Debug, Clone)]
pub struct Containers {
    /// The key that opens the VMs.
    pub private_key: PrivateKey,
    /// Price of derived preemptible types; 0 = none are derived.
    pub preemptible_price_factor: f64,
}

/// What of the section `Containers.CloudVMs` is no policy.
#[derive(Debug, Clone)]
pub struct CloudVms {
    /// Whether the site says that this dispatcher is used; false is a warning, no more.
    pub enable: bool,
    /// Port of the VMs' SSH servers, unless an address has one.
    pub ssh_port: u16,
    /// How the keys of a connection to a VM are agreed.
    pub key_exchange: KeyExchange,
    /// Which ssh client makes the connections to VMs.
    pub ssh_client: SshClient,
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

/// A whole cluster section. It is full of secrets: its `Debug` shows nothing of it, and its texts are overwritten when
/// it goes.
#[derive(Clone)]
pub struct ClusterJson(pub Value);

impl Drop for ClusterJson {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

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
}
