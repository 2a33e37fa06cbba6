//! The dispatcher: the binary, with a configuration as a site on EC2 has it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dispatch_sim::controller::http::SimController;
use dispatch_sim::controller::{FakeArvados, Settings};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::vms::{Fleet, SET, TYPE};

const TOKEN: &str = "management-token-of-a-measurement";
const PATIENCE: Duration = Duration::from_secs(300);

/// A directory, a controller, a configuration.
pub struct Site {
    directory: TempDir,
    controller: SimController,
}

impl Site {
    pub async fn new(fleet: &Fleet, client: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("fleet-").tempdir().unwrap();
        let root_token = format!("v2/{SET}/0123456789abcdefghijklmnopqrstuvwxyz");
        let settings = Settings { root_token: root_token.clone(), ..Settings::default() };
        let controller =
            SimController::start(FakeArvados::new(1, settings), dispatch_actors::clock::now).unwrap();
        let site = Self { directory, controller };
        let text = serde_json::to_string(&site.config(fleet, client, &root_token)).unwrap();
        std::fs::create_dir(site.path("tmp")).unwrap();
        std::fs::write(site.path("config.yml"), text).unwrap();
        std::fs::set_permissions(site.path("config.yml"), std::fs::Permissions::from_mode(0o600)).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self, fleet: &Fleet, client: &str, root_token: &str) -> Value {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        json!({ "Clusters": { "zzzzz": {
            "ManagementToken": TOKEN,
            "SystemRootToken": root_token,
            "Services": {
                "Controller": { "ExternalURL": self.controller.url() },
                "DispatchCloud": { "InternalURLs": { "http://127.0.0.1:0": {} } },
            },
            "Containers": {
                "DispatchPrivateKey": key.to_openssh(LineEnding::LF).unwrap().to_string(),
                "CloudVMs": {
                    "Enable": true,
                    "Driver": "ec2",
                    "DriverParameters": {
                        "AccessKeyID": "testing", "SecretAccessKey": "testing", "Region": "us-east-1",
                        "SecurityGroupIDs": ["sg-1"], "SubnetID": ["subnet-1"], "AdminUsername": "root",
                    },
                    "ImageID": "ami-1",
                    "SSHPort": fleet.ssh_port.to_string(),
                    "SSHClient": client,
                    "MaxInstances": fleet.size,
                    // By itself it would take an interval to see each VM once: 10 s for any fleet.
                    "MaxProbesPerSecond": 200,
                    "BootProbeCommand": "true",
                    "DeployRunnerBinary": "",
                    "DeployPublicKey": false,
                    "TimeoutIdle": "24h",
                },
            },
            "InstanceTypes": {
                "any": {
                    "ProviderType": TYPE, "VCPUs": 2, "RAM": "8GiB", "IncludedScratch": "10GB", "Price": 0.1
                },
            },
        } } })
    }

    /// Ends the controller; the directory goes.
    pub async fn end(self) {
        self.controller.shutdown().await;
    }
}

/// A running dispatcher. It is killed when this is dropped.
pub struct Dispatcher {
    child: Child,
    url: String,
}

impl Dispatcher {
    /// Starts it, and waits until it serves.
    pub async fn start(site: &Site, fleet: &Fleet) -> Self {
        let log = site.path("log");
        let child = Command::new(env!("CARGO_BIN_EXE_arvados-dispatch-cloud"))
            .arg("--config")
            .arg(site.path("config.yml"))
            .arg("run")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("TMPDIR", site.path("tmp"))
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", fleet.api_port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut dispatcher = Self { child, url: String::new() };
        let began = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).unwrap();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let url =
                lines.into_iter().find(|line| line["msg"] == "listening").map(|line| line["URL"].clone());
            if let Some(url) = url {
                url.as_str().unwrap().clone_into(&mut dispatcher.url);
                return dispatcher;
            }
            let has_ended = dispatcher.child.try_wait().unwrap().is_some();
            assert!(!has_ended && began.elapsed() < PATIENCE, "it does not serve: {text}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until that many VMs are in service.
    pub async fn has_adopted(&self, size: usize) {
        let began = Instant::now();
        loop {
            let idle = self.idle().await;
            if idle == size {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{idle} of {size} are in service");
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn idle(&self) -> usize {
        let url = format!("{}/arvados/v1/dispatch/instances", self.url);
        let client = awc::Client::builder().timeout(PATIENCE).finish();
        let mut answer = client.get(url).bearer_auth(TOKEN).send().await.unwrap();
        let body = answer.body().limit(64 << 20).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let instances = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
        instances.iter().filter(|it| it["worker_state"] == "idle").count()
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
