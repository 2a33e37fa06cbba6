//! VMs: what their shells answer, from a picture of boots and processes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::InstanceType;
use dispatch_core::ports::{
    ExecError, ExecErrorKind, Executor, ExecutorFactory, Output, ShellCommand, Target, Watch, WatchEnd,
};
use tokio::sync::Notify;

use super::{elapsed, take};
use crate::worker::StartConfig;

/// What the next command of a kind comes to instead.
#[derive(Debug, Clone)]
pub enum Odd {
    /// No exit status.
    Fails(ExecErrorKind),
    /// That exit status.
    Exits(i32),
    /// Never answers.
    Hangs,
    /// Has no answer, and took effect.
    Unanswered,
}

type OnStart = Box<dyn Fn(ContainerUuid, &InstanceId)>;

/// All VMs, by instance.
#[derive(Default)]
pub struct FakeVms {
    pub processes: RefCell<BTreeMap<InstanceId, BTreeSet<ContainerUuid>>>,
    /// Lines that `--list` prints beside the processes.
    pub extra_lines: RefCell<String>,
    /// Each command: when, on which VM, its kind.
    pub commands: RefCell<Vec<(f64, InstanceId, &'static str)>>,
    odd: RefCell<BTreeMap<&'static str, VecDeque<Odd>>>,
    /// Boot probes fail.
    pub still_booting: Cell<bool>,
    /// How long each command takes.
    pub takes: Cell<Duration>,
    /// Targets that executors were given.
    pub targets: RefCell<Vec<Target>>,
    pub broken: Notify,
    /// Connections look broken from the start, always.
    pub always_broken: Cell<bool>,
    pub on_start: RefCell<Option<OnStart>>,
    /// Watches that were begun, and what they are given: by number.
    pub watches: RefCell<Vec<Rc<FakeWatch>>>,
    /// Why there are none.
    pub no_watch: Cell<Option<WatchEnd>>,
    /// Executors that exist.
    pub open: Cell<usize>,
}

impl FakeVms {
    pub fn odd(&self, kind: &'static str, times: usize, how: Odd) {
        self.odd.borrow_mut().entry(kind).or_default().extend(std::iter::repeat_n(how, times));
    }

    pub fn end(&self, uuid: ContainerUuid) {
        self.processes.borrow_mut().values_mut().for_each(|on_vm| {
            on_vm.remove(&uuid);
        });
    }

    pub fn run(&self, id: &InstanceId, uuid: ContainerUuid) {
        self.processes.borrow_mut().entry(id.clone()).or_default().insert(uuid);
    }

    /// How often commands of that kind were run since the last look, and when; all are forgotten.
    pub fn take_times(&self, kind: &str) -> Vec<f64> {
        self.commands.take().into_iter().filter(|(.., it)| *it == kind).map(|(at, ..)| at).collect()
    }

    /// The kinds of the commands since the last look.
    pub fn take_kinds(&self) -> Vec<&'static str> {
        self.commands.take().into_iter().map(|(.., kind)| kind).collect()
    }

    fn perform(&self, id: &InstanceId, kind: &str, shell: &str) -> Output {
        match kind {
            "boot" if self.still_booting.get() => {
                Output { status: 1, stderr: b"no container engine".to_vec(), ..Output::default() }
            }
            "boot" | "release" => Output::default(),
            "claim" => Output { stdout: b"fence-claimed 1 62 settled\n".to_vec(), ..Output::default() },
            "list" => {
                let mut text = self.extra_lines.borrow().clone();
                for uuid in self.processes.borrow().get(id).into_iter().flatten() {
                    text.push_str(&format!("{uuid}\n"));
                }
                Output { stdout: text.into_bytes(), ..Output::default() }
            }
            "start" => {
                let uuid = uuid_in(shell);
                self.run(id, uuid);
                if let Some(on_start) = &*self.on_start.borrow() {
                    on_start(uuid, id);
                }
                Output::default()
            }
            "kill" => {
                self.end(uuid_in(shell));
                Output::default()
            }
            _ => Output { status: 127, ..Output::default() },
        }
    }
}

fn kind_of(shell: &str) -> &'static str {
    let kinds = [
        ("released", "release"),
        ("fence-claimed", "claim"),
        ("--list", "list"),
        ("--detach", "start"),
        ("--kill", "kill"),
        ("is-booted", "boot"),
    ];
    kinds.iter().find(|(word, _)| shell.contains(word)).map_or("other", |(_, kind)| kind)
}

fn uuid_in(shell: &str) -> ContainerUuid {
    shell.split(' ').next_back().unwrap().trim_matches(['\'', '\\']).parse().unwrap()
}

/// A watch, as the VM has it.
#[derive(Default)]
pub struct FakeWatch {
    /// The lines that it was given, at first and later.
    pub given: RefCell<Vec<String>>,
    lines: RefCell<VecDeque<Result<String, WatchEnd>>>,
    printed: Notify,
    /// Its stdin is open.
    pub open: Cell<bool>,
}

impl FakeWatch {
    /// Prints a line, or ends.
    pub fn print(&self, line: Result<&str, WatchEnd>) {
        self.lines.borrow_mut().push_back(line.map(str::to_owned));
        self.printed.notify_one();
    }
}

/// The client's side of it.
struct WatchEndpoint(Rc<FakeWatch>);

#[async_trait(?Send)]
impl Watch for WatchEndpoint {
    fn add(&self, line: &str) {
        self.0.given.borrow_mut().push(line.to_owned());
    }

    async fn next(&self) -> Result<String, WatchEnd> {
        loop {
            if let Some(line) = self.0.lines.borrow_mut().pop_front() {
                return line;
            }
            self.0.printed.notified().await;
        }
    }
}

impl Drop for WatchEndpoint {
    fn drop(&mut self) {
        self.0.open.set(false);
    }
}

struct FakeExecutor {
    vms: Rc<FakeVms>,
    target: RefCell<Target>,
}

impl Drop for FakeExecutor {
    fn drop(&mut self) {
        self.vms.open.set(self.vms.open.get() - 1);
    }
}

/// The factory: a newtype, so that a test keeps its VMs.
pub struct Executors(pub Rc<FakeVms>);

impl ExecutorFactory for Executors {
    fn open(&self, target: Target) -> Rc<dyn Executor> {
        self.0.targets.borrow_mut().push(target.clone());
        self.0.open.set(self.0.open.get() + 1);
        Rc::new(FakeExecutor { vms: Rc::clone(&self.0), target: RefCell::new(target) })
    }
}

#[async_trait(?Send)]
impl Executor for FakeExecutor {
    async fn run(&self, command: ShellCommand) -> Result<Output, ExecError> {
        let (id, address) = {
            let target = self.target.borrow();
            (target.id.clone(), target.address.clone())
        };
        if address.is_empty() {
            return Err(exec_error(ExecErrorKind::NotReady));
        }
        let kind = kind_of(&command.shell);
        self.vms.commands.borrow_mut().push((elapsed(), id.clone(), kind));
        let odd = self.vms.odd.borrow_mut().get_mut(kind).and_then(VecDeque::pop_front);
        take(self.vms.takes.get()).await;
        match odd {
            None => Ok(self.vms.perform(&id, kind, &command.shell)),
            Some(Odd::Fails(kind)) => Err(exec_error(kind)),
            Some(Odd::Exits(status)) => Ok(Output { status, ..Output::default() }),
            Some(Odd::Hangs) => pending().await,
            Some(Odd::Unanswered) => {
                self.vms.perform(&id, kind, &command.shell);
                Err(exec_error(ExecErrorKind::ConnectionLost))
            }
        }
    }

    async fn watch(&self, command: ShellCommand) -> Result<Rc<dyn Watch>, WatchEnd> {
        take(self.vms.takes.get()).await;
        if let Some(end) = self.vms.no_watch.get() {
            return Err(end);
        }
        let watch = Rc::new(FakeWatch { open: Cell::new(true), ..FakeWatch::default() });
        let given = String::from_utf8_lossy(&command.stdin).lines().map(str::to_owned).collect();
        watch.given.replace(given);
        self.vms.watches.borrow_mut().push(Rc::clone(&watch));
        Ok(Rc::new(WatchEndpoint(watch)))
    }

    fn retarget(&self, target: Target) {
        self.vms.targets.borrow_mut().push(target.clone());
        self.target.replace(target);
    }

    async fn broken(&self) {
        if !self.vms.always_broken.get() {
            self.vms.broken.notified().await;
        }
    }
}

fn exec_error(kind: ExecErrorKind) -> ExecError {
    ExecError { kind, message: format!("the vm says {}", kind.as_str()) }
}

/// Start commands read nothing.
pub struct NoSecrets;

impl StartConfig for NoSecrets {
    fn stdin(&self, _: ContainerUuid, _: &InstanceType, _: &str) -> Bytes {
        Bytes::new()
    }
}
