//! The simulated cloud: VMs as an account has them, and the driver's calls that make, list, tag and end them.
//!
//! ```text
//!   SimCloud (driver: virtual time, half of a call's duration before its effect, half after)
//!      └→ FakeCloud ── knobs: faults, quotas, capacity, lag ── history
//!             └→ FakeVms: a VM comes to life, or ends
//! ```
//!
//! A VM is known here for ever; what a listing shows of it depends on the time.

mod driver;
pub mod knobs;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, InstanceType, Market, Tags};
use dispatch_core::ports::{
    CapacityScope, CloudError, CloudErrorKind, CreateOrder, HostKey, HostKeyVerdict, QuotaScope,
};
use dispatch_core::secret::Secret;
use dispatch_core::time::{Timestamp, after, since};

use crate::chance::Chance;
use crate::vm::FakeVms;
pub use driver::SimCloud;
use knobs::{CloudCall, CloudFault, CloudKnobs};

/// A VM, from its making to beyond its end.
#[derive(Debug, Clone)]
pub struct CloudVm {
    /// Which.
    pub id: InstanceId,
    /// As what it was ordered.
    pub instance_type: Arc<InstanceType>,
    /// Its tags now.
    pub tags: Tags,
    /// When it was made.
    pub made_at: Timestamp,
    /// When its end was first asked for, and acknowledged or not, came into effect.
    pub destroyed_at: Option<Timestamp>,
    /// When it ends, or was taken away: from then on it costs nothing.
    pub ends_at: Option<Timestamp>,
    secret: Secret,
    address: String,
    listed_from: Timestamp,
    address_from: Timestamp,
    unlisted_from: Option<Timestamp>,
    old_tags: Option<(Tags, Timestamp)>,
}

impl CloudVm {
    /// Whether it exists (and costs).
    pub fn exists(&self, now: Timestamp) -> bool {
        self.ends_at.is_none_or(|end| now < end)
    }

    fn is_listed(&self, now: Timestamp) -> bool {
        self.listed_from <= now && self.unlisted_from.is_none_or(|gone| now < gone)
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
        }
    }
}

/// One call and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEntry {
    /// When it took effect, or was refused.
    pub at: Timestamp,
    /// What kind of call.
    pub call: CloudCall,
    /// Which VM it was about, or made.
    pub vm: Option<InstanceId>,
    /// What the caller was told.
    pub error: Option<CloudErrorKind>,
    /// What struck it.
    pub fault: Option<CloudFault>,
    /// How many VMs existed after it.
    pub existing: usize,
}

/// The simulated cloud.
#[derive(Debug)]
pub struct FakeCloud {
    /// How it behaves; may be changed at any time.
    pub knobs: CloudKnobs,
    chance: Chance,
    vms: BTreeMap<InstanceId, CloudVm>,
    hosts: Option<Rc<RefCell<FakeVms>>>,
    history: Vec<CloudEntry>,
    omit_next: BTreeMap<InstanceId, u32>,
}

/// What came of a call's effect: the error that the caller sees, if any.
type Effect<T> = Result<T, CloudError>;

impl FakeCloud {
    /// An empty account. Its VMs live in `hosts`; without, they are only listed.
    pub fn new(seed: u64, knobs: CloudKnobs, hosts: Option<Rc<RefCell<FakeVms>>>) -> Self {
        Self {
            knobs,
            chance: Chance::new(seed, 4),
            vms: BTreeMap::new(),
            hosts,
            history: Vec::new(),
            omit_next: BTreeMap::new(),
        }
    }

    // ------------------------------------------------------------ looking in, and interfering

    /// All VMs ever made, by id.
    pub fn vms(&self) -> impl Iterator<Item = &CloudVm> {
        self.vms.values()
    }

    /// One VM, whether it still exists or not.
    pub fn vm(&self, id: &InstanceId) -> Option<&CloudVm> {
        self.vms.get(id)
    }

    /// How many VMs exist.
    pub fn existing(&self, now: Timestamp) -> usize {
        self.vms.values().filter(|vm| vm.exists(now)).count()
    }

    /// Every call, in order.
    pub fn history(&self) -> &[CloudEntry] {
        &self.history
    }

    /// The most calls in any stretch of that length that begins with a call.
    pub fn most_calls_within(&self, length: Duration) -> usize {
        let within = |first: usize| {
            let from = self.history[first].at;
            self.history[first..].iter().take_while(|it| since(it.at, from) < length).count()
        };
        (0..self.history.len()).map(within).max().unwrap_or(0)
    }

    /// The next `times` listings leave that VM out.
    pub fn omit_next(&mut self, id: &InstanceId, times: u32) {
        self.omit_next.insert(id.clone(), times);
    }

    /// The cloud takes a VM away, at once.
    pub fn take_away(&mut self, id: &InstanceId, now: Timestamp) {
        self.end_vm(id, now, now);
    }

    /// A VM that somebody else made: another dispatcher, or an operator.
    pub fn adopt(&mut self, order: &CreateOrder, now: Timestamp) -> Instance {
        let id = self.make(order, now);
        self.vms[&id].shown(now)
    }

    // ------------------------------------------------------------ calls, each in one instant

    fn create(&mut self, order: &CreateOrder, now: Timestamp) -> Effect<Instance> {
        let fault = self.fault(CloudCall::Create, now);
        let result = match fault {
            Some(fault) if !fault.executes() => Err(refusal(fault, now)),
            _ => self.create_if_allowed(order, now),
        };
        let made = result.as_ref().ok().cloned();
        let result = told(fault, result, now);
        self.note(CloudCall::Create, made, &result, fault, now);
        result.map(|id| self.vms[&id].shown(now))
    }

    /// A create sent twice makes one VM: the secret is the idempotency token.
    fn create_if_allowed(&mut self, order: &CreateOrder, now: Timestamp) -> Effect<InstanceId> {
        let same = self.vms.values().find(|vm| vm.secret == order.secret && vm.exists(now));
        if let Some(vm) = same.filter(|_| !order.secret.is_empty()) {
            return Ok(vm.id.clone());
        }
        if let Some((kind, code)) = self.limit_reached(&order.instance_type, now) {
            return Err(CloudError {
                kind,
                code: code.to_owned(),
                message: format!("cannot create: {code}"),
            });
        }
        Ok(self.make(order, now))
    }

    fn limit_reached(&self, wanted: &InstanceType, now: Timestamp) -> Option<(CloudErrorKind, &'static str)> {
        let (market, offering) = (wanted.market(), wanted.offering());
        let group = quota_group(&wanted.provider_type);
        let count = |counts: &dyn Fn(&InstanceType) -> bool| {
            self.vms.values().filter(|vm| vm.exists(now) && counts(&vm.instance_type)).count()
        };
        let of_market = |it: &InstanceType| it.market() == market;
        let of_group = |it: &InstanceType| of_market(it) && quota_group(&it.provider_type) == group;
        let full = |most: Option<usize>, existing: usize| most.is_some_and(|most| existing >= most);
        if full(self.knobs.quota_all, count(&|_| true)) {
            Some((CloudErrorKind::Quota(QuotaScope::All), "InstanceLimitExceeded"))
        } else if full(self.knobs.quota_market.get(&market).copied(), count(&of_market)) {
            let code =
                if market == Market::Spot { "MaxSpotInstanceCountExceeded" } else { "InstanceLimitExceeded" };
            Some((CloudErrorKind::Quota(QuotaScope::Market(market)), code))
        } else if full(self.knobs.quota_group.get(&(group.clone(), market)).copied(), count(&of_group)) {
            Some((CloudErrorKind::Capacity(CapacityScope::QuotaGroup), "VcpuLimitExceeded"))
        } else if full(self.knobs.capacity.get(&offering).copied(), count(&|it| it.offering() == offering)) {
            Some((CloudErrorKind::Capacity(CapacityScope::Offering), "InsufficientInstanceCapacity"))
        } else {
            None
        }
    }

    fn make(&mut self, order: &CreateOrder, now: Timestamp) -> InstanceId {
        let number = self.vms.len() + 1;
        let id = InstanceId::new(&format!("i-{number:06}")).expect("a short text");
        let Self { knobs, chance, .. } = self;
        let taken = order.instance_type.preemptible && chance.hits(knobs.spot_taken_rate);
        let taken_at = taken.then(|| after(now, chance.draw(knobs.spot_taken_after)));
        let vm = CloudVm {
            id: id.clone(),
            instance_type: order.instance_type.clone(),
            tags: order.tags.clone(),
            made_at: now,
            destroyed_at: None,
            ends_at: taken_at,
            secret: order.secret.clone(),
            address: format!("127.{}.{}.{}:22", 1 + (number >> 16), (number >> 8) & 255, number & 255),
            listed_from: after(now, chance.draw(knobs.listed_after)),
            address_from: after(now, chance.draw(knobs.address_after)),
            unlisted_from: taken_at,
            old_tags: None,
        };
        if let Some(hosts) = &self.hosts {
            let mut hosts = hosts.borrow_mut();
            hosts.make(id.clone(), order.instance_type.clone(), &order.init_command, now);
            if let Some(at) = taken_at {
                hosts.end_at(id.clone(), at);
            }
        }
        self.vms.insert(id.clone(), vm);
        id
    }

    fn list(&mut self, filter: &Tags, now: Timestamp) -> Effect<Vec<Instance>> {
        let fault = self.fault(CloudCall::List, now);
        let result = match fault.and_then(|fault| fault.error(now).map(|_| fault)) {
            Some(fault) => Err(refusal(fault, now)),
            None => Ok(self.listing(filter, now)),
        };
        self.note(CloudCall::List, None, &result, fault, now);
        result
    }

    fn listing(&mut self, filter: &Tags, now: Timestamp) -> Vec<Instance> {
        let Self { vms, omit_next, chance, knobs, .. } = self;
        let mut left_out = |id: &InstanceId| {
            let scripted = omit_next.get_mut(id).filter(|times| **times > 0);
            match scripted {
                Some(times) => {
                    *times -= 1;
                    true
                }
                None => chance.hits(knobs.omit_rate),
            }
        };
        let listed = vms.values().filter(|vm| vm.is_listed(now) && vm.shown_tags(now).matches(filter));
        listed.filter(|vm| !left_out(&vm.id)).map(|vm| vm.shown(now)).collect()
    }

    fn destroy(&mut self, id: &InstanceId, now: Timestamp) -> Effect<()> {
        let fault = self.fault(CloudCall::Destroy, now);
        if fault.is_none_or(CloudFault::executes) {
            let (ends, unlisted) = {
                let Self { knobs, chance, .. } = self;
                let ends = after(now, chance.draw(knobs.ends_after));
                (ends, after(ends, chance.draw(knobs.unlisted_after)))
            };
            if let Some(vm) = self.vms.get_mut(id) {
                vm.destroyed_at.get_or_insert(now);
            }
            self.end_vm(id, ends, unlisted);
        }
        let result = told(fault, Ok(()), now);
        self.note(CloudCall::Destroy, Some(id.clone()), &result, fault, now);
        result
    }

    /// The VM ends then, unless it ends sooner anyway.
    fn end_vm(&mut self, id: &InstanceId, ends: Timestamp, unlisted: Timestamp) {
        let Some(vm) = self.vms.get_mut(id) else { return };
        if vm.ends_at.is_some_and(|at| at <= ends) {
            return;
        }
        vm.ends_at = Some(ends);
        vm.unlisted_from = Some(unlisted);
        if let Some(hosts) = &self.hosts {
            hosts.borrow_mut().end_at(id.clone(), ends);
        }
    }

    fn set_tags(&mut self, id: &InstanceId, tags: &Tags, now: Timestamp) -> Effect<()> {
        let fault = self.fault(CloudCall::SetTags, now);
        let mut result = Ok(());
        if fault.is_none_or(CloudFault::executes) {
            let lag = self.chance.draw(self.knobs.tags_lag);
            match self.vms.get_mut(id).filter(|vm| vm.exists(now)) {
                None => result = Err(not_found(id)),
                Some(vm) => {
                    vm.old_tags = Some((vm.shown_tags(now).clone(), after(now, lag)));
                    vm.tags.merge(tags);
                }
            }
        }
        let result = told(fault, result, now);
        self.note(CloudCall::SetTags, Some(id.clone()), &result, fault, now);
        result
    }

    /// A fake VM's key is its own id; what else it shows is forged.
    fn verify_host_key(&mut self, id: &InstanceId, key: &HostKey, now: Timestamp) -> Effect<HostKeyVerdict> {
        let fault = self.fault(CloudCall::VerifyHostKey, now);
        let verdict = match self.knobs.host_keys {
            HostKeyVerdict::Genuine if key.base64 != id.as_str() => HostKeyVerdict::Forged,
            verdict => verdict,
        };
        let result = told(fault, Ok(verdict), now);
        self.note(CloudCall::VerifyHostKey, Some(id.clone()), &result, fault, now);
        result
    }

    // ------------------------------------------------------------ faults and notes

    fn fault(&mut self, call: CloudCall, now: Timestamp) -> Option<CloudFault> {
        let limited = self.rate_limit(call, now).map(CloudFault::RateLimited);
        limited.or_else(|| self.knobs.fault(call, now, &mut self.chance))
    }

    /// How long a caller has to wait that has exceeded the rate.
    fn rate_limit(&self, call: CloudCall, now: Timestamp) -> Option<Duration> {
        let limit = self.knobs.rate_limits.get(&call)?;
        let recent = self.history.iter().rev().take_while(|entry| since(now, entry.at) < limit.within);
        let served = |entry: &&CloudEntry| {
            entry.call == call && !matches!(entry.error, Some(CloudErrorKind::RateLimited { .. }))
        };
        (recent.filter(served).count() >= limit.calls).then_some(limit.wait)
    }

    fn note<T>(
        &mut self,
        call: CloudCall,
        vm: Option<InstanceId>,
        result: &Effect<T>,
        fault: Option<CloudFault>,
        now: Timestamp,
    ) {
        let error = result.as_ref().err().map(|error| error.kind.clone());
        let existing = self.existing(now);
        self.history.push(CloudEntry { at: now, call, vm, error, fault, existing });
    }
}

/// Leading letters, in lower case: types that share them share a quota.
fn quota_group(provider_type: &ProviderType) -> String {
    let letters = provider_type.as_str().chars().take_while(char::is_ascii_alphabetic);
    letters.collect::<String>().to_ascii_lowercase()
}

/// What the caller is told of a call that was executed, or silently was not.
fn told<T>(fault: Option<CloudFault>, result: Effect<T>, now: Timestamp) -> Effect<T> {
    match fault.and_then(|fault| fault.error(now).map(|_| fault)) {
        Some(fault) => Err(refusal(fault, now)),
        None => result,
    }
}

fn refusal(fault: CloudFault, now: Timestamp) -> CloudError {
    // A create cannot be ignored and succeed: there is nothing to answer with.
    let kind = fault.error(now).unwrap_or(CloudErrorKind::Other);
    let code = format!("Simulated.{}", kind.as_str());
    CloudError { message: format!("the cloud refuses: {code}"), code, kind }
}

fn not_found(id: &InstanceId) -> CloudError {
    let message = format!("no such instance: {id}");
    CloudError { kind: CloudErrorKind::NotFound, code: "InvalidInstanceID.NotFound".to_owned(), message }
}

#[cfg(test)]
mod tests;
