//! The pool: all workers as we know them, creates in flight, holds, and processes that have ended.
//!
//! ```text
//!   cloud's listing ─► inventory ─┐
//!   create's answer ─► creates ───┼─► workers (view + what was sent and not yet confirmed) ─► snapshot
//!   worker's views ───────────────┘        │
//!                     holds ─► gates       ├─► renewal (which are too old or have drifted, a few at a time)
//!                                          └─► pacer (which worker is probed next) · outage (whether silence is our own fault)
//! ```
//! Pool is the only sender of commands to a worker. A container counts as a process on a worker from the moment
//! its start is sent; a view of the worker changes that only after the worker has seen the command.
//!
//! Never does: I/O, choosing what to create or start (that is `plan`), talking to a VM.

mod census;
mod cordon;
mod creates;
mod failed_starts;
mod fleet;
mod holds;
mod inspect;
mod interruptions;
mod inventory;
mod observed_capacity;
mod outage;
mod pacer;
mod pause;
mod reach;
mod refusals;
mod reload;
mod renewal;
mod snapshot;
mod supply;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use census::Census;
pub use cordon::{CordonScope, Cordons, LONGEST_PAUSE, Pause};
pub use creates::{CreateId, CreateRefusal, PendingCreate};
pub use failed_starts::FailedStarts;
pub use fleet::{CreateInFlight, Fleet, Host, HostProcess};
use holds::StandingHolds;
pub use holds::{Gate, HoldKind, Holds, PauseReason, QuotaReason, StandingHold};
pub use inspect::PoolState;
pub use inventory::{GoneReply, LISTINGS_APART, LISTINGS_KEPT};
pub use observed_capacity::{ObservedCapacity, ObservedScope};
pub use reach::{Reach, Unanswered, Unreached};
pub use refusals::Refusal;
pub use snapshot::{EndedProcess, EndedWhy, PoolSnapshot, WorkerSnapshot};
pub use supply::Supply;

use crate::id::{ContainerUuid, InstanceId, ProviderType, TypeName};
use crate::instance::{IdleBehavior, Instance, Offering};
use crate::ledger::Ledger;
use crate::note::Note;
use crate::policy::Policy;
use crate::ports::{CapacityScope, CloudError};
use crate::time::{Timestamp, since};
use crate::worker::{
    self, AttemptOutcome, Command, KeptFor, KillReason, ProbeTurn, ShutdownReason, StartOrder, State, View,
};
use interruptions::Interruptions;
use inventory::{Absence, Destroyed};
use outage::Outage;
use pacer::{Pacer, Urgency};
pub use pause::PULSE;
use pause::Pauses;
use refusals::Refusals;

/// What Pool wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolEffect {
    /// Send this create.
    Create(CreateId),
    /// Start a worker for an instance that has appeared; true = this process created it.
    Spawn(Instance, bool),
    /// Send this command to a worker; its views return the number.
    Command(InstanceId, u64, Command),
    /// Stop this worker: its instance is gone.
    Stop(InstanceId),
    /// List the cloud's instances no later than at this moment.
    SyncBy(Timestamp),
    /// Tell the queue that the spot market has taken the instance on which these containers had a process.
    LostToMarket(Vec<ContainerUuid>),
    /// Tell the scheduler to plan again: what a plan reads of the fleet has changed.
    FleetChanged,
    /// Tell the operator.
    Tell(PoolFact),
}

/// What happened, for logs and metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolFact {
    /// A create is sent.
    Creating {
        /// The instance type.
        type_name: TypeName,
        /// The cloud's name of it.
        provider_type: ProviderType,
        /// The container for which it is created; `None` = it is for the reserve.
        container: Option<ContainerUuid>,
    },
    /// A create failed.
    CreateFailed {
        /// The instance type.
        type_name: TypeName,
        /// The error.
        error: CloudError,
    },
    /// Creates within a quota wait until fewer instances exist, or a retry is due. Told once a hold.
    QuotaHold {
        /// The type that was refused.
        type_name: TypeName,
        /// How many instances exist in its scope; creates in flight are none.
        instances: usize,
        /// When one create is tried again.
        retry_at: Timestamp,
        /// The cloud's error.
        error: CloudError,
    },
    /// Creates of this scope wait for a while, because the cloud lacks capacity.
    CapacityHold {
        /// The type that was refused.
        type_name: TypeName,
        /// The scope of the lack of capacity.
        scope: CapacityScope,
        /// The end of the hold.
        until: Timestamp,
        /// The cloud's error.
        error: CloudError,
    },
    /// All creates wait for a while, because the cloud limits the rate.
    RateHold {
        /// The end of the hold.
        until: Timestamp,
        /// The cloud's error.
        error: CloudError,
    },
    /// A hold on creates has ended for good: its time is over, or a create or a boot has succeeded, and for a minute there
    /// was none like it.
    HoldEnded {
        /// Which.
        hold: StandingHold,
        /// When.
        at: Timestamp,
    },
    /// Booting failed too often: creates of that offering are rationed.
    BootsFail {
        /// The offering.
        offering: Offering,
        /// The number of failures in a row.
        failures: u32,
        /// When the next create may be tried.
        until: Timestamp,
    },
    /// This process has not lived for that long.
    Paused(std::time::Duration),
    /// An instance has appeared.
    Appeared {
        /// The instance, with its tags.
        instance: Instance,
        /// Whether this process created it.
        ours: bool,
    },
    /// An instance is gone.
    Disappeared {
        /// The instance.
        instance: InstanceId,
        /// The type that its tag names.
        type_name: Option<TypeName>,
        /// The last state of its worker.
        state: State,
        /// How long after the last destroy call; `None` = none was made.
        after_shutdown: Option<std::time::Duration>,
        /// Why, in the cloud's words, if it has told.
        reason: Option<String>,
    },
    /// An instance that we ordered has ended by itself before it was in service: it counts as a boot that failed.
    EndedWhileBooting {
        /// The instance.
        instance: InstanceId,
        /// The type that its tag names.
        type_name: Option<TypeName>,
        /// How long it was there.
        lived: std::time::Duration,
        /// Why, in the cloud's words, if it has told.
        reason: Option<String>,
    },
    /// A spot instance is gone that nobody here has ended: the market has taken it.
    Interrupted {
        /// The instance.
        instance: InstanceId,
        /// Its type.
        type_name: TypeName,
        /// How long it was there.
        lived: std::time::Duration,
    },
    /// So many workers are silent that the fault must be on our side: none is destroyed.
    OutageBegan {
        /// The number of silent workers.
        silent: usize,
        /// The number of workers that ever answered.
        of: usize,
    },
    /// The outage is over, because one of the silent workers answers, or a new one: silent workers are destroyed again.
    OutageEnded,
    /// The cloud has announced to a process that its instance will be taken away.
    SpotNotice {
        /// The instance.
        instance: InstanceId,
        /// The container of that process.
        container: ContainerUuid,
        /// What it has announced.
        notice: String,
    },
    /// An operator's pause of creates is over, by itself.
    CreatesResumed(Pause),
    /// A worker is to be shut down because it is silent.
    Unresponsive(InstanceId, worker::Silence),
    /// The first complete listing has ended; the number of workers.
    FirstListing(usize),
}

/// The reasons why Pool refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolRefusal {
    /// There is no such instance.
    NoSuchInstance,
    /// No worker has such a process.
    NoSuchProcess,
    /// The container has a process already.
    AlreadyRunning,
    /// The worker does not accept containers now.
    NotPlaceable,
    /// The instance is on hold, and whoever asks does not want that changed.
    OnHold,
    /// No type of that name is configured.
    NoSuchType,
    /// Creates of that scope are not paused.
    NoSuchPause,
    /// The worker itself refused.
    Worker(worker::WorkerRefusal),
}

impl PoolRefusal {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchInstance => "no such instance",
            Self::NoSuchProcess => "no such process",
            Self::AlreadyRunning => "container has a process already",
            Self::NotPlaceable => "worker does not take containers now",
            Self::OnHold => "instance is on hold",
            Self::NoSuchType => "no such instance type",
            Self::NoSuchPause => "no such pause",
            Self::Worker(refusal) => refusal.as_str(),
        }
    }
}

/// What an operator wants of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorWish {
    /// What is to become of it.
    pub behavior: IdleBehavior,
    /// Who asks, and why.
    pub note: Option<Note>,
    /// One that is on hold is left on hold.
    pub spares_held: bool,
}

impl From<IdleBehavior> for OperatorWish {
    /// Whatever it is now, and without a word why.
    fn from(behavior: IdleBehavior) -> Self {
        Self { behavior, note: None, spares_held: false }
    }
}

/// A worker in the table.
#[derive(Debug)]
struct Slot {
    view: Arc<View>,
    /// What a plan reads of it; follows from the other fields.
    host: Arc<Host>,
    instance: Arc<Instance>,
    /// Containers whose start was sent and not yet confirmed by a view, with the command's number.
    sent: BTreeMap<ContainerUuid, u64>,
    /// The last listings that lack the instance.
    missing: Option<Absence>,
    /// When the last listing that lacked it began.
    last_absent: Option<Timestamp>,
    /// Whether a listing has shown it long after it was first destroyed.
    outstays: bool,
    /// Whether nothing is expected to run there any more, although listings show it.
    written_off: bool,
    /// Whether the cloud has announced to a process there that it will be taken away.
    spot_notice: Option<Arc<str>>,
    /// The number of the command to renew it, until a view takes that into account.
    renewal_sent: Option<u64>,
    /// Whether any listing has shown it.
    listed: bool,
    /// When its create was sent; `None` = it was found.
    ordered: Option<Timestamp>,
    /// When the probe began whose failure made us ask it to shut down for its silence.
    shutdown_requested_for_probe: Option<Timestamp>,
}

/// The pool's state. Only the Pool actor changes it.
#[derive(Debug)]
pub struct WorkerPool {
    policy: Arc<Policy>,
    workers: BTreeMap<InstanceId, Slot>,
    /// The instances on which each container counts as a process.
    homes: BTreeMap<ContainerUuid, BTreeSet<InstanceId>>,
    creates: BTreeMap<CreateId, PendingCreate>,
    /// Creates whose instance a listing has shown while their call is open, and when each was sent.
    shown_before_answer: BTreeMap<CreateId, Timestamp>,
    ended: BTreeMap<ContainerUuid, EndedProcess>,
    /// The starts of each container that came to nothing.
    failed_starts: BTreeMap<ContainerUuid, FailedStarts>,
    /// Instances for which the last plan has containers that cannot be started yet.
    reserved: Arc<BTreeSet<InstanceId>>,
    /// Instances that the last plan keeps as spare ones.
    spares: Arc<BTreeSet<InstanceId>>,
    holds: Holds,
    /// The holds whose end has not been told yet.
    standing: StandingHolds,
    outage: Outage,
    pacer: Pacer,
    /// When the last complete listings began, latest last.
    listings: Vec<Timestamp>,
    /// When the first of them began that are not too close to one another.
    spaced_listings: Vec<Timestamp>,
    first_listing: Option<Timestamp>,
    last_tick: Option<Timestamp>,
    /// Instances that were destroyed and are gone: one that a listing shows again is still ending.
    destroyed: BTreeMap<InstanceId, Destroyed>,
    sequence: u64,
    runner_readable: bool,
    /// What operators have forbidden to be created.
    cordons: Arc<Cordons>,
    /// The cloud's last refusal for each type.
    refusals: Refusals,
    /// Whether our own system calls fail.
    own_side_fails: bool,
    pauses: Pauses,
    /// When the last pause of this process ended.
    paused_until: Option<Timestamp>,
    /// What the instances cost.
    ledger: Ledger,
    /// What the spot market takes away.
    interruptions: Interruptions,
}

impl WorkerPool {
    /// An empty pool; `quota_groups` are the driver's, by offering.
    pub fn new(policy: Arc<Policy>, quota_groups: BTreeMap<Offering, String>) -> Self {
        Self {
            workers: BTreeMap::new(),
            homes: BTreeMap::new(),
            creates: BTreeMap::new(),
            shown_before_answer: BTreeMap::new(),
            ended: BTreeMap::new(),
            failed_starts: BTreeMap::new(),
            reserved: Arc::default(),
            spares: Arc::default(),
            holds: Holds::new(quota_groups),
            standing: StandingHolds::default(),
            outage: Outage::default(),
            pacer: Pacer::default(),
            listings: Vec::new(),
            spaced_listings: Vec::new(),
            first_listing: None,
            last_tick: None,
            destroyed: BTreeMap::new(),
            sequence: 0,
            runner_readable: true,
            cordons: Arc::default(),
            refusals: Refusals::default(),
            own_side_fails: false,
            pauses: Pauses::default(),
            paused_until: None,
            ledger: Ledger::default(),
            interruptions: Interruptions::default(),
            policy,
        }
    }

    /// Notes whether the runner that is to be deployed can be read: nothing is created while it cannot.
    pub fn set_runner_readable(&mut self, readable: bool) {
        self.runner_readable = readable;
    }

    fn command(&mut self, id: &InstanceId, command: Command) -> PoolEffect {
        self.sequence += 1;
        PoolEffect::Command(id.clone(), self.sequence, command)
    }

    // -------------------------------------------------------------- processes

    /// Sends a start: from now on the container counts as a process on this worker.
    ///
    /// # Errors
    /// If, as far as we know, the worker cannot accept it, or the container has a process already.
    pub fn start(&mut self, order: StartOrder, id: &InstanceId) -> Result<Vec<PoolEffect>, PoolRefusal> {
        let uuid = order.uuid;
        let slot = self.workers.get(id).ok_or(PoolRefusal::NoSuchInstance)?;
        if self.homes.contains_key(&uuid) || self.ended.contains_key(&uuid) {
            return Err(PoolRefusal::AlreadyRunning);
        }
        let is_in_service = slot.view.state.is_ready() && slot.view.behavior == IdleBehavior::Run;
        let is_leaving = slot.missing.is_some() || slot.spot_notice.is_some() || slot.view.unproven;
        if !is_in_service || is_leaving || !self.runner_readable {
            return Err(PoolRefusal::NotPlaceable);
        }
        let effect = self.command(id, Command::Start(order));
        let number = self.sequence;
        self.change_slot(id, |slot| {
            slot.sent.insert(uuid, number);
        });
        Ok(vec![effect])
    }

    /// The worker has refused the start that was sent with this number.
    pub fn start_refused(&mut self, uuid: ContainerUuid, id: &InstanceId, number: u64) {
        self.change_slot(id, |slot| {
            if slot.sent.get(&uuid) == Some(&number) {
                slot.sent.remove(&uuid);
            }
        });
    }

    /// Sends a kill to each worker that has a process of that container.
    ///
    /// # Errors
    /// If there is none.
    pub fn kill(&mut self, uuid: ContainerUuid, reason: &KillReason) -> Result<Vec<PoolEffect>, PoolRefusal> {
        let holders = self.homes.get(&uuid).cloned().ok_or(PoolRefusal::NoSuchProcess)?;
        Ok(holders.iter().map(|id| self.command(id, Command::Kill(uuid, reason.clone()))).collect())
    }

    /// The cloud has announced to that container's process that its instance will be taken away: it gets nothing new, and
    /// is drained.
    pub fn note_spot_notice(&mut self, container: ContainerUuid, notice: &str) -> Vec<PoolEffect> {
        let mut effects = Vec::new();
        for id in self.homes.get(&container).cloned().unwrap_or_default() {
            let is_news = self.change_slot(&id, |slot| slot.spot_notice = Some(notice.into()));
            if is_news {
                effects.push(self.command(&id, Command::DrainForNotice));
                let notice = notice.to_owned();
                effects.push(PoolEffect::Tell(PoolFact::SpotNotice { instance: id, container, notice }));
                effects.push(PoolEffect::FleetChanged);
            }
        }
        effects
    }

    /// Takes the instances that are not idle although nothing runs there: those for which a plan has containers that
    /// cannot be started yet (`reserved`), and those that it keeps as `spares`. Tells the workers for which that has
    /// changed. O(differences × log).
    pub fn keep(
        &mut self,
        reserved: Arc<BTreeSet<InstanceId>>,
        spares: Arc<BTreeSet<InstanceId>>,
    ) -> Vec<PoolEffect> {
        let before =
            (std::mem::replace(&mut self.reserved, reserved), std::mem::replace(&mut self.spares, spares));
        let changed: BTreeSet<_> = (before.0.symmetric_difference(&self.reserved))
            .chain(before.1.symmetric_difference(&self.spares))
            .filter(|id| self.workers.contains_key(*id))
            .cloned()
            .collect();
        let command = |id: &InstanceId| Command::Keep(self.kept_for(id));
        let commands: Vec<_> = changed.iter().map(|id| (id, command(id))).collect();
        commands.into_iter().map(|(id, command)| self.command(id, command)).collect()
    }

    fn kept_for(&self, id: &InstanceId) -> Option<KeptFor> {
        match (self.reserved.contains(id), self.spares.contains(id)) {
            (true, _) => Some(KeptFor::Container),
            (false, true) => Some(KeptFor::Reserve),
            (false, false) => None,
        }
    }

    /// Forgets an ended process, and tells its worker the outcome of the attempt.
    ///
    /// # Errors
    /// If there is none.
    pub fn forget(
        &mut self,
        uuid: ContainerUuid,
        outcome: AttemptOutcome,
    ) -> Result<Vec<PoolEffect>, PoolRefusal> {
        let ended = self.ended.remove(&uuid).ok_or(PoolRefusal::NoSuchProcess)?;
        let before = self.failed_starts.remove(&uuid);
        let failed_elsewhere = before.as_ref().is_some_and(|it| it.has_failed_elsewhere(&ended.instance));
        let failed = match outcome {
            AttemptOutcome::LeftLocked => before,
            AttemptOutcome::StillLocked => Some(FailedStarts::after(before, &ended)),
        };
        self.failed_starts.extend(failed.map(|failed| (uuid, failed)));
        let there = self.workers.contains_key(&ended.instance);
        let judged = Command::StartJudged { uuid, outcome, failed_elsewhere };
        Ok(if there { vec![self.command(&ended.instance, judged)] } else { Vec::new() })
    }

    /// The container is no longer in the queue: its attempts are forgotten.
    pub fn forget_container(&mut self, uuid: ContainerUuid) {
        self.failed_starts.remove(&uuid);
    }

    /// Changes a slot and the index of containers with it. O(processes on it × log).
    /// True = what a plan reads of it has changed.
    fn change_slot(&mut self, id: &InstanceId, change: impl FnOnce(&mut Slot)) -> bool {
        let Some(slot) = self.workers.get_mut(id) else { return false };
        let before = slot.containers();
        change(slot);
        let is_news = slot.renew_host();
        let now = slot.containers();
        for gone in before.difference(&now) {
            self.leaves(*gone, id);
        }
        for come in now.difference(&before) {
            self.homes.entry(*come).or_default().insert(id.clone());
        }
        is_news
    }

    fn leaves(&mut self, uuid: ContainerUuid, id: &InstanceId) {
        if let Some(homes) = self.homes.get_mut(&uuid) {
            homes.remove(id);
            if homes.is_empty() {
                self.homes.remove(&uuid);
            }
        }
    }

    // -------------------------------------------------------------- workers

    /// Takes a worker's new view; `applied` = the number of the last command it has seen; `ended` =
    /// processes that have ended since its last view. O(log workers).
    pub fn worker_changed(
        &mut self,
        view: Arc<View>,
        applied: u64,
        ended: &[ContainerUuid],
        now: Timestamp,
    ) -> Vec<PoolEffect> {
        let id = view.id.clone();
        let Some(slot) = self.workers.get(&id) else { return Vec::new() };
        let (before, is_missing) = (Arc::clone(&slot.view), slot.missing.is_some());
        for uuid in ended {
            let process = before.processes.iter().find(|process| process.uuid == *uuid);
            let unsent = process.is_some_and(|process| process.unsent);
            let why = if unsent { EndedWhy::NotStarted } else { EndedWhy::Exited };
            let error = process.and_then(|process| process.start_failure.clone());
            let ended = EndedProcess { uuid: *uuid, at: now, instance: id.clone(), why, error };
            self.ended.insert(*uuid, ended);
        }
        self.pacer.schedule(&id, wish(&view, is_missing));
        self.outage.note(&view, &self.policy);
        self.ledger.noted(&view, &slot.instance, now);
        let answered = view.last_answer > before.last_answer;
        let is_in_reach = answered || view.last_contact > before.last_contact;
        let silent = view.silence.is_some();
        let is_news = self.change_slot(&id, |slot| {
            slot.sent.retain(|_, number| *number > applied);
            slot.renewal_sent = slot.renewal_sent.filter(|number| *number > applied);
            // A probe that began after the listing that lacked it has succeeded, so the instance exists.
            slot.written_off &= !answered;
            slot.missing = slot.missing.filter(|it| view.last_answer.is_none_or(|at| at <= it.since));
            slot.view = view;
        });
        let mut effects = Vec::new();
        if is_news || !ended.is_empty() {
            effects.push(PoolEffect::FleetChanged);
        }
        if is_in_reach {
            self.outage.answered(&before, &self.policy, now, &mut effects);
        }
        if silent || before.silence.is_some() {
            self.judge_silence(now, &mut effects);
        }
        effects
    }

    /// Takes the boot outcome of an instance: failures ration the creates of its offering.
    pub fn booted(&mut self, id: &InstanceId, success: bool, now: Timestamp) -> Vec<PoolEffect> {
        let Some(slot) = self.workers.get(id) else { return Vec::new() };
        let Some(offering) = slot.view.instance_type.as_ref().map(|it| it.offering()) else {
            return Vec::new();
        };
        let ordered = slot.ordered.unwrap_or(slot.view.appeared);
        if let Some(name) = slot.view.type_name.as_ref().filter(|_| success) {
            self.refusals.booted(name);
        }
        let told = self.holds.booted(&offering, success, ordered, now).map(PoolEffect::Tell);
        told.into_iter().chain([PoolEffect::FleetChanged]).collect()
    }

    /// Sets the operator's wish.
    ///
    /// # Errors
    /// If there is no such instance, or it is on hold, and the wish spares such ones.
    pub fn set_behavior(
        &mut self,
        id: &InstanceId,
        wish: OperatorWish,
    ) -> Result<Vec<PoolEffect>, PoolRefusal> {
        let slot = self.workers.get(id).ok_or(PoolRefusal::NoSuchInstance)?;
        if wish.spares_held && slot.view.behavior == IdleBehavior::Hold && wish.behavior != IdleBehavior::Hold
        {
            return Err(PoolRefusal::OnHold);
        }
        // The worker knows what it is: a hold may be on its way to us.
        let command = match (wish.spares_held, wish.behavior) {
            (true, IdleBehavior::Drain) => Command::DrainUnlessHeld(wish.note),
            (_, behavior) => Command::SetIdleBehavior(behavior, wish.note),
        };
        Ok(vec![self.command(id, command)])
    }

    /// Asks a worker to shut its instance down.
    ///
    /// # Errors
    /// If there is no such instance, or a start has just been sent to it.
    pub fn shut_down(
        &mut self,
        id: &InstanceId,
        reason: ShutdownReason,
    ) -> Result<Vec<PoolEffect>, PoolRefusal> {
        let slot = self.workers.get(id).ok_or(PoolRefusal::NoSuchInstance)?;
        let by_operator = matches!(reason, ShutdownReason::Operator(_));
        if !by_operator && !slot.sent.is_empty() {
            return Err(PoolRefusal::NotPlaceable);
        }
        Ok(vec![self.command(id, Command::ShutDown(reason))])
    }

    /// Decides which silent workers are shut down. While the runner cannot be read nothing is decided, because a worker
    /// can answer only with the runner that we deploy; and while our own side fails, because we cannot ask.
    pub(super) fn judge_silence(&mut self, now: Timestamp, effects: &mut Vec<PoolEffect>) {
        if !self.runner_readable || self.own_side_fails {
            return;
        }
        let dead = self.outage.judge(now, effects);
        for (id, silence, probe) in dead {
            let slot = self.workers.get_mut(&id).expect("it was judged by its slot");
            if slot.shutdown_requested_for_probe.replace(probe) == Some(probe) {
                continue;
            }
            let reason = match silence {
                worker::Silence::NeverReady => ShutdownReason::BootTimeout,
                worker::Silence::Unresponsive => ShutdownReason::Unresponsive,
            };
            effects.push(PoolEffect::Tell(PoolFact::Unresponsive(id.clone(), silence)));
            effects.push(self.command(&id, Command::ShutDown(reason)));
        }
    }

    // -------------------------------------------------------------- time

    /// Grants the probes that are due and within the rate, and repeats decisions that depend on time. The end of a
    /// hold on creates is news to a plan; a grant of probes is not.
    pub fn tick(&mut self, now: Timestamp) -> Vec<PoolEffect> {
        let rate = self.policy.probe_rate(self.workers.len());
        let granted = self.pacer.grant(rate, now);
        let mut effects: Vec<_> = granted.iter().map(|id| self.command(id, Command::Probe)).collect();
        let last_tick = self.last_tick.replace(now).unwrap_or(Timestamp::MIN);
        if self.holds.next_end(last_tick).is_some_and(|end| end <= now) {
            effects.push(PoolEffect::FleetChanged);
        }
        if self.outage.is_on() {
            self.judge_silence(now, &mut effects);
        }
        self.holds.expire(now);
        self.expire_cordons(now, &mut effects);
        let ended = self.standing.follow(self.holds.standing(now), now);
        effects.extend(ended.into_iter().map(PoolEffect::Tell));
        effects
    }

    /// When [`WorkerPool::tick`] is due next.
    pub fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = [
            self.pacer.wakes_at(),
            self.holds.next_end(now),
            self.cordons.next_end(),
            self.standing.wakes_at(),
        ];
        ends.into_iter().flatten().min()
    }

    /// What the instances cost.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What the instances cost, to begin the books, or to read all that is in them.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Greatest and median age of the last successful probe over workers in service, in seconds.
    pub fn probe_ages(&self, now: Timestamp) -> (f64, f64) {
        let in_service = self.workers.values().filter(|slot| slot.view.state != State::Shutdown);
        let mut ages: Vec<_> = in_service
            .filter_map(|slot| slot.view.last_success)
            .map(|at| since(now, at).as_secs_f64())
            .collect();
        ages.sort_by(f64::total_cmp);
        let median = ages.get(ages.len() / 2).copied().unwrap_or(0.0);
        (ages.last().copied().unwrap_or(0.0), median)
    }
}

/// When a worker is to be probed, and how urgent that is.
fn wish(view: &View, is_missing: bool) -> Option<(Timestamp, Urgency)> {
    view.next_probe.map(|(at, turn)| match (turn, is_missing) {
        (ProbeTurn::OutOfTurn | ProbeTurn::EndHinted, true) => (at, Urgency::Missing),
        (ProbeTurn::EndHinted, false) => (at, Urgency::EndHinted),
        (ProbeTurn::OutOfTurn, false) => (at, Urgency::OutOfTurn),
        (ProbeTurn::InTurn, _) => (at, Urgency::InTurn),
    })
}

impl Slot {
    /// Makes a new host if what a plan reads has changed; true = it has. An unchanged host is shared with earlier
    /// snapshots, and compared with them by its address.
    fn renew_host(&mut self) -> bool {
        let mut host = Host::new(&self.view, self.sent.keys().copied(), self.missing.is_some());
        (host.outstays, host.written_off) = (self.outstays, self.written_off);
        host.spot_notice = self.spot_notice.is_some();
        let is_news = host != *self.host;
        if is_news {
            self.host = Arc::new(host);
        }
        is_news
    }

    /// The containers that count as processes on it.
    fn containers(&self) -> BTreeSet<ContainerUuid> {
        let viewed = self.view.processes.iter().map(|process| process.uuid);
        viewed.chain(self.sent.keys().copied()).collect()
    }
}
