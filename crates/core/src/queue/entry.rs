//! One container of interest.

use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::absence::RecordAbsence;
use super::market::KnownRequests;
use super::operation::Operation;
use super::setback::{Setback, SetbackCause};
use crate::container::{ContainerState, MountNeeds, Record};
use crate::fit::{self, Resources, Unsuitable};
use crate::instance::{Catalog, InstanceType, Market};
use crate::policy::{Policy, Sizing};
use crate::time::{Timestamp, shift};

/// Whether and where a container can run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fit {
    /// Its mounts have not been read yet.
    #[default]
    Unsized,
    /// These types, the most preferred first; never empty.
    Types(Arc<[Arc<InstanceType>]>),
    /// Nowhere, and why.
    Nowhere(Unsuitable),
}

/// Lists of eligible types, each kept once: many thousands of containers want the same few.
#[derive(Debug, Default)]
pub(super) struct TypeLists(Vec<Arc<[Arc<InstanceType>]>>);

impl TypeLists {
    /// O(lists); there are as many as ways to cut the catalog.
    fn shared(&mut self, types: Vec<Arc<InstanceType>>) -> Arc<[Arc<InstanceType>]> {
        if let Some(known) = self.0.iter().find(|known| ***known == *types) {
            return Arc::clone(known);
        }
        self.0.push(types.into());
        Arc::clone(self.0.last().expect("it was just pushed"))
    }
}

/// One container of interest: the controller's record and what we know beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The last good picture of the record.
    pub record: Record,
    /// What sizing needs of its mounts, once they were read.
    pub mounts: Option<MountNeeds>,
    /// What it needs of an instance; zero while unsized. Follows from record, mounts and configuration.
    #[serde(skip)]
    pub needs: Resources,
    /// Whether and where it can run. Follows from record, needs and configuration.
    #[serde(skip)]
    pub fit: Fit,
    /// When a poll of this process first showed it.
    pub first_seen: Timestamp,
    /// What we are changing about it now.
    pub operation: Option<Operation>,
    /// The last operation failed and so did the read after it: nothing is decided until a poll tells.
    pub uncertain: bool,
    /// The record at the last poll could not be decoded: where and why.
    pub unreadable: Option<String>,
    /// The controller does not show it, and that is not believed yet: nothing is decided about it.
    pub absence: Option<RecordAbsence>,
    /// It was Locked by our token, and not by this process: its process may be on a worker that has not
    /// answered yet. Until one of our operations succeeds.
    pub locked_before_start: bool,
    /// Its record was read because a process of it was found: it does not fall off the end of a list.
    pub found_by_process: bool,
    /// How often this process has unlocked it.
    pub unlocks: u32,
    /// One more unlock would use up its dispatch attempts: it stays locked.
    pub attempts_nearly_used: bool,
    /// Its last start came to nothing, and with that its dispatch attempts were used up: it was never Running.
    #[serde(default)]
    pub cancelled_unstarted: bool,
    /// What failed for it last, until something succeeds.
    pub setback: Option<Setback>,
    /// Stamp of the last local change.
    pub(super) changed: u64,
    /// When the controller last answered a call of an operation of ours on it.
    #[serde(default)]
    pub(super) changed_at: Option<Timestamp>,
    /// A type suited it until the configuration was read anew, and none does now: it is not cancelled before then, because
    /// a file may have been cut, or be mended.
    #[serde(default)]
    pub spared_until: Option<Timestamp>,
    /// When the controller answered our lock; `None`: there is none, or it was there before us.
    #[serde(default)]
    pub locked_at: Option<Timestamp>,
    /// How many instances the spot market has taken from it, or from those that were tried before for the same request, as
    /// far as this process knows.
    #[serde(default)]
    pub market_losses: u32,
    /// The requests that it is tried for. They count in `market_losses`, and nothing else reads them.
    #[serde(skip)]
    pub(super) requests: KnownRequests,
}

impl Entry {
    pub(super) fn new(record: Record, first_seen: Timestamp) -> Self {
        Self {
            locked_before_start: record.state == ContainerState::Locked,
            record,
            mounts: None,
            needs: Resources::default(),
            fit: Fit::Unsized,
            first_seen,
            operation: None,
            uncertain: false,
            unreadable: None,
            absence: None,
            found_by_process: false,
            unlocks: 0,
            attempts_nearly_used: false,
            cancelled_unstarted: false,
            setback: None,
            changed: 0,
            changed_at: None,
            spared_until: None,
            locked_at: None,
            market_losses: 0,
            requests: KnownRequests::default(),
        }
    }

    /// An entry as a poll would make it, sized: for tests and benchmarks of whoever reads snapshots.
    pub fn sized(record: Record, mounts: MountNeeds, policy: &Policy, first_seen: Timestamp) -> Self {
        let mut entry = Self { locked_before_start: false, ..Self::new(record, first_seen) };
        entry.size(mounts, &policy.catalog, &policy.sizing, &mut TypeLists::default());
        entry
    }

    /// The same, after so many losses to the spot market.
    #[must_use]
    pub fn after_losses(self, market_losses: u32, policy: &Policy) -> Self {
        Self { market_losses, ..self }.under(&policy.catalog, &policy.sizing, &mut TypeLists::default())
    }

    /// Computes needs and eligible types.
    pub(super) fn size(
        &mut self,
        mounts: MountNeeds,
        catalog: &Catalog,
        sizing: &Sizing,
        lists: &mut TypeLists,
    ) {
        self.mounts = Some(mounts);
        (self.needs, self.fit) = self.fit_under(mounts, catalog, sizing, lists);
    }

    /// What it needs, and whether and where it can run, under that configuration. One that has lost too much to the spot
    /// market runs on demand, if any such type suits it.
    pub(super) fn fit_under(
        &self,
        mounts: MountNeeds,
        catalog: &Catalog,
        sizing: &Sizing,
        lists: &mut TypeLists,
    ) -> (Resources, Fit) {
        let needs = fit::needs(&self.record, mounts, sizing);
        let is_enough = sizing.spot_retries.is_some_and(|most| self.market_losses >= most.get());
        let on_demand =
            || fit::eligible_types_on(Market::OnDemand, catalog, &needs, &self.record, sizing).ok();
        let instead = is_enough.then(on_demand).flatten();
        let as_wanted = || fit::eligible_types(catalog, &needs, &self.record, sizing);
        let fit = match instead.map_or_else(as_wanted, Ok) {
            Ok(types) => Fit::Types(lists.shared(types)),
            Err(why) => Fit::Nowhere(why),
        };
        (needs, fit)
    }

    /// The same, sized under that configuration, if it was sized at all.
    fn under(&self, catalog: &Catalog, sizing: &Sizing, lists: &mut TypeLists) -> Self {
        let mut entry = self.clone();
        if let Some(mounts) = self.mounts {
            entry.size(mounts, catalog, sizing, lists);
        }
        entry
    }

    /// Whether its mounts are to be read. Those of a container that has ended are not read, because a fault in
    /// them must not keep it in the queue.
    pub(super) fn wants_sizing(&self) -> bool {
        let is_open = self.unreadable.is_none() && self.absence.is_none() && !self.record.state.is_final();
        let is_settled = self.requests.mounts.is_some();
        self.fit == Fit::Unsized && is_open && !is_settled && !self.is_set_back(SetbackCause::Mounts)
    }

    /// The eligible types, the most preferred first; empty if unsized or nowhere.
    pub fn types(&self) -> &[Arc<InstanceType>] {
        match &self.fit {
            Fit::Types(types) => types,
            Fit::Unsized | Fit::Nowhere(_) => &[],
        }
    }

    /// Whether nothing may be decided about it now: it is being changed, or we do not know how it stands. A final
    /// state stays, whatever else cannot be read.
    pub fn is_undecidable(&self) -> bool {
        self.operation.is_some() || self.is_unclear() && !self.record.state.is_final()
    }

    /// Whether we do not know how it stands now.
    pub fn is_unclear(&self) -> bool {
        self.uncertain || self.unreadable.is_some() || self.absence.is_some()
    }

    /// Whether it has a lock of ours, and probably a process.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.record.state, ContainerState::Locked | ContainerState::Running)
    }

    /// Whether that is not tried now, because it has failed.
    pub fn is_set_back(&self, cause: SetbackCause) -> bool {
        self.setback.as_ref().is_some_and(|setback| setback.forbids(cause))
    }

    /// Wants to run and has not ended.
    pub fn is_waiting(&self) -> bool {
        matches!(self.record.state, ContainerState::Queued | ContainerState::Locked)
            && self.record.priority > 0
    }
}

impl super::QueueSnapshot {
    /// The same queue, its containers sized under that configuration.
    #[must_use]
    pub(crate) fn under(&self, catalog: &Catalog, sizing: &Sizing) -> Self {
        let mut lists = TypeLists::default();
        let entries = self.entries.iter().map(|entry| Arc::new(entry.under(catalog, sizing, &mut lists)));
        Self { entries: entries.collect(), ..self.clone() }
    }

    /// Moves every moment by that much.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        let moments = self.first_poll_began.iter_mut().chain(&mut self.polled_at).chain(&mut self.asked);
        moments.for_each(|at| shift(at, by));
        for entry in self.entries.iter_mut().map(Arc::make_mut) {
            shift(&mut entry.first_seen, by);
            let dates =
                entry.changed_at.iter_mut().chain(&mut entry.locked_at).chain(&mut entry.spared_until);
            dates.for_each(|at| shift(at, by));
            entry.absence.iter_mut().for_each(|absence| absence.shift(by));
            entry.record.created_at.iter_mut().for_each(|at| shift(at, by));
            if let Some(setback) = &mut entry.setback {
                setback.shift(by);
            }
        }
    }
}
