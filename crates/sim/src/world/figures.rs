//! What a run has cost: VMs, VM-seconds without work, calls and starts, each for its container or world.
//!
//! ```text
//!   histories of controller, cloud, VMs ──→ Figures of one world ──add──→ Figures of a hunt ──→ percentiles
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::time::{Timestamp, since};
use serde::{Serialize, Serializer};

use super::{Note, World};
use crate::clock;
use crate::controller::facts::Fact;
use crate::vm::facts::VmFact;

/// How often each value occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution(BTreeMap<u64, u64>);

impl Distribution {
    /// Counts one more value.
    pub fn count(&mut self, value: u64) {
        *self.0.entry(value).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        for (value, times) in &other.0 {
            *self.0.entry(*value).or_default() += times;
        }
    }

    /// The least value that at least that share (0 to 1) of the values do not exceed; 0 without values.
    pub fn percentile(&self, share: f64) -> u64 {
        let wanted = (self.0.values().sum::<u64>() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (value, times) in &self.0 {
            seen += times;
            if seen >= wanted {
                return *value;
            }
        }
        0
    }

    /// The largest value.
    pub fn max(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(value, _)| *value)
    }
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown =
            [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)].map(|(name, share)| (name, self.percentile(share)));
        serializer.collect_map(shown.into_iter().chain([("max", self.max())]))
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, nearly_all] = [0.5, 0.9, 0.99].map(|share| self.percentile(share));
        write!(f, "p50 {half:<6} p90 {most:<6} p99 {nearly_all:<6} max {}", self.max())
    }
}

/// The figures of one world, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// VMs made for every 100 containers that ran, one value a world.
    pub vms_per_100_ran: Distribution,
    /// Seconds that a VM existed without a process, one value a VM. VMs that may stay for ever are left out.
    pub idle_seconds: Distribution,
    /// Starts that reached a VM, one value a container.
    pub starts: Distribution,
    /// Calls to lock it, one value a container.
    pub lock_calls: Distribution,
    /// Calls to unlock it, one value a container.
    pub unlock_calls: Distribution,
    /// Calls to cancel it, one value a container.
    pub cancel_calls: Distribution,
    /// Reads of its record alone, one value a container.
    pub reads: Distribution,
    /// Seconds from the end of the faults to the end of the last container, one value a world.
    pub recovery_seconds: Distribution,
}

impl Figures {
    pub(super) fn of(world: &World) -> Self {
        let mut figures = Self::default();
        let starts = starts(world);
        if !starts.is_empty() {
            figures.vms_per_100_ran.count((world.vms_made() * 100 / starts.len()) as u64);
        }
        idle_seconds(world).into_iter().for_each(|seconds| figures.idle_seconds.count(seconds));
        figures.recovery_seconds.count(recovery_seconds(world));
        let arvados = world.arvados.borrow();
        for uuid in arvados.containers().map(|it| it.uuid) {
            let tally = arvados.history().tally(uuid);
            figures.starts.count(starts.get(&uuid).copied().unwrap_or(0));
            figures.lock_calls.count(tally.lock_calls.into());
            figures.unlock_calls.count(tally.unlock_calls.into());
            figures.cancel_calls.count(tally.cancel_calls.into());
            figures.reads.count(tally.reads.into());
        }
        figures
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.vms_per_100_ran.add(&other.vms_per_100_ran);
        self.idle_seconds.add(&other.idle_seconds);
        self.starts.add(&other.starts);
        self.lock_calls.add(&other.lock_calls);
        self.unlock_calls.add(&other.unlock_calls);
        self.cancel_calls.add(&other.cancel_calls);
        self.reads.add(&other.reads);
        self.recovery_seconds.add(&other.recovery_seconds);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, distribution) in [
            ("VMs per 100 containers that ran", &self.vms_per_100_ran),
            ("idle seconds of a VM", &self.idle_seconds),
            ("starts of a container", &self.starts),
            ("calls to lock a container", &self.lock_calls),
            ("calls to unlock a container", &self.unlock_calls),
            ("calls to cancel a container", &self.cancel_calls),
            ("reads of a container", &self.reads),
            ("seconds until all have recovered", &self.recovery_seconds),
        ] {
            writeln!(f, "  {name:34} {distribution}")?;
        }
        Ok(())
    }
}

/// How many starts of each container reached a VM.
pub(super) fn starts(world: &World) -> BTreeMap<ContainerUuid, u64> {
    let mut starts = BTreeMap::new();
    for entry in world.vms.borrow().history().entries() {
        if let VmFact::Started { container, .. } | VmFact::StartFailed { container, .. } = &entry.fact {
            *starts.entry(*container).or_default() += 1;
        }
    }
    starts
}

/// How long each VM was without a process, in seconds, apart from those that may stay for ever.
fn idle_seconds(world: &World) -> Vec<u64> {
    let may_stay = world.vms_that_may_stay();
    let mut vms: BTreeMap<InstanceId, Idleness> = BTreeMap::new();
    let history = world.vms.borrow();
    for entry in history.history().entries() {
        match &entry.fact {
            VmFact::Made { vm } => drop(vms.insert(vm.clone(), Idleness::since(entry.at))),
            VmFact::Started { vm, container, .. } => {
                vms.entry(vm.clone()).and_modify(|it| it.begin(*container, entry.at));
            }
            VmFact::Ended { vm, container, .. } => {
                vms.entry(vm.clone()).and_modify(|it| it.end(*container, entry.at));
            }
            VmFact::Gone { vm } => drop(vms.entry(vm.clone()).and_modify(|it| it.stop(entry.at))),
            VmFact::StartFailed { .. } | VmFact::Signalled { .. } | VmFact::NotUnderstood { .. } => {}
        }
    }
    let now = clock::now();
    let counted = vms.into_iter().filter(|(id, _)| !may_stay.contains(id));
    counted
        .map(|(_, mut idleness)| {
            idleness.stop(now);
            idleness.seconds as u64
        })
        .collect()
}

#[derive(Debug)]
struct Idleness {
    running: BTreeSet<ContainerUuid>,
    /// Since when it has had no process; `None` = it has one, or is gone.
    idle_since: Option<Timestamp>,
    seconds: f64,
}

impl Idleness {
    fn since(at: Timestamp) -> Self {
        Self { running: BTreeSet::new(), idle_since: Some(at), seconds: 0.0 }
    }

    fn begin(&mut self, container: ContainerUuid, at: Timestamp) {
        self.running.insert(container);
        self.stop(at);
    }

    fn end(&mut self, container: ContainerUuid, at: Timestamp) {
        self.running.remove(&container);
        if self.running.is_empty() {
            self.idle_since = Some(at);
        }
    }

    fn stop(&mut self, at: Timestamp) {
        self.seconds += self.idle_since.take().map_or(0.0, |from| since(at, from).as_secs_f64());
    }
}

/// From the end of the faults to the last change of a container into a final state.
fn recovery_seconds(world: &World) -> u64 {
    let journal = world.journal.borrow();
    let stopped = journal.notes().iter().find(|(_, note)| *note == Note::FaultsStop).map(|(at, _)| *at);
    let Some(stopped) = stopped else { return 0 };
    let is_end = |fact: &Fact| matches!(fact, Fact::Changed { to, .. } if to.is_final());
    let arvados = world.arvados.borrow();
    let last = arvados.history().entries().iter().rev().find(|entry| is_end(&entry.fact));
    last.map_or(0, |entry| since(entry.at, stopped).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut distribution = Distribution::default();
        (1..=100).for_each(|value| distribution.count(value));
        let shares = [0.5, 0.9, 0.99, 1.0].map(|share| distribution.percentile(share));
        assert_eq!((shares, distribution.max()), ([50, 90, 99, 100], 100));
        assert_eq!(Distribution::default().percentile(0.5), 0);
    }
}
