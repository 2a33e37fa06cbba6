//! One instance while it lives: it boots, serves, and saves its state.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::{HostKey, HostKeyVerdict};
use russh::keys::{PrivateKey, PublicKey};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::LoopbackError;
use super::command::Environment;
use super::server::{Host, listen};
use super::state::State;

/// How long an init command may take. One that hangs must not keep the instance from booting.
const LONGEST_INIT: Duration = Duration::from_secs(60);

/// An instance: its saved state, and the task that serves it.
pub(super) struct Vm {
    pub state: State,
    pub ending: bool,
    hang: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Vm {
    /// Takes a port, if possible the one that it had, and begins to boot. Calls `booted` when it has booted.
    pub(super) fn start(
        mut state: State,
        parent: &Path,
        boot_delay: Duration,
        environment: Environment,
        booted: impl FnOnce() + 'static,
    ) -> Result<Self, LoopbackError> {
        let bad_key = |error: russh::keys::ssh_key::Error| LoopbackError::Key(error.to_string());
        let key = PrivateKey::from_openssh(&state.host_key).map_err(bad_key)?;
        let authorized = match state.authorized_key.trim() {
            "" => None,
            line => Some(PublicKey::from_openssh(line).map_err(bad_key)?),
        };
        let socket = bind(&mut state.port).map_err(LoopbackError::Port)?;
        let (hang, hanging) = watch::channel(false);
        let host = Host { key, authorized, environment, hang: hanging };
        state
            .save(parent)
            .map_err(|source| LoopbackError::State { path: state.directory(parent), source })?;
        let first_boot = (!state.booted).then(|| (state.init_command.clone(), boot_delay));
        let task = tokio::task::spawn_local(async move {
            if let Some((init, delay)) = first_boot {
                tokio::time::sleep(delay).await;
                initialise(&host.environment, &init).await;
                booted();
            }
            // The backlog is that of a real server. Listening cannot fail on a port that was bound.
            if let Ok(listener) = socket() {
                listen(listener, host).await;
            }
        });
        Ok(Self { state, ending: false, hang, task })
    }

    /// The instance as a listing shows it. The address is known from the start; connections are refused until
    /// it has booted.
    pub(super) fn instance(&self) -> Instance {
        Instance {
            id: InstanceId::new(&self.state.id).expect("made from an id or a provider type"),
            provider_type: ProviderType::new(&self.state.provider_type).expect("made from one"),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, self.state.port)).to_string(),
            tags: Tags(self.state.tags.clone()),
            price_history: Vec::new(),
            launched: None,
        }
    }

    pub(super) fn judge(&self, key: &HostKey) -> HostKeyVerdict {
        let own = PrivateKey::from_openssh(&self.state.host_key)
            .ok()
            .and_then(|own| own.public_key().to_openssh().ok());
        let shown = format!("{} {}", key.algorithm, key.base64);
        if own.is_some_and(|own| own.trim() == shown) {
            HostKeyVerdict::Genuine
        } else {
            HostKeyVerdict::Forged
        }
    }

    pub(super) fn set_hang(&self, hang: bool) {
        self.hang.send_replace(hang);
    }

    /// Closes the server and every connection.
    pub(super) fn stop_serving(&self) {
        self.task.abort();
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.stop_serving();
    }
}

/// Takes the port that it had, or another one if that is taken, as a restarted VM may have another address.
///
/// The port is bound, but nothing listens yet: connections are refused until the instance has booted, and no
/// other program gets the port.
fn bind(port: &mut u16) -> std::io::Result<impl FnOnce() -> std::io::Result<TcpListener> + 'static> {
    let bound = |port: u16| {
        let socket = TcpSocket::new_v4()?;
        // Old connections keep a port busy for a while, unless they and this socket both set this option. The
        // old ones have it from the listener that accepted them.
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
        Ok::<_, std::io::Error>(socket)
    };
    let socket = if *port == 0 { bound(0)? } else { bound(*port).or_else(|_| bound(0))? };
    *port = socket.local_addr()?.port();
    Ok(move || socket.listen(128))
}

/// Runs the init command from a file that only the owner can read, as cloud-init does: the instance's secret is in
/// it, and every user of this machine may read the command line of a process.
async fn initialise(environment: &Environment, init: &str) {
    let script = tempfile::NamedTempFile::new_in(&environment.directory)
        .and_then(|mut file| file.write_all(init.as_bytes()).map(|()| file.into_temp_path()));
    // Without a file nothing is run, and the instance fails its boot probe: as with a VM whose disk is full.
    let Ok(script) = script else { return };
    let mut command = environment.command(". \"$0\"");
    command.arg(&script);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null()).kill_on_drop(true);
    // As on a real VM, an init command that fails shows only in what does not work afterwards.
    let _ = tokio::time::timeout(LONGEST_INIT, command.status()).await;
}
