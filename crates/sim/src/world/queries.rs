//! What can be asked of a world, for stories, judges and people.

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId, TypeName};
use dispatch_core::instance::Tags;
use dispatch_core::time::{Timestamp, since};

use super::{Summary, World, journal};
use crate::clock;
use crate::cloud::CloudVm;

impl World {
    /// Whether every container is final, deleted, unwanted and not locked, or one that may wait for ever.
    pub fn settled(&self) -> bool {
        let arvados = self.arvados.borrow();
        let mut waiting = arvados.containers().filter(|it| match it.state {
            ContainerState::Complete | ContainerState::Cancelled => false,
            ContainerState::Queued => it.priority > 0,
            ContainerState::Locked | ContainerState::Running => true,
        });
        let Some(first) = waiting.next() else { return true };
        let excused = self.containers_that_may_wait();
        excused.contains(&first.uuid) && waiting.all(|it| excused.contains(&it.uuid))
    }

    /// Whether every VM of our set is gone, apart from those that may stay for ever.
    pub fn all_vms_are_gone(&self) -> bool {
        let own = self.own_vms();
        own.is_empty() || self.vms_that_may_stay().is_superset(&own.into_iter().collect())
    }

    /// How many containers are in that state.
    pub fn count(&self, state: ContainerState) -> usize {
        self.arvados.borrow().containers().filter(|it| it.state == state).count()
    }

    /// All containers, by uuid.
    pub fn containers(&self) -> Vec<ContainerUuid> {
        self.arvados.borrow().containers().map(|it| it.uuid).collect()
    }

    /// The state of one container; `None` if its record is gone.
    pub fn state_of(&self, uuid: ContainerUuid) -> Option<ContainerState> {
        self.arvados.borrow().container(uuid).map(|it| it.state)
    }

    /// The VMs of our set that exist.
    pub fn own_vms(&self) -> Vec<InstanceId> {
        let now = clock::now();
        let cloud = self.cloud.borrow();
        cloud.vms().filter(|vm| vm.exists(now) && self.is_ours(&vm.tags)).map(|vm| vm.id.clone()).collect()
    }

    /// What the dispatcher has written into the tags of a VM of what is to become of it.
    pub fn tagged_behavior(&self, vm: &InstanceId) -> Option<String> {
        let key = &self.knobs.policy.tag_keys.idle_behavior;
        self.cloud.borrow().vm(vm).and_then(|vm| vm.tags.get(key).map(str::to_owned))
    }

    /// The VMs of our set that exist and carry the name of that type.
    pub fn vms_of_type(&self, name: &TypeName) -> Vec<InstanceId> {
        let key = &self.knobs.policy.tag_keys.instance_type;
        let mut vms = self.own_vms();
        let cloud = self.cloud.borrow();
        vms.retain(|id| cloud.vm(id).is_some_and(|vm| vm.tags.get(key) == Some(name.as_str())));
        vms
    }

    /// How many VMs of our set existed at that time. VMs are left out that no listing showed when this
    /// dispatcher began, and those that listings no longer show.
    pub(super) fn own_vms_at(&self, at: Timestamp, began: Timestamp) -> usize {
        let cloud = self.cloud.borrow();
        let shown = |vm: &&CloudVm| !vm.was_concealed_at(began) && !vm.is_hidden(at);
        let exists = |vm: &&CloudVm| vm.made_at <= at && vm.exists(at) && shown(vm);
        cloud.vms().filter(exists).filter(|vm| self.is_ours(&vm.tags)).count()
    }

    /// The cloud's bill for the VMs of our set, in the currency of their types' prices: what they cost between two moments.
    pub fn bill(&self, from: Timestamp, to: Timestamp) -> f64 {
        let cost = |vm: &CloudVm| {
            let end = vm.ends_at.map_or(to, |end| end.min(to));
            vm.instance_type.price.per_hour() * since(end, vm.made_at.max(from)).as_secs_f64() / 3600.0
        };
        self.cloud.borrow().vms().filter(|vm| self.is_ours(&vm.tags)).map(cost).sum()
    }

    /// What the VMs of our set that exist at a moment had cost until then.
    pub fn bill_of_those_at(&self, at: Timestamp) -> f64 {
        let cost =
            |vm: &CloudVm| vm.instance_type.price.per_hour() * since(at, vm.made_at).as_secs_f64() / 3600.0;
        let cloud = self.cloud.borrow();
        let existing = cloud.vms().filter(|vm| self.is_ours(&vm.tags) && vm.made_at <= at && vm.exists(at));
        existing.map(cost).sum()
    }

    /// Whether these tags say that a VM is of our set.
    fn is_ours(&self, tags: &Tags) -> bool {
        let policy = &self.knobs.policy;
        tags.get(&policy.tag_keys.instance_set_id) == Some(policy.instance_set_id.as_str())
    }

    /// VMs on which processes live.
    pub fn busy_vms(&self) -> Vec<InstanceId> {
        let vms = self.vms.borrow();
        vms.hosts().filter(|host| host.containers().next().is_some()).map(|host| host.id.clone()).collect()
    }

    /// How many VMs were ever made.
    pub fn vms_made(&self) -> usize {
        self.cloud.borrow().made()
    }

    /// How many events there were so far, anywhere.
    pub fn events(&self) -> usize {
        let arvados = self.arvados.borrow().history().entries().len();
        arvados + self.vms.borrow().history().entries().len() + self.cloud.borrow().history().len()
    }

    /// The history, one line an event.
    pub fn history(&self) -> String {
        journal::render(self)
    }

    /// The present state of the world, for people to read.
    pub(super) fn state(&self) -> String {
        let mut text = String::from("--- state\n");
        let excused = self.containers_that_may_wait();
        for it in self.arvados.borrow().containers().filter(|it| !it.state.is_final()) {
            let note = if excused.contains(&it.uuid) { " (may wait for ever)" } else { "" };
            text += &format!("{} {:?} priority {}{note}\n", it.uuid, it.state, it.priority);
        }
        for id in self.own_vms() {
            text += &format!("{id} exists\n");
        }
        text
    }

    /// The figures of the run so far.
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }
}
