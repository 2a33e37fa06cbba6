//! Evaluates listings: instances that appear, change, and are gone.
//!
//! ```text
//!   absent from a listing that began after the last sign of life
//!        │ no listing has shown it yet, and it is younger than 60 s ─► proves nothing
//!        │ destroy was acknowledged before it began, surely no processes ─► gone
//!        ▼
//!     missing: nothing is placed on it, it is probed at once, a second listing follows 15 s later
//!        │ a sign of life, or a listing shows it ─► no longer missing
//!        ▼ absent again, and its destroy was acknowledged, or a probe of it has failed that began since and opened a
//!        │ connection for itself (our own side's fault is none; two in a row, if it has answered since listings began to
//!        │ lack it); in shutdown a third time while no call to destroy it was
//!        │ acknowledged (each repeats that call), and for 90 s, and as long after the call, if it may have processes
//!      gone, and its processes with it
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::absence::{Absence, is_proven, listings_needed};
use super::{EndedProcess, EndedWhy, Host, PendingCreate, PoolEffect, PoolFact, Slot, WorkerPool, wish};
use crate::id::InstanceId;
use crate::instance::{IdleBehavior, Instance};
use crate::secret::Secret;
use crate::time::{Timestamp, after, since};
use crate::worker::runner::INHERITED_START_WINDOW;
use crate::worker::{Command, Machine, OUTSTAYS, ShutdownReason, State, View};

/// A listing that lacks an instance is followed by another after this long.
const SECOND_LOOK: Duration = Duration::from_secs(15);
/// A listing may lag this long behind a create: until then absence proves nothing.
const LISTING_LAG: Duration = Duration::from_secs(60);
/// An instance in shutdown may still run for this long after listings have begun to leave it out, and after the call to
/// destroy it that the cloud has acknowledged.
const ENDING: Duration = Duration::from_secs(90);
/// A destroyed instance is remembered for this long: no shutdown takes longer.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// How many listings are remembered. This many must lack a VM without another sign of life before the containers
/// that should run on it are given up.
pub const LISTINGS_KEPT: usize = 3;
/// The least time between two of the listings that show, soon after a start, that no instance is omitted. They follow
/// one another like that if they have shown an instance of an earlier dispatcher.
pub const LISTINGS_APART: Duration = Duration::from_secs(5);

/// Pool's answer when it is told that an instance is absent from a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoneReply {
    /// It is gone: forget it.
    Confirmed,
    /// That is not proven yet: tell Pool again if the next listing lacks it too.
    Suspected,
}

/// An instance that was destroyed and is gone. Some clouds use an id again (`loopback` always has the same), so
/// only its secret tells it from a new instance.
#[derive(Debug)]
pub(super) struct Destroyed {
    /// When it was confirmed as gone.
    pub gone: Timestamp,
    secret: Option<Secret>,
    /// Whether nothing ran on it when it was destroyed.
    was_empty: bool,
}

/// The create of ours by which an instance came about.
#[derive(Debug)]
pub(super) struct OwnOrder {
    /// The secret that it was sent with; `None` = a listing has shown its instance before the answer.
    pub secret: Option<Secret>,
    /// When it was sent.
    pub sent: Timestamp,
}

impl From<PendingCreate> for OwnOrder {
    fn from(create: PendingCreate) -> Self {
        Self { secret: Some(create.secret), sent: create.since }
    }
}

/// Whether these are surely the secrets of two instances. One that shows no secret may be any instance.
fn are_different(one: Option<&Secret>, other: Option<&Secret>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

impl Slot {
    /// Of an instance that has just appeared; `ordered`: when this process has ordered it, if it has.
    fn new(view: Arc<View>, instance: Instance, ordered: Option<Timestamp>) -> Self {
        Self {
            host: Arc::new(Host::new(&view, [], false)),
            view,
            instance: Arc::new(instance),
            sent: Default::default(),
            missing: None,
            omitted_alive: false,
            last_absent: None,
            outstays: false,
            written_off: false,
            spot_notice: None,
            renewal_sent: None,
            listed: ordered.is_none(),
            ordered,
            shutdown_requested_for_probe: None,
        }
    }

    /// Whether nothing can run on it: its list has shown so, or nothing was ever sent to it.
    fn is_surely_empty(&self) -> bool {
        let is_known = self.view.ours || self.view.last_success.is_some();
        is_known && self.view.processes.is_empty() && self.sent.is_empty()
    }

    /// Whether it may still be shutting down. Clouds leave out such an instance while it still runs, so
    /// containers that may have a process on it are not placed elsewhere before that time is over.
    fn may_be_ending(&self, lacked: Absence, began: Timestamp) -> bool {
        let is_ending = self.view.state == State::Shutdown && !self.is_surely_empty();
        // Listings may have omitted it long before its end was begun.
        let called = self.view.destroy_called.filter(|_| self.view.destroy_acknowledged);
        let ends_since = called.map_or(lacked.since, |called| called.max(lacked.since));
        is_ending && began <= after(ends_since, ENDING)
    }
}

/// A VM that stays although it gives no sign of life keeps whoever was Locked before our start waiting no longer than
/// this.
const WRITTEN_OFF: Duration = Duration::from_secs(30 * 60);

/// Whether a VM that a listing of that moment shows has been silent for so long that no start of an earlier dispatcher
/// is expected to show there: it is on hold, or the cloud has acknowledged its destroy and lists it all the same.
/// Proof: a runner that lives and reaches the controller lets its container run within minutes, and the record would
/// say so. What could fake it: a VM that neither we nor the controller can reach for half an hour, and that both can
/// reach later.
/// What passed in a pause of this process does not count.
fn is_written_off(view: &View, listed: Timestamp, paused_until: Option<Timestamp>) -> bool {
    let is_old =
        |since: Timestamp| after(paused_until.map_or(since, |end| end.max(since)), WRITTEN_OFF) <= listed;
    let stays = match view.state {
        State::Shutdown => view.destroy_acknowledged && view.ending_since.is_some_and(is_old),
        State::Unknown | State::Booting | State::Idle | State::Running => view.behavior == IdleBehavior::Hold,
    };
    stays && !view.processes_known && is_old(view.last_success.max(view.last_answer).unwrap_or(view.appeared))
}

impl WorkerPool {
    /// A listing, or a create's answer, shows an instance. A known instance changes nothing.
    pub fn appeared(&mut self, instance: Instance, now: Timestamp) -> Vec<PoolEffect> {
        self.appear(instance, None, now)
    }

    /// `order`: the create that has answered with this instance.
    pub(super) fn appear(
        &mut self,
        instance: Instance,
        order: Option<OwnOrder>,
        now: Timestamp,
    ) -> Vec<PoolEffect> {
        let shown = self.policy.tag_keys.secret_of(&instance.tags);
        let claimed = self.claim(shown.as_ref()).map(OwnOrder::from);
        let order = order.or(claimed);
        let ours = order.is_some();
        let ordered = order.as_ref().map(|order| order.sent);
        let secret = shown.or_else(|| order.and_then(|order| order.secret));
        let mut effects = Vec::new();
        if let Some(known) = self.workers.get(&instance.id) {
            let before = self.policy.tag_keys.secret_of(&known.instance.tags);
            if !(ours
                && known.view.state == State::Shutdown
                && are_different(before.as_ref(), secret.as_ref()))
            {
                return Vec::new();
            }
            // The cloud has given the id of an instance that we destroyed to the one that we have just ordered, so
            // the former is gone.
            effects = self.remove(&instance.id, None, now);
        }
        let destroyed = self.destroyed.remove(&instance.id);
        let returned = destroyed.filter(|before| !are_different(before.secret.as_ref(), secret.as_ref()));
        // As on one that we have just made, nothing can run there that we do not know.
        let is_empty = ours || returned.as_ref().is_some_and(|before| before.was_empty);
        // The actor makes the same machine from the same instance; this copy only serves to make its first view.
        let (machine, _) = Machine::new(instance.clone(), is_empty, Arc::clone(&self.policy), now);
        let view = Arc::new(machine.view());
        self.pacer.schedule(&instance.id, wish(&view, false));
        self.outage.note(&view, &self.policy);
        self.ledger.opened(&view, &instance, ordered, now);
        self.workers.insert(instance.id.clone(), Slot::new(view, instance.clone(), ordered));
        self.recount();
        let id = instance.id.clone();
        effects.push(PoolEffect::Tell(PoolFact::Appeared { instance: instance.clone(), ours }));
        effects.push(PoolEffect::Spawn(instance, is_empty));
        self.drain_if_cordoned(&id, &mut effects);
        if returned.is_some() {
            // A listing had left it out: it must not be taken for a new instance, nor be used until it ends.
            effects.push(self.command(&id, Command::ShutDown(ShutdownReason::DestroyedBefore)));
        }
        effects
    }

    /// A listing shows a known instance with another address, other tags or prices.
    pub fn changed(&mut self, instance: Instance, now: Timestamp) -> Vec<PoolEffect> {
        let replaced = self.appeared(instance.clone(), now);
        if !replaced.is_empty() {
            return replaced;
        }
        let Some(slot) = self.workers.get_mut(&instance.id) else { return Vec::new() };
        slot.instance = Arc::new(instance.clone());
        slot.listed = true;
        self.ledger.noted(&slot.view, &instance, now);
        let id = instance.id.clone();
        vec![self.command(&id, Command::InstanceUpdated(instance))]
    }

    /// A listing that began at `began` lacks a known instance; `reason`: why it has ended, if the cloud has told.
    pub fn gone(
        &mut self,
        id: &InstanceId,
        reason: Option<&str>,
        began: Timestamp,
        now: Timestamp,
    ) -> (GoneReply, Vec<PoolEffect>) {
        let Some(slot) = self.workers.get_mut(id) else { return (GoneReply::Confirmed, Vec::new()) };
        slot.last_absent = Some(began);
        let view = &slot.view;
        // A destroyed instance that no listing has shown yet is still ending, and counts until it has ended.
        let may_be_listed_yet = !slot.listed && began <= after(view.appeared, LISTING_LAG);
        let destroyed = view.destroy_acknowledged && view.destroy_called.is_some_and(|called| began > called);
        if destroyed && !may_be_listed_yet && slot.is_surely_empty() {
            return (GoneReply::Confirmed, self.remove(id, reason, now));
        }
        if may_be_listed_yet || began <= view.last_answer.unwrap_or(view.appeared) {
            return (GoneReply::Suspected, Vec::new());
        }
        let lacked = Absence::seen_again(slot.missing, began, view.last_answer);
        let is_due = lacked.listings >= listings_needed(view) && !slot.may_be_ending(lacked, began);
        if is_due && is_proven(lacked, slot, self.paused_until) {
            return (GoneReply::Confirmed, self.remove(id, reason, now));
        }
        slot.missing = Some(lacked);
        slot.renew_host();
        let news = self.command(id, Command::Missing);
        (GoneReply::Suspected, vec![news, PoolEffect::SyncBy(after(now, SECOND_LOOK))])
    }

    /// An instance that we ordered is gone while it was booting, although neither we nor the operator wanted its end.
    /// Proof: the listings by which it is gone. A listing that omits a living VM imitates that; it costs a step of
    /// the rationing at most.
    fn note_end_while_booting(
        &mut self,
        id: &InstanceId,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Vec<PoolEffect> {
        let Some(slot) = self.workers.get(id) else { return Vec::new() };
        let view = &slot.view;
        let is_wanted = view.state == State::Booting && view.ours && view.behavior == IdleBehavior::Run;
        if !is_wanted {
            return Vec::new();
        }
        let fact = PoolFact::EndedWhileBooting {
            instance: id.clone(),
            type_name: view.type_name.clone(),
            lived: since(now, view.appeared),
            reason: reason.map(str::to_owned),
        };
        if let (Some(name), Some(reason)) = (&view.type_name, reason) {
            self.refusals.note_end(name, reason, now);
        }
        let mut effects = vec![PoolEffect::Tell(fact)];
        effects.extend(self.booted(id, false, now));
        effects
    }

    pub(super) fn remove(
        &mut self,
        id: &InstanceId,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Vec<PoolEffect> {
        let mut effects = self.note_end_while_booting(id, reason, now);
        let Some(slot) = self.workers.remove(id) else { return Vec::new() };
        self.pacer.schedule(id, None);
        self.outage.forget(id);
        self.ledger.closed(id, now);
        for uuid in slot.containers() {
            self.leaves(uuid, id);
            let why = EndedWhy::InstanceGone;
            let process = EndedProcess { uuid, at: now, instance: id.clone(), why, error: None };
            self.ended.insert(uuid, process);
        }
        self.recount();
        if slot.view.state == State::Shutdown {
            let secret = self.policy.tag_keys.secret_of(&slot.instance.tags);
            let was_empty = slot.is_surely_empty() && slot.view.processes_known;
            self.destroyed.insert(id.clone(), Destroyed { gone: now, secret, was_empty });
        }
        let after_shutdown = slot.view.destroy_called.map(|called| since(now, called));
        let fact = PoolFact::Disappeared {
            instance: id.clone(),
            type_name: slot.view.type_name.clone(),
            state: slot.view.state,
            after_shutdown,
            reason: reason.map(str::to_owned),
        };
        effects.extend([PoolEffect::Tell(fact), PoolEffect::Stop(id.clone())]);
        self.note_interruption(&slot, now, &mut effects);
        if slot.view.silence.is_some() {
            self.judge_silence(now, &mut effects);
        }
        effects
    }

    /// A complete listing that began at `began` has been reported: instances that it shows are not missing, and
    /// those in shutdown still exist.
    pub fn listing_finished(&mut self, began: Timestamp) -> Vec<PoolEffect> {
        let mut effects = Vec::new();
        if self.first_listing.is_none() {
            self.first_listing = Some(began);
            effects.push(PoolEffect::Tell(PoolFact::FirstListing(self.workers.len())));
        }
        self.drain_those_found(began, &mut effects);
        self.rank_interruptions(began, &mut effects);
        self.destroyed.retain(|_, destroyed| since(began, destroyed.gone) < REMEMBERED);
        self.listings.push(began);
        let is_apart = self.spaced_listings.last().is_none_or(|last| after(*last, LISTINGS_APART) <= began);
        if is_apart && self.spaced_listings.len() < LISTINGS_KEPT {
            self.spaced_listings.push(began);
        }
        let surplus = self.listings.len().saturating_sub(LISTINGS_KEPT);
        self.listings.drain(..surplus);
        self.give_up_doubtful(began);
        effects.extend(self.next_early_listing(began).map(PoolEffect::SyncBy));
        self.recount();
        let (mut still_listed, mut outstays_at) = (Vec::new(), None::<Timestamp>);
        for (id, slot) in &mut self.workers {
            // A listing that began at the moment at which the instance appeared need not show it, and Cloud does
            // not report that.
            let was_shown = slot.last_absent != Some(began) && slot.view.appeared < began;
            if !was_shown {
                continue;
            }
            (slot.missing, slot.omitted_alive) = (None, false);
            slot.listed = true;
            slot.outstays &= slot.view.state == State::Shutdown;
            if slot.view.state == State::Shutdown {
                still_listed.push(id.clone());
                let end = slot.view.ending_since.map(|since| after(since, OUTSTAYS));
                slot.outstays |= end.is_some_and(|end| end <= began);
                let next = end.filter(|_| !slot.outstays);
                outstays_at = outstays_at.into_iter().chain(next).min();
            }
            slot.written_off = is_written_off(&slot.view, began, self.paused_until);
            slot.renew_host();
        }
        // A listing at that moment shows whether it has ended.
        effects.extend(outstays_at.map(PoolEffect::SyncBy));
        for id in still_listed {
            self.ledger.still_listed(&id, began);
            effects.push(self.command(&id, Command::StillListed(began)));
        }
        self.renew_some(began, &mut effects);
        effects
    }

    /// When the next listing is due after one of the first minute. After a restart one listing is not enough to know all
    /// instances: the next ones follow soon if there is something to take over, and later ones show what three in a row
    /// have omitted. O(workers).
    fn next_early_listing(&self, began: Timestamp) -> Option<Timestamp> {
        let is_early = self.first_listing.is_some_and(|first| began < after(first, INHERITED_START_WINDOW));
        let finds_others = self.workers.values().any(|slot| !slot.view.ours);
        if finds_others && self.spaced_listings.len() < LISTINGS_KEPT {
            return self.spaced_listings.last().map(|last| after(*last, LISTINGS_APART));
        }
        let is_due = is_early || self.listings.len() < LISTINGS_KEPT;
        is_due.then(|| after(began, INHERITED_START_WINDOW / 2))
    }
}
