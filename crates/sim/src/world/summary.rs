//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::time::since;
use serde::Serialize;

use super::{Figures, Note, World};
use crate::clock::{self, epoch};
use crate::controller::facts::Fact;
use crate::vm::facts::{Ending, VmFact};

/// The figures of one run, or the sum over many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many runs.
    pub seeds: u64,
    /// How many events there were at the controller, in the cloud and on VMs.
    pub events: u64,
    /// How many containers there were.
    pub containers: u64,
    /// How many containers ended Complete.
    pub completed: u64,
    /// How many VMs were made.
    pub vms: u64,
    /// How many processes were started.
    pub processes: u64,
    /// How many dispatchers were killed.
    pub kills: u64,
    /// How many unlocks the dispatcher sent.
    pub unlocks: u64,
    /// What it has cost.
    pub figures: Figures,
    /// Which faults struck, and how often.
    pub faults: BTreeMap<String, u64>,
    /// How much virtual time passed.
    pub time: Duration,
}

impl Summary {
    pub(super) fn of(world: &World) -> Self {
        let vm_history = world.vms.borrow();
        let vm_facts = vm_history.history().entries().iter().map(|entry| &entry.fact);
        let journal = world.journal.borrow();
        let kills = journal.notes().iter().filter(|(_, note)| matches!(note, Note::Down(_))).count();
        let arvados = world.arvados.borrow();
        let is_unlock = |fact: &Fact| match fact {
            Fact::Changed { from, to, .. } => {
                (*from, *to) == (ContainerState::Locked, ContainerState::Queued)
            }
            _ => false,
        };
        let unlocks = arvados.history().entries().iter().filter(|entry| is_unlock(&entry.fact)).count();
        Self {
            seeds: 1,
            events: world.events() as u64,
            containers: arvados.containers().count() as u64,
            completed: world.count(ContainerState::Complete) as u64,
            vms: world.vms_made() as u64,
            processes: vm_facts.filter(|fact| matches!(fact, VmFact::Started { .. })).count() as u64,
            kills: kills as u64,
            unlocks: unlocks as u64,
            figures: Figures::of(world),
            faults: faults(world),
            time: since(clock::now(), epoch()),
        }
    }

    /// Adds another run's figures.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.containers += other.containers;
        self.completed += other.completed;
        self.vms += other.vms;
        self.processes += other.processes;
        self.kills += other.kills;
        self.unlocks += other.unlocks;
        self.figures.add(&other.figures);
        self.time += other.time;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
    }
}

fn faults(world: &World) -> BTreeMap<String, u64> {
    let mut faults = BTreeMap::new();
    let mut count = |kind: String, by: u64| *faults.entry(kind).or_default() += by;
    for (fault, times) in world.arvados.borrow().history().faults() {
        count(format!("controller {fault:?}"), *times);
    }
    for entry in world.cloud.borrow().history() {
        if let Some(error) = &entry.error {
            count(format!("cloud {:?} {}", entry.call, error.as_str()), 1);
        }
    }
    for entry in world.vms.borrow().history().entries() {
        match &entry.fact {
            VmFact::Ended {
                ending: ending @ (Ending::Crashed | Ending::VmGone | Ending::Rejected), ..
            } => {
                count(format!("process {ending:?}"), 1);
            }
            VmFact::StartFailed { .. } => count("start failed".to_owned(), 1),
            _ => {}
        }
    }
    for (_, note) in world.journal.borrow().notes() {
        if let Note::Text(text) = note {
            count(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "), 1);
        }
    }
    faults
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seeds       {}", self.seeds)?;
        writeln!(f, "events      {}", self.events)?;
        writeln!(f, "containers  {} ({} complete)", self.containers, self.completed)?;
        writeln!(f, "processes   {}", self.processes)?;
        writeln!(f, "VMs         {}", self.vms)?;
        writeln!(f, "kills       {}", self.kills)?;
        writeln!(f, "unlocks     {}", self.unlocks)?;
        let hours = self.time.as_secs_f64() / 3600.0;
        writeln!(f, "time        {hours:.1} virtual hours ({:.2} years)", hours / (24.0 * 365.25))?;
        write!(f, "{}", self.figures)?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {kind:40} {count}")?;
        }
        Ok(())
    }
}
