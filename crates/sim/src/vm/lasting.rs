//! What is wrong with VMs and with the runner for ever: stopping the faults leaves it as it is.

use std::collections::BTreeMap;

use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::InstanceType;
use dispatch_core::ports::Output;

use super::host::failed;
use crate::group::Group;

/// The settings. By default nothing is wrong.
#[derive(Debug, Clone, Default)]
pub struct Lasting {
    /// Groups whose VMs never boot.
    pub never_boot: Vec<Group>,
    /// Groups whose VMs never answer.
    pub never_answer: Vec<Group>,
    /// In a subnet that lets nothing through, there is one in so many VMs; 0 = in no such subnet.
    pub one_unreachable_in: u64,
    /// Containers of which every start fails, on whichever VM.
    pub start_failures: BTreeMap<ContainerUuid, StartFailure>,
}

/// How every start of a container fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartFailure {
    /// The runner exits with status 1 and says nothing.
    Silent,
    /// The runner exits with status 1 and says this.
    Says(String),
}

impl StartFailure {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Silent => Output { status: 1, stdout: Vec::new(), stderr: Vec::new() },
            Self::Says(text) => failed(1, text),
        }
    }
}

impl Lasting {
    /// Whether VMs of that type boot and answer, apart from those in the unreachable subnet.
    pub fn spares(&self, it: &InstanceType) -> bool {
        !self.never_boot.iter().chain(&self.never_answer).any(|group| group.has(it))
    }

    /// Whether some VMs never answer.
    pub fn silences_some(&self) -> bool {
        !self.never_answer.is_empty() || self.one_unreachable_in > 0
    }

    pub(super) fn boots(&self, it: &InstanceType) -> bool {
        !self.never_boot.iter().any(|group| group.has(it))
    }

    /// Whether the VM of that number (from 1) can be reached.
    pub(super) fn answers(&self, it: &InstanceType, number: u64) -> bool {
        let in_bad_subnet = self.one_unreachable_in > 0 && number.is_multiple_of(self.one_unreachable_in);
        !in_bad_subnet && !self.never_answer.iter().any(|group| group.has(it))
    }
}
