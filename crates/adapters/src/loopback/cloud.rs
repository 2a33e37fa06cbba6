//! The cloud: a thread that owns all instances and receives messages.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::{
    CapacityScope, CloudError, CloudErrorKind, CreateOrder, HostKey, HostKeyVerdict, QuotaScope,
};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use tokio::sync::{mpsc, oneshot};

use super::command::Environment;
use super::state::{State, directory, load_all};
use super::vm::Vm;
use super::{LoopbackError, Params, current_user, processes};

pub(super) type Reply<T> = oneshot::Sender<Result<T, CloudError>>;

/// What the cloud can be asked, and what its own tasks report to it.
pub(super) enum Message {
    Create(CreateOrder, Reply<Instance>),
    List(Tags, Reply<Vec<Instance>>),
    Destroy(InstanceId, Reply<()>),
    SetTags(InstanceId, Tags, Reply<()>),
    Verify(InstanceId, HostKey, Reply<HostKeyVerdict>),
    /// A fault: all processes of the instance die at once, its server closes, and the instance is gone.
    Kill(InstanceId, Reply<()>),
    /// A fault: new commands hang, or no longer hang.
    Hang(InstanceId, bool, Reply<()>),
    /// A fault: the runner's list says `broken`.
    ReportBroken(InstanceId, Reply<()>),
    /// A fault: no create has capacity while there are that many instances.
    Room(Option<usize>, Reply<()>),
    /// A fault: what is created while there are that many instances never boots.
    Boots(Option<usize>, Reply<()>),
    Booted(String),
    Ended(String, Reply<()>),
    Stop,
}

/// The state of the cloud. It is only used on the cloud's thread.
pub(super) struct Cloud {
    params: Params,
    path: std::ffi::OsString,
    vms: BTreeMap<String, Vm>,
    /// With this many instances there is no capacity for another; `None` = there is.
    room: Option<usize>,
    /// With this many instances another one never boots; `None` = it boots.
    boots: Option<usize>,
    own: mpsc::UnboundedSender<Message>,
    log: slog::Logger,
}

impl Cloud {
    /// Starts every instance that was saved.
    pub(super) fn open(
        params: Params,
        own: mpsc::UnboundedSender<Message>,
        log: slog::Logger,
    ) -> Result<Self, LoopbackError> {
        let failed = |source| LoopbackError::State { path: params.state_directory.clone(), source };
        let states = load_all(&params.state_directory).map_err(failed)?;
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let mut cloud = Self { params, path, vms: BTreeMap::new(), room: None, boots: None, own, log };
        for state in states {
            slog::debug!(cloud.log, "loopback instance found"; "Instance" => &state.id);
            let boot_delay = cloud.params.boot_delay;
            cloud.start(state, boot_delay)?;
        }
        Ok(cloud)
    }

    /// Answers messages until it receives [`Message::Stop`].
    pub(super) async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        while let Some(message) = messages.recv().await {
            // The caller may be gone: an answer that nobody receives is no error.
            match message {
                Message::Create(order, reply) => drop(reply.send(self.create(&order))),
                Message::List(filter, reply) => drop(reply.send(Ok(self.list(&filter)))),
                Message::Destroy(id, reply) => self.end(id.as_str(), false, reply),
                Message::Kill(id, reply) => self.end(id.as_str(), true, reply),
                Message::SetTags(id, tags, reply) => drop(reply.send(self.set_tags(&id, &tags))),
                Message::Verify(id, key, reply) => drop(reply.send(self.vm(&id).map(|vm| vm.judge(&key)))),
                Message::Hang(id, hang, reply) => drop(reply.send(self.vm(&id).map(|vm| vm.set_hang(hang)))),
                Message::ReportBroken(id, reply) => drop(reply.send(self.report_broken(&id))),
                Message::Room(most, reply) => {
                    self.room = most;
                    drop(reply.send(Ok(())));
                }
                Message::Boots(most, reply) => {
                    self.boots = most;
                    drop(reply.send(Ok(())));
                }
                Message::Booted(id) => self.booted(&id),
                Message::Ended(id, reply) => drop(reply.send(self.ended(&id))),
                Message::Stop => return,
            }
        }
    }

    /// An order that is sent twice makes one instance, because an order is known by its secret.
    fn create(&mut self, order: &CreateOrder) -> Result<Instance, CloudError> {
        if let Some(vm) = self.of_order(order) {
            return Ok(vm.instance());
        }
        self.refuse_more()?;
        let other = |text: String| error(CloudErrorKind::Other, "LoopbackError", text);
        let state = self.new_state(order).map_err(|failure| other(failure.to_string()))?;
        let id = state.id.clone();
        state
            .create(&self.params.state_directory)
            .map_err(|source| other(format!("cannot make instance {id}: {source}")))?;
        let boot_delay = self.boot_delay();
        self.start(state, boot_delay).map_err(|failure| other(failure.to_string()))?;
        Ok(self.vms[&id].instance())
    }

    /// Why there cannot be one more instance now.
    fn refuse_more(&self) -> Result<(), CloudError> {
        let (there, most) = (self.vms.len(), self.params.instances);
        if there >= most {
            let text = format!("all {most} loopback instances are in use");
            return Err(error(CloudErrorKind::Quota(QuotaScope::All), "InstanceLimitExceeded", text));
        }
        if self.room.is_some_and(|room| there >= room) {
            let text = format!("there is no room beside {there} loopback instances");
            let kind = CloudErrorKind::Capacity(CapacityScope::Offering);
            return Err(error(kind, "InsufficientInstanceCapacity", text));
        }
        Ok(())
    }

    /// How long an instance boots that is created now.
    fn boot_delay(&self) -> Duration {
        let never = self.boots.is_some_and(|boots| self.vms.len() >= boots);
        if never { Duration::MAX } else { self.params.boot_delay }
    }

    fn of_order(&self, order: &CreateOrder) -> Option<&Vm> {
        let secret = order.secret.expose();
        self.vms.values().find(|vm| !secret.is_empty() && vm.state.secret == secret && !vm.ending)
    }

    /// If only one instance is allowed, its id is the provider type, as in other dispatchers' loopback
    /// drivers. Its directory is a new one, so that it does not contain its predecessor's
    /// `crunch-run-broken`.
    fn new_state(&self, order: &CreateOrder) -> Result<State, LoopbackError> {
        let provider_type = order.instance_type.provider_type.as_str();
        let id = match self.params.instances {
            1 => provider_type.to_owned(),
            _ => format!("loopback-{:016x}", rand::random::<u64>()),
        };
        let host_key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
            .and_then(|key| key.to_openssh(LineEnding::LF))
            .map_err(|error| LoopbackError::Key(error.to_string()))?;
        let authorized_key = order.public_key.clone().or_else(|| self.params.authorized_key.clone());
        Ok(State {
            provider_type: provider_type.to_owned(),
            tags: order.tags.0.clone(),
            port: 0,
            host_key: host_key.to_string(),
            authorized_key: authorized_key.unwrap_or_default(),
            init_command: order.init_command.clone(),
            secret: order.secret.expose().to_owned(),
            booted: false,
            lock_directory: directory(&self.params.state_directory, &id).join("lock"),
            id,
        })
    }

    fn start(&mut self, state: State, boot_delay: Duration) -> Result<(), LoopbackError> {
        let environment = Environment {
            directory: state.directory(&self.params.state_directory),
            lock_directory: state.lock_directory.clone(),
            user: current_user(),
            path: self.path.clone(),
        };
        let (own, id) = (self.own.clone(), state.id.clone());
        // If the cloud has stopped meanwhile, the next one boots the instance.
        let booted = move || drop(own.send(Message::Booted(id)));
        let id = state.id.clone();
        let vm = Vm::start(state, &self.params.state_directory, boot_delay, environment, booted)?;
        self.vms.insert(id, vm);
        Ok(())
    }

    fn booted(&mut self, id: &str) {
        let Some(vm) = self.vms.get_mut(id) else { return };
        vm.state.booted = true;
        if let Err(source) = vm.state.save(&self.params.state_directory) {
            slog::warn!(self.log, "cannot save loopback instance"; "Instance" => id, "error" => %source);
        }
    }

    fn list(&self, filter: &Tags) -> Vec<Instance> {
        self.vms.values().map(Vm::instance).filter(|instance| instance.tags.matches(filter)).collect()
    }

    fn vm(&mut self, id: &InstanceId) -> Result<&mut Vm, CloudError> {
        let missing = || error(CloudErrorKind::NotFound, "NotFound", format!("no loopback instance {id}"));
        self.vms.get_mut(id.as_str()).ok_or_else(missing)
    }

    fn set_tags(&mut self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        let parent = self.params.state_directory.clone();
        let vm = self.vm(id)?;
        let mut merged = Tags(vm.state.tags.clone());
        merged.merge(tags);
        let state = State { tags: merged.0, ..vm.state.clone() };
        let failed = |source| {
            error(
                CloudErrorKind::Other,
                "LoopbackError",
                format!("cannot save tags of instance {id}: {source}"),
            )
        };
        state.save(&parent).map_err(failed)?;
        vm.state = state;
        Ok(())
    }

    fn report_broken(&mut self, id: &InstanceId) -> Result<(), CloudError> {
        let flag = self.vm(id)?.state.lock_directory.join("crunch-run-broken");
        let failed =
            |source: std::io::Error| error(CloudErrorKind::Other, "LoopbackError", source.to_string());
        std::fs::write(flag, "").map_err(failed)
    }

    /// Ends an instance. This takes time, so it is done in a task. The instance stays listed until its
    /// processes are gone.
    fn end(&mut self, id: &str, at_once: bool, reply: Reply<()>) {
        let Some(vm) = self.vms.get_mut(id) else { return drop(reply.send(Ok(()))) };
        if vm.ending && !at_once {
            // The instance is being ended already. A second search could find processes of a successor with
            // the same id.
            return drop(reply.send(Ok(())));
        }
        vm.ending = true;
        vm.stop_serving();
        let lock_directory: PathBuf = vm.state.lock_directory.clone();
        let (own, id) = (self.own.clone(), id.to_owned());
        tokio::task::spawn_local(async move {
            if at_once {
                processes::kill(&lock_directory).await;
            } else {
                processes::end(&lock_directory).await;
            }
            drop(own.send(Message::Ended(id, reply)));
        });
    }

    fn ended(&mut self, id: &str) -> Result<(), CloudError> {
        // If it was destroyed twice at the same time, the second call finds no instance, or a successor with
        // the same id.
        if !self.vms.get(id).is_some_and(|vm| vm.ending) {
            return Ok(());
        }
        let Some(vm) = self.vms.remove(id) else { return Ok(()) };
        vm.state.remove(&self.params.state_directory).map_err(|source| {
            error(CloudErrorKind::Other, "LoopbackError", format!("cannot remove instance {id}: {source}"))
        })
    }
}

pub(super) fn error(kind: CloudErrorKind, code: &str, message: String) -> CloudError {
    CloudError { kind, code: code.to_owned(), message }
}

/// How long the last tasks may take when the cloud's thread ends.
pub(super) const SHUTDOWN: Duration = Duration::from_millis(200);
