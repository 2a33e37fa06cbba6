//! Keys, targets, verifiers, and a TCP connection that can be cut.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dispatch_adapters::ssh::{ClientSetup, Deadlines, KeyExchange, Options, SshClient, SshExecutors};
use dispatch_core::id::InstanceId;
use dispatch_core::ports::{
    CloudError, ExecError, Executor, ExecutorFactory, HostKey, HostKeyVerdict, HostKeyVerifier, Output,
    ShellCommand, Target,
};
use dispatch_core::secret::Secret;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use tokio::net::TcpSocket;

/// How long the tests wait for anything that must happen, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A new ED25519 key: its private and its public text.
pub fn random_key() -> (String, String) {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let private = key.to_openssh(LineEnding::LF).unwrap().to_string();
    (private, key.public_key().to_openssh().unwrap())
}

/// Always gives the same answer, and remembers which keys it was asked about.
pub struct Verifier {
    pub verdict: Cell<HostKeyVerdict>,
    pub asked: RefCell<Vec<HostKey>>,
}

#[async_trait(?Send)]
impl HostKeyVerifier for Verifier {
    async fn verify(&self, _: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        self.asked.borrow_mut().push(key.clone());
        Ok(self.verdict.get())
    }
}

/// A factory with a directory of its own, for one test.
pub struct World {
    pub client: SshClient,
    pub dir: tempfile::TempDir,
    pub private: String,
    pub public: String,
    pub verifier: Rc<Verifier>,
}

impl World {
    pub fn new(client: SshClient) -> Self {
        let (private, public) = random_key();
        let verifier = Verifier { verdict: Cell::new(HostKeyVerdict::Genuine), asked: RefCell::default() };
        Self { client, dir: tempfile::tempdir().unwrap(), private, public, verifier: Rc::new(verifier) }
    }

    pub fn options(&self) -> Options {
        self.options_with("ssh".into())
    }

    /// With that program, if the client is one.
    pub fn options_with(&self, program: PathBuf) -> Options {
        let client = match self.client {
            SshClient::OpenSsh => ClientSetup::OpenSsh { program, runtime_dir: self.runtime_dir() },
            SshClient::Russh => ClientSetup::Russh,
        };
        Options {
            private_key: Secret::new(&*self.private),
            default_port: 22,
            client,
            key_exchange: KeyExchange::default(),
            verifier: self.verifier.clone(),
            // A test about one of these deadlines sets that one.
            deadlines: Deadlines { connect: PATIENCE, secret: PATIENCE, grace: Duration::from_secs(30) },
            log: slog::Logger::root(slog::Discard, slog::o!()),
        }
    }

    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub fn open(&self, address: &str) -> Rc<dyn Executor> {
        SshExecutors::new(self.options()).unwrap().open(self.target(address))
    }

    pub fn target(&self, address: &str) -> Target {
        Target {
            id: InstanceId::new("i-1").unwrap(),
            address: address.to_owned(),
            user: current_user(),
            secret: Some(Secret::new("xyzzy")),
            secret_path: self.dir.path().join("secret").display().to_string(),
            secret_copy: Some(self.dir.path().join("copy of the secret").display().to_string()),
        }
    }

    /// The process ids of the ssh clients of this world.
    pub fn clients(&self) -> Vec<i32> {
        processes_with(&format!("{}/", self.runtime_dir().display()))
    }

    /// The names of the files in the runtime directory.
    pub fn leftovers(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.runtime_dir()) else { return Vec::new() };
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// The client that a test has named to this process when it started it.
pub fn inherited_client() -> SshClient {
    match std::env::var("OWNER_CLIENT").unwrap().as_str() {
        "OpenSsh" => SshClient::OpenSsh,
        "Russh" => SshClient::Russh,
        other => panic!("no client is called {other}"),
    }
}

pub fn current_user() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The ids of processes that have that text in their command line, without zombies.
pub fn processes_with(text: &str) -> Vec<i32> {
    let ids =
        std::fs::read_dir("/proc").unwrap().filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok());
    let own = std::process::id() as i32;
    let matching = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != own && String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
    };
    ids.filter(matching).collect()
}

pub fn command(shell: impl Into<String>) -> ShellCommand {
    ShellCommand::new(shell, 2 * PATIENCE)
}

pub async fn run(executor: &Rc<dyn Executor>, shell: &str) -> Result<Output, ExecError> {
    executor.run(command(shell)).await
}

pub async fn stdout(executor: &Rc<dyn Executor>, shell: &str) -> String {
    let output = run(executor, shell).await.unwrap();
    // The user's own shell may have written to stderr before the command began.
    assert_eq!(output.status, 0, "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for a condition in a thread that runs no futures.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still waiting until {what}");
        std::thread::yield_now();
    }
}

/// Waits for a condition while futures go on.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still waiting until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Writes a shell script to that path.
pub fn script(path: &Path, text: &str) {
    // Another process writes the file. If we wrote it, a child that a test beside this one forks could hold
    // our descriptor, and a file that is open for writing cannot be executed.
    let mut writer = std::process::Command::new("sh");
    writer.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = writer.spawn().unwrap();
    write!(writer.stdin.take().unwrap(), "#!/bin/sh\n{text}\n").unwrap();
    assert!(writer.wait().unwrap().success());
}

/// A port where nothing listens unless the test does. No other test or program gets it.
pub struct Reserved {
    pub address: SocketAddr,
    _bound: TcpSocket,
}

impl Reserved {
    pub fn on(ip: IpAddr) -> Self {
        let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        // A socket with the same option may bind the port once more and listen. sshd does so.
        socket.set_reuseaddr(true).unwrap();
        socket.bind((ip, 0).into()).unwrap();
        Self { address: socket.local_addr().unwrap(), _bound: socket }
    }

    pub fn on_loopback() -> Self {
        Self::on(Ipv4Addr::LOCALHOST.into())
    }
}

/// Forwards one port to another until it is cut. Afterwards nothing listens there.
pub struct Wire {
    pub address: String,
    _port: Reserved,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    pub async fn to(address: String) -> Self {
        let port = Reserved::on_loopback();
        let listener = tokio::net::TcpListener::bind(port.address).await.unwrap();
        let task = actix_rt::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut far = tokio::net::TcpStream::connect(&address).await.unwrap();
                open.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
            }
        });
        Self { address: port.address.to_string(), _port: port, task }
    }

    /// Closes the listener and every connection.
    pub fn cut(&self) {
        self.task.abort();
    }
}
