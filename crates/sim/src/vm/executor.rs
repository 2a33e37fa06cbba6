//! A shell on a simulated VM behind the dispatcher's port, in virtual time.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_core::ports::{
    ExecError, ExecErrorKind, Executor, ExecutorFactory, HostKey, HostKeyVerdict, HostKeyVerifier, Output,
    ShellCommand, Target, Watch, WatchEnd,
};
use dispatch_core::time::{Timestamp, after};
use futures_util::future::{Either, select};
use tokio::sync::Notify;

use super::knobs::{CommandFault, Ssh};
use super::{CommandKind, Event, FakeVms, Listed};
use crate::clock;

/// How long connecting and the handshake may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// One connection, as the dispatcher and the VM share it.
#[derive(Debug, Default)]
pub(super) struct Connection {
    open: Cell<bool>,
    broken: Notify,
    /// Which of the connections that were opened one after another it is.
    generation: Cell<u64>,
    closed: Notify,
}

impl Connection {
    /// Breaks the connection, if it is open.
    pub(super) fn break_off(&self) {
        if self.open.get() {
            self.close();
            self.broken.notify_waiters();
        }
    }

    /// Is not used any more.
    fn close(&self) {
        if self.open.replace(false) {
            self.generation.set(self.generation.get() + 1);
            self.closed.notify_waiters();
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Resolves when it is not used any more.
    pub(super) fn closed(&self) -> tokio::sync::futures::Notified<'_> {
        self.closed.notified()
    }
}

/// Makes executors for the VMs of one world.
pub struct SimExecutorFactory {
    vms: Rc<RefCell<FakeVms>>,
    verifier: Option<Rc<dyn HostKeyVerifier>>,
}

impl SimExecutorFactory {
    /// Executors that verify VMs by their secret.
    pub fn new(vms: Rc<RefCell<FakeVms>>) -> Self {
        Self { vms, verifier: None }
    }

    /// Executors that ask the driver first, and compare secrets only if it cannot tell.
    pub fn with_verifier(vms: Rc<RefCell<FakeVms>>, verifier: Rc<dyn HostKeyVerifier>) -> Self {
        Self { vms, verifier: Some(verifier) }
    }
}

impl ExecutorFactory for SimExecutorFactory {
    fn open(&self, target: Target) -> Rc<dyn Executor> {
        let executor = SimExecutor {
            vms: self.vms.clone(),
            verifier: self.verifier.clone(),
            target: RefCell::new(target),
            connection: Rc::default(),
            verified: RefCell::default(),
        };
        executor.register();
        Rc::new(executor)
    }
}

/// A shell on one VM.
pub struct SimExecutor {
    vms: Rc<RefCell<FakeVms>>,
    verifier: Option<Rc<dyn HostKeyVerifier>>,
    target: RefCell<Target>,
    connection: Rc<Connection>,
    /// The host key that was verified: whoever shows it again need not be verified again.
    verified: RefCell<Option<HostKey>>,
}

#[async_trait(?Send)]
impl Executor for SimExecutor {
    async fn run(&self, command: ShellCommand) -> Result<Output, ExecError> {
        let target = self.target.borrow().clone();
        if target.address.is_empty() {
            return Err(error(&target, ExecErrorKind::NotReady, "no address yet"));
        }
        if command.afresh {
            self.connection.close();
        }
        if !self.connection.open.get() {
            self.connect(&target).await?;
        }
        let now = dispatch_actors::clock::pulse().at;
        if command.not_after.is_some_and(|end| now >= end) {
            return Err(error(&target, ExecErrorKind::NotSent, "not sent: connecting took too long"));
        }
        let performed = tokio::time::timeout(command.deadline, self.perform_or_lose(&target, &command)).await;
        performed.unwrap_or_else(|_| {
            // The hanging command keeps one of the server's sessions, so the whole connection is closed.
            self.connection.close();
            Err(error(&target, ExecErrorKind::CommandTimeout, "the command did not end within its deadline"))
        })
    }

    async fn watch(&self, command: ShellCommand) -> Result<Rc<dyn Watch>, WatchEnd> {
        if !self.connection.open.get() {
            return Err(WatchEnd::NoConnection);
        }
        let id = self.target.borrow().id.clone();
        super::watch::begin(&self.vms, &id, &self.connection, command).await
    }

    fn retarget(&self, target: Target) {
        let before = self.target.replace(target);
        let now = self.target.borrow().clone();
        if (&before.address, &before.secret) != (&now.address, &now.secret) {
            self.connection.close();
        }
        if before.id != now.id {
            self.verified.take();
            self.register();
        }
    }

    fn forget_connection(&self) {
        self.connection.close();
    }

    async fn broken(&self) {
        self.connection.broken.notified().await;
    }
}

impl SimExecutor {
    fn register(&self) {
        let id = self.target.borrow().id.clone();
        let mut vms = self.vms.borrow_mut();
        let connections = vms.connections.entry(id).or_default();
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Rc::downgrade(&self.connection));
    }

    async fn connect(&self, target: &Target) -> Result<(), ExecError> {
        let takes = {
            let mut vms = self.vms.borrow_mut();
            let span = vms.knobs.connect;
            vms.chance.draw(span)
        };
        tokio::time::sleep(takes).await;
        let reached = self.vms.borrow_mut().reach(target, clock::now());
        let key = match reached {
            Ok(key) => key,
            Err(ExecErrorKind::ConnectTimeout) => {
                tokio::time::sleep(CONNECT_DEADLINE.saturating_sub(takes)).await;
                return Err(error(target, ExecErrorKind::ConnectTimeout, "no handshake within 30 s"));
            }
            Err(kind) => return Err(error(target, kind, "cannot connect")),
        };
        if self.verified.borrow().as_ref() != Some(&key) {
            self.verify(target, &key).await?;
            self.verified.replace(Some(key));
        }
        self.connection.open.set(true);
        Ok(())
    }

    async fn verify(&self, target: &Target, key: &HostKey) -> Result<(), ExecError> {
        let verdict = match &self.verifier {
            Some(verifier) => verifier.verify(&target.id, key).await,
            None => Ok(HostKeyVerdict::NotSupported),
        };
        let refused = |text: &str| Err(error(target, ExecErrorKind::Verification, text));
        match verdict {
            Ok(HostKeyVerdict::Genuine) => Ok(()),
            Ok(HostKeyVerdict::Forged) => refused("the driver does not know this host key"),
            Err(failed) => {
                let text = format!("the driver cannot verify the host key: {failed}");
                Err(error(target, ExecErrorKind::VerifierFailed, &text))
            }
            Ok(HostKeyVerdict::NotSupported) => {
                let now = clock::now();
                let compared = self.vms.borrow().compare_secret(target, now);
                compared.map_err(|kind| error(target, kind, "cannot verify the instance's secret"))
            }
        }
    }

    /// Performs the command, unless the connection breaks meanwhile.
    async fn perform_or_lose(&self, target: &Target, command: &ShellCommand) -> Result<Output, ExecError> {
        let broken = pin!(self.connection.broken.notified());
        let performed = pin!(self.perform(target, command));
        match select(performed, broken).await {
            Either::Left((result, _)) => result,
            Either::Right(((), _)) => Err(lost(target)),
        }
    }

    async fn perform(&self, target: &Target, command: &ShellCommand) -> Result<Output, ExecError> {
        let asked = clock::now();
        let (half, fault, kind) = {
            let mut vms = self.vms.borrow_mut();
            vms.watches_give_way(&target.id);
            let span = vms.knobs.latency;
            let kind = vms.kind_of(command);
            (vms.chance.draw(span) / 2, vms.strike(kind), kind)
        };
        self.travel(half).await;
        if fault == Some(CommandFault::CutBefore) {
            return self.cut(target);
        }
        if fault == Some(CommandFault::Late) {
            let mut vms = self.vms.borrow_mut();
            let by = vms.knobs.late_by;
            let at = after(clock::now(), vms.chance.draw(by));
            vms.schedule(at, Event::Late(target.id.clone(), command.clone()));
            drop(vms);
            return self.cut(target);
        }
        if fault == Some(CommandFault::Hang) || self.commands_hang(target) {
            return std::future::pending().await;
        }
        let executed = self.vms.borrow_mut().execute(&target.id, command, clock::now());
        let Some(execution) = executed else { return self.cut(target) };
        tokio::time::sleep(execution.takes).await;
        let output = self.vms.borrow_mut().finish(execution.answer, clock::now());
        if fault == Some(CommandFault::CutAfter) {
            return self.cut(target);
        }
        self.travel(half).await;
        if kind == CommandKind::List && output.status == 0 {
            self.vms.borrow_mut().note_list(&target.id, Listed { asked, answered: clock::now() });
        }
        Ok(output)
    }

    /// Waits for half of a round trip, or for ever while the network lets nothing through.
    async fn travel(&self, takes: Duration) {
        tokio::time::sleep(takes).await;
        if !self.vms.borrow().network_is_up(clock::now()) {
            std::future::pending().await
        }
    }

    fn commands_hang(&self, target: &Target) -> bool {
        let vms = self.vms.borrow();
        vms.host(&target.id).is_some_and(|host| host.behaviour.ssh == Ssh::CommandsHang)
    }

    fn cut(&self, target: &Target) -> Result<Output, ExecError> {
        self.connection.break_off();
        Err(lost(target))
    }
}

impl FakeVms {
    /// Connects as far as the host key, or says why that is not possible.
    fn reach(&mut self, target: &Target, now: Timestamp) -> Result<HostKey, ExecErrorKind> {
        self.advance(now);
        let host = self.hosts.get(&target.id).filter(|_| self.network_is_up(now));
        let host = host.ok_or(ExecErrorKind::ConnectTimeout)?;
        if now < host.behaviour.ssh_at {
            return Err(ExecErrorKind::Refused);
        }
        let key = |whose: &str| HostKey { algorithm: "ssh-ed25519".to_owned(), base64: whose.to_owned() };
        match host.behaviour.ssh {
            Ssh::Refused => Err(ExecErrorKind::Refused),
            Ssh::Hanging => Err(ExecErrorKind::ConnectTimeout),
            Ssh::NoEntry => Err(ExecErrorKind::Authentication),
            Ssh::Impostor => Ok(key("impostor")),
            Ssh::Fine | Ssh::CommandsHang => Ok(key(target.id.as_str())),
        }
    }

    /// Compares the secrets. An empty secret is never accepted, not even if both are empty.
    fn compare_secret(&self, target: &Target, now: Timestamp) -> Result<(), ExecErrorKind> {
        let expected =
            target.secret.as_ref().filter(|it| !it.is_empty()).ok_or(ExecErrorKind::Verification)?;
        let host = self.hosts.get(&target.id).ok_or(ExecErrorKind::SecretUnreadable)?;
        if host.behaviour.ssh == Ssh::Impostor {
            return Err(ExecErrorKind::Verification);
        }
        if target.secret_copy.is_some() && host.secret_copy.as_ref() == Some(expected) {
            return Ok(());
        }
        match host.secret(now) {
            None => Err(ExecErrorKind::SecretUnreadable),
            Some(secret) if secret == expected => Ok(()),
            Some(_) => Err(ExecErrorKind::Verification),
        }
    }
}

fn error(target: &Target, kind: ExecErrorKind, text: &str) -> ExecError {
    ExecError { kind, message: format!("{}: {text}", target.id) }
}

fn lost(target: &Target) -> ExecError {
    error(target, ExecErrorKind::ConnectionLost, "the connection broke")
}
