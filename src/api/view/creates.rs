//! Pauses of creates and types, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::id::TypeName;
use dispatch_core::instance::InstanceType;
use dispatch_core::note::Note;
use dispatch_core::plan::Plan;
use dispatch_core::pool::{Gate, Pause, PauseReason, PoolSnapshot};
use dispatch_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::gate::{Cause, GateState, GateView};
use super::shown;

/// What operators have forbidden to be created, and what may be created of each type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Creates)]
pub struct CreatesView<'a> {
    pauses: Vec<PauseView<'a>>,
    drained: Vec<DrainedView<'a>>,
    items: Vec<CreatesOfTypeView<'a>>,
}

/// A pause of creates.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pause)]
struct PauseView<'a> {
    /// `all`, a market, or the name of a type.
    scope: String,
    #[schema(format = DateTime)]
    since: String,
    #[schema(format = DateTime)]
    until: String,
    /// Who has asked for it, as claimed; empty if that was not said.
    by: &'a str,
    reason: &'a str,
}

/// A type that is drained.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DrainedType)]
struct DrainedView<'a> {
    instance_type: &'a str,
    #[schema(format = DateTime)]
    since: String,
    /// Who has asked for it, as claimed; empty if that was not said.
    by: &'a str,
    reason: &'a str,
}

/// A configured type, and what may be created of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatesOfType)]
struct CreatesOfTypeView<'a> {
    instance_type: &'a str,
    provider_type: &'a str,
    price: f64,
    vcpus: u64,
    ram: u64,
    preemptible: bool,
    /// How many there are.
    instances: usize,
    /// How many containers have a process on them.
    running: usize,
    creates: GateView<'a>,
}

/// The pauses that have not ended, the drained types, and for each configured type what may be created of it, why not,
/// until when, what the cloud has said, and how many there are. O(types × pauses + workers).
pub(in crate::api) fn status<'a>(
    types: &'a [Arc<InstanceType>],
    plan: &Plan,
    pool: &'a PoolSnapshot,
    now: Timestamp,
) -> CreatesView<'a> {
    let cordons = &pool.fleet.cordons;
    let counts = counts(pool);
    let of_type = |it: &'a Arc<InstanceType>| of_type(it, plan, pool, counts.get(&it.name), now);
    CreatesView {
        pauses: cordons.pauses.iter().filter(|pause| now < pause.until).map(PauseView::of).collect(),
        drained: cordons.drained.iter().map(|(name, note)| DrainedView::of(name, note)).collect(),
        items: types.iter().map(of_type).collect(),
    }
}

impl<'a> PauseView<'a> {
    fn of(pause: &'a Pause) -> Self {
        let Note { at, by, reason, .. } = &pause.note;
        Self { scope: pause.scope.to_string(), since: shown(*at), until: shown(pause.until), by, reason }
    }
}

impl<'a> DrainedView<'a> {
    fn of(name: &'a TypeName, note: &'a Note) -> Self {
        let Note { at, by, reason, .. } = note;
        Self { instance_type: name.as_str(), since: shown(*at), by, reason }
    }
}

/// One type, and what may be created of it.
fn of_type<'a>(
    it: &'a InstanceType,
    plan: &Plan,
    pool: &'a PoolSnapshot,
    count: Option<&Count>,
    now: Timestamp,
) -> CreatesOfTypeView<'a> {
    CreatesOfTypeView {
        instance_type: it.name.as_str(),
        provider_type: it.provider_type.as_str(),
        price: it.price.per_hour(),
        vcpus: it.vcpus,
        ram: it.ram,
        preemptible: it.preemptible,
        instances: count.map_or(0, |it| it.instances),
        running: count.map_or(0, |it| it.running),
        creates: gate(it, plan, pool, now),
    }
}

/// What may be created of a type: `{"state": "open"}`, or why not.
pub(super) fn gate<'a>(
    it: &InstanceType,
    plan: &Plan,
    pool: &'a PoolSnapshot,
    now: Timestamp,
) -> GateView<'a> {
    // What an operator forbids, or allows again, is shown at once, before a plan has been made with it.
    let (gate, until) = match (pool.fleet.cordons.cause(it, now), plan.supply.gates.get(&it.name)) {
        (Some((cause, until)), _) => (Some(Gate::Paused(cause)), until),
        (None, Some(Gate::Paused(cause))) if cause.is_wanted() => (None, None),
        (None, gate) => (gate.copied(), plan.supply.ends.get(&it.name).copied()),
    };
    let said = pool.refusals.get(&it.name);
    if gate == Some(Gate::Open) {
        // What is accepted, and ended at once, has no other place to say why.
        return GateView::of(Gate::Open).until(None, said.filter(|said| said.is_end()));
    }
    let until = until.filter(|until| *until > now);
    explained(gate).until(until, said)
}

/// A gate that is not open, with its cause in words.
fn explained<'a>(gate: Option<Gate>) -> GateView<'a> {
    let Some(gate) = gate else {
        let because = Some("no plan has been made with it yet");
        return GateView { state: GateState::Unknown, because, ..GateView::default() };
    };
    let view = GateView::of(gate);
    let because = match view.cause {
        Some(Cause::Paused(cause)) => cause.in_words(),
        Some(Cause::AtQuota(cause)) => cause.in_words(),
        None => "the cloud has no more of it at the moment",
    };
    let is_drained = view.cause == Some(Cause::Paused(PauseReason::TypeDrained));
    let state = if is_drained { GateState::Drained } else { view.state };
    GateView { state, because: Some(because), ..view }
}

#[derive(Default)]
struct Count {
    instances: usize,
    running: usize,
}

fn counts(pool: &PoolSnapshot) -> BTreeMap<&TypeName, Count> {
    let mut counts = BTreeMap::<_, Count>::new();
    for worker in &pool.workers {
        if let Some(name) = &worker.view.type_name {
            let count = counts.entry(name).or_default();
            count.instances += 1;
            count.running += worker.containers().count();
        }
    }
    counts
}
