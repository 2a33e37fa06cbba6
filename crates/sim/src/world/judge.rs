//! Judges the invariants (docs/design.md, "Invariants") from what the simulated world knows and the
//! dispatcher cannot know. It never changes the world.
//!
//! ```text
//!   histories ── since the last look, in order of time ──→ Judge: live processes, holds, creates ──→ violation
//! ```
//! I3 (every container ends final) and I4 (no VM stays) are judged at the end of a story, by
//! [`World::drain`].

mod cloud;
mod cordons;
pub(super) mod costs;
mod notes;
mod reload;
mod renewals;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::{Catalog, IdleBehavior};
use dispatch_core::time::{Timestamp, since};

use super::{Note, World};
use crate::clock;
use crate::cloud::CloudEntry;
use crate::controller::facts::{Fact, Origin};
use crate::controller::faults::CallKind;
use crate::vm::facts::{Ending, VmFact};
use cordons::Cordons;
use reload::Before;
use renewals::Renewals;

/// The judge compares the whole state after this many events, and once more at the end.
const EVENTS_BETWEEN_WHOLE_CHECKS: usize = 1000;

/// A live process older than this is surely shown by the runner's list.
const SURELY_LISTED_AFTER: Duration = Duration::from_secs(65);
/// For this long, a listing that omitted a VM may be what the dispatcher decided a create from.
const OMISSION_MATTERS: Duration = Duration::from_secs(300);

type Verdict = Result<(), String>;

/// What the judge has seen so far.
#[derive(Debug, Default)]
pub(super) struct Judge {
    controller_seen: usize,
    cloud_seen: usize,
    vms_seen: usize,
    notes_seen: usize,
    /// The VM on which each container's process lives.
    live: BTreeMap<ContainerUuid, InstanceId>,
    /// Processes that the present dispatcher may not see before this time, because its predecessor had just
    /// sent their starts.
    unseen: BTreeMap<ContainerUuid, Timestamp>,
    /// When each live process began.
    began_at: BTreeMap<ContainerUuid, Timestamp>,
    /// Containers whose start was sent, or arrived at a VM, since they were locked.
    tried: BTreeSet<ContainerUuid>,
    /// What the operator wants of VMs, as far as the dispatcher accepted it and wrote it into the tags.
    wishes: BTreeMap<InstanceId, Wish>,
    /// Containers whose process was unwanted by its user or the controller, at some time since it began.
    unwanted: BTreeSet<ContainerUuid>,
    /// Containers whose process was told to end.
    signalled: BTreeSet<ContainerUuid>,
    /// VMs whose destroy this incarnation has sent, and whether the VM had been silent for long when the
    /// destroy was first sent. A VM that an earlier incarnation has destroyed may look alive for a while.
    destroyed: BTreeMap<InstanceId, bool>,
    killed_by_operator: BTreeSet<InstanceId>,
    /// When this incarnation sent its calls to the cloud, for the latest second only.
    sent: VecDeque<Timestamp>,
    /// When the present dispatcher began.
    began: Timestamp,
    /// Nobody is silent for what the present dispatcher could not ask before.
    could_not_ask_until: Timestamp,
    /// When its own machine has failed: from, to.
    own_side_failed: Vec<(Timestamp, Timestamp)>,
    /// The configuration before the last reload.
    before_reload: Option<Before>,
    /// Whether the previous dispatcher is dead and the next one has not begun.
    is_down: bool,
    creates_in_flight: u32,
    /// Creates that were sent, and whose answer the present dispatcher still waits for.
    creates_unanswered: u32,
    /// VMs made by creates that dead dispatchers had sent. Their successors cannot know about these creates.
    orphans: BTreeSet<InstanceId>,
    orphans_in_flight: u32,
    cordons: Cordons,
    renewals: Renewals,
    /// How many events there had been when the whole state was last compared.
    whole_at: usize,
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    behavior: IdleBehavior,
    /// Since when the tags say the same; `None` = they do not.
    saved: Option<Timestamp>,
}

/// Something that happened, from whichever history.
enum Seen {
    Vm(VmFact),
    Controller(Fact),
    Cloud(CloudEntry),
    Note(Note),
}

impl Judge {
    pub(super) fn look(&mut self, world: &World) -> Verdict {
        for (at, seen) in self.news(world) {
            let verdict = match seen {
                Seen::Vm(fact) => self.vm(at, &fact, world),
                Seen::Controller(fact) => self.controller(&fact, world),
                Seen::Cloud(entry) => self.cloud(&entry, world),
                Seen::Note(note) => self.note(at, &note, world),
            };
            let seconds = since(at, clock::epoch()).as_secs_f64();
            verdict.map_err(|what| format!("violation at {seconds:.3}: {what}"))?;
        }
        Ok(())
    }

    /// Whether enough has happened that the whole state must be compared again.
    pub(super) fn is_whole_state_due(&mut self, events: usize) -> bool {
        let due = events >= self.whole_at + EVENTS_BETWEEN_WHOLE_CHECKS;
        if due {
            self.whole_at = events;
        }
        due
    }

    /// Judges the whole state, read from the VMs and records themselves. It finds what the changes alone
    /// might have missed.
    pub(super) fn whole_state(&self, world: &World) -> Verdict {
        let vms = world.vms.borrow();
        let mut live = BTreeMap::new();
        for host in vms.hosts() {
            for uuid in host.containers() {
                if let Some(other) = live.insert(uuid, host.id.clone()) {
                    return Err(format!("I1: {uuid} lives on {other} and on {}", host.id));
                }
            }
        }
        if live != self.live {
            return Err(format!("the histories tell of {:?}, the VMs of {live:?}", self.live));
        }
        let now = clock::now();
        // A process that becomes known only after another was placed on its VM may exceed the VM's size until
        // it ends.
        let is_settled = |vm: &&InstanceId| !self.unseen.keys().any(|uuid| live.get(uuid) == Some(*vm));
        let mut vms_in_use = live.values().collect::<BTreeSet<_>>().into_iter().filter(is_settled);
        vms_in_use.try_for_each(|vm| self.fits(vm, now, world))?;
        let cloud = world.cloud.borrow();
        // At the very moment when a VM ends, its end and the end of its processes may be recorded in either
        // order.
        let gone = |id: &&InstanceId| cloud.vm(id).and_then(|vm| vm.ends_at).is_some_and(|end| end < now);
        let on_gone_vm = live.values().find(gone);
        on_gone_vm.map_or(Ok(()), |id| Err(format!("processes live on {id}, which does not exist")))
    }

    /// What happened since the last look. Of what happened at the same time, VM facts come first, so that the
    /// end of a process counts before what was concluded from it.
    fn news(&mut self, world: &World) -> Vec<(Timestamp, Seen)> {
        let (arvados, cloud) = (world.arvados.borrow(), world.cloud.borrow());
        let (vms, journal) = (world.vms.borrow(), world.journal.borrow());
        let notes = journal.notes().get(self.notes_seen..).unwrap_or_default();
        let cloud_entries = cloud.history().get(self.cloud_seen..).unwrap_or_default();
        let (vm_entries, entries) =
            (vms.history().since(self.vms_seen), arvados.history().since(self.controller_seen));
        self.notes_seen += notes.len();
        self.cloud_seen += cloud_entries.len();
        self.vms_seen += vm_entries.len();
        self.controller_seen += entries.len();
        let mut news: Vec<_> = vm_entries.iter().map(|it| (it.at, Seen::Vm(it.fact.clone()))).collect();
        news.extend(notes.iter().map(|(at, note)| (*at, Seen::Note(note.clone()))));
        news.extend(entries.iter().map(|it| (it.at, Seen::Controller(it.fact.clone()))));
        news.extend(cloud_entries.iter().map(|it| (it.at, Seen::Cloud(it.clone()))));
        news.sort_by_key(|(at, _)| *at);
        news
    }

    // ------------------------------------------------------------ VMs

    fn vm(&mut self, at: Timestamp, fact: &VmFact, world: &World) -> Verdict {
        match fact {
            VmFact::Started { vm, container, live, .. } => {
                if *live > 1 {
                    return Err(format!("I1: {container} has {live} live processes, the last on {vm}"));
                }
                self.live.insert(*container, vm.clone());
                self.began_at.insert(*container, at);
                self.tried.insert(*container);
                self.signalled.remove(container);
                self.unwanted.remove(container);
                if is_unwanted(*container, world) {
                    self.unwanted.insert(*container);
                }
                self.fits(vm, at, world)
            }
            VmFact::Ended { container, vm, ending, .. } => {
                self.live.remove(container);
                self.unseen.remove(container);
                self.ended(*container, vm, *ending, world)
            }
            VmFact::StartFailed { container, .. } => {
                self.tried.insert(*container);
                Ok(())
            }
            VmFact::Signalled { container, signal, .. } if *signal != 15 => {
                Err(format!("{container} was sent signal {signal}: it leaves the container running"))
            }
            VmFact::Signalled { vm, container, .. } => {
                self.signalled.insert(*container);
                match self.unwanted.contains(container) || self.killed_by_operator.contains(vm) {
                    true => Ok(()),
                    false => Err(format!("I2: {container} was told to end, and everybody wants it")),
                }
            }
            VmFact::NotUnderstood { vm, shell } => Err(format!("{vm} was sent nonsense: {shell}")),
            // Another VM had that id before.
            VmFact::Made { vm } => {
                self.destroyed.remove(vm);
                self.wishes.remove(vm);
                self.killed_by_operator.remove(vm);
                self.renewals.forget(vm);
                Ok(())
            }
            VmFact::Gone { .. } => Ok(()),
        }
    }

    /// I6: the processes that live on a VM, and can be seen there, need no more than it has.
    fn fits(&self, vm: &InstanceId, at: Timestamp, world: &World) -> Verdict {
        let vms = world.vms.borrow();
        let Some(host) = vms.host(vm) else { return Ok(()) };
        let arvados = world.arvados.borrow();
        let is_seen = |uuid: &ContainerUuid| self.unseen.get(uuid).is_none_or(|until| *until <= at);
        let here = self.live.iter().filter(|(uuid, place)| *place == vm && is_seen(uuid));
        let specs: Vec<_> = here.filter_map(|(uuid, _)| arvados.container(*uuid)).collect();
        let vcpus: u64 = specs.iter().map(|it| it.spec.runtime_constraints.vcpus).sum();
        let reserve = world.knobs.policy.sizing.reserve_extra_ram;
        let ram: u64 = specs.iter().map(|it| (it.spec.runtime_constraints.ram + reserve) * 100 / 95).sum();
        let most = world.knobs.policy.max_containers_per_instance as usize;
        if most > 0 && specs.len() > most {
            return Err(format!("I5: {} containers live on {vm}, {most} allowed", specs.len()));
        }
        let it = &host.instance_type;
        if vcpus > it.vcpus || ram > it.ram {
            return Err(format!(
                "I6: {vm} ({}) has {} CPUs and {} bytes, {} containers there need {vcpus} and {ram}",
                it.name,
                it.vcpus,
                it.ram,
                specs.len()
            ));
        }
        Ok(())
    }

    /// No VM is destroyed under a process while it answers. If the cloud takes a VM away, an earlier destroy
    /// of ours that was lost on its way does not count as the cause.
    fn ended(&self, uuid: ContainerUuid, vm: &InstanceId, ending: Ending, world: &World) -> Verdict {
        let taken_away = world.cloud.borrow().vm(vm).is_some_and(|vm| vm.taken_away);
        let was_silent = self.destroyed.get(vm).filter(|_| ending == Ending::VmGone && !taken_away);
        let excused = self.killed_by_operator.contains(vm) || self.may_be_given_up(uuid);
        if was_silent == Some(&false) && !excused {
            return Err(format!("{vm} was destroyed while {uuid} ran on it"));
        }
        Ok(())
    }

    // ------------------------------------------------------------ the controller

    fn controller(&mut self, fact: &Fact, world: &World) -> Verdict {
        self.note_unwanted(fact);
        let Fact::Changed { uuid, from, to, call, origin, .. } = fact else { return Ok(()) };
        if *origin != Origin::Dispatcher {
            return Ok(());
        }
        use ContainerState::{Cancelled, Complete, Locked, Queued, Running};
        match (from, to) {
            (Queued, Locked) => {
                self.tried.remove(uuid);
                Ok(())
            }
            (Complete, Cancelled) => Err(format!("I2: {uuid} was Complete and is now Cancelled")),
            (Running, Cancelled) => match self.live.get(uuid) {
                Some(vm) => Err(format!("I2: {uuid} was cancelled while its process lives on {vm}")),
                None => Ok(()),
            },
            (Locked, Queued) => match self.live.get(uuid) {
                Some(vm) => Err(format!("I1: {uuid} was unlocked while its process lives on {vm}")),
                None => Ok(()),
            },
            // A container that its user has given up (priority 0) may be Cancelled as well as Queued.
            (Locked, Cancelled) if *call == CallKind::Unlock && is_unwanted_by_its_user(*uuid, world) => {
                Ok(())
            }
            (Locked, Cancelled) if *call == CallKind::Unlock => match self.tried.contains(uuid) {
                true => Ok(()),
                false => Err(format!("I3: {uuid} used up its attempts: unlocked without a start")),
            },
            // The last attempt has failed: its user is told why, instead of by the unlock that would end it.
            (Locked, Cancelled) if self.has_used_its_attempts(*uuid, world) => match self.live.get(uuid) {
                Some(vm) => Err(format!("I1: {uuid} was cancelled while its process lives on {vm}")),
                None => Ok(()),
            },
            // What a dead dispatcher had decided, it decided under its own configuration.
            (Queued | Locked, Cancelled) if !self.is_down && self.could_run(*uuid, world) => {
                Err(format!("I3: {uuid} was cancelled, but could run"))
            }
            _ => Ok(()),
        }
    }

    /// Whether its start was tried, and an unlock would cancel it.
    fn has_used_its_attempts(&self, uuid: ContainerUuid, world: &World) -> bool {
        let arvados = world.arvados.borrow();
        let locks = arvados.container(uuid).map_or(0, |it| it.lock_count);
        self.tried.contains(&uuid) && locks >= arvados.settings.max_dispatch_attempts
    }

    /// Whether the process is unwanted, or was told to end. If it does not end, its VM may be destroyed.
    fn may_be_given_up(&self, uuid: ContainerUuid) -> bool {
        self.signalled.contains(&uuid) || self.unwanted.contains(&uuid)
    }

    fn note_unwanted(&mut self, fact: &Fact) {
        use ContainerState::{Locked, Running};
        let unwanted = match fact {
            Fact::Changed { uuid, to, .. } if !matches!(to, Locked | Running) => uuid,
            Fact::Prioritised { uuid, to, .. } if *to <= 0 => uuid,
            Fact::Deleted { uuid } => uuid,
            Fact::Changed { .. }
            | Fact::Prioritised { .. }
            | Fact::Submitted { .. }
            | Fact::Refused { .. }
            | Fact::Struck { .. } => return,
        };
        self.unwanted.insert(*unwanted);
    }

    /// Whether a configured type on the market that the container wants has CPUs enough, or may be said to have since a reload.
    fn could_run(&self, uuid: ContainerUuid, world: &World) -> bool {
        let arvados = world.arvados.borrow();
        let Some(record) = arvados.container(uuid) else { return false };
        let (vcpus, spot) = (record.spec.runtime_constraints.vcpus, record.spec.scheduling.preemptible);
        let fits =
            |catalog: &Catalog| catalog.types().iter().any(|it| it.vcpus >= vcpus && it.preemptible == spot);
        let fits_now = fits(&world.knobs.policy.catalog);
        let before = self.before_reload.as_ref();
        before.map_or(fits_now, |before| before.could_run(fits_now, fits, clock::now()))
    }
}

/// Whether the user or the controller no longer wants the container's process.
fn is_unwanted(uuid: ContainerUuid, world: &World) -> bool {
    let arvados = world.arvados.borrow();
    let is_open = |state| matches!(state, ContainerState::Locked | ContainerState::Running);
    arvados.container(uuid).is_none_or(|it| !is_open(it.state) || it.priority <= 0)
}

fn is_unwanted_by_its_user(uuid: ContainerUuid, world: &World) -> bool {
    world.arvados.borrow().container(uuid).is_none_or(|it| it.priority <= 0)
}
