//! What happened on the VMs, with times: for invariants, stories and reports.

use std::collections::BTreeMap;

use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::time::Timestamp;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// It set its container Complete.
    Completed,
    /// It was told to end, and did.
    Terminated,
    /// The controller would not have its container Running or Complete.
    Rejected,
    /// It died without a word.
    Crashed,
    /// Its VM ended under it.
    VmGone,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmFact {
    /// A VM was made.
    Made {
        /// Which.
        vm: InstanceId,
    },
    /// A VM is no more; its processes have ended just before.
    Gone {
        /// Which.
        vm: InstanceId,
    },
    /// A crunch-run process was started.
    Started {
        /// Where.
        vm: InstanceId,
        /// For which container.
        container: ContainerUuid,
        /// Unique in this world.
        pid: u64,
        /// How many live processes the container has now: more than one breaks I1.
        live: usize,
    },
    /// A process ended.
    Ended {
        /// Where.
        vm: InstanceId,
        /// For which container.
        container: ContainerUuid,
        /// Which.
        pid: u64,
        /// How.
        ending: Ending,
    },
    /// A start command failed and started nothing.
    StartFailed {
        /// Where.
        vm: InstanceId,
        /// For which container.
        container: ContainerUuid,
        /// Its exit status.
        status: i32,
    },
    /// A process was signalled.
    Signalled {
        /// Where.
        vm: InstanceId,
        /// For which container.
        container: ContainerUuid,
        /// With what: 15, or something is wrong.
        signal: u8,
    },
    /// A command was not understood.
    NotUnderstood {
        /// Where.
        vm: InstanceId,
        /// What it said.
        shell: String,
    },
}

/// A fact and when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub fact: VmFact,
}

/// What commands were about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandKind {
    /// The boot probe.
    BootProbe,
    /// `md5sum`.
    Md5sum,
    /// The runner is brought.
    Install,
    /// `--list`.
    List,
    /// `--detach`.
    Start,
    /// `--kill`.
    Kill,
    /// The secret is read.
    ReadSecret,
    /// None of these.
    Unknown,
}

/// The history of all VMs.
#[derive(Debug, Default)]
pub struct VmHistory {
    entries: Vec<VmEntry>,
    commands: BTreeMap<CommandKind, u64>,
    live: BTreeMap<ContainerUuid, usize>,
    most_live: usize,
}

impl VmHistory {
    /// Everything, in order.
    pub fn entries(&self) -> &[VmEntry] {
        &self.entries
    }

    /// What happened after the first `seen` entries.
    pub fn since(&self, seen: usize) -> &[VmEntry] {
        self.entries.get(seen..).unwrap_or_default()
    }

    /// Commands that reached a VM, by kind.
    pub fn commands(&self) -> &BTreeMap<CommandKind, u64> {
        &self.commands
    }

    /// How many processes of that container live now.
    pub fn live(&self, container: ContainerUuid) -> usize {
        self.live.get(&container).copied().unwrap_or(0)
    }

    /// How many processes live now, in all.
    pub fn all_live(&self) -> usize {
        self.live.values().sum()
    }

    /// The most processes that any one container ever had alive at a time: I1 says at most 1.
    pub fn most_live(&self) -> usize {
        self.most_live
    }

    pub(super) fn count_command(&mut self, kind: CommandKind) {
        *self.commands.entry(kind).or_default() += 1;
    }

    pub(super) fn record(&mut self, at: Timestamp, fact: VmFact) {
        self.entries.push(VmEntry { at, fact });
    }

    pub(super) fn started(&mut self, at: Timestamp, vm: InstanceId, container: ContainerUuid, pid: u64) {
        let live = self.live.entry(container).or_default();
        *live += 1;
        self.most_live = self.most_live.max(*live);
        let live = *live;
        self.record(at, VmFact::Started { vm, container, pid, live });
    }

    pub(super) fn ended(
        &mut self,
        at: Timestamp,
        vm: InstanceId,
        container: ContainerUuid,
        pid: u64,
        ending: Ending,
    ) {
        if let Some(live) = self.live.get_mut(&container) {
            *live -= 1;
            if *live == 0 {
                self.live.remove(&container);
            }
        }
        self.record(at, VmFact::Ended { vm, container, pid, ending });
    }
}
