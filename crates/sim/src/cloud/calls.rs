//! The driver's calls. Each takes effect at one instant: it changes the account, and returns what the caller
//! is result_for_caller.

use std::time::Duration;

use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Instance, InstanceType, Market, Tags};
use dispatch_core::ports::{
    CapacityScope, CloudError, CloudErrorKind, CreateOrder, HostKey, HostKeyVerdict, QuotaScope,
};
use dispatch_core::time::{Timestamp, after, since};

use super::knobs::{CloudCall, CloudFault};
use super::{CloudEntry, CloudVm, FakeCloud, quota_group};

/// The result of a call: the error that the caller sees, if any.
type Effect<T> = Result<T, CloudError>;

/// After so many listings a dispatcher knows the VMs by itself.
const FIRST_LISTINGS: u32 = 4;

impl FakeCloud {
    pub(super) fn create(&mut self, order: &CreateOrder, now: Timestamp) -> Effect<Instance> {
        let fault = self.fault(CloudCall::Create, now);
        let fault = fault.or_else(|| self.knobs.closed_to(&order.instance_type, now));
        let result = match fault {
            Some(fault) if !fault.executes() => Err(refusal(fault, now)),
            _ => self.create_if_allowed(order, now),
        };
        let made = result.as_ref().ok().cloned();
        let result = result_for_caller(fault, result, now);
        self.note(CloudCall::Create, made, &result, fault, now);
        result.map(|id| self.vms[&id].shown(now))
    }

    /// A create that is sent twice makes one VM, because its secret is the idempotency token.
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
        } else if self.knobs.refused.contains(&offering) {
            Some((CloudErrorKind::Other, "InvalidParameterCombination"))
        } else if full(self.knobs.capacity.get(&offering).copied(), count(&|it| it.offering() == offering)) {
            Some((CloudErrorKind::Capacity(CapacityScope::Offering), "InsufficientInstanceCapacity"))
        } else {
            None
        }
    }

    pub(super) fn make(&mut self, order: &CreateOrder, now: Timestamp) -> InstanceId {
        let number = self.next_number(now);
        let id = id_of(number);
        self.made += 1;
        let Self { knobs, chance, .. } = self;
        let is_spot = order.instance_type.preemptible;
        let may_be_taken = is_spot && !knobs.spot_spared.contains(&order.instance_type.name);
        let taken = may_be_taken && chance.hits(knobs.spot_taken_rate);
        let taken_at = taken.then(|| after(now, chance.draw(knobs.spot_taken_after)));
        let always = knobs.always_ends_booting.iter().any(|group| group.has(&order.instance_type));
        let ends_booting = always || chance.hits(knobs.ends_booting_rate);
        let taken_at =
            if ends_booting { Some(after(now, chance.draw(knobs.ends_booting_after))) } else { taken_at };
        let vm = CloudVm {
            id: id.clone(),
            instance_type: order.instance_type.clone(),
            tags: order.tags.clone(),
            made_at: now,
            destroyed_at: None,
            ends_at: taken_at,
            taken_away: taken_at.is_some(),
            immortal: false,
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
            match taken_at {
                Some(at) if ends_booting => hosts.end_at(id.clone(), at),
                Some(at) => hosts.take_at(id.clone(), at, now),
                None => {}
            }
        }
        self.vms.insert(id.clone(), vm);
        id
    }

    fn next_number(&self, now: Timestamp) -> usize {
        let is_free = |number: &usize| {
            self.vms.get(&id_of(*number)).is_none_or(|vm| vm.is_hidden(now) && !vm.exists(now))
        };
        let reused = (1..=self.vms.len()).find(is_free).filter(|_| self.knobs.reuses_ids);
        reused.unwrap_or(self.vms.len() + 1)
    }

    /// `asked_by`: the dispatcher, counted as they are started.
    pub(super) fn list(&mut self, filter: &Tags, asked_by: u64, now: Timestamp) -> Effect<Vec<Instance>> {
        let fault = self.fault(CloudCall::List, now);
        let result = match fault.and_then(|fault| fault.error(now).map(|_| fault)) {
            Some(fault) => Err(refusal(fault, now)),
            None => Ok(self.listing(filter, asked_by, now)),
        };
        self.note(CloudCall::List, None, &result, fault, now);
        result
    }

    fn listing(&mut self, filter: &Tags, asked_by: u64, now: Timestamp) -> Vec<Instance> {
        if asked_by < self.dispatchers {
            // Nobody reads what a dead one has asked for: it must not use up the listing that shows a VM to its successor.
            let listed =
                self.vms.values().filter(|vm| vm.is_listed(now) && vm.shown_tags(now).matches(filter));
            return listed.map(|vm| vm.shown(now)).collect();
        }
        self.listings += 1;
        let is_known = self.listings > FIRST_LISTINGS;
        let Self { vms, omit_next, omitted, chance, knobs, hosts, .. } = self;
        let has_booted = |id: &InstanceId| {
            let hosts = hosts.as_ref().map(|hosts| hosts.borrow());
            hosts.is_some_and(|hosts| hosts.host(id).is_some_and(|host| host.has_booted(now)))
        };
        let mut left_out = |id: &InstanceId| {
            let scripted = omit_next.get_mut(id).filter(|times| **times > 0);
            let omissions = omitted.entry(id.clone()).or_default();
            let is_wanted = match scripted {
                Some(times) => {
                    *times -= 1;
                    true
                }
                None => chance.hits(knobs.omit_rate),
            };
            let most = match is_known && has_booted(id) {
                true => knobs.most_omissions,
                false => knobs.most_omissions.min(2),
            };
            let is_left_out = is_wanted && omissions.in_a_row < most;
            // The listing that shows the VM again ends the omission; its answer may still be on its way.
            if is_left_out || omissions.in_a_row > 0 {
                omissions.last = Some(now);
            }
            omissions.in_a_row = if is_left_out { omissions.in_a_row + 1 } else { 0 };
            is_left_out
        };
        let listed = vms.values().filter(|vm| vm.is_listed(now) && vm.shown_tags(now).matches(filter));
        listed.filter(|vm| !left_out(&vm.id)).map(|vm| vm.shown(now)).collect()
    }

    pub(super) fn destroy(&mut self, id: &InstanceId, now: Timestamp) -> Effect<()> {
        let fault = self.fault(CloudCall::Destroy, now);
        let immortal = self.vms.get(id).is_some_and(|vm| vm.immortal);
        if immortal {
            if let Some(vm) = self.vms.get_mut(id) {
                vm.destroyed_at.get_or_insert(now);
            }
        } else if fault.is_none_or(CloudFault::executes) {
            let (ends, unlisted) = {
                let Self { knobs, chance, .. } = self;
                let ends = after(now, chance.draw(knobs.ends_after));
                let unlisted = after(ends, chance.draw(knobs.unlisted_after));
                (ends, if knobs.hides_ending { now } else { unlisted })
            };
            if let Some(vm) = self.vms.get_mut(id) {
                vm.destroyed_at.get_or_insert(now);
                vm.taken_away = false;
            }
            self.end_vm(id, ends, unlisted);
        }
        let result = result_for_caller(fault, Ok(()), now);
        self.note(CloudCall::Destroy, Some(id.clone()), &result, fault, now);
        result
    }

    /// Ends the VM at that time, unless it ends earlier anyway.
    pub(super) fn end_vm(&mut self, id: &InstanceId, ends: Timestamp, unlisted: Timestamp) {
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

    pub(super) fn set_tags(&mut self, id: &InstanceId, tags: &Tags, now: Timestamp) -> Effect<()> {
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
        let result = result_for_caller(fault, result, now);
        self.note(CloudCall::SetTags, Some(id.clone()), &result, fault, now);
        result
    }

    /// The genuine key of a simulated VM is its own id. Any other key is forged.
    pub(super) fn verify_host_key(
        &mut self,
        id: &InstanceId,
        key: &HostKey,
        now: Timestamp,
    ) -> Effect<HostKeyVerdict> {
        let fault = self.fault(CloudCall::VerifyHostKey, now);
        let verdict = match self.knobs.host_keys {
            HostKeyVerdict::Genuine if key.base64 != id.as_str() => HostKeyVerdict::Forged,
            verdict => verdict,
        };
        let result = result_for_caller(fault, Ok(verdict), now);
        self.note(CloudCall::VerifyHostKey, Some(id.clone()), &result, fault, now);
        result
    }

    // ------------------------------------------------------------ faults and notes

    fn fault(&mut self, call: CloudCall, now: Timestamp) -> Option<CloudFault> {
        let limited = self.rate_limit(call, now).map(CloudFault::RateLimited);
        limited.or_else(|| self.knobs.fault(call, now, &mut self.chance))
    }

    /// How long a caller that has exceeded the rate is result_for_caller to wait.
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

/// What the caller is result_for_caller of a call that was executed, or was silently not executed.
fn result_for_caller<T>(fault: Option<CloudFault>, result: Effect<T>, now: Timestamp) -> Effect<T> {
    match fault.and_then(|fault| fault.error(now).map(|_| fault)) {
        Some(fault) => Err(refusal(fault, now)),
        None => result,
    }
}

fn id_of(number: usize) -> InstanceId {
    InstanceId::new(&format!("i-{number:06}")).expect("a short text")
}

fn refusal(fault: CloudFault, now: Timestamp) -> CloudError {
    // An ignored create cannot look like a success, because there is no instance to answer with.
    let kind = fault.error(now).unwrap_or(CloudErrorKind::Other);
    let code = format!("Simulated.{}", kind.as_str());
    CloudError { message: format!("the cloud refuses: {code}"), code, kind }
}

fn not_found(id: &InstanceId) -> CloudError {
    let message = format!("no such instance: {id}");
    CloudError { kind: CloudErrorKind::NotFound, code: "InvalidInstanceID.NotFound".to_owned(), message }
}
