//! All that explains one container: what the list says of it, and what is too much for a list.
//!
//! ```text
//!   EntryView + who is ahead + each configured type, or the rule that excludes it + its instance + its events
//! ```

use dispatch_actors::clock;
use dispatch_core::container::ContainerState;
use dispatch_core::fit::exclusion;
use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::{IdleBehavior, InstanceType};
use dispatch_core::plan::{Plan, WaitReason, Waiting};
use dispatch_core::policy::Policy;
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::queue::Entry;
use dispatch_core::time::since;
use serde::Serialize;
use utoipa::ToSchema;

use super::creates;
use super::explain::Explanation;
use super::gate::GateView;
use super::shown;
use crate::api::description::words;

/// How many of those ahead are named.
const NAMED: usize = 5;

/// A configured type: its price, and what may be created of it, or the rule that excludes it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TypeVerdict<'a> {
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(rename = "Price")]
    price: f64,
    /// The rule, in words; null if the container may run there.
    #[schema(required)]
    excluded: Option<String>,
    /// Not there if it is excluded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    creates: Option<GateView<'a>>,
}

/// Those that stand before a container in its line.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ahead {
    count: usize,
    /// Some of them, the nearest first.
    #[schema(value_type = Vec<String>)]
    nearest: Vec<ContainerUuid>,
}

/// The instance on which a container has its place. If it has gone meanwhile, nothing but its name is known.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ReservedOn<'a> {
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = words::worker_state)]
    worker_state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = words::idle_behavior)]
    idle_behavior: Option<IdleBehavior>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    appeared_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    age_seconds: Option<u64>,
}

/// Adds to an explanation what only one who asks for that container alone is told. O(types × log + containers).
pub(super) fn add<'a>(
    explain: &mut Explanation<'a>,
    entry: &'a Entry,
    policy: &'a Policy,
    plan: &'a Plan,
    pool: &'a PoolSnapshot,
) {
    let types = policy.catalog.types().iter().map(|it| one_type(it, entry, policy, plan, pool));
    explain.types = Some(types.collect());
    let runs = entry.record.state == ContainerState::Running;
    if entry.market_losses > 0 {
        explain.market_losses = Some(entry.market_losses);
        explain.moved_on_demand = Some(entry.is_moved_on_demand());
    }
    explain.spot_notice = entry.record.preemption_notice.as_deref().filter(|_| runs);
    let Some(waiting) = plan.waiting.get(&entry.record.uuid) else { return };
    explain.in_words = Some(waiting.reason.in_words());
    explain.remedy = Some(waiting.reason.remedy());
    explain.ahead = Some(ahead(waiting, plan));
    explain.reserved_on = Some(reserved_on(waiting, pool));
    let until = plan.first_at_quota.get(&entry.record.uuid).copied().flatten();
    explain.others_let_past_until = until.map(shown);
}

fn one_type<'a>(
    it: &'a InstanceType,
    entry: &Entry,
    policy: &Policy,
    plan: &Plan,
    pool: &'a PoolSnapshot,
) -> TypeVerdict<'a> {
    let excluded =
        exclusion(entry.market(), &policy.catalog, it, &entry.needs, &entry.record, &policy.sizing);
    let creates = excluded.is_none().then(|| creates::gate(it, plan, pool, clock::now()));
    TypeVerdict { name: it.name.as_str(), price: it.price.per_hour(), excluded, creates }
}

/// Supervisors over their share have a line of their own.
fn is_apart(waiting: &Waiting) -> bool {
    matches!(waiting.reason, WaitReason::OverSupervisors { .. })
}

/// Those that stand before it in its line, the nearest first.
fn ahead(waiting: &Waiting, plan: &Plan) -> Option<Ahead> {
    let position = waiting.position?;
    let before = plan.order.iter().filter_map(|uuid| {
        let other = plan.waiting.get(uuid)?;
        let is_in_line = is_apart(other) == is_apart(waiting);
        other.position.filter(|at| is_in_line && *at < position).map(|at| (at, *uuid))
    });
    let mut before: Vec<_> = before.collect();
    before.sort_unstable();
    let nearest = before.iter().rev().take(NAMED).map(|(_, uuid)| *uuid).collect();
    Some(Ahead { count: position.saturating_sub(1), nearest })
}

/// The instance on which it has its place.
fn reserved_on<'a>(waiting: &'a Waiting, pool: &'a PoolSnapshot) -> Option<ReservedOn<'a>> {
    let id = waiting.instance.as_ref()?;
    let instance = id.as_str();
    let found = pool.workers.binary_search_by(|worker| worker.view.id.cmp(id)).ok();
    let Some(view) = found.map(|place| &pool.workers[place].view) else {
        return Some(ReservedOn { instance, ..ReservedOn::default() });
    };
    Some(ReservedOn {
        instance,
        worker_state: Some(view.state.as_str()),
        idle_behavior: Some(view.behavior),
        appeared_at: Some(shown(view.appeared)),
        age_seconds: Some(since(clock::now(), view.appeared).as_secs()),
    })
}
