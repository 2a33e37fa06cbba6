//! A cloud in a temporary directory, orders, and executors for its instances.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dispatch_adapters::loopback::{LoopbackCloud, Params, SECRET_FILE};
use dispatch_adapters::ssh::{ClientSetup, Deadlines, KeyExchange, Options, SshClient, SshExecutors};
use dispatch_core::id::{InstanceId, ProviderType, TypeName};
use dispatch_core::instance::{Gpu, Instance, InstanceType, Price, Tags};
use dispatch_core::ports::{
    CloudDriver, CloudError, CreateOrder, Executor, ExecutorFactory, HostKey, HostKeyVerdict,
    HostKeyVerifier, Output, ShellCommand, Target,
};
use dispatch_core::secret::Secret;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

/// How long the tests wait for anything that must happen, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub client: SshClient,
    pub dir: tempfile::TempDir,
    pub private: String,
    pub public: String,
}

impl World {
    pub fn new(client: SshClient) -> Self {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let private = key.to_openssh(LineEnding::LF).unwrap().to_string();
        let public = key.public_key().to_openssh().unwrap();
        Self { client, dir: tempfile::tempdir().unwrap(), private, public }
    }

    pub fn state_directory(&self) -> PathBuf {
        self.dir.path().join("cloud")
    }

    pub fn params(&self, instances: usize) -> Params {
        Params {
            instances,
            boot_delay: Duration::ZERO,
            state_directory: self.state_directory(),
            authorized_key: Some(self.public.clone()),
        }
    }

    pub fn cloud(&self, instances: usize) -> Rc<LoopbackCloud> {
        Rc::new(LoopbackCloud::open(self.params(instances), log()).unwrap())
    }

    /// An executor for that instance. With `by_driver` the driver is asked about host keys; otherwise the
    /// secret is read.
    pub fn executor(
        &self,
        cloud: &Rc<LoopbackCloud>,
        instance: &Instance,
        by_driver: bool,
    ) -> Rc<dyn Executor> {
        let verifier = Rc::new(ByCloud { cloud: cloud.clone(), by_driver: Cell::new(by_driver) });
        let client = match self.client {
            SshClient::OpenSsh => {
                ClientSetup::OpenSsh { program: "ssh".into(), runtime_dir: self.dir.path().join("run") }
            }
            SshClient::Russh => ClientSetup::Russh,
        };
        let options = Options {
            private_key: Secret::new(&*self.private),
            default_port: 22,
            client,
            key_exchange: KeyExchange::Fast,
            verifier,
            deadlines: Deadlines { connect: PATIENCE, secret: PATIENCE, ..Deadlines::default() },
            log: log(),
        };
        let target = Target {
            id: instance.id.clone(),
            address: instance.address.clone(),
            user: cloud.remote_user().to_owned(),
            secret: instance.tags.get("Secret").map(Secret::new),
            secret_path: cloud.secret_path(),
            secret_copy: None,
        };
        SshExecutors::new(options).unwrap().open(target)
    }
}

struct ByCloud {
    cloud: Rc<LoopbackCloud>,
    by_driver: Cell<bool>,
}

#[async_trait(?Send)]
impl HostKeyVerifier for ByCloud {
    async fn verify(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        match self.by_driver.get() {
            true => self.cloud.verify_host_key(id, key).await,
            false => Ok(HostKeyVerdict::NotSupported),
        }
    }
}

pub fn log() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}

pub fn tags(pairs: &[(&str, &str)]) -> Tags {
    Tags(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

/// An order as the dispatcher makes it, with the secret in its init command.
pub fn order(set: &str) -> CreateOrder {
    let secret = format!("secret of {set}");
    CreateOrder {
        instance_type: Arc::new(InstanceType {
            name: TypeName::new("tiny").unwrap(),
            provider_type: ProviderType::new("t1.tiny").unwrap(),
            vcpus: 1,
            ram: 1 << 30,
            included_scratch: 0,
            added_scratch: 0,
            price: Price::ZERO,
            preemptible: false,
            gpu: Gpu::default(),
        }),
        image: String::new(),
        tags: tags(&[("Set", set), ("Secret", &secret)]),
        init_command: format!("umask 0177 && echo -n \"{secret}\" >{SECRET_FILE}\ntouch booted"),
        secret: Secret::new(&*secret),
        public_key: None,
    }
}

pub fn command(shell: &str) -> ShellCommand {
    ShellCommand { privileged: true, ..ShellCommand::new(shell, 2 * PATIENCE) }
}

/// Runs a command, and tries again while the instance boots.
pub async fn run(executor: &Rc<dyn Executor>, shell: &str) -> Output {
    let started = Instant::now();
    loop {
        match executor.run(command(shell)).await {
            Ok(output) => return output,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn stdout(executor: &Rc<dyn Executor>, shell: &str) -> String {
    let output = run(executor, shell).await;
    assert_eq!((output.status, String::from_utf8_lossy(&output.stderr).as_ref()), (0, ""), "{shell}");
    String::from_utf8(output.stdout).unwrap()
}

/// Starts a process that outlives its connection, and returns its pid.
pub async fn start_daemon(executor: &Rc<dyn Executor>) -> i32 {
    let shell = "setsid sh -c 'trap \"\" TERM; echo $$ >pid; while :; do sleep 1; done' >/dev/null 2>&1 </dev/null &\n\
                 while ! [ -s pid ]; do sleep 0.01; done; cat pid";
    stdout(executor, shell).await.trim().parse().unwrap()
}

pub fn is_alive(pid: i32) -> bool {
    std::fs::metadata(format!("/proc/{pid}/exe")).is_ok()
}

pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still waiting until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
