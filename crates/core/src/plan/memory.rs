//! What is remembered from one round to the next, because a plan has no memory: who has waited for a quota before all others
//! since when, and who is known to have been let past them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Firsts, Plan, WaitReason};
use crate::id::{ContainerUuid, InstanceId};
use crate::policy::PlanRules;
use crate::time::Timestamp;

/// Owned by the Scheduler. Nothing is remembered while nobody is let past anybody.
#[derive(Debug, Default)]
pub struct Memory {
    firsts: Arc<Firsts>,
    let_past: BTreeSet<ContainerUuid>,
}

impl Memory {
    /// Who has waited for a quota before all others, for the next round's input.
    pub fn firsts(&self) -> Arc<Firsts> {
        Arc::clone(&self.firsts)
    }

    /// Takes a plan in. Returns who was let past others, and onto which instance; each is named once for each place that it
    /// gets so. O((firsts + let past) × log).
    pub fn take_in<'a>(
        &mut self,
        plan: &'a Plan,
        rules: &PlanRules,
        now: Timestamp,
    ) -> Vec<(ContainerUuid, Option<&'a InstanceId>)> {
        let is_off = rules.backfill_patience.is_zero();
        let firsts = if is_off { Firsts::default() } else { self.firsts.after(plan, now) };
        // The same value keeps its address: inputs are compared by it.
        if firsts != *self.firsts {
            self.firsts = Arc::new(firsts);
        }
        let news = plan.backfilled.difference(&self.let_past).map(|uuid| {
            let instance = plan.waiting.get(uuid).and_then(|waiting| waiting.instance.as_ref());
            (*uuid, instance)
        });
        let news = news.collect();
        let has_a_place = |uuid: &ContainerUuid| {
            plan.waiting.get(uuid).is_some_and(|waiting| waiting.reason == WaitReason::Allocated)
        };
        self.let_past.retain(has_a_place);
        self.let_past.extend(plan.backfilled.iter().copied());
        news
    }
}
