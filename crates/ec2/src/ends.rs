//! Why VMs have ended, as the last listing told.
//!
//! EC2 lists a VM for about an hour after its end, with a `stateReason`
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>).

use std::cell::RefCell;
use std::collections::BTreeMap;

use dispatch_core::id::InstanceId;

use crate::answer::instances::{Listed, Shown};

/// The reasons by VM. No more are kept than one listing shows.
#[derive(Debug, Default)]
pub(crate) struct Ends(RefCell<BTreeMap<InstanceId, String>>);

impl Ends {
    /// Takes a complete listing in, and returns those that have not ended.
    pub fn sort_out(&self, shown: Vec<Shown>) -> Vec<Listed> {
        let (mut living, mut ended) = (Vec::new(), BTreeMap::new());
        for it in shown {
            match it {
                Shown::Living(listed) => living.push(listed),
                Shown::Over { id, reason } => drop(ended.insert(id, reason)),
            }
        }
        self.0.replace(ended);
        living
    }

    pub fn reason(&self, id: &InstanceId) -> Option<String> {
        self.0.borrow().get(id).filter(|reason| !reason.is_empty()).cloned()
    }
}
