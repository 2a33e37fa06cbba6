//! Keys, targets, verifiers, and a wire that can be cut.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use dispatch_adapters::ssh::{Deadlines, Options, SshExecutors};
use dispatch_core::id::InstanceId;
use dispatch_core::ports::{
    CloudError, Command, ExecError, Executor, ExecutorFactory, HostKey, HostKeyVerdict, HostKeyVerifier,
    Output, Target,
};
use dispatch_core::secret::Secret;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use tokio::net::TcpSocket;

/// How long anything may take that is bound to happen, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A new ED25519 key: private and public text.
pub fn random_key() -> (String, String) {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let private = key.to_openssh(LineEnding::LF).unwrap().to_string();
    (private, key.public_key().to_openssh().unwrap())
}

/// Answers always the same, and remembers what it was asked.
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

/// A factory of its own for each test, in a directory of its own.
pub struct World {
    pub dir: tempfile::TempDir,
    pub private: String,
    pub public: String,
    pub verifier: Rc<Verifier>,
}

impl World {
    pub fn new() -> Self {
        let (private, public) = random_key();
        let verifier = Verifier { verdict: Cell::new(HostKeyVerdict::Genuine), asked: RefCell::default() };
        Self { dir: tempfile::tempdir().unwrap(), private, public, verifier: Rc::new(verifier) }
    }

    pub fn options(&self) -> Options {
        Options {
            private_key: Secret::new(&*self.private),
            default_port: 22,
            runtime_dir: self.runtime_dir(),
            ssh_program: "ssh".into(),
            verifier: self.verifier.clone(),
            // A test about one of them sets that one.
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
        }
    }

    /// Ids of the ssh clients that run for this world.
    pub fn clients(&self) -> Vec<i32> {
        processes_with(&format!("{}/", self.runtime_dir().display()))
    }

    /// Names of what lies in the runtime directory.
    pub fn leftovers(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.runtime_dir()) else { return Vec::new() };
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }
}

pub fn current_user() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Ids of the processes with that text in their command line, zombies left out.
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

pub fn command(shell: impl Into<String>) -> Command {
    Command { shell: shell.into(), privileged: false, stdin: Bytes::new(), deadline: 2 * PATIENCE }
}

pub async fn run(executor: &Rc<dyn Executor>, shell: &str) -> Result<Output, ExecError> {
    executor.run(command(shell)).await
}

pub async fn stdout(executor: &Rc<dyn Executor>, shell: &str) -> String {
    let output = run(executor, shell).await.unwrap();
    // The user's own shell may have said something to stderr before the command began.
    assert_eq!(output.status, 0, "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for a condition without an executor of futures.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still waiting until {what}");
        std::thread::yield_now();
    }
}

/// The same, while futures go on.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still waiting until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A shell script in its place.
pub fn script(path: &Path, text: &str) {
    // Written by another process: while a test beside this one forks, its child would hold our descriptor,
    // and what is open for writing cannot be executed.
    let mut writer = std::process::Command::new("sh");
    writer.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = writer.spawn().unwrap();
    write!(writer.stdin.take().unwrap(), "#!/bin/sh\n{text}\n").unwrap();
    assert!(writer.wait().unwrap().success());
}

/// A port where nobody listens, unless the test does: no other test or program is given it.
pub struct Reserved {
    pub address: SocketAddr,
    _bound: TcpSocket,
}

impl Reserved {
    pub fn on(ip: IpAddr) -> Self {
        let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        // Who says the same may bind it once more and listen: sshd does.
        socket.set_reuseaddr(true).unwrap();
        socket.bind((ip, 0).into()).unwrap();
        Self { address: socket.local_addr().unwrap(), _bound: socket }
    }

    pub fn on_loopback() -> Self {
        Self::on(Ipv4Addr::LOCALHOST.into())
    }
}

/// Forwards one port to another until it is cut; afterwards nobody listens there.
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
