//! The simulated cloud: the VMs of one account, and the driver's calls that make, list, tag and destroy them.
//!
//! ```text
//!   SimCloud (driver: virtual time, half of a call's duration before its effect, half after)
//!      └→ FakeCloud ── knobs: faults, quotas, capacity, lag ── history
//!             └→ FakeVms: a VM comes to life, or ends
//! ```
//!
//! A VM is kept here for ever. What a listing shows of it depends on the time.

mod calls;
mod driver;
pub mod knobs;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, InstanceType, Tags};
use dispatch_core::ports::{CloudErrorKind, CreateOrder};
use dispatch_core::secret::Secret;
use dispatch_core::time::{Timestamp, since};

use crate::chance::Chance;
use crate::vm::FakeVms;
pub use driver::SimCloud;
use knobs::{CloudCall, CloudFault, CloudKnobs};

/// A VM. It is kept beyond its end.
#[derive(Debug, Clone)]
pub struct CloudVm {
    /// Its id.
    pub id: InstanceId,
    /// The type that was ordered.
    pub instance_type: Arc<InstanceType>,
    /// Its present tags.
    pub tags: Tags,
    /// When it was made.
    pub made_at: Timestamp,
    /// When the first call to destroy it took effect, whether the caller was told or not.
    pub destroyed_at: Option<Timestamp>,
    /// When it ends, or was taken away. From then on it costs nothing.
    pub ends_at: Option<Timestamp>,
    /// Whether the cloud took it away before any call to destroy it took effect.
    pub taken_away: bool,
    /// Whether every destroy is acknowledged and has no effect.
    pub immortal: bool,
    secret: Secret,
    address: String,
    listed_from: Timestamp,
    address_from: Timestamp,
    unlisted_from: Option<Timestamp>,
    old_tags: Option<(Tags, Timestamp)>,
}

impl CloudVm {
    /// Whether it exists, and so costs money.
    pub fn exists(&self, now: Timestamp) -> bool {
        self.ends_at.is_none_or(|end| now < end)
    }

    /// Whether it had been made before that time, but listings showed it only later.
    pub fn was_concealed_at(&self, at: Timestamp) -> bool {
        self.made_at < at && at < self.listed_from
    }

    /// Whether listings no longer show it. It may live on for a while.
    pub fn is_hidden(&self, now: Timestamp) -> bool {
        self.unlisted_from.is_some_and(|gone| gone <= now)
    }

    fn is_listed(&self, now: Timestamp) -> bool {
        self.listed_from <= now && !self.is_hidden(now)
    }

    fn shown_tags(&self, now: Timestamp) -> &Tags {
        match &self.old_tags {
            Some((tags, until)) if now < *until => tags,
            Some(_) | None => &self.tags,
        }
    }

    fn shown(&self, now: Timestamp) -> Instance {
        Instance {
            id: self.id.clone(),
            provider_type: self.instance_type.provider_type.clone(),
            address: if self.address_from <= now { self.address.clone() } else { String::new() },
            tags: self.shown_tags(now).clone(),
            price_history: Vec::new(),
            launched: Some(self.made_at),
        }
    }
}

/// One call and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEntry {
    /// When it took effect, or was refused.
    pub at: Timestamp,
    /// The kind of call.
    pub call: CloudCall,
    /// The VM that it was about, or that it made.
    pub vm: Option<InstanceId>,
    /// The error that the caller was told.
    pub error: Option<CloudErrorKind>,
    /// The fault that struck it.
    pub fault: Option<CloudFault>,
    /// How many VMs existed after it.
    pub existing: usize,
}

/// The simulated cloud.
#[derive(Debug)]
pub struct FakeCloud {
    /// Its settings; they may be changed at any time.
    pub knobs: CloudKnobs,
    chance: Chance,
    vms: BTreeMap<InstanceId, CloudVm>,
    made: usize,
    hosts: Option<Rc<RefCell<FakeVms>>>,
    history: Vec<CloudEntry>,
    omit_next: BTreeMap<InstanceId, u32>,
    omitted: BTreeMap<InstanceId, Omissions>,
    /// How many listings were made since a dispatcher was started.
    listings: u32,
    /// How many dispatchers have been started.
    dispatchers: u64,
}

/// How often listings have omitted a VM that they should have shown.
#[derive(Debug, Clone, Copy, Default)]
struct Omissions {
    /// How many of the latest listings omitted it, one after another.
    in_a_row: u32,
    /// When the latest listing was that omitted it, or that showed it again after an omission.
    last: Option<Timestamp>,
}

impl FakeCloud {
    /// An empty account. Its VMs run in `hosts`; without `hosts` they only appear in listings.
    pub fn new(seed: u64, knobs: CloudKnobs, hosts: Option<Rc<RefCell<FakeVms>>>) -> Self {
        Self {
            knobs,
            chance: Chance::new(seed, 4),
            vms: BTreeMap::new(),
            made: 0,
            hosts,
            history: Vec::new(),
            omit_next: BTreeMap::new(),
            omitted: BTreeMap::new(),
            listings: 0,
            dispatchers: 0,
        }
    }

    // ------------------------------------------------------------ queries, and changes from outside

    /// All VMs ever made, by id.
    pub fn vms(&self) -> impl Iterator<Item = &CloudVm> {
        self.vms.values()
    }

    /// One VM, whether it still exists or not.
    pub fn vm(&self, id: &InstanceId) -> Option<&CloudVm> {
        self.vms.get(id)
    }

    /// How many VMs were ever made.
    pub fn made(&self) -> usize {
        self.made
    }

    /// How many VMs exist.
    pub fn existing(&self, now: Timestamp) -> usize {
        self.vms.values().filter(|vm| vm.exists(now)).count()
    }

    /// All calls, in order.
    pub fn history(&self) -> &[CloudEntry] {
        &self.history
    }

    /// The largest number of calls in any stretch of that length that begins with a call.
    pub fn most_calls_within(&self, length: Duration) -> usize {
        let within = |first: usize| {
            let from = self.history[first].at;
            self.history[first..].iter().take_while(|it| since(it.at, from) < length).count()
        };
        (0..self.history.len()).map(within).max().unwrap_or(0)
    }

    /// How many existing VMs were omitted by a listing that is still the latest, or that was the latest until
    /// `within` ago.
    pub fn omitted_lately(&self, now: Timestamp, within: Duration) -> usize {
        let exists = |id: &InstanceId| self.vms.get(id).is_some_and(|vm| vm.exists(now));
        let lately =
            |it: &Omissions| it.in_a_row > 0 || it.last.is_some_and(|last| since(now, last) < within);
        self.omitted.iter().filter(|(id, omissions)| lately(omissions) && exists(id)).count()
    }

    /// A dispatcher is started, which knows of no VM but by listings.
    pub fn dispatcher_starts(&mut self) {
        self.listings = 0;
        self.dispatchers += 1;
    }

    /// Lets the next `times` listings omit that VM.
    pub fn omit_next(&mut self, id: &InstanceId, times: u32) {
        self.omit_next.insert(id.clone(), times);
    }

    /// Lets a VM live on from now on, whatever is asked for.
    pub fn make_immortal(&mut self, id: &InstanceId) {
        if let Some(vm) = self.vms.get_mut(id) {
            vm.immortal = true;
        }
    }

    /// Lets the cloud take a VM away, at once.
    pub fn take_away(&mut self, id: &InstanceId, now: Timestamp) {
        if let Some(vm) = self.vms.get_mut(id) {
            vm.taken_away = vm.destroyed_at.is_none();
        }
        self.end_vm(id, now, now);
    }

    /// Why that VM has ended, if that was the cloud's own doing.
    fn end_reason(&self, id: &InstanceId) -> Option<String> {
        let vm = self.vms.get(id).filter(|vm| vm.taken_away);
        vm.map(|_| "Simulated.taken: the cloud has taken it back".to_owned())
    }

    /// Adds a VM that another dispatcher or an operator has made.
    pub fn adopt(&mut self, order: &CreateOrder, now: Timestamp) -> Instance {
        let id = self.make(order, now);
        self.vms[&id].shown(now)
    }
}

/// The quota group of a type: its leading letters, in lower case. Types of one group share a quota.
fn quota_group(provider_type: &ProviderType) -> String {
    let letters = provider_type.as_str().chars().take_while(char::is_ascii_alphabetic);
    letters.collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
