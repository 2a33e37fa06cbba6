//! Plans rounds one after another: an input that has not changed is not planned again.
//!
//! ```text
//!   PlanInput ─► the same as the last, and nothing has come due by the clock? ─ no ──► plan
//!                                                                             └ yes ─► the last plan, shared
//! ```
//! Most rounds are made because a probe was answered or a second has passed, and there is nothing to do.
//! [`plan`](super::plan) depends only on what is compared here, so the result is the same.

use std::sync::Arc;

use super::input::{Clocked, InputSummary, PlanInput};
use super::{Plan, plan_clocked};
use crate::time::Timestamp;

/// Plans rounds, and remembers the last.
#[derive(Debug, Default)]
pub struct Planner {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    input: PlanInput,
    summary: InputSummary,
    clocked: Clocked,
    plan: Arc<Plan>,
}

impl Planner {
    /// The same as [`plan`](super::plan). If nothing has changed it costs one comparison of addresses for
    /// each container and worker.
    pub fn plan(&mut self, input: &PlanInput, now: Timestamp) -> Arc<Plan> {
        self.plan_clocked_by(input, |summary| input.clocked(summary, now))
    }

    pub(super) fn plan_clocked_by(
        &mut self,
        input: &PlanInput,
        clocked: impl FnOnce(&InputSummary) -> Clocked,
    ) -> Arc<Plan> {
        let same = self.last.take().filter(|last| last.input == *input);
        let (summary, planned) = match same {
            Some(last) => (last.summary, Some((last.clocked, last.plan))),
            None => (input.summary(), None),
        };
        let clocked = clocked(&summary);
        let plan = match planned {
            Some((before, plan)) if before == clocked => plan,
            _ => Arc::new(plan_clocked(input, &summary, &clocked)),
        };
        self.last = Some(Last { input: input.clone(), summary, clocked, plan: Arc::clone(&plan) });
        plan
    }
}
