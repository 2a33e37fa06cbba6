//! The history of what happened on the VMs, for invariants, stories and reports.

use std::collections::BTreeMap;

use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::time::Timestamp;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The process set its container Complete.
    Completed,
    /// The process received SIGTERM and ended.
    Terminated,
    /// The controller refused to set its container Running or Complete.
    Rejected,
    /// The process died without reporting anything to the controller.
    Crashed,
    /// Its VM ended.
    VmGone,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmFact {
    /// A VM was made.
    Made {
        /// The VM.
        vm: InstanceId,
    },
    /// A VM has ended. Its processes have ended just before.
    Gone {
        /// The VM.
        vm: InstanceId,
    },
    /// A crunch-run process was started.
    Started {
        /// The VM that it runs on.
        vm: InstanceId,
        /// The container that it runs.
        container: ContainerUuid,
        /// The process id, unique in this world.
        pid: u64,
        /// How many live processes the container has now. More than one violates I1.
        live: usize,
    },
    /// A process ended.
    Ended {
        /// The VM that it ran on.
        vm: InstanceId,
        /// The container that it ran.
        container: ContainerUuid,
        /// The process id.
        pid: u64,
        /// How it ended.
        ending: Ending,
    },
    /// A start command failed and started nothing.
    StartFailed {
        /// The VM.
        vm: InstanceId,
        /// The container that was to be started.
        container: ContainerUuid,
        /// The exit status of the command.
        status: i32,
    },
    /// A process was signalled.
    Signalled {
        /// The VM.
        vm: InstanceId,
        /// The container whose process it is.
        container: ContainerUuid,
        /// The signal. It should be 15 (SIGTERM).
        signal: u8,
    },
    /// A command was not understood.
    NotUnderstood {
        /// The VM.
        vm: InstanceId,
        /// The text of the command.
        shell: String,
    },
}

/// A fact and when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmEntry {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub fact: VmFact,
}

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandKind {
    /// The boot probe.
    BootProbe,
    /// `md5sum` of a runner.
    Md5sum,
    /// The installation of a runner.
    Install,
    /// The runner's `--list`.
    List,
    /// The runner's `--detach`.
    Start,
    /// The runner's `--kill`.
    Kill,
    /// The fence is claimed.
    Claim,
    /// The secret is read for verification.
    ReadSecret,
    /// The journal is read.
    ReadJournal,
    /// Any other command.
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
    /// All facts, in order.
    pub fn entries(&self) -> &[VmEntry] {
        &self.entries
    }

    /// The facts after the first `seen` ones.
    pub fn since(&self, seen: usize) -> &[VmEntry] {
        self.entries.get(seen..).unwrap_or_default()
    }

    /// How many commands reached a VM, by kind.
    pub fn commands(&self) -> &BTreeMap<CommandKind, u64> {
        &self.commands
    }

    /// How many live processes that container has now.
    pub fn live(&self, container: ContainerUuid) -> usize {
        self.live.get(&container).copied().unwrap_or(0)
    }

    /// The VM on which that container was last started.
    pub fn last_started_on(&self, container: ContainerUuid) -> Option<&InstanceId> {
        self.entries.iter().rev().find_map(|entry| match &entry.fact {
            VmFact::Started { vm, container: started, .. } if *started == container => Some(vm),
            _ => None,
        })
    }

    /// How many live processes there are now, on all VMs.
    pub fn all_live(&self) -> usize {
        self.live.values().sum()
    }

    /// The most live processes that any one container ever had at a time. I1 allows at most 1.
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
