//! The pool's state, to be shown to developers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::fleet::Fleet;
use super::{Slot, WorkerPool};
use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::time::Timestamp;

/// The pool's state, and since when each call is in flight. It holds no secrets.
#[derive(Debug, Serialize)]
pub struct PoolState {
    /// What a planning round reads: workers, processes that have ended, holds on creates, listings.
    fleet: Arc<Fleet>,
    /// What else the pool knows of its workers.
    workers: BTreeMap<InstanceId, SlotState>,
    creates: Vec<CreateState>,
    /// When each create was sent whose call is open although a listing has shown its instance.
    shown_before_answer: Vec<Timestamp>,
    /// Instances that were destroyed and are gone, and since when.
    destroyed: BTreeMap<InstanceId, Timestamp>,
    /// The number of the last command that was sent to a worker.
    last_command: u64,
    /// When a probe, or the end of a hold, is due.
    wakes_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct SlotState {
    /// Starts that no view has confirmed yet, with the command's number.
    sent: BTreeMap<ContainerUuid, u64>,
    /// When the first of the listings that lack it began.
    missing_since: Option<Timestamp>,
    /// Whether any listing has shown it.
    listed: bool,
    /// When it wants to be probed.
    next_probe: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct CreateState {
    number: u64,
    instance_type: TypeName,
    since: Timestamp,
    /// Since when its outcome is unknown.
    doubtful_since: Option<Timestamp>,
}

impl WorkerPool {
    /// The pool's state; O(workers + ended).
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
            destroyed: self.destroyed.iter().map(|(id, destroyed)| (id.clone(), destroyed.gone)).collect(),
            shown_before_answer: self.shown_before_answer.values().copied().collect(),
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
