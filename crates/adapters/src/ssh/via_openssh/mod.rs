//! Connections over the system's ssh client.
//!
//! ```text
//!   OpenSsh ──── mod       opens connections: at once again, if the host key has changed
//!     ├─ Client  client    the program: its environment, its limits, what it can do
//!     ├─ Runtime runtime   private directory: key, a directory for each connection
//!     └─ OpenSshLine line  one connection
//!          ├─ Master   master    the ssh process that holds it
//!          └─ execute  session   one command's streams and exit status
//!   config · failure       pure: texts in and out
//! ```
//! Each connection is one `ssh -M` process of ours (1.3 MB). The openssh crate speaks the multiplexing
//! protocol to it. The process ends when the executor is dropped, and when this process is killed. The user's
//! own ssh configuration is not read. **Use it on the main thread** (see `master`).

mod client;
mod config;
mod failure;
mod line;
mod master;
mod runtime;
mod session;

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::ports::{ExecError, ExecErrorKind, HostKey};
use dispatch_core::secret::Secret;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::failure::error;
use super::line::{Dialer, Login};
use super::own_side::NOT_ABLE;
use super::{KeyExchange, SetupError, key};
use client::Client;
use config::{ClientConfig, known_hosts_line};
use failure::{ConnectFailure, last_line};
use line::OpenSshLine;
use master::Master;
use runtime::Runtime;

/// The most file descriptors that this process has open for one VM: eight commands at a time and a watch, each with a
/// socket and pipes, and its ssh client. Measured by a test.
pub(super) const DESCRIPTORS_OF_A_VM: u64 = 32;

/// For how long the client counts as a program that runs.
const CLIENT_WORKS_FOR: Duration = Duration::from_secs(10);
/// What an answer of `ssh -G` may take. A slower one says nothing.
const ANSWER_OF_CLIENT: Duration = Duration::from_secs(5);
/// What a small file takes of a disk.
const BLOCK: usize = 4096;

/// Opens connections by way of the system's ssh client. Its private directory is removed with it.
pub(super) struct OpenSsh {
    client: Client,
    runtime: Rc<Runtime>,
    /// The line of the client's configuration about key exchanges.
    key_exchange: String,
    client_worked: Cell<Option<Instant>>,
}

impl OpenSsh {
    /// Checks the client and the key, and makes the private directory.
    ///
    /// # Errors
    /// If there is no ssh client, the key cannot be used, or the directory cannot be made.
    pub(super) fn new(
        private_key: &Secret,
        program: PathBuf,
        runtime_dir: &Path,
        key_exchange: KeyExchange,
    ) -> Result<Self, SetupError> {
        let client = Client::new(program)?;
        let key = key::to_openssh(private_key.expose())?;
        let runtime = Rc::new(Runtime::new(runtime_dir, &key)?);
        let key_exchange = client.key_exchange_line(key_exchange);
        Ok(Self { client, runtime, key_exchange, client_worked: Cell::new(None) })
    }

    /// Starts one ssh client and waits for its login. There is no second attempt.
    async fn start(&self, login: &Login<'_>, known: Option<&HostKey>) -> Result<Master, ConnectFailure> {
        let local = |source: io::Error| {
            let text = format!("cannot write to the ssh runtime directory: {source}");
            ConnectFailure::Failed(error(ExecErrorKind::Local, text))
        };
        let dir = self.runtime.connection_dir().map_err(local)?;
        if let Some(key) = known {
            dir.write("known_hosts", &known_hosts_line(key)).map_err(local)?;
        }
        let known_hosts = dir.file("known_hosts");
        let config = ClientConfig {
            endpoint: login.endpoint,
            user: login.user,
            key_file: self.runtime.key_file(),
            known_hosts: &known_hosts,
            connect_timeout: login.deadline,
            key_exchange: &self.key_exchange,
        };
        let start = Master::start(&self.client, dir, &config, login);
        timeout(login.deadline, start)
            .await
            .unwrap_or_else(|_| Err(ConnectFailure::Failed(login.out_of_time())))
    }

    fn check_files(&self) -> io::Result<()> {
        let dir = self.runtime.connection_dir()?;
        // As much room as a connection takes: the one that failed may have left less than that.
        for file in ["config", "known_hosts", "log"] {
            dir.write(file, &"x".repeat(BLOCK))?;
        }
        drop(UnixListener::bind(dir.file("socket"))?);
        File::open(self.runtime.key_file())?;
        Ok(())
    }

    async fn check_client(&self) -> Result<(), String> {
        let name = self.client.program().display();
        let mut command = Command::from(self.client.command());
        command.args(["-G", "-F", "/dev/null", "vm"]).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().map_err(|source| format!("cannot run {name}: {source}"))?;
        match timeout(ANSWER_OF_CLIENT, child.wait_with_output()).await {
            Ok(Ok(output)) if !output.status.success() => {
                let why = last_line(&String::from_utf8_lossy(&output.stderr));
                Err(format!("{name} does not work here: {}: {why}", output.status))
            }
            Ok(Err(source)) => Err(format!("cannot wait for {name}: {source}")),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }
}

impl Dialer for OpenSsh {
    type Line = OpenSshLine;

    async fn dial(&self, login: &Login<'_>) -> Result<OpenSshLine, ExecError> {
        let master = match self.start(login, login.known).await {
            Ok(master) => master,
            Err(ConnectFailure::KeyChanged) => {
                slog::warn!(login.log, "host key has changed"; "Instance" => login.id.as_str());
                self.start(login, None).await.map_err(|failure| give_up(failure, login))?
            }
            Err(ConnectFailure::Failed(failure)) => return Err(failure),
        };
        OpenSshLine::attach(master).await
    }

    /// A directory, its files with content, a socket, the key, and the client as a program that runs (`ssh -G` reads a
    /// configuration, looks up our user and ends; it talks to nobody).
    async fn check_own_side(&self) -> Result<(), String> {
        self.check_files().map_err(|source| format!("{NOT_ABLE}: {source}"))?;
        if self.client_worked.get().is_some_and(|at| at.elapsed() < CLIENT_WORKS_FOR) {
            return Ok(());
        }
        self.check_client().await?;
        self.client_worked.set(Some(Instant::now()));
        Ok(())
    }
}

/// The host key changed twice within a second: this may be an attack, or two VMs may share an address.
fn give_up(failure: ConnectFailure, login: &Login<'_>) -> ExecError {
    match failure {
        ConnectFailure::Failed(failure) => failure,
        ConnectFailure::KeyChanged => {
            let text = format!("host key of instance {} cannot be verified", login.id);
            error(ExecErrorKind::Verification, text)
        }
    }
}
