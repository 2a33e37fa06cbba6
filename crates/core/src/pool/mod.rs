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

mod absence;
mod census;
mod cordon;
mod creates;
mod effect;
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
mod processes;
mod reach;
mod refusals;
mod reload;
mod renewal;
mod request;
mod slot;
mod snapshot;
mod supply;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use census::Census;
pub use cordon::{CordonScope, Cordons, LONGEST_PAUSE, Pause};
pub use creates::{CreateId, CreateRefusal, PendingCreate};
pub use effect::{PoolEffect, PoolFact};
pub use failed_starts::FailedStarts;
pub use fleet::{CreateInFlight, Fleet, Host, HostProcess};
use holds::StandingHolds;
pub use holds::{Gate, HoldKind, Holds, PauseReason, QuotaReason, StandingHold};
pub use inspect::PoolState;
pub use inventory::{GoneReply, LISTINGS_APART, LISTINGS_KEPT};
pub use observed_capacity::{ObservedCapacity, ObservedScope};
pub use reach::{Reach, Unanswered, Unreached};
pub use refusals::Refusal;
pub use request::{OperatorWish, PoolRefusal};
pub use snapshot::{EndedProcess, EndedWhy, PoolSnapshot, WorkerSnapshot};
pub use supply::Supply;

use crate::id::{ContainerUuid, InstanceId};
use crate::instance::{IdleBehavior, Offering};
use crate::ledger::Ledger;
use crate::policy::Policy;
use crate::time::{Timestamp, since};
use crate::worker::{self, Command, ShutdownReason, State, View};
use interruptions::Interruptions;
use inventory::Destroyed;
use outage::Outage;
use pacer::Pacer;
pub use pause::PULSE;
use pause::Pauses;
use refusals::Refusals;
use slot::{Slot, wish};

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
            let missing = slot.missing.filter(|it| view.last_answer.is_none_or(|at| at <= it.since));
            slot.omitted_alive |= slot.missing.is_some() && missing.is_none();
            slot.missing = missing;
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
