//! The demo's world: made in a temporary directory, gone with it.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use dispatch_adapters::loopback::processes_below;
use dispatch_core::container::{ContainerState, RuntimeConstraints};
use dispatch_core::id::ContainerUuid;
use dispatch_core::time::Timestamp;
use dispatch_sim::controller::http::SimController;
use dispatch_sim::controller::state::ContainerSpec;
use dispatch_sim::controller::{FakeArvados, Settings, Submission};
use rand::RngExt as _;
use serde_json::{Value, json};
use slog::Logger;
use tempfile::TempDir;

use super::report::Report;
use crate::cli::Demo;
use crate::settings::{self, Environment, Host, Loaded, LogFormat, Logs};
use crate::telemetry::{self, LogGuard};

const CLUSTER: &str = "zzzzz";
const LOG: &str = "dispatch.log";
/// What one instance costs an hour in the demo's tables.
pub(super) const PRICE: f64 = 0.10;

/// Everything that the dispatcher is run against.
pub(super) struct World {
    directory: TempDir,
    controller: SimController,
    pub(super) loaded: Loaded,
    pub(super) management_token: String,
}

/// A container, as the controller has it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) uuid: ContainerUuid,
    pub(super) state: ContainerState,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
}

/// All containers, as the controller has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) containers: Vec<Seen>,
}

impl World {
    pub(super) async fn build(demo: &Demo) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("dispatch-demo-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .context("cannot make a temporary directory")?;
        let arvados = FakeArvados::new(
            u64::from(demo.containers),
            Settings { cluster: CLUSTER.to_owned(), ..Settings::default() },
        );
        let controller = SimController::start(arvados, dispatch_actors::clock::now)
            .context("cannot start the simulated controller")?;
        submit(&controller, demo).await?;
        let management_token = random_token();
        let key = private_key()?;
        let config = config(demo, &directory, &controller, &management_token, &key);
        let text = serde_json::to_vec(&config).context("cannot write the demo's configuration")?;
        let loaded = settings::parse("demo", &text, None, &Environment::default(), &Host::this())
            .map_err(|error| anyhow!("{error}"))?;
        Ok(Self { directory, controller, loaded, management_token })
    }

    /// The dispatcher's log, as JSON lines in the directory.
    pub(super) fn logger(&self) -> Result<(Logger, LogGuard)> {
        let file = File::create(self.log_path()).context("cannot make the demo's log")?;
        let logs = Logs { level: slog::Level::Debug, format: LogFormat::Json };
        Ok(telemetry::logger_to(logs, CLUSTER, false, file))
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join(LOG)
    }

    fn state_directory(&self) -> PathBuf {
        self.directory.path().join("cloud")
    }

    /// The log so far, a JSON object a line.
    pub(super) fn log_lines(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.log_path()).context("cannot read the demo's log")?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    pub(super) fn leftover_processes(&self) -> usize {
        processes_below(&self.state_directory()).len()
    }

    pub(super) async fn tally(&self) -> Result<Tally> {
        let look = |arvados: &mut FakeArvados, _: Timestamp| {
            let seen = arvados.containers().map(|container| Seen {
                uuid: container.uuid,
                state: container.state,
                created_at: container.created_at,
                started_at: container.started_at,
                finished_at: container.finished_at,
            });
            seen.collect()
        };
        let containers = self.controller.with(look).await.context("the simulated controller has stopped")?;
        Ok(Tally { containers })
    }

    /// Does something to the controller.
    pub(super) async fn controller(&self, visit: impl FnOnce(&mut FakeArvados, Timestamp) + Send + 'static) {
        // A controller that has stopped is noticed by the next tally.
        let _ = self.controller.with(visit).await;
    }

    /// Where everything is.
    pub(super) fn directory(&self) -> std::path::Display<'_> {
        self.directory.path().display()
    }

    /// Everything goes; of a run that failed, not of one that was interrupted, the log stays.
    pub(super) async fn tear_down(self, report: Result<Report>) -> Result<Report> {
        self.controller.shutdown().await;
        if report.as_ref().is_ok_and(|report| report.is_good(true) || report.was_interrupted()) {
            return report;
        }
        // The directory has keys and tokens in it, and the log has not.
        let kept = tempfile::Builder::new()
            .prefix("dispatch-demo-")
            .suffix(".log")
            .tempfile()
            .and_then(|file| Ok(file.keep()?.1))
            .and_then(|path| std::fs::copy(self.directory.path().join(LOG), &path).map(|_| path));
        match kept {
            Ok(path) => crate::cli::complain(format!("demo: the log is in {}", path.display())),
            Err(error) => crate::cli::complain(format!("demo: cannot keep the log: {error}")),
        }
        report
    }
}

async fn submit(controller: &SimController, demo: &Demo) -> Result<()> {
    let (count, attempts) = (demo.containers, if demo.faults { 3 } else { 1 });
    let submit = move |arvados: &mut FakeArvados, now: Timestamp| {
        for _ in 0..count {
            let spec = ContainerSpec {
                command: ["sh", "-c", "sleep 0.5"].map(str::to_owned).to_vec(),
                runtime_constraints: RuntimeConstraints { vcpus: 1, ram: 64 << 20, ..Default::default() },
                ..ContainerSpec::default()
            };
            arvados.submit(Submission { max_attempts: attempts, ..Submission::of(spec) }, now);
        }
    };
    controller.with(submit).await.context("the simulated controller has stopped")
}

fn random_token() -> String {
    let bytes: [u8; 24] = rand::rng().random();
    hex::encode(bytes)
}

/// A fresh key for this demo, as OpenSSH PEM.
fn private_key() -> Result<String> {
    use russh::keys::ssh_key::{LineEnding, private::Ed25519Keypair};
    let pair = Ed25519Keypair::from_seed(&rand::rng().random());
    let key = russh::keys::PrivateKey::from(pair);
    let pem = key.to_openssh(LineEnding::LF).context("cannot write the demo's key")?;
    Ok(pem.to_string())
}

/// The site's configuration: what a site would write, JSON being YAML.
fn config(demo: &Demo, directory: &TempDir, controller: &SimController, token: &str, key: &str) -> Value {
    let below = |name: &str| directory.path().join(name).display().to_string();
    let timeout_probe = if demo.faults { "10s" } else { "10m" };
    let websocket_url = if demo.no_events { String::new() } else { controller.websocket_url() };
    json!({ "Clusters": { CLUSTER: {
        "ManagementToken": token,
        "SystemRootToken": controller.token(),
        "Services": {
            "Controller": { "ExternalURL": controller.url() },
            "Websocket": { "ExternalURL": websocket_url },
            "DispatchCloud": { "InternalURLs": { "http://127.0.0.1:0": {} } },
        },
        "Containers": {
            "DispatchPrivateKey": key,
            "RuntimeEngine": "process",
            "CloudVMs": {
                "Enable": true,
                "Driver": "loopback",
                "DriverParameters": {
                    "Instances": demo.instances,
                    "BootDelay": "300ms",
                    "StateDirectory": below("cloud"),
                },
                "BootProbeCommand": "true",
                "DeployRunnerBinary": "/proc/self/exe",
                "DeployRunnerDirectory": below("runner"),
                "MaxInstances": demo.instances,
                "MaxConcurrentInstanceCreateOps": 0,
                "MaxCloudOpsPerSecond": 0,
                "PollInterval": "500ms",
                "SyncInterval": "1s",
                "ProbeInterval": "1s",
                "TimeoutIdle": "3s",
                "TimeoutProbe": timeout_probe,
                "TimeoutShutdown": "1s",
                "TimeoutSignal": "1s",
                "TimeoutTERM": "20s",
            },
        },
        "InstanceTypes": {
            "demo.small": { "VCPUs": 1, "RAM": "2GiB", "IncludedScratch": "10GB", "Price": PRICE },
        },
    } } })
}
