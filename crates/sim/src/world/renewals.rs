//! What a world knows of renewals: VMs that are too old, or were made otherwise than they would be today.

use dispatch_core::id::InstanceId;
use dispatch_core::instance::{IdleBehavior, Tags};
use dispatch_core::note::Note;
use dispatch_core::worker::Renewal;

use super::World;
use crate::cloud::CloudVm;

/// The renewal that is noted among these tags, whatever their prefix.
pub(super) fn noted_in(tags: &Tags) -> Option<Renewal> {
    tags.0.values().filter_map(|value| Note::from_tag(value)).find_map(|note| Renewal::of_note(&note))
}

impl World {
    /// The VMs of our set that exist and whose tags say that they are being renewed.
    pub fn vms_being_renewed(&self) -> Vec<InstanceId> {
        let key = &self.knobs.policy.tag_keys.idle_behavior;
        let drains = |tags: &Tags| tags.get(key) == Some(IdleBehavior::Drain.as_str());
        self.own_vms_that(|vm| drains(&vm.tags) && noted_in(&vm.tags).is_some())
    }

    /// The VMs of our set that exist and would be made otherwise under the configuration of the next dispatcher.
    pub fn vms_that_have_drifted(&self) -> Vec<InstanceId> {
        let policy = &self.knobs.policy;
        let keys = &policy.tag_keys;
        let has_drifted = |tags: &Tags| {
            let it = tags.get(&keys.instance_type).and_then(|name| policy.catalog.get(name));
            it.is_some_and(|it| policy.blueprint.differs_from(tags.get(&keys.blueprint), it))
        };
        self.own_vms_that(|vm| has_drifted(&vm.tags))
    }

    fn own_vms_that(&self, is_so: impl Fn(&CloudVm) -> bool) -> Vec<InstanceId> {
        let mut vms = self.own_vms();
        let cloud = self.cloud.borrow();
        vms.retain(|id| cloud.vm(id).is_some_and(&is_so));
        vms
    }
}
