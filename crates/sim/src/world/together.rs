//! What happens to a whole group of VMs at once, and what an operator or a VM does that never heals.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::{IdleBehavior, InstanceType, Market};
use dispatch_core::time::after;

use super::World;
use crate::chance::{Chance, Span};
use crate::clock;
use crate::cloud::knobs::CloudFault;
use crate::controller::hidden::Hidden;
use crate::group::Group;
use crate::vm::knobs::Ssh;

impl World {
    /// The VMs of our set that exist and belong to that group.
    pub fn vms_of(&self, group: &Group) -> Vec<InstanceId> {
        let cloud = self.cloud.borrow();
        let belongs = |id: &InstanceId| cloud.vm(id).is_some_and(|vm| group.has(&vm.instance_type));
        self.own_vms().into_iter().filter(belongs).collect()
    }

    /// The cloud takes all VMs of the group away at once.
    pub fn end_together(&mut self, group: &Group) {
        let now = clock::now();
        for id in self.vms_of(group) {
            self.cloud.borrow_mut().take_away(&id, now);
        }
    }

    /// No VM of the group that is booting will ever have booted.
    pub fn spoil_boots_together(&mut self, group: &Group) {
        self.vms.borrow_mut().spoil_boots(group, clock::now());
    }

    /// All VMs of the group stop answering for that long.
    pub fn silence_together(&mut self, group: &Group, lasting: Duration) {
        let now = clock::now();
        for id in self.vms_of(group) {
            self.vms.borrow_mut().silence(&id, now, after(now, lasting));
        }
    }

    /// The cloud refuses the creates of the group for that long.
    pub fn refuse_together(&mut self, group: Group, fault: CloudFault, lasting: Duration) {
        let until = after(clock::now(), lasting);
        self.cloud.borrow_mut().knobs.close(group, fault, Some(until));
    }

    /// The next listings omit all VMs of the group, as often in a row as the knobs allow.
    pub fn omit_together(&mut self, group: &Group) {
        let all = self.vms_of(group);
        let mut cloud = self.cloud.borrow_mut();
        let times = cloud.knobs.most_omissions;
        all.iter().for_each(|id| cloud.omit_next(id, times));
    }

    /// The controller shows all records, half of them or that one no more, for less than half a minute. Once in a world:
    /// between two such times no poll may succeed, and then they look like one that lasts.
    pub(super) fn hide_records(&mut self, uuid: ContainerUuid, chance: &mut Chance) {
        if self.arvados.borrow().hidden.is_some() {
            return;
        }
        let until = after(clock::now(), chance.draw(Span::between_millis(500, 29_000)));
        let only = match chance.below(3) {
            0 => None,
            1 => Some(self.containers().into_iter().filter(|_| chance.hits(0.5)).collect()),
            _ => Some(BTreeSet::from([uuid])),
        };
        self.arvados.borrow_mut().hidden = Some(Hidden { only, until });
    }

    /// The operator holds a VM and forgets about it: no story frees it.
    pub async fn operator_forgets(&mut self, id: &InstanceId) -> bool {
        let accepted = self.operator_sets(id, IdleBehavior::Hold).await;
        if accepted {
            self.forgotten.insert(id.clone());
        }
        accepted
    }

    /// The VM's runner lists that container from now on, although it runs elsewhere or not at all.
    pub fn lists_falsely(&mut self, vm: &InstanceId, uuid: ContainerUuid) {
        if let Some(behaviour) = self.vms.borrow_mut().behaviour(vm) {
            behaviour.also_lists.insert(uuid);
        }
    }

    /// The VMs that do not answer, whatever the reason.
    pub(super) fn silent_vms(&self) -> Vec<InstanceId> {
        let vms = self.vms.borrow();
        let is_silent = |id: &InstanceId| {
            let behaviour = vms.host(id).map(|host| &host.behaviour);
            behaviour.is_none_or(|it| it.never_answers || it.ssh != Ssh::Fine)
        };
        self.own_vms().into_iter().filter(is_silent).collect()
    }

    // ------------------------------------------------------------ who need not end

    /// The VMs that need not go: immortal ones, those that an operator has forgotten, and those that list
    /// what they do not run.
    pub fn vms_that_may_stay(&self) -> BTreeSet<InstanceId> {
        let (cloud, vms) = (self.cloud.borrow(), self.vms.borrow());
        let immortal = cloud.vms().filter(|vm| vm.immortal).map(|vm| vm.id.clone());
        let lying = vms.hosts().filter(|host| !host.behaviour.also_lists.is_empty());
        immortal.chain(lying.map(|host| host.id.clone())).chain(self.forgotten.iter().cloned()).collect()
    }

    /// The containers that need not end: the controller never serves them, a VM that does not run them lists
    /// them, or no VM that they could use is ever to be had. All others must end, whatever else never heals.
    pub fn containers_that_may_wait(&self) -> BTreeSet<ContainerUuid> {
        let arvados = self.arvados.borrow();
        let vms = self.vms.borrow();
        let listed = vms.hosts().flat_map(|host| host.behaviour.also_lists.iter().copied());
        let mut excused: BTreeSet<_> = arvados.ailments.containers().into_iter().chain(listed).collect();
        excused.extend(self.lost_while_a_vm_is_silent());
        let is_open = |uuid: &ContainerUuid| arvados.container(*uuid).is_some_and(|it| !it.state.is_final());
        let all = arvados.containers().map(|it| it.uuid);
        excused.extend(all.filter(|uuid| is_open(uuid) && !self.can_have_a_vm(*uuid)));
        excused
    }

    /// The containers without a process that a silent VM may run for all that the dispatcher can know, if it stays for
    /// ever: those that are Running, and Locked ones that were started there. To give up a job that runs would lose it.
    fn lost_while_a_vm_is_silent(&self) -> BTreeSet<ContainerUuid> {
        let (arvados, vms) = (self.arvados.borrow(), self.vms.borrow());
        let may_stay = self.vms_that_may_stay();
        let is_silent = |id: &InstanceId| vms.host(id).is_none_or(|host| host.behaviour.ssh != Ssh::Fine);
        let mut silent = self.own_vms();
        silent.retain(|id| may_stay.contains(id) && is_silent(id));
        if silent.is_empty() {
            return BTreeSet::new();
        }
        let is_lost = |uuid: ContainerUuid| vms.history().live(uuid) == 0;
        let was_there = |uuid| vms.history().last_started_on(uuid).is_some_and(|id| silent.contains(id));
        let may_run = |uuid, state| match state {
            ContainerState::Running => is_lost(uuid),
            ContainerState::Locked => is_lost(uuid) && was_there(uuid),
            ContainerState::Queued | ContainerState::Complete | ContainerState::Cancelled => false,
        };
        arvados.containers().filter(|it| may_run(it.uuid, it.state)).map(|it| it.uuid).collect()
    }

    /// Whether one of the types that the container may use can be had, boots and answers; also if there is no
    /// such type at all, because then the dispatcher has to cancel the container.
    fn can_have_a_vm(&self, uuid: ContainerUuid) -> bool {
        let arvados = self.arvados.borrow();
        let Some(record) = arvados.container(uuid) else { return true };
        let (vcpus, wanted) = (record.spec.runtime_constraints.vcpus, record.spec.scheduling.market());
        // It may have been moved, or not.
        let may_be_moved = wanted == Market::Spot && self.knobs.policy.sizing.spot_retries.is_some();
        let markets = [Some(wanted), may_be_moved.then_some(Market::OnDemand)];
        markets.into_iter().flatten().all(|market| self.can_have_a_vm_on(market, vcpus))
    }

    fn can_have_a_vm_on(&self, market: Market, vcpus: u64) -> bool {
        let policy = &self.knobs.policy;
        let fits = |it: &&Arc<InstanceType>| it.vcpus >= vcpus && it.market() == market;
        let fitting: Vec<_> = policy.catalog.types().iter().filter(fits).collect();
        let cheapest = fitting.iter().map(|it| it.price.per_hour()).fold(f64::INFINITY, f64::min);
        // The dispatcher may round otherwise; what costs exactly the highest price is left out.
        let highest = cheapest * policy.sizing.maximum_price_factor.max(1.0) * 0.999;
        let (cloud, vms) = (self.cloud.borrow(), self.vms.borrow());
        let is_spared = |it: &InstanceType| cloud.knobs.spares(it) && vms.knobs.lasting.spares(it);
        let may_be_used = |it: &InstanceType| it.price.per_hour() <= highest.max(cheapest);
        fitting.is_empty() || fitting.iter().any(|it| may_be_used(it) && is_spared(it))
    }
}
