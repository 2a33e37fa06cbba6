//! What Scheduler holds, to be shown to developers.

use std::sync::Arc;

use dispatch_core::plan::{Plan, PlanInput};
use dispatch_core::time::Timestamp;
use serde::Serialize;

use super::Scheduler;

/// What Scheduler holds, and what is in flight since when.
#[derive(Serialize)]
pub(super) struct SchedulerState {
    /// The round whose actions are not all answered yet began then.
    round_in_flight_since: Option<Timestamp>,
    /// Somebody has nudged since the last round began.
    nudged: bool,
    /// The most containers at a time; 0 = no limit.
    ceiling: u32,
    /// The ceiling was last lowered for a 503 that was answered then.
    last_overload: Option<Timestamp>,
    /// Told to stop.
    quiescent: bool,
    /// What the last round was planned from, and when: enough to plan it again.
    input: Option<PlanInput>,
    planned_at: Option<Timestamp>,
    /// What the last round came to.
    plan: Arc<Plan>,
}

impl Scheduler {
    pub(super) fn inspect(&self) -> SchedulerState {
        SchedulerState {
            round_in_flight_since: self.running,
            nudged: self.nudged,
            ceiling: self.ceiling.limit(),
            last_overload: self.ceiling.last_overload(),
            quiescent: self.quiescent.get(),
            input: self.last.input.clone(),
            planned_at: self.last.planned_at,
            plan: Arc::clone(&self.last.plan),
        }
    }
}
