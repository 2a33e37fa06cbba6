//! Watches on simulated VMs: what they print when a process ends, and what goes wrong with them.
//!
//! ```text
//!   SimExecutor ── watch ──→ OnVm: who is watched, how it fares ── lock free ──→ Event::WatchPrints ──→ Pipe
//!        └ SimWatch ── add ──→   └ lost, late, repeated, false, garbage, floods, hangs, dies           │
//!                   ←─ next ───────────────────────────────────────────────────────────────────────────┘
//! ```
//! What is drawn here is drawn from a stream of its own, so that the same seed without watches is the same world.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::ports::{ShellCommand, Watch, WatchEnd};
use dispatch_core::time::{Timestamp, after};
use dispatch_core::worker::watch_script;
use futures_util::future::select;
use tokio::sync::Notify;

use super::executor::Connection;
use super::facts::VmFact;
use super::host::Lock;
use super::knobs::Ssh;
use super::{Event, FakeVms};
use crate::clock;

/// What a watch without `flock` ends with.
const NO_FLOCK: WatchEnd = WatchEnd::Exited(Some(92));
/// What the VM's `timeout` makes of a watch whose time is over.
const TIMED_OUT: WatchEnd = WatchEnd::Exited(Some(124));

/// What a watch has printed and the dispatcher has not read.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    lines: RefCell<VecDeque<String>>,
    ended: Cell<Option<WatchEnd>>,
    changed: Notify,
}

impl Pipe {
    fn print(&self, line: String) {
        self.lines.borrow_mut().push_back(line);
        self.changed.notify_one();
    }

    fn end(&self, end: WatchEnd) {
        self.ended.set(self.ended.get().or(Some(end)));
        self.changed.notify_one();
    }
}

/// A watch, as the VM has it.
#[derive(Debug)]
pub(super) struct OnVm {
    vm: InstanceId,
    containers: BTreeSet<ContainerUuid>,
    /// It prints nothing, whatever happens.
    hangs: bool,
    pipe: Rc<Pipe>,
}

impl FakeVms {
    /// Begins a watch on that VM, if it lets us.
    fn begin_watch(
        &mut self,
        vm: &InstanceId,
        order: &ShellCommand,
        now: Timestamp,
    ) -> Result<(u64, Rc<Pipe>), WatchEnd> {
        self.advance(now);
        let Self { knobs, watch_chance, .. } = self;
        let knobs = &knobs.watch;
        if !knobs.supported {
            return Err(WatchEnd::NotSupported);
        }
        if watch_chance.hits(knobs.refused_rate) {
            return Err(WatchEnd::FewSessions);
        }
        let hangs = watch_chance.hits(knobs.hangs_rate);
        let dies = watch_chance.hits(knobs.dies_rate).then(|| watch_chance.draw(knobs.within));
        let floods = watch_chance.hits(knobs.floods_rate).then(|| watch_chance.draw(knobs.within));
        let host = self.hosts.get(vm).ok_or(WatchEnd::ConnectionLost)?;
        let no_flock = (host.behaviour.no_fence == Some(92)).then_some(Duration::ZERO);
        if !order.shell.contains("flock -s") || !order.shell.contains("read -r u") {
            self.history.record(now, VmFact::NotUnderstood { vm: vm.clone(), shell: order.shell.clone() });
        }
        let (number, pipe) = (self.next_watch, Rc::<Pipe>::default());
        self.next_watch += 1;
        let on_vm = OnVm { vm: vm.clone(), containers: BTreeSet::new(), hangs, pipe: Rc::clone(&pipe) };
        self.watches.insert(number, on_vm);
        for (end, at) in [(NO_FLOCK, no_flock), (WatchEnd::Exited(None), dies), (WatchEnd::TooMuch, floods)] {
            if let Some(pause) = at {
                self.schedule(after(now, pause), Event::WatchEnds(number, end));
            }
        }
        if no_flock.is_none() {
            for line in String::from_utf8_lossy(&order.stdin).lines() {
                self.add_to_watch(number, line, now);
            }
        }
        Ok((number, pipe))
    }

    /// The watch is given one container more.
    fn add_to_watch(&mut self, number: u64, line: &str, now: Timestamp) {
        let Some(watch) = self.watches.get_mut(&number) else { return };
        let Some(container) = watch_script::told_by(line) else {
            let (vm, shell) = (watch.vm.clone(), format!("watch {line}"));
            return self.history.record(now, VmFact::NotUnderstood { vm, shell });
        };
        watch.containers.insert(container);
        let lock = self.hosts.get(&watch.vm).and_then(|host| host.locks.get(&container));
        let free_at = match lock {
            Some(Lock::Process { .. } | Lock::Stale { until: None }) => None,
            Some(Lock::Stale { until: Some(until) }) => Some(*until),
            None => Some(now),
        };
        if let Some(at) = free_at {
            self.print_end(number, container, at.max(now));
        }
        let Self { knobs, watch_chance, .. } = self;
        if watch_chance.hits(knobs.watch.false_rate) {
            let at = after(now, watch_chance.draw(knobs.watch.within));
            self.schedule(at, Event::WatchPrints(number, container.to_string()));
        }
        if self.watch_chance.hits(self.knobs.watch.garbage_rate) {
            let garbage = ["", "broken", "zzzzz-dz642-", "Last login: never", "zzzzz-dz642-000000000000000"];
            for line in garbage.map(str::to_owned).into_iter().chain([format!("{container} stale")]) {
                self.schedule(now, Event::WatchPrints(number, line));
            }
        }
    }

    /// The lock of that container is free from then on: whoever waits for it on that VM prints it.
    pub(super) fn lock_is_freed(&mut self, vm: &InstanceId, container: ContainerUuid, at: Timestamp) {
        let waits = |watch: &OnVm| watch.vm == *vm && watch.containers.contains(&container);
        let waiting: Vec<_> =
            self.watches.iter().filter(|(_, watch)| waits(watch)).map(|(number, _)| *number).collect();
        for number in waiting {
            self.print_end(number, container, at);
        }
    }

    /// The line comes as the knobs say, half a round trip later.
    fn print_end(&mut self, number: u64, container: ContainerUuid, at: Timestamp) {
        let Self { knobs, watch_chance: chance, watches, .. } = self;
        if let Some(watch) = watches.get_mut(&number) {
            watch.containers.remove(&container);
        }
        let (latency, knobs) = (knobs.latency, &knobs.watch);
        if chance.hits(knobs.lost_rate) {
            return;
        }
        let late = if chance.hits(knobs.late_rate) { chance.draw(knobs.within) } else { Duration::ZERO };
        let first = after(at, chance.draw(latency) / 2 + late);
        let again = chance.hits(knobs.repeated_rate).then(|| after(first, chance.draw(knobs.within)));
        for at in [Some(first), again].into_iter().flatten() {
            self.schedule(at, Event::WatchPrints(number, container.to_string()));
        }
    }

    pub(super) fn watch_prints(&mut self, number: u64, line: String, now: Timestamp) {
        let Some(watch) = self.watches.get(&number).filter(|watch| !watch.hangs) else { return };
        let gets_through = self.hosts.get(&watch.vm).is_some_and(|host| host.behaviour.ssh == Ssh::Fine);
        if gets_through && self.network_is_up(now) {
            watch.pipe.print(line);
        }
    }

    pub(super) fn watch_ends(&mut self, number: u64, end: WatchEnd) {
        if let Some(watch) = self.watches.remove(&number) {
            watch.pipe.end(end);
        }
    }

    /// A command needs a session on that VM: a watch gives way if there is one session only.
    pub(super) fn watches_give_way(&mut self, vm: &InstanceId) {
        if !self.hosts.get(vm).is_some_and(|host| host.behaviour.one_session) {
            return;
        }
        let there = self.watches.iter().filter(|(_, watch)| watch.vm == *vm).map(|(number, _)| *number);
        for number in there.collect::<Vec<_>>() {
            self.watch_ends(number, WatchEnd::FewSessions);
        }
    }
}

/// Begins a watch over an open connection.
pub(super) async fn begin(
    vms: &Rc<RefCell<FakeVms>>,
    vm: &InstanceId,
    connection: &Rc<Connection>,
    order: ShellCommand,
) -> Result<Rc<dyn Watch>, WatchEnd> {
    let generation = connection.generation();
    let takes = {
        let mut vms = vms.borrow_mut();
        let latency = vms.knobs.latency;
        vms.watch_chance.draw(latency)
    };
    tokio::time::sleep(takes).await;
    let now = clock::now();
    if connection.generation() != generation || !vms.borrow().network_is_up(now) {
        return Err(WatchEnd::ConnectionLost);
    }
    let (number, pipe) = vms.borrow_mut().begin_watch(vm, &order, now)?;
    let (vms, connection) = (Rc::clone(vms), Rc::clone(connection));
    let ends_at = after(now, order.deadline);
    Ok(Rc::new(SimWatch { vms, number, pipe, connection, generation, ends_at }))
}

/// A watch, as the dispatcher has it.
struct SimWatch {
    vms: Rc<RefCell<FakeVms>>,
    number: u64,
    pipe: Rc<Pipe>,
    connection: Rc<Connection>,
    /// Of the connection that it uses.
    generation: u64,
    ends_at: Timestamp,
}

impl SimWatch {
    /// What there is to be read now, or why there is nothing any more.
    fn read(&self) -> Option<Result<String, WatchEnd>> {
        if let Some(line) = self.pipe.lines.borrow_mut().pop_front() {
            return Some(Ok(line));
        }
        let is_lost = self.connection.generation() != self.generation;
        let end = if is_lost { Some(WatchEnd::ConnectionLost) } else { self.pipe.ended.get() };
        end.or((self.ends_at <= clock::now()).then_some(TIMED_OUT)).map(Err)
    }
}

#[async_trait(?Send)]
impl Watch for SimWatch {
    fn add(&self, line: &str) {
        if self.connection.generation() == self.generation {
            self.vms.borrow_mut().add_to_watch(self.number, line, clock::now());
        }
    }

    async fn next(&self) -> Result<String, WatchEnd> {
        loop {
            let (changed, closed) = (self.pipe.changed.notified(), self.connection.closed());
            if let Some(read) = self.read() {
                return read;
            }
            let (changed, closed) = (pin!(changed), pin!(closed));
            let left = dispatch_core::time::since(self.ends_at, clock::now());
            // If its time is over there is news, too.
            let _ = tokio::time::timeout(left, select(changed, closed)).await;
        }
    }
}

impl Drop for SimWatch {
    fn drop(&mut self) {
        self.vms.borrow_mut().watches.remove(&self.number);
    }
}
