//! Rounds one after another: what was planned already is not planned again.
//!
//! ```text
//!   snapshots ─► anything new that a plan looks at? ─ yes ─► plan
//!                                                   └ no ──► the last plan, shared
//! ```
//! Most rounds are made because a probe was answered or a second has passed, and there is nothing to do.
//! [`plan`](super::plan) depends on nothing but what is compared here, so the result is the same.

use std::sync::Arc;

use super::stale::Phase;
use super::{Inputs, Limits, Plan, plan_in};
use crate::policy::Policy;
use crate::pool::{PendingCreate, PoolSnapshot, WorkerSnapshot};
use crate::queue::{Entry, QueueSnapshot};
use crate::time::Timestamp;
use crate::worker::{ProcessView, View};

/// Plans rounds, and remembers the last.
#[derive(Debug)]
pub struct Planner {
    policy: Arc<Policy>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    queue: Arc<QueueSnapshot>,
    pool: Arc<PoolSnapshot>,
    has_unknown_workers: bool,
    limits: Limits,
    phase: Phase,
    plan: Arc<Plan>,
}

impl Planner {
    /// Before the first round.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self { policy, last: None }
    }

    /// The same as [`plan`](super::plan). Without news it costs one comparison a container and worker.
    pub fn plan(
        &mut self,
        queue: &Arc<QueueSnapshot>,
        pool: &Arc<PoolSnapshot>,
        limits: &Limits,
        now: Timestamp,
    ) -> Arc<Plan> {
        let same = |last: &&Last| is_same_queue(&last.queue, queue) && is_same_pool(&last.pool, pool);
        let same = self.last.as_ref().filter(same);
        let has_unknown_workers =
            same.map_or_else(|| pool.has_unknown_workers(), |last| last.has_unknown_workers);
        let inputs = Inputs { queue, pool, limits, policy: &self.policy, has_unknown_workers };
        let phase = inputs.phase(now);
        let plan = match same.filter(|last| last.phase == phase && last.limits == *limits) {
            Some(last) => Arc::clone(&last.plan),
            None => Arc::new(plan_in(phase, inputs)),
        };
        let (queue, pool) = (Arc::clone(queue), Arc::clone(pool));
        let limits = *limits;
        self.last = Some(Last { queue, pool, has_unknown_workers, limits, phase, plan: Arc::clone(&plan) });
        plan
    }
}

/// A finished poll is news: what ended before it is now believed.
fn is_same_queue(a: &Arc<QueueSnapshot>, b: &Arc<QueueSnapshot>) -> bool {
    if Arc::ptr_eq(a, b) {
        return true;
    }
    let QueueSnapshot { entries, unreadable, looked, me: _, first_poll_began, polled_at } = &**a;
    let is_same = |(a, b): (&Arc<Entry>, &Arc<Entry>)| Arc::ptr_eq(a, b) || a == b;
    *first_poll_began == b.first_poll_began
        && *polled_at == b.polled_at
        && entries.len() == b.entries.len()
        && *unreadable == b.unreadable
        && *looked == b.looked
        && entries.iter().zip(&b.entries).all(is_same)
}

fn is_same_pool(a: &Arc<PoolSnapshot>, b: &Arc<PoolSnapshot>) -> bool {
    if Arc::ptr_eq(a, b) {
        return true;
    }
    // Every field by name: a new one must be decided upon.
    let PoolSnapshot {
        workers,
        pending,
        ended,
        last_failed,
        gates,
        on_trial,
        creates_left,
        instances_left,
        near_quota_left,
        widths,
        refused_types,
        first_listing,
        listings,
        runner_readable,
    } = &**a;
    *creates_left == b.creates_left
        && *instances_left == b.instances_left
        && *first_listing == b.first_listing
        && *listings == b.listings
        && *runner_readable == b.runner_readable
        && *gates == b.gates
        && *on_trial == b.on_trial
        && *near_quota_left == b.near_quota_left
        && *widths == b.widths
        && *refused_types == b.refused_types
        && *ended == b.ended
        && *last_failed == b.last_failed
        && is_same_list(pending, &b.pending, |(_, a), (_, b)| is_same_create(a, b))
        && is_same_list(workers, &b.workers, is_same_worker)
}

fn is_same_list<T>(a: &[T], b: &[T], is_same: impl Fn(&T, &T) -> bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
}

fn is_same_create(a: &PendingCreate, b: &PendingCreate) -> bool {
    a.instance_type == b.instance_type
}

fn is_same_worker(a: &WorkerSnapshot, b: &WorkerSnapshot) -> bool {
    let WorkerSnapshot { view, sent, missing, instance: _ } = a;
    *missing == b.missing && *sent == b.sent && (Arc::ptr_eq(view, &b.view) || is_same_view(view, &b.view))
}

/// When it was probed, and where it can be reached, is nothing that a plan looks at.
fn is_same_view(a: &View, b: &View) -> bool {
    let View {
        id,
        type_name: _,
        instance_type,
        provider_type: _,
        address: _,
        state,
        behavior,
        processes,
        stale,
        last_container: _,
        last_busy: _,
        appeared: _,
        last_success,
        seen_whole,
        silence: _,
        probing: _,
        next_probe: _,
        destroy_acknowledged: _,
        destroy_called: _,
        ours,
    } = a;
    *state == b.state
        && *behavior == b.behavior
        && *ours == b.ours
        && *seen_whole == b.seen_whole
        && last_success.is_some() == b.last_success.is_some()
        && *id == b.id
        && *instance_type == b.instance_type
        && *stale == b.stale
        && is_same_list(processes, &b.processes, is_same_process)
}

fn is_same_process(a: &ProcessView, b: &ProcessView) -> bool {
    let ProcessView { uuid, unconfirmed: _, unsent: _, killing, given_up: _ } = a;
    *uuid == b.uuid && *killing == b.killing
}
