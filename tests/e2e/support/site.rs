//! A site: a controller with containers, a configuration, a place for a loopback cloud.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dispatch_sim::controller::http::SimController;
use dispatch_sim::controller::state::ContainerSpec;
use dispatch_sim::controller::{FakeArvados, Settings, Submission};
use rand::RngExt as _;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::containers::{self, Record, Runs};
use super::processes;
use super::{SOON, Service, dispatcher, until};
use dispatch_core::container::ContainerState;
use std::time::Duration;

/// A site whose configuration a test may change before it starts a dispatcher. Kills what is left when dropped.
pub struct Site {
    directory: TempDir,
    pub controller: SimController,
    pub management_token: String,
    pub root_token: String,
    pub private_key: String,
    pub runs: Runs,
    /// What `config.yml` says, JSON being YAML.
    pub config: Value,
}

/// A secret that is nowhere else.
fn random_hex() -> String {
    hex::encode(rand::rng().random::<[u8; 20]>())
}

impl Site {
    /// Nothing submitted yet; room for two instances of ten containers each.
    pub fn new() -> Self {
        // Short: the ssh client's sockets are below it.
        let directory = tempfile::Builder::new().prefix("e2e-").tempdir().unwrap();
        // As bad as can be: what is below must protect itself.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (management_token, root_token) = (random_hex(), random_hex());
        let settings = Settings { root_token: root_token.clone(), ..Settings::default() };
        let controller =
            SimController::start(FakeArvados::new(1, settings), dispatch_actors::clock::now).unwrap();
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let private_key = key.to_openssh(LineEnding::LF).unwrap().to_string();
        std::fs::create_dir(directory.path().join("tmp")).unwrap();
        let runs = Runs::new(directory.path().join("runs"));
        let config = config(directory.path(), controller.url(), &management_token, &root_token, &private_key);
        Self { directory, controller, management_token, root_token, private_key, runs, config }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn state_directory(&self) -> PathBuf {
        self.path("cloud")
    }

    /// The cluster's configuration.
    pub fn cluster(&mut self) -> &mut Value {
        &mut self.config["Clusters"]["zzzzz"]
    }

    /// `Containers.CloudVMs` of the configuration.
    pub fn cloud(&mut self) -> &mut Value {
        &mut self.cluster()["Containers"]["CloudVMs"]
    }

    /// Writes `config.yml`, for us alone to read; where it is.
    pub fn write_config(&self) -> PathBuf {
        self.write_text(&serde_json::to_string_pretty(&self.config).unwrap())
    }

    /// Writes any text as `config.yml`.
    pub fn write_text(&self, text: &str) -> PathBuf {
        let path = self.path("config.yml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Starts `run`, and waits until it serves.
    pub async fn start(&self) -> Service {
        self.write_config();
        Service::start(self, &["run"], &[]).await
    }

    /// Submits that many containers, `c00` and so on, which wait at the gate.
    pub async fn submit(&self, count: usize) {
        let specs: Vec<_> = (0..count)
            .map(|number| self.runs.spec(&format!("c{number:02}"), self.directory.path()))
            .collect();
        self.submit_these(specs).await;
    }

    /// Submits that many containers, `c000` and so on, which run for that many seconds.
    pub async fn submit_lasting(&self, count: usize, seconds: u64) {
        let spec = |number| self.runs.spec_lasting(seconds, &format!("c{number:03}"), self.directory.path());
        self.submit_these((0..count).map(spec).collect()).await;
    }

    async fn submit_these(&self, specs: Vec<ContainerSpec>) {
        let submit = move |arvados: &mut FakeArvados, now| {
            for spec in specs {
                arvados.submit(Submission::of(spec), now);
            }
        };
        self.controller.with(submit).await.unwrap();
    }

    /// The containers, as the controller has them.
    pub async fn records(&self) -> Vec<Record> {
        self.controller.with(|arvados, _| containers::records(arvados)).await.unwrap()
    }

    /// Waits until that many are in that state.
    #[track_caller]
    pub fn reached(&self, count: usize, state: ContainerState, within: Duration) -> impl Future<Output = ()> {
        let what = format!("{count} containers are {state:?}");
        let caller = std::panic::Location::caller();
        async move {
            let deadline = tokio::time::Instant::now() + within;
            loop {
                let records = self.records().await;
                if records.iter().filter(|it| it.state == state).count() == count {
                    return;
                }
                assert!(
                    tokio::time::Instant::now() < deadline,
                    "{caller}: not within {within:?}: {what}: {records:#?}"
                );
                tokio::time::sleep(super::LOOK).await;
            }
        }
    }

    /// Waits until that many commands have begun: a record is Running a moment before that.
    pub async fn begun(&self, count: usize) {
        until("the commands have begun", SOON, async || {
            (self.runs.begun().values().flatten().count() == count).then_some(())
        })
        .await;
    }

    /// Waits until no instance and no process of this site is left.
    pub async fn emptied(&self, within: Duration) {
        let look = async || {
            let instances = processes::instances(&self.state_directory());
            (instances == 0 && self.processes() == 0).then_some(())
        };
        until("no instance and no process is left", within, look).await;
    }

    /// How many processes there are for this site, its dispatcher aside.
    pub fn processes(&self) -> usize {
        processes::of_site(self.directory.path(), &self.state_directory()).len()
    }

    /// Every container ran exactly once, was locked once, and is Complete; nobody was cancelled or put back.
    pub async fn assert_all_ran_once(&self, count: usize) {
        let records = self.records().await;
        assert_eq!(records.len(), count, "no retries, no losses");
        for record in &records {
            let Record { state, lock_count, started, cancels, .. } = record;
            assert_eq!(
                (*state, *lock_count, *started, *cancels),
                (ContainerState::Complete, 1, 1, 0),
                "{record:?}"
            );
        }
        self.assert_begun_once(count).await;
    }

    /// By its own word, each container's command was run exactly once.
    pub async fn assert_begun_once(&self, count: usize) {
        let begun = self.runs.begun();
        assert_eq!(begun.len(), count, "{begun:?}");
        assert!(begun.values().all(|shells| shells.len() == 1), "{begun:?}");
        let suspicions = self
            .controller
            .with(|arvados, _| arvados.history().suspicions().map(|it| format!("{it:?}")).collect::<Vec<_>>())
            .await
            .unwrap();
        assert_eq!(suspicions, Vec::<String>::new());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.runs.open_gate();
        processes::kill_all(self.directory.path(), &self.state_directory());
    }
}

fn config(directory: &Path, controller: &str, management: &str, root: &str, key: &str) -> Value {
    let below = |name: &str| directory.join(name).display().to_string();
    json!({ "Clusters": { "zzzzz": {
        "ManagementToken": management,
        "SystemRootToken": root,
        "SystemLogs": { "LogLevel": "debug", "Format": "json" },
        "Services": {
            "Controller": { "ExternalURL": controller },
            "DispatchCloud": { "InternalURLs": { "http://127.0.0.1:0": {} } },
        },
        "Containers": {
            "DispatchPrivateKey": key,
            "RuntimeEngine": "process",
            // Our own runner, where it is: copying an unoptimised binary takes longer than all else.
            "CrunchRunCommand": format!("{} crunch-run", dispatcher()),
            "ReserveExtraRAM": "1MiB",
            "CloudVMs": {
                "Enable": true,
                "Driver": "loopback",
                "DriverParameters": { "Instances": 2, "StateDirectory": below("cloud") },
                "BootProbeCommand": "true",
                "DeployRunnerBinary": "",
                "DeployRunnerDirectory": below("runner"),
                "MaxInstances": 2,
                "MaxConcurrentInstanceCreateOps": 0,
                "MaxCloudOpsPerSecond": 0,
                "PollInterval": "500ms",
                "SyncInterval": "1s",
                "ProbeInterval": "1s",
                "TimeoutIdle": "2s",
                "TimeoutShutdown": "1s",
            },
        },
        "InstanceTypes": {
            "shared": { "VCPUs": 10, "RAM": "8GiB", "IncludedScratch": "10GB", "Price": 0.1 },
        },
    } } })
}
