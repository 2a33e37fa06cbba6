//! I11: no more VMs are renewed at a time than `DriftBudget`, and none that an operator holds.
//!
//! ```text
//!   the dispatcher sends the note of a renewal ─► counts ─┬─ the VM is gone
//!   a tag shows one when a dispatcher begins ─────────────┤─ the operator has asked for something
//!                                                         └─► counts no more
//! ```

use std::collections::BTreeSet;

use dispatch_core::id::InstanceId;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::time::Timestamp;

use super::{Judge, OMISSION_MATTERS, Verdict};
use crate::world::World;

/// The VMs that are being renewed, as far as the present dispatcher must know it.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    under_way: BTreeSet<InstanceId>,
    /// What the present dispatcher has been asked about them goes beyond it: they are the operator's.
    the_operators: BTreeSet<InstanceId>,
}

impl Renewals {
    /// The operator asks for another behaviour.
    pub(super) fn asked(&mut self, vm: &InstanceId) {
        self.under_way.remove(vm);
        self.the_operators.insert(vm.clone());
    }

    /// The VM is another one now.
    pub(super) fn forget(&mut self, vm: &InstanceId) {
        self.under_way.remove(vm);
        self.the_operators.remove(vm);
    }

    /// Another dispatcher knows what the tags say, and no more.
    pub(super) fn turn_over(&mut self, world: &World) {
        self.under_way = world.vms_being_renewed().into_iter().collect();
        self.the_operators.clear();
    }

    /// Counts that VM, and those that exist and are listed. True = it is a new one.
    fn begin(&mut self, vm: &InstanceId, at: Timestamp, world: &World) -> bool {
        let cloud = world.cloud.borrow();
        let counts = |id: &InstanceId| cloud.vm(id).is_some_and(|vm| vm.exists(at) && !vm.is_hidden(at));
        self.under_way.retain(counts);
        !self.the_operators.contains(vm) && self.under_way.insert(vm.clone())
    }
}

impl Judge {
    /// The dispatcher has sent the note of a renewal, maybe once more.
    pub(super) fn renewal_sent(&mut self, vm: &InstanceId, at: Timestamp, world: &World) -> Verdict {
        if self.wish(vm, at, world) == Some(IdleBehavior::Hold) {
            return Err(format!("I11: {vm} is renewed, which is to be held"));
        }
        if !self.renewals.begin(vm, at, world) {
            return Ok(());
        }
        let budget = world.knobs.policy.drift_budget;
        let most = self.before_reload.as_ref().map_or(budget, |before| before.most_renewals(budget, at));
        // The dispatcher cannot count VMs that listings conceal.
        let concealed = world.cloud.borrow().omitted_lately(at, OMISSION_MATTERS);
        let now = self.renewals.under_way.len();
        match now > most as usize + concealed {
            true => Err(format!("I11: {now} VMs are renewed, {most} allowed ({concealed} concealed)")),
            false => Ok(()),
        }
    }
}
