//! The simulated VMs: hosts, the crunch-run processes on them, and a shell to each behind the port.
//!
//! ```text
//!   SimExecutor ── run ──→ shell: what is asked? ──→ FakeVms::execute ──→ host: disk, locks
//!        ↑ breaks                                        │
//!        └───────────── lines ←── FakeVms ── events ──→ process: Running, Complete, crash, SIGTERM
//!                                    ↑ pump, advance         └──→ FakeArvados
//! ```
//!
//! Nothing here runs by itself. What is going to happen stands in a queue of events; [`FakeVms::advance`]
//! lets everything happen that is due, [`pump`] calls it on time, and every command does first of all.

pub mod executor;
pub mod facts;
mod host;
pub mod knobs;
mod process;
mod shell;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::InstanceType;
use dispatch_core::ports::{Command, Output};
use dispatch_core::time::{Timestamp, after, since};
use tokio::sync::Notify;

use crate::chance::Chance;
use crate::clock;
use crate::controller::FakeArvados;
use executor::Line;
pub use executor::{SimExecutor, SimExecutorFactory};
use facts::{CommandKind, VmFact, VmHistory};
pub use host::Host;
use host::{Lock, failed, secret_in, succeeded};
use knobs::{Behaviour, CommandFault, Ssh, VmKnobs};
use process::{Process, Step};
use shell::{Asked, understand};

/// How long a connection survives a network that lets nothing through (ServerAliveInterval).
const KEEPALIVE: Duration = Duration::from_secs(45);

/// All VMs of a world.
#[derive(Debug)]
pub struct FakeVms {
    /// What VMs and processes are drawn from; may be changed at any time.
    pub knobs: VmKnobs,
    arvados: Rc<RefCell<FakeArvados>>,
    chance: Chance,
    hosts: BTreeMap<InstanceId, Host>,
    processes: BTreeMap<u64, Process>,
    next_pid: u64,
    events: BTreeMap<(Timestamp, u64), Event>,
    next_event: u64,
    outages: Vec<(Timestamp, Timestamp)>,
    script: VecDeque<(CommandKind, CommandFault)>,
    lines: BTreeMap<InstanceId, Vec<Weak<Line>>>,
    history: VmHistory,
    /// Tells the pump that there is something new to wait for.
    scheduled: Rc<Notify>,
}

/// What is going to happen.
#[derive(Debug)]
enum Event {
    HostDies(InstanceId),
    Process(u64, Step),
    ConnectionsBreak,
}

/// What a command is doing after it has reached its VM.
#[derive(Debug, PartialEq, Eq)]
struct Execution {
    /// How long it takes there.
    takes: Duration,
    /// What it answers then.
    answer: Answer,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Output(Output),
    /// 0 if that process has ended by then, else 1.
    WhetherEnded(u64),
}

impl Execution {
    fn at_once(output: Output) -> Self {
        Self { takes: Duration::ZERO, answer: Answer::Output(output) }
    }
}

impl FakeVms {
    /// No VMs yet; their processes report to that controller.
    pub fn new(seed: u64, knobs: VmKnobs, arvados: Rc<RefCell<FakeArvados>>) -> Self {
        Self {
            knobs,
            arvados,
            chance: Chance::new(seed, 3),
            hosts: BTreeMap::new(),
            processes: BTreeMap::new(),
            next_pid: 1,
            events: BTreeMap::new(),
            next_event: 0,
            outages: Vec::new(),
            script: VecDeque::new(),
            lines: BTreeMap::new(),
            history: VmHistory::default(),
            scheduled: Rc::new(Notify::new()),
        }
    }

    // ------------------------------------------------------------ looking in, and interfering

    /// What happened so far.
    pub fn history(&self) -> &VmHistory {
        &self.history
    }

    /// All VMs that live, by id.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// One VM, if it lives.
    pub fn host(&self, id: &InstanceId) -> Option<&Host> {
        self.hosts.get(id)
    }

    /// One VM's behaviour, to change it.
    pub fn behaviour(&mut self, id: &InstanceId) -> Option<&mut Behaviour> {
        self.hosts.get_mut(id).map(|host| &mut host.behaviour)
    }

    /// Lets a fault strike the next command of that kind.
    pub fn strike_next(&mut self, kind: CommandKind, fault: CommandFault) {
        self.script.push_back((kind, fault));
    }

    /// Between these times nothing gets through to any VM: our own network's fault.
    pub fn cut_network(&mut self, from: Timestamp, until: Timestamp) {
        self.outages.push((from, until));
        let noticed = after(from, KEEPALIVE);
        if noticed < until {
            self.schedule(noticed, Event::ConnectionsBreak);
        }
    }

    /// Breaks the connection to one VM.
    pub fn cut_connection(&mut self, id: &InstanceId) {
        for line in self.lines.get(id).into_iter().flatten().filter_map(Weak::upgrade) {
            line.break_off();
        }
    }

    // ------------------------------------------------------------ life and death

    /// A VM comes to life. The secret is what its init command writes.
    pub fn make(&mut self, id: InstanceId, instance_type: Arc<InstanceType>, init: &str, now: Timestamp) {
        let behaviour = self.draw_behaviour(&instance_type, now);
        if self.chance.hits(self.knobs.dies_rate) {
            let lives = self.chance.draw(self.knobs.dies_after);
            self.schedule(after(now, lives), Event::HostDies(id.clone()));
        }
        self.history.record(now, VmFact::Made { vm: id.clone() });
        let host = Host {
            id: id.clone(),
            instance_type,
            made_at: now,
            behaviour,
            secret: secret_in(init),
            runners: BTreeMap::new(),
            locks: BTreeMap::new(),
        };
        self.hosts.insert(id, host);
    }

    /// A VM ends, whoever ended it: its processes with it. Does nothing if it is gone already.
    pub fn end(&mut self, id: &InstanceId, now: Timestamp) {
        if !self.hosts.contains_key(id) {
            return;
        }
        self.end_processes_on(id, now);
        self.hosts.remove(id);
        self.cut_connection(id);
        self.lines.remove(id);
        self.history.record(now, VmFact::Gone { vm: id.clone() });
    }

    /// A VM will end then, whoever ends it: as [`FakeVms::end`].
    pub fn end_at(&mut self, id: InstanceId, at: Timestamp) {
        self.schedule(at, Event::HostDies(id));
    }

    fn draw_behaviour(&mut self, instance_type: &InstanceType, now: Timestamp) -> Behaviour {
        let Self { knobs, chance, .. } = self;
        let ssh_at = after(now, chance.draw(knobs.ssh_after));
        let boots_at = after(now, chance.draw(knobs.boots_after));
        let bad_image = knobs.bad_images.contains(&instance_type.provider_type);
        let boots = !chance.hits(knobs.never_boots_rate) && !bad_image;
        Behaviour {
            ssh_at,
            secret_at: after(ssh_at, chance.draw(knobs.secret_after)),
            boots_at: boots.then_some(boots_at),
            ssh: Ssh::Fine,
            runner_missing: chance.hits(knobs.runner_missing_rate),
            full_disk: chance.hits(knobs.full_disk_rate),
            broken: chance.hits(knobs.broken_rate),
        }
    }

    // ------------------------------------------------------------ time

    /// When the next thing is going to happen.
    pub fn next_event_at(&self) -> Option<Timestamp> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Lets everything happen that is due, in the order of time.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), event) = entry.remove_entry();
            match event {
                Event::HostDies(id) => self.end(&id, at),
                Event::Process(pid, step) => self.step(pid, step, at),
                Event::ConnectionsBreak => self.break_connections(at),
            }
        }
    }

    fn schedule(&mut self, at: Timestamp, event: Event) {
        self.events.insert((at, self.next_event), event);
        self.next_event += 1;
        self.scheduled.notify_one();
    }

    fn break_connections(&mut self, now: Timestamp) {
        if self.network_is_up(now) {
            return;
        }
        for line in self.lines.values().flatten().filter_map(Weak::upgrade) {
            line.break_off();
        }
    }

    fn network_is_up(&self, now: Timestamp) -> bool {
        !self.outages.iter().any(|(from, until)| *from <= now && now < *until)
    }

    // ------------------------------------------------------------ commands

    /// What strikes a command of that kind now, if anything does.
    fn strike(&mut self, kind: CommandKind) -> Option<CommandFault> {
        if let Some(position) = self.script.iter().position(|(wanted, _)| *wanted == kind) {
            return self.script.remove(position).map(|(_, fault)| fault);
        }
        let Self { knobs, chance, .. } = self;
        let faults = [
            (CommandFault::CutBefore, knobs.cut_before_rate),
            (CommandFault::CutAfter, knobs.cut_after_rate),
            (CommandFault::Hang, knobs.hang_rate),
        ];
        faults.into_iter().find(|(_, rate)| chance.hits(*rate)).map(|(fault, _)| fault)
    }

    /// What a command is about, before it is run.
    fn kind_of(&self, command: &Command) -> CommandKind {
        match understand(&command.shell) {
            Asked::List { .. } => CommandKind::List,
            Asked::Start { .. } => CommandKind::Start,
            Asked::Kill { .. } => CommandKind::Kill,
            Asked::Md5sum { .. } => CommandKind::Md5sum,
            Asked::Install { .. } => CommandKind::Install,
            Asked::ReadSecret => CommandKind::ReadSecret,
            Asked::Other { text } if text == self.knobs.boot_probe || text.is_empty() || text == "true" => {
                CommandKind::BootProbe
            }
            Asked::Other { .. } => CommandKind::Unknown,
        }
    }

    /// Runs a command on a VM; `None` if there is no such VM any more.
    fn execute(&mut self, id: &InstanceId, command: &Command, now: Timestamp) -> Option<Execution> {
        self.advance(now);
        self.history.count_command(self.kind_of(command));
        let host = self.hosts.get_mut(id)?;
        host.expire_locks(now);
        Some(match understand(&command.shell) {
            Asked::List { runner } => {
                Execution::at_once(host.missing(&runner).unwrap_or_else(|| host.list(now)))
            }
            Asked::Md5sum { path } => Execution::at_once(host.md5sum(&path)),
            Asked::Install { path, md5 } => Execution::at_once(host.install(path, md5, &command.stdin)),
            Asked::ReadSecret => Execution::at_once(host.read_secret(now)),
            Asked::Start { runner, container, stdin_config } => {
                self.start(id, &runner, container, stdin_config.then_some(&command.stdin), now)
            }
            Asked::Kill { runner, signal, container } => self.kill(id, &runner, signal, container, now),
            Asked::Other { text } => match host.boot_probe(&text, &self.knobs.boot_probe, now) {
                Some(output) => Execution::at_once(output),
                None => {
                    let shell = command.shell.clone();
                    self.history.record(now, VmFact::NotUnderstood { vm: id.clone(), shell });
                    Execution::at_once(failed(127, &format!("sh: {text}: command not found")))
                }
            },
        })
    }

    /// `RUNNER --detach`: the process lives from now on, and is listed once it is detached.
    fn start(
        &mut self,
        id: &InstanceId,
        runner: &str,
        container: ContainerUuid,
        stdin: Option<&bytes::Bytes>,
        now: Timestamp,
    ) -> Execution {
        let Some(host) = self.hosts.get(id) else { return Execution::at_once(failed(255, "no such VM")) };
        let refusal = host.missing(runner).or_else(|| refuse_start(host, container, stdin));
        if let Some(output) = refusal {
            let status = output.status;
            self.history.record(now, VmFact::StartFailed { vm: id.clone(), container, status });
            return Execution::at_once(output);
        }
        let takes = self.chance.draw(self.knobs.detach);
        let pid = self.begin_process(id, container, after(now, takes), now);
        let output = succeeded(&format!("{{\"UUID\":\"{container}\",\"PID\":{pid}}}\n"));
        Execution { takes, answer: Answer::Output(output) }
    }

    /// `RUNNER --kill`: signals once, then waits up to 1 s for the process to end.
    fn kill(
        &mut self,
        id: &InstanceId,
        runner: &str,
        signal: u8,
        container: ContainerUuid,
        now: Timestamp,
    ) -> Execution {
        let host = self.hosts.get(id);
        if let Some(output) = host.and_then(|host| host.missing(runner)) {
            return Execution::at_once(output);
        }
        let lock = host.and_then(|host| host.locks.get(&container)).copied();
        let Some(Lock::Process { pid, .. }) = lock else {
            return Execution::at_once(succeeded(""));
        };
        self.history.record(now, VmFact::Signalled { vm: id.clone(), container, signal });
        let longest = Duration::from_secs(1);
        let ends_at = self.signal(pid, signal, now);
        let takes = ends_at.map_or(longest, |at| since(at, now).min(longest));
        Execution { takes, answer: Answer::WhetherEnded(pid) }
    }

    fn finish(&mut self, answer: Answer, now: Timestamp) -> Output {
        match answer {
            Answer::Output(output) => output,
            Answer::WhetherEnded(pid) => {
                self.advance(now);
                match self.processes.get(&pid) {
                    None => succeeded(""),
                    Some(process) => failed(1, &format!("{}: still alive", process.container)),
                }
            }
        }
    }
}

/// Why a VM does not start that, if it does not.
fn refuse_start(host: &Host, container: ContainerUuid, stdin: Option<&bytes::Bytes>) -> Option<Output> {
    let config_is_json =
        |stdin: &bytes::Bytes| serde_json::from_slice::<serde::de::IgnoredAny>(stdin).is_ok();
    if host.behaviour.full_disk {
        Some(failed(1, "crunch-run: open lock file: no space left on device"))
    } else if host.locks.contains_key(&container) {
        Some(failed(1, &format!("crunch-run: {container}: lock is held: resource temporarily unavailable")))
    } else if !stdin.is_none_or(config_is_json) {
        Some(failed(1, "crunch-run: decode stdin: not JSON"))
    } else {
        None
    }
}

/// Lets things happen on time, for ever: spawn it once for each world.
pub async fn pump(vms: Rc<RefCell<FakeVms>>) {
    let scheduled = vms.borrow().scheduled.clone();
    loop {
        let next = vms.borrow().next_event_at();
        match next {
            Some(at) => {
                let left = since(at, clock::now());
                // Woken early = there may be something to wait for that comes sooner.
                let _ = tokio::time::timeout(left, scheduled.notified()).await;
            }
            None => scheduled.notified().await,
        }
        vms.borrow_mut().advance(clock::now());
    }
}

#[cfg(test)]
mod tests;
