//! One VM: what is on its disk, which processes hold locks, and what it answers to commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::InstanceType;
use dispatch_core::ports::Output;
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;
use md5::{Digest, Md5};

use super::fence::FenceFile;
use super::knobs::Behaviour;
use super::shell::ANY_RUNNER;

/// A VM as seen from inside.
#[derive(Debug)]
pub struct Host {
    /// Its id.
    pub id: InstanceId,
    /// Its type.
    pub instance_type: Arc<InstanceType>,
    /// When it was made.
    pub made_at: Timestamp,
    /// How it behaves; may be changed at any time.
    pub behaviour: Behaviour,
    /// The secret that its init command has written.
    pub(super) secret: Option<Secret>,
    /// The copy of it that who has claimed the fence has made.
    pub(super) secret_copy: Option<Secret>,
    /// The runners that were deployed: the md5 of each path.
    pub(super) runners: BTreeMap<String, String>,
    /// The fences, by file.
    pub(super) fences: BTreeMap<String, FenceFile>,
    /// Until then a start holds the lock of a fence.
    pub(super) starting_until: Timestamp,
    /// The runner's lock files, by container.
    pub(super) locks: BTreeMap<ContainerUuid, Lock>,
}

/// The state of a container's lock file on a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// A crunch-run process holds it and lives. `--list` shows the process from `listed_from` on.
    Process { pid: u64, listed_from: Timestamp },
    /// The process is dead, and a helper holds its lock until then; `None` = for ever.
    Stale { until: Option<Timestamp> },
}

impl Host {
    /// Whether its boot probe succeeds by now.
    pub fn has_booted(&self, now: Timestamp) -> bool {
        self.behaviour.boots_at.is_some_and(|at| at <= now)
    }

    /// The containers whose processes live here.
    pub fn containers(&self) -> impl Iterator<Item = ContainerUuid> {
        let lives =
            |(uuid, lock): (&ContainerUuid, &Lock)| matches!(lock, Lock::Process { .. }).then_some(*uuid);
        self.locks.iter().filter_map(lives)
    }

    /// Removes the locks whose helpers have ended.
    pub(super) fn expire_locks(&mut self, now: Timestamp) {
        self.locks.retain(|_, lock| match lock {
            Lock::Process { .. } => true,
            Lock::Stale { until } => until.is_none_or(|until| now < until),
        });
    }

    pub(super) fn boot_probe(&self, text: &str, probe: &str, now: Timestamp) -> Option<Output> {
        match text {
            "" | "true" => Some(succeeded("")),
            text if text == probe && self.has_booted(now) => Some(succeeded("running\n")),
            text if text == probe => {
                Some(Output { status: 1, stdout: b"starting\n".to_vec(), stderr: vec![] })
            }
            _ => None,
        }
    }

    pub(super) fn md5sum(&self, path: &str) -> Output {
        match self.runners.get(path) {
            Some(md5) => succeeded(&format!("{md5}  {path}\n")),
            None => failed(1, &format!("md5sum: {path}: No such file or directory")),
        }
    }

    pub(super) fn install(&mut self, path: String, md5: String, content: &Bytes) -> Output {
        let found = hex(&Md5::digest(content));
        if found != md5 {
            return failed(1, &format!("{path}: md5 is {found}"));
        }
        self.runners.insert(path, md5);
        succeeded("")
    }

    /// The error of running that runner, if it is not installed.
    pub(super) fn missing(&self, runner: &str) -> Option<Output> {
        let there = if runner.contains(ANY_RUNNER) {
            !self.runners.is_empty() || !self.behaviour.runner_missing
        } else if runner.contains("crunch-run~") {
            self.runners.contains_key(runner)
        } else {
            !self.behaviour.runner_missing
        };
        (!there).then(|| failed(127, &format!("sh: {runner}: command not found")))
    }

    pub(super) fn list(&self, now: Timestamp) -> Output {
        let mut lines = String::new();
        for (uuid, lock) in &self.locks {
            match lock {
                Lock::Process { listed_from, .. } if *listed_from <= now => lines += &format!("{uuid}\n"),
                Lock::Process { .. } => {}
                Lock::Stale { .. } => lines += &format!("{uuid} stale\n"),
            }
        }
        for uuid in self.behaviour.also_lists.iter().filter(|uuid| !self.locks.contains_key(uuid)) {
            lines += &format!("{uuid}\n");
        }
        if self.behaviour.broken {
            lines += "broken\n";
        }
        succeeded(&lines)
    }

    /// The secret; `None` until the init command has written it.
    pub(super) fn secret(&self, now: Timestamp) -> Option<&Secret> {
        self.secret.as_ref().filter(|_| self.behaviour.secret_at <= now)
    }

    pub(super) fn read_secret(&self, now: Timestamp) -> Output {
        match self.secret(now) {
            Some(secret) => succeeded(secret.expose()),
            None => failed(1, "cat: /var/run/arvados-instance-secret: No such file or directory"),
        }
    }
}

/// The secret that an init command writes: `… echo -n "SECRET" >…`.
pub(super) fn secret_in(init_command: &str) -> Option<Secret> {
    let (_, after) = init_command.split_once("echo -n \"")?;
    let (secret, _) = after.split_once('"')?;
    Some(Secret::new(secret))
}

pub(super) fn succeeded(stdout: &str) -> Output {
    Output { status: 0, stdout: stdout.as_bytes().to_vec(), stderr: Vec::new() }
}

pub(super) fn failed(status: i32, stderr: &str) -> Output {
    Output { status, stdout: Vec::new(), stderr: format!("{stderr}\n").into_bytes() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
