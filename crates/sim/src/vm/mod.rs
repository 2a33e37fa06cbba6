//! The simulated VMs: hosts, the crunch-run processes on them, and a shell to each behind the port.
//!
//! ```text
//!   SimExecutor ── run ──→ shell: what is asked? ──→ FakeVms::execute ──→ host: disk, locks
//!        ↑ breaks                                        │
//!        └─────── connections ←── FakeVms ── events ──→ process: Running, Complete, crash, SIGTERM
//!                                    ↑ pump, advance         └──→ FakeArvados
//! ```
//!
//! Nothing here runs by itself. What will happen is in a queue of events. [`FakeVms::advance`] lets
//! everything happen that is due; [`pump`] calls it on time, and every command calls it first.

mod commands;
mod ends;
pub mod executor;
pub mod facts;
mod fence;
mod host;
pub mod knobs;
pub mod lasting;
mod process;
pub(crate) mod shell;
mod watch;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::InstanceType;
use dispatch_core::ports::ShellCommand;
use dispatch_core::secret::Secret;
use dispatch_core::time::{Timestamp, after, since};
use tokio::sync::Notify;

use crate::chance::Chance;
use crate::clock;
use crate::controller::FakeArvados;
use crate::group::Group;
use executor::Connection;
pub use executor::{SimExecutor, SimExecutorFactory};
use facts::{CommandKind, VmFact, VmHistory};
pub use host::Host;
use host::secret_in;
use knobs::{Behaviour, CommandFault, Ssh, VmKnobs};
use process::{Process, Step};
use watch::{WatchEvent, Watches};

/// How long a connection survives a network that lets nothing through (`ServerAliveInterval` times its
/// count).
const KEEPALIVE: Duration = Duration::from_secs(45);

/// A `--list` that a VM answered well.
#[derive(Debug, Clone, Copy)]
struct Listed {
    asked: Timestamp,
    answered: Timestamp,
}

/// How many such answers are kept for each VM.
const LISTS_KEPT: usize = 4;

/// All VMs of a world.
#[derive(Debug)]
pub struct FakeVms {
    /// What VMs and processes are drawn from; may be changed at any time.
    pub knobs: VmKnobs,
    arvados: Rc<RefCell<FakeArvados>>,
    chance: Chance,
    watches: Watches,
    hosts: BTreeMap<InstanceId, Host>,
    processes: BTreeMap<u64, Process>,
    next_pid: u64,
    made: u64,
    events: BTreeMap<(Timestamp, u64), Event>,
    next_event: u64,
    outages: Vec<(Timestamp, Timestamp)>,
    script: VecDeque<(CommandKind, CommandFault)>,
    connections: BTreeMap<InstanceId, Vec<Weak<Connection>>>,
    history: VmHistory,
    /// The latest good answers to `--list` of each VM, whichever dispatcher asked.
    listed: BTreeMap<InstanceId, Vec<Listed>>,
    /// Wakes the pump, because there is a new event to wait for.
    scheduled: Rc<Notify>,
}

/// What will happen.
#[derive(Debug)]
enum Event {
    HostEnds(InstanceId),
    /// The cloud tells the processes of a VM that it will be taken back.
    EndAnnounced(InstanceId),
    /// A VM is shut down: its processes are told to end.
    HostShutsDown(InstanceId),
    Process(u64, Step),
    ConnectionsBreak,
    Degrade(InstanceId, Degradation),
    /// Something happens to a watch.
    Watch(u64, WatchEvent),
    /// A command arrives whose connection is long gone.
    Late(InstanceId, ShellCommand),
}

/// How a VM changes after its boot.
#[derive(Debug, Clone, Copy)]
enum Degradation {
    Ssh(Ssh),
    Broken,
    DiskFull,
    RunnersRemoved,
    SecretLost,
    Dies,
}

impl FakeVms {
    /// No VMs yet. Their processes report to that controller.
    pub fn new(seed: u64, knobs: VmKnobs, arvados: Rc<RefCell<FakeArvados>>) -> Self {
        Self {
            knobs,
            arvados,
            chance: Chance::new(seed, 3),
            watches: Watches::new(seed),
            hosts: BTreeMap::new(),
            processes: BTreeMap::new(),
            next_pid: 1,
            made: 0,
            events: BTreeMap::new(),
            next_event: 0,
            outages: Vec::new(),
            script: VecDeque::new(),
            connections: BTreeMap::new(),
            history: VmHistory::default(),
            listed: BTreeMap::new(),
            scheduled: Rc::new(Notify::new()),
        }
    }

    // ------------------------------------------------------------ queries, and changes from outside

    /// The history so far.
    pub fn history(&self) -> &VmHistory {
        &self.history
    }

    /// When the latest `--list` was asked for that the VM had answered well by that time.
    pub fn listed(&self, id: &InstanceId, by: Timestamp) -> Option<Timestamp> {
        let lists = self.listed.get(id)?;
        lists.iter().rev().find(|list| list.answered <= by).map(|list| list.asked)
    }

    fn note_list(&mut self, id: &InstanceId, list: Listed) {
        let lists = self.listed.entry(id.clone()).or_default();
        // Only the latest answers matter to the judge.
        lists.drain(..lists.len().saturating_sub(LISTS_KEPT - 1));
        lists.push(list);
    }

    /// All VMs that exist, by id.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// One VM, if it exists.
    pub fn host(&self, id: &InstanceId) -> Option<&Host> {
        self.hosts.get(id)
    }

    /// One VM's behaviour, for tests to change.
    pub fn behaviour(&mut self, id: &InstanceId) -> Option<&mut Behaviour> {
        self.hosts.get_mut(id).map(|host| &mut host.behaviour)
    }

    /// Lets a fault strike the next command of that kind.
    pub fn strike_next(&mut self, kind: CommandKind, fault: CommandFault) {
        self.script.push_back((kind, fault));
    }

    /// Lets a VM answer nothing from now until that time.
    pub fn silence(&mut self, id: &InstanceId, now: Timestamp, until: Timestamp) {
        self.schedule(now, Event::Degrade(id.clone(), Degradation::Ssh(Ssh::Hanging)));
        self.schedule(until, Event::Degrade(id.clone(), Degradation::Ssh(Ssh::Fine)));
    }

    /// Lets no VM of that group ever boot that has not booted yet.
    pub fn spoil_boots(&mut self, group: &Group, now: Timestamp) {
        let booting = |host: &&mut Host| group.has(&host.instance_type) && !host.has_booted(now);
        self.hosts.values_mut().filter(booting).for_each(|host| host.behaviour.boots_at = None);
    }

    /// Between these times nothing gets through to any VM, because the dispatcher's own network fails.
    pub fn cut_network(&mut self, from: Timestamp, until: Timestamp) {
        self.outages.push((from, until));
        let noticed = after(from, KEEPALIVE);
        if noticed < until {
            self.schedule(noticed, Event::ConnectionsBreak);
        }
    }

    /// Records a start that failed, for tests of the judge.
    pub fn record_failed_start(&mut self, id: &InstanceId, container: ContainerUuid, now: Timestamp) {
        self.history.record(now, VmFact::StartFailed { vm: id.clone(), container, status: 1 });
    }

    /// Breaks the connection to one VM.
    pub fn cut_connection(&mut self, id: &InstanceId) {
        let open = self.connections.get(id).into_iter().flatten().filter_map(Weak::upgrade);
        for connection in open {
            match self.chance.hits(self.knobs.silent_break_rate) {
                true => connection.die(),
                false => connection.break_off(),
            }
        }
    }

    /// Stops all faults: from now on nothing new goes wrong, and every sshd works. What is broken, full,
    /// stale or dead stays so.
    pub fn stop_faults(&mut self, now: Timestamp) {
        self.knobs.stop_faults();
        self.script.clear();
        self.events.retain(|_, event| !matches!(event, Event::Degrade(..)));
        for (_, until) in &mut self.outages {
            *until = (*until).min(now);
        }
        for host in self.hosts.values_mut().filter(|host| !host.behaviour.never_answers) {
            host.behaviour.ssh = Ssh::Fine;
        }
    }

    // ------------------------------------------------------------ how VMs begin and end

    /// Makes a VM. Its secret is what its init command writes.
    pub fn make(&mut self, id: InstanceId, instance_type: Arc<InstanceType>, init: &str, now: Timestamp) {
        self.made += 1;
        let behaviour = self.draw_behaviour(&instance_type, now);
        if self.chance.hits(self.knobs.dies_rate) {
            let lives = self.chance.draw(self.knobs.dies_after);
            self.schedule(after(now, lives), Event::Degrade(id.clone(), Degradation::Dies));
        }
        self.history.record(now, VmFact::Made { vm: id.clone() });
        let host = Host {
            id: id.clone(),
            instance_type,
            made_at: now,
            behaviour,
            secret: secret_in(init),
            secret_copy: None,
            runners: BTreeMap::new(),
            fences: BTreeMap::new(),
            starting_until: now,
            locks: BTreeMap::new(),
        };
        self.hosts.insert(id.clone(), host);
        self.schedule_degradations(&id, now);
    }

    /// Draws and schedules what will go wrong with a new VM.
    fn schedule_degradations(&mut self, id: &InstanceId, now: Timestamp) {
        for (change, rate) in [
            (Degradation::Broken, self.knobs.breaks_rate),
            (Degradation::DiskFull, self.knobs.disk_fills_rate),
            (Degradation::RunnersRemoved, self.knobs.runners_removed_rate),
            (Degradation::SecretLost, self.knobs.secret_lost_rate),
        ] {
            if self.chance.hits(rate) {
                let at = after(now, self.chance.draw(self.knobs.turns_after));
                self.schedule(at, Event::Degrade(id.clone(), change));
            }
        }
        let Self { knobs, chance, .. } = self;
        let Some((ssh, _)) = knobs.ssh_rates.iter().find(|(_, rate)| chance.hits(*rate)).copied() else {
            return;
        };
        let from = after(now, chance.draw(knobs.turns_after));
        let until = knobs.ssh_bad_for.map(|span| after(from, chance.draw(span)));
        self.schedule(from, Event::Degrade(id.clone(), Degradation::Ssh(ssh)));
        if let Some(until) = until {
            self.schedule(until, Event::Degrade(id.clone(), Degradation::Ssh(Ssh::Fine)));
        }
    }

    fn degrade(&mut self, id: &InstanceId, change: Degradation, now: Timestamp) {
        let Some(host) = self.hosts.get_mut(id) else { return };
        match change {
            Degradation::Broken => host.behaviour.broken = true,
            Degradation::DiskFull => host.behaviour.full_disk = true,
            Degradation::RunnersRemoved => host.runners.clear(),
            // One without a copy would never prove itself: that is drawn as an impostor.
            Degradation::SecretLost if host.secret_copy.is_none() => {}
            Degradation::SecretLost => {
                let other = self.chance.hits(0.5).then(|| Secret::new("somebody's"));
                host.secret = other;
            }
            Degradation::Dies => self.end(id, now),
            Degradation::Ssh(_) if host.behaviour.never_answers => {}
            Degradation::Ssh(ssh) => {
                host.behaviour.ssh = ssh;
                self.cut_connection(id);
            }
        }
    }

    fn draw_behaviour(&mut self, instance_type: &InstanceType, now: Timestamp) -> Behaviour {
        let Self { knobs, chance, .. } = self;
        let ssh_at = after(now, chance.draw(knobs.ssh_after));
        let boots_at = after(now, chance.draw(knobs.boots_after));
        let bad_image = knobs.bad_images.contains(&instance_type.provider_type);
        let boots = !chance.hits(knobs.never_boots_rate) && !bad_image && knobs.lasting.boots(instance_type);
        let never_answers = !knobs.lasting.answers(instance_type, self.made);
        Behaviour {
            ssh_at,
            secret_at: after(ssh_at, chance.draw(knobs.secret_after)),
            boots_at: boots.then_some(boots_at),
            ssh: if never_answers { Ssh::Hanging } else { Ssh::Fine },
            never_answers,
            runner_missing: chance.hits(knobs.runner_missing_rate),
            full_disk: chance.hits(knobs.full_disk_rate),
            broken: chance.hits(knobs.broken_rate),
            no_fence: chance.hits(knobs.no_fence_rate).then_some(92),
            also_lists: BTreeSet::new(),
            one_session: self.watches.chance.hits(self.knobs.watch.one_session_rate),
        }
    }

    // ------------------------------------------------------------ time

    /// When the next event is due.
    pub fn next_event_at(&self) -> Option<Timestamp> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Lets everything happen that is due, in order of time.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), event) = entry.remove_entry();
            match event {
                Event::HostEnds(id) => self.end(&id, at),
                Event::EndAnnounced(id) => self.announce_end(&id, at),
                Event::HostShutsDown(id) => self.shut_down(&id, at),
                Event::Process(pid, step) => self.step(pid, step, at),
                Event::ConnectionsBreak => self.break_connections(at),
                Event::Degrade(id, change) => self.degrade(&id, change, at),
                Event::Watch(number, what) => self.watch_happens(number, what, at),
                // Nobody waits for its answer.
                Event::Late(id, command) => drop(self.execute(&id, &command, at)),
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
        for connection in self.connections.values().flatten().filter_map(Weak::upgrade) {
            connection.break_off();
        }
    }

    fn network_is_up(&self, now: Timestamp) -> bool {
        !self.outages.iter().any(|(from, until)| *from <= now && now < *until)
    }
}

/// Lets events happen on time, for ever. Spawn it once for each world.
pub async fn pump(vms: Rc<RefCell<FakeVms>>) {
    let scheduled = vms.borrow().scheduled.clone();
    loop {
        let next = vms.borrow().next_event_at();
        match next {
            Some(at) => {
                let left = since(at, clock::now());
                // If it is woken early, there may be an event to wait for that comes sooner.
                let _ = tokio::time::timeout(left, scheduled.notified()).await;
            }
            None => scheduled.notified().await,
        }
        vms.borrow_mut().advance(clock::now());
    }
}

#[cfg(test)]
mod tests;
