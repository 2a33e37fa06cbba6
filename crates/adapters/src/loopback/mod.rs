//! A cloud inside this process: [`LoopbackCloud`] behind `ports::CloudDriver`, for development and the demo.
//!
//! ```text
//!   arbiter              │  a thread of its own
//!   LoopbackCloud ── Message ──→ cloud     owns all instances
//!   Faults ──────── Message ──→   ├─ vm      one instance: boots, then serves SSH on a port of its own
//!                        │        │    └─ server ── command    a process for each session
//!                        │        ├─ state   its saved state: instances that are found at start run again
//!                        │        └─ processes    finds the processes of an instance, to end them with it
//! ```
//! Commands run as the current user by `sh -c` in the instance's private directory; a `sudo` before them is
//! left out. A detached runner outlives its connection, this driver and this process, as on a real VM, and
//! ends when its instance is destroyed.

mod cloud;
mod command;
mod description;
mod processes;
mod server;
mod state;
mod vm;

use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::{CloudDriver, CloudError, CloudErrorKind, CreateOrder, HostKey, HostKeyVerdict};
use tokio::sync::{mpsc, oneshot};

use cloud::{Cloud, Message, Reply};
pub use description::Description;
pub use processes::processes_below;

/// The file, in an instance's directory, to which its init command must write its secret. The init command
/// and all other commands run in that directory.
pub const SECRET_FILE: &str = "arvados-instance-secret";

/// The directory, in an instance's directory, in which its fence lies.
pub const FENCE_DIRECTORY: &str = "fence";

/// What a [`LoopbackCloud`] is made from.
#[derive(Debug, Clone)]
pub struct Params {
    /// How many instances there may be. A create beyond that is a quota error.
    pub instances: usize,
    /// The time from the create to the init command. Connections are refused until then.
    pub boot_delay: Duration,
    /// The directory for the cloud's state. It is made (0700) if it is missing, and must be our own user's alone. The
    /// path must be absolute.
    pub state_directory: PathBuf,
    /// The key that may log in to instances whose order has no key: a line of `authorized_keys`.
    pub authorized_key: Option<String>,
}

/// Why there is no loopback cloud.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// The directory cannot be made, read or written.
    #[error("cannot use {}: {source}", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The path is not absolute, so that processes could not be found by it.
    #[error("state directory {} is not an absolute path", .0.display())]
    NotAbsolute(PathBuf),
    /// No port is free, or none may be used.
    #[error("cannot take a port on 127.0.0.1: {0}")]
    Port(#[source] io::Error),
    /// A saved host key, or the authorized key, cannot be used.
    #[error("cannot use ssh key: {0}")]
    Key(String),
    /// The thread cannot be started.
    #[error("cannot start the loopback cloud: {0}")]
    Thread(#[source] io::Error),
}

/// A cloud of SSH servers in this process. When it is dropped, the servers close. What was saved stays for
/// the next one, and so do detached processes.
pub struct LoopbackCloud {
    messages: mpsc::UnboundedSender<Message>,
    thread: Option<JoinHandle<()>>,
    user: String,
}

impl LoopbackCloud {
    /// Starts every instance that the state directory contains, on the port and with the host key that it
    /// had.
    ///
    /// # Errors
    /// If the directory or its content cannot be used.
    pub fn open(params: Params, log: slog::Logger) -> Result<Self, LoopbackError> {
        if !params.state_directory.is_absolute() {
            return Err(LoopbackError::NotAbsolute(params.state_directory));
        }
        if let Some(line) = &params.authorized_key {
            let key = russh::keys::PublicKey::from_openssh(line);
            key.map_err(|error| LoopbackError::Key(error.to_string()))?;
        }
        let (messages, inbox) = mpsc::unbounded_channel();
        let (opened, wait) = std::sync::mpsc::channel();
        let own = messages.clone();
        // The cloud has a thread of its own, so that key exchanges and long streams do not hold up the
        // arbiter.
        let body = move || serve(params, own, inbox, &opened, log);
        let thread = std::thread::Builder::new().name("loopback-cloud".to_owned()).spawn(body);
        let thread = thread.map_err(LoopbackError::Thread)?;
        wait.recv().expect("the thread answers before it ends")?;
        Ok(Self { messages, thread: Some(thread), user: current_user() })
    }

    /// A handle that injects faults into instances, for tests and the demo.
    pub fn faults(&self) -> Faults {
        Faults { messages: self.messages.clone() }
    }
}

impl Drop for LoopbackCloud {
    fn drop(&mut self) {
        // If sending fails, the thread has stopped already.
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // The ports are free after this.
            let _ = thread.join();
        }
    }
}

fn serve(
    params: Params,
    own: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,
    opened: &std::sync::mpsc::Sender<Result<(), LoopbackError>>,
    log: slog::Logger,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return drop(opened.send(Err(LoopbackError::Thread(source)))),
    };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        match Cloud::open(params, own, log) {
            Ok(cloud) => {
                drop(opened.send(Ok(())));
                cloud.run(inbox).await;
            }
            Err(failure) => drop(opened.send(Err(failure))),
        }
    });
    drop(local);
    runtime.shutdown_timeout(cloud::SHUTDOWN);
}

async fn ask<T>(
    messages: &mpsc::UnboundedSender<Message>,
    message: impl FnOnce(Reply<T>) -> Message,
) -> Result<T, CloudError> {
    let stopped =
        || cloud::error(CloudErrorKind::Unknown, "Stopped", "the loopback cloud has stopped".to_owned());
    let (reply, answer) = oneshot::channel();
    messages.send(message(reply)).map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())?
}

#[async_trait(?Send)]
impl CloudDriver for LoopbackCloud {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        ask(&self.messages, |reply| Message::Create(order.clone(), reply)).await
    }

    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
        ask(&self.messages, |reply| Message::List(filter.clone(), reply)).await
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        ask(&self.messages, |reply| Message::Destroy(id.clone(), reply)).await
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        ask(&self.messages, |reply| Message::SetTags(id.clone(), tags.clone(), reply)).await
    }

    async fn verify_host_key(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        ask(&self.messages, |reply| Message::Verify(id.clone(), key.clone(), reply)).await
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        provider_type.as_str().to_owned()
    }

    fn remote_user(&self) -> &str {
        &self.user
    }

    fn secret_path(&self) -> String {
        SECRET_FILE.to_owned()
    }

    fn fence_directory(&self) -> String {
        FENCE_DIRECTORY.to_owned()
    }
}

/// Injects faults into instances.
#[derive(Clone)]
pub struct Faults {
    messages: mpsc::UnboundedSender<Message>,
}

impl Faults {
    /// A power cut: the instance's processes die, its server closes, and listings no longer show it.
    ///
    /// # Errors
    /// If the cloud has stopped, or the instance's directory cannot be removed.
    pub async fn kill(&self, id: &InstanceId) -> Result<(), CloudError> {
        ask(&self.messages, |reply| Message::Kill(id.clone(), reply)).await
    }

    /// From now on commands are accepted and do nothing; with `hang` = false, commands run again.
    ///
    /// # Errors
    /// If there is no such instance.
    pub async fn hang_commands(&self, id: &InstanceId, hang: bool) -> Result<(), CloudError> {
        ask(&self.messages, |reply| Message::Hang(id.clone(), hang, reply)).await
    }

    /// From now on the instance's runner says `broken` in its list.
    ///
    /// # Errors
    /// If there is no such instance.
    pub async fn report_broken(&self, id: &InstanceId) -> Result<(), CloudError> {
        ask(&self.messages, |reply| Message::ReportBroken(id.clone(), reply)).await
    }

    /// From now on there is no capacity for a further instance while there are that many; `None` = there is.
    ///
    /// # Errors
    /// If the cloud has stopped.
    pub async fn limit_room(&self, most: Option<usize>) -> Result<(), CloudError> {
        ask(&self.messages, |reply| Message::Room(most, reply)).await
    }

    /// An instance that is created from now on never boots if there are that many already; `None` = it boots.
    ///
    /// # Errors
    /// If the cloud has stopped.
    pub async fn limit_boots(&self, most: Option<usize>) -> Result<(), CloudError> {
        ask(&self.messages, |reply| Message::Boots(most, reply)).await
    }
}

/// The name of the user that this process runs as, or its number if it has no name.
fn current_user() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}
