//! What containers have cost: the price of an instance, shared equally by those that run on it at a time.

use std::collections::{BTreeMap, VecDeque};

use super::TypeName;
use super::meter::{Meter, Spent};
use crate::id::{ContainerUuid, InstanceId};
use crate::time::Timestamp;

/// So many containers that have ended are kept.
pub const ENDED_KEPT: usize = 1000;

/// A container on an instance, and what it has cost there.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The container.
    pub container: ContainerUuid,
    /// The instance.
    pub instance: InstanceId,
    /// The name of its type, as its tag has it.
    pub instance_type: Option<TypeName>,
    /// When it was first seen to run there.
    pub since: Timestamp,
    /// When it had ended; `None` = it runs.
    pub until: Option<Timestamp>,
    /// The amount, in the currency of the configured prices.
    pub amount: f64,
}

#[derive(Debug)]
struct Running {
    instance_type: Option<TypeName>,
    since: Timestamp,
    meter: Meter,
}

/// The shares.
#[derive(Debug, Default)]
pub(super) struct Shares {
    running: BTreeMap<(ContainerUuid, InstanceId), Running>,
    /// Oldest first.
    ended: VecDeque<Share>,
}

impl Shares {
    /// A container runs there, and costs that from now on.
    pub fn runs(
        &mut self,
        uuid: ContainerUuid,
        id: &InstanceId,
        name: &Option<TypeName>,
        rate: u64,
        now: Timestamp,
    ) {
        let new = || Running { instance_type: name.clone(), since: now, meter: Meter::default() };
        self.running.entry((uuid, id.clone())).or_insert_with(new).meter.set(rate, now);
    }

    /// A container runs there no longer.
    pub fn ended(&mut self, uuid: ContainerUuid, id: &InstanceId, now: Timestamp) {
        let Some(running) = self.running.remove(&(uuid, id.clone())) else { return };
        self.ended.push_back(running.share(uuid, id, now, Some(now)));
        let surplus = self.ended.len().saturating_sub(ENDED_KEPT);
        self.ended.drain(..surplus);
    }

    /// Those that run, and then those that have ended, the latest first.
    pub fn all(&self, now: Timestamp) -> Vec<Share> {
        let running = self.running.iter().map(|((uuid, id), it)| it.share(*uuid, id, now, None));
        running.chain(self.ended.iter().rev().cloned()).collect()
    }
}

impl Running {
    fn share(&self, uuid: ContainerUuid, id: &InstanceId, now: Timestamp, until: Option<Timestamp>) -> Share {
        let spent: Spent = self.meter.total(now);
        Share {
            container: uuid,
            instance: id.clone(),
            instance_type: self.instance_type.clone(),
            since: self.since,
            until,
            amount: spent.amount(),
        }
    }
}
