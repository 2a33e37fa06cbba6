//! The gauges, from the last snapshots. O(containers + workers), once a second, counted elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use dispatch_core::container::ContainerState;
use dispatch_core::ledger::Category;
use dispatch_core::pool::{Pause, WorkerSnapshot};
use dispatch_core::time::{Timestamp, since};
use dispatch_core::worker::State;
use jiff::SignedDuration;

use super::Scheduler;
use crate::clock;
use crate::messages::scheduler::PlanView;
use crate::metrics::GaugeFacts;

impl Scheduler {
    /// Counts elsewhere, and shows what was counted.
    pub(super) fn set_gauges(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.counting, true) {
            return;
        }
        // The controller has dated its records by the wall clock.
        let (last, active) = (self.last.clone(), !self.quiescent.get());
        let dates = Dates { now: clock::wall_time(), correction: clock::correction() };
        let facts = self.long_work.run(move || gauge_facts(&last, active, dates)).into_actor(self);
        ctx.spawn(facts.map(|facts, act, _| {
            act.counting = false;
            act.metrics.set_gauges(&facts);
        }));
    }
}

/// A destroyed instance is listed for no longer than that, usually.
const NOT_ENDING: Duration = Duration::from_secs(300);

/// How dates of ours are shown.
#[derive(Clone, Copy)]
struct Dates {
    /// By the wall clock.
    now: Timestamp,
    /// By how much that has been corrected.
    correction: SignedDuration,
}

impl Dates {
    fn shown(self, at: Timestamp) -> Timestamp {
        at.checked_add(self.correction).unwrap_or(at)
    }
}

fn gauge_facts(last: &PlanView, active: bool, dates: Dates) -> GaugeFacts {
    let PlanView { queue, pool, plan, .. } = last;
    let (oldest, median) = pool.probe_ages;
    let mut facts = GaugeFacts {
        containers_running: pool
            .snapshot
            .workers
            .iter()
            .map(|worker| worker.containers().count() as u64)
            .sum(),
        containers_allocated_not_started: plan.facts.allocated_not_started as u64,
        containers_not_allocated_over_quota: plan.facts.over_quota as u64,
        at_quota: plan.supply.at_quota(),
        last_503: queue.last_overload.map(|at| dates.shown(at)),
        max_concurrent_containers: u64::from(last.ceiling),
        probe_age_max: Duration::from_secs_f64(oldest),
        probe_age_median: Duration::from_secs_f64(median),
        last_poll_success: queue.last_success.map(|at| dates.shown(at)),
        last_sync_success: pool.snapshot.fleet.listings.last().map(|at| dates.shown(*at)),
        active,
        creates_paused: is_paused(last, dates),
        own_side_fails: pool.snapshot.fleet.own_side_fails,
        spent: Arc::clone(&pool.spent),
        ..GaugeFacts::default()
    };
    for worker in &pool.snapshot.workers {
        add_worker(&mut facts, worker);
        facts.not_ending += u64::from(does_not_end(worker, dates));
        facts.drifted += u64::from(worker.view.drifted && worker.view.state != State::Shutdown);
        facts.renewing += u64::from(worker.view.renewal.is_some());
    }
    add_containers(&mut facts, last, dates);
    facts
}

/// Whether an operator keeps something from being created.
fn is_paused(last: &PlanView, dates: Dates) -> bool {
    let cordons = &last.pool.snapshot.fleet.cordons;
    let lasts = |pause: &Pause| dates.shown(pause.until) > dates.now;
    !cordons.drained.is_empty() || cordons.pauses.iter().any(lasts)
}

fn add_containers(facts: &mut GaugeFacts, last: &PlanView, dates: Dates) {
    let workers = &last.pool.snapshot.workers;
    let with_process: BTreeSet<_> = workers.iter().flat_map(WorkerSnapshot::containers).collect();
    for entry in &last.queue.snapshot.entries {
        let state = entry.record.state;
        if matches!(state, ContainerState::Queued | ContainerState::Locked | ContainerState::Running) {
            let cheapest = entry.types().first().map_or("", |it| it.name.as_str());
            *facts.queue_entries.entry((state, cheapest.to_owned())).or_default() += 1;
        }
        if entry.is_waiting() && !with_process.contains(&entry.record.uuid) {
            let created = entry.record.created_at.unwrap_or_else(|| dates.shown(entry.first_seen));
            facts.longest_wait = facts.longest_wait.max(since(dates.now, created));
        }
    }
}

fn does_not_end(worker: &WorkerSnapshot, dates: Dates) -> bool {
    // The first call counts: later ones repeat it.
    let began = worker.view.ending_since.filter(|_| worker.view.destroy_called.is_some());
    began.is_some_and(|began| since(dates.now, dates.shown(began)) > NOT_ENDING)
}

fn add_worker(facts: &mut GaugeFacts, worker: &WorkerSnapshot) {
    let is_busy = worker.containers().next().is_some();
    let category = Category::of(is_busy, &worker.view);
    let type_name = worker.view.type_name.as_ref().map_or_else(String::new, ToString::to_string);
    *facts.instances.entry((category, type_name)).or_default() += 1;
    // A worker whose type is not configured any more is counted; what it costs is not known.
    if let Some(it) = &worker.view.like {
        *facts.price.entry(category).or_default() += it.price.per_hour();
        *facts.vcpus.entry(category).or_default() += it.vcpus;
        *facts.memory_bytes.entry(category).or_default() += it.ram;
    }
}
