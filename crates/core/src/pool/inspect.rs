//! What the pool holds, to be shown to developers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::fleet::Fleet;
use super::{Slot, WorkerPool};
use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::time::Timestamp;

/// What the pool holds, and what is in flight since when. Without secrets.
#[derive(Debug, Serialize)]
pub struct PoolState {
    /// What a planning round reads: workers, processes that have ended, holds on creates, listings.
    fleet: Arc<Fleet>,
    /// What the pool knows of its workers beside that.
    workers: BTreeMap<InstanceId, SlotState>,
    creates: Vec<CreateState>,
    /// Instances that were destroyed and are gone, and since when.
    destroyed: BTreeMap<InstanceId, Timestamp>,
    /// The number of the last command that was sent to a worker.
    last_command: u64,
    /// A probe, or the end of a hold, is due then.
    wakes_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct SlotState {
    /// Starts that no view has confirmed yet, with the command's number.
    sent: BTreeMap<ContainerUuid, u64>,
    /// Since the first of the listings that lack it.
    missing_since: Option<Timestamp>,
    /// Whether any listing has shown it.
    listed: bool,
    /// It wants to be probed then.
    next_probe: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct CreateState {
    number: u64,
    instance_type: TypeName,
    since: Timestamp,
    /// Its outcome is unknown since then.
    doubtful_since: Option<Timestamp>,
}

impl WorkerPool {
    /// What it holds; O(workers + ended).
    pub fn inspect(&self, now: Timestamp) -> PoolState {
        let creates = self.creates.iter().map(|(id, create)| CreateState {
            number: id.0,
            instance_type: create.instance_type.name.clone(),
            since: create.since,
            doubtful_since: create.doubtful,
        });
        PoolState {
            fleet: self.snapshot().fleet,
            workers: self.workers.iter().map(|(id, slot)| (id.clone(), SlotState::of(slot))).collect(),
            creates: creates.collect(),
            destroyed: self.destroyed.clone(),
            last_command: self.sequence,
            wakes_at: self.wakes_at(now),
        }
    }
}

impl SlotState {
    fn of(slot: &Slot) -> Self {
        Self {
            sent: slot.sent.clone(),
            missing_since: slot.missing.map(|absence| absence.since),
            listed: slot.listed,
            next_probe: slot.view.next_probe.map(|(at, _)| at),
        }
    }
}
