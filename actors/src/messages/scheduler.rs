//! What Scheduler is asked and told.

use std::sync::Arc;

use actix::Message;
use dispatch_core::ceiling::CeilingFacts;
use dispatch_core::plan::{Plan, PlanInput, RoundRecord};
use dispatch_core::time::Timestamp;

use super::pool::PoolView;
use super::queue::QueueView;

/// A nudge without data: the queue has changed, look again.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct QueueChanged;

/// A nudge without data: the pool has changed, look again.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct PoolChanged;

/// What was planned last, and from what?
#[derive(Debug, Message)]
#[rtype(result = "PlanView")]
pub struct GetPlan;

/// The answer to [`GetPlan`]: immutable, and cheap to pass on.
#[derive(Debug, Clone, Default)]
pub struct PlanView {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What it was made from; `None` before the first round.
    pub input: Option<PlanInput>,
    /// When; `None` before the first round.
    pub planned_at: Option<Timestamp>,
    /// The queue at that moment.
    pub queue: QueueView,
    /// The pool at that moment.
    pub pool: PoolView,
    /// The most containers at a time then; 0 = no limit.
    pub ceiling: u32,
    /// How that has come about.
    pub ceiling_facts: CeilingFacts,
}

/// Is told of each round that was planned anew. It must not wait for anything.
pub type TellRound = Box<dyn FnMut(&PlanView)>;

impl PlanView {
    /// The round as it is written down; `None` before the first.
    pub fn record(&self) -> Option<RoundRecord<'_>> {
        let (input, now) = (self.input.as_ref()?, self.planned_at?);
        Some(RoundRecord { now, input, plan: &self.plan, ceiling: self.ceiling_facts })
    }
}
