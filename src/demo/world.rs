//! The demo's world: made in a temporary directory, gone with it.

use std::fs::File;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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

use super::scenario::Site;
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
    /// Whether its jobs are for spot instances.
    preemptible: bool,
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
        if demo.scenario.is_none() {
            submit(&controller, demo).await?;
        }
        let management_token = random_token();
        let key = private_key()?;
        let config = config(demo, &directory, &controller, &management_token, &key);
        let text = serde_json::to_vec(&config).context("cannot write the demo's configuration")?;
        // Nothing of the environment: the service's own directories may be named there.
        let environment =
            Environment { state_directory: Some(directory.path().to_owned()), ..Environment::default() };
        let loaded = settings::parse("demo", &text, None, &environment, &Host::this())
            .map_err(|error| anyhow!("{error}"))?;
        let preemptible = Site::of(demo).preemptible;
        Ok(Self { directory, controller, loaded, management_token, preemptible })
    }

    /// The dispatcher's log, as JSON lines in the directory.
    pub(super) fn logger(&self, level: slog::Level) -> Result<(Logger, LogGuard)> {
        let file = File::create(self.log_path()).context("cannot make the demo's log")?;
        let logs = Logs { level, format: LogFormat::Json };
        let (log, _, guard) = telemetry::logger_to(logs, CLUSTER, false, file);
        Ok((log, guard))
    }

    /// Where the dispatcher's log is.
    pub(super) fn log_path(&self) -> PathBuf {
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

    /// How many containers are not final.
    pub(super) async fn unfinished(&self) -> Result<usize> {
        let count = |arvados: &mut FakeArvados, _| {
            arvados.containers().filter(|container| !container.state.is_final()).count()
        };
        self.controller.with(count).await.context("the simulated controller has stopped")
    }

    /// That many more jobs, of so many seconds each; another attempt follows what is lost.
    pub(super) async fn submit_some(&self, count: usize, lasting: RangeInclusive<u32>) -> Result<()> {
        let seconds: Vec<u32> = (0..count).map(|_| rand::rng().random_range(lasting.clone())).collect();
        let preemptible = self.preemptible;
        let submit = move |arvados: &mut FakeArvados, now: Timestamp| {
            for seconds in seconds {
                let mut spec = job(&format!("sleep {seconds}"));
                spec.scheduling.preemptible = preemptible;
                arvados.submit(Submission { max_attempts: 3, ..Submission::of(spec) }, now);
            }
        };
        self.controller.with(submit).await.context("the simulated controller has stopped")
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

    /// Everything goes, but for the log if it is to be kept: the directory has keys and tokens in it, and the log has
    /// not.
    pub(super) async fn tear_down(self, keep_log: bool) {
        let log = self.log_path();
        self.controller.shutdown().await;
        if !keep_log {
            return;
        }
        let kept = tempfile::Builder::new()
            .prefix("dispatch-demo-")
            .suffix(".log")
            .tempfile()
            .and_then(|file| Ok(file.keep()?.1))
            .and_then(|path| std::fs::copy(&log, &path).map(|_| path));
        match kept {
            Ok(path) => crate::cli::complain(format!("demo: the log is in {}", path.display())),
            Err(error) => crate::cli::complain(format!("demo: cannot keep the log: {error}")),
        }
    }

    /// Writes the management token to a file that nobody else can read: a command line would show it to every user of
    /// this machine.
    pub(super) fn write_token(&self) -> Result<PathBuf> {
        let path = self.directory.path().join("management-token");
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .context("cannot make the file of the management token")?;
        writeln!(file, "{}", self.management_token).context("cannot write the management token")?;
        Ok(path)
    }
}

async fn submit(controller: &SimController, demo: &Demo) -> Result<()> {
    let (count, attempts) = (demo.containers, if demo.faults { 3 } else { 1 });
    let submit = move |arvados: &mut FakeArvados, now: Timestamp| {
        for _ in 0..count {
            let submission = Submission::of(job("sleep 0.5"));
            arvados.submit(Submission { max_attempts: attempts, ..submission }, now);
        }
    };
    controller.with(submit).await.context("the simulated controller has stopped")
}

/// What fits on one instance.
fn job(script: &str) -> ContainerSpec {
    ContainerSpec {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        runtime_constraints: RuntimeConstraints { vcpus: 1, ram: 64 << 20, ..Default::default() },
        ..ContainerSpec::default()
    }
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
    let websocket_url = if demo.no_events { String::new() } else { controller.websocket_url() };
    let site = Site::of(demo);
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
            "CloudVMs": cloud_vms(&site, directory),
        },
        "InstanceTypes": {
            "demo.small": {
                "VCPUs": 1,
                "RAM": "2GiB",
                "IncludedScratch": "10GB",
                "Price": PRICE,
                "Preemptible": site.preemptible,
            },
        },
    } } })
}

/// Everything is faster than on a real site, or nobody would wait for it.
fn cloud_vms(site: &Site, directory: &TempDir) -> Value {
    let below = |name: &str| directory.path().join(name).display().to_string();
    json!({
        "Enable": true,
        "Driver": "loopback",
        "DriverParameters": {
            "Instances": site.room,
            "BootDelay": "300ms",
            "StateDirectory": below("cloud"),
        },
        "BootProbeCommand": "true",
        "DeployRunnerBinary": "/proc/self/exe",
        "DeployRunnerDirectory": below("runner"),
        "MaxInstances": site.max_instances,
        "MaxConcurrentInstanceCreateOps": 0,
        "MaxCloudOpsPerSecond": 0,
        "PollInterval": "500ms",
        "SyncInterval": "1s",
        "ProbeInterval": "1s",
        "TimeoutIdle": "3s",
        "TimeoutBooting": site.timeout_booting,
        "TimeoutProbe": site.timeout_probe,
        "TimeoutShutdown": "1s",
        "TimeoutSignal": "1s",
        "TimeoutTERM": "20s",
    })
}
