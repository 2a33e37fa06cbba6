//! Pauses of creates and types, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::id::TypeName;
use dispatch_core::instance::InstanceType;
use dispatch_core::plan::Plan;
use dispatch_core::pool::{Gate, PauseReason, PoolSnapshot};
use dispatch_core::time::Timestamp;
use serde_json::{Value, json};

/// The pauses that have not ended, the drained types, and for each configured type what may be created of it, why not,
/// until when, what the cloud has said, and how many there are. O(types × pauses + workers).
pub(in crate::api) fn status(
    types: &[Arc<InstanceType>],
    plan: &Plan,
    pool: &PoolSnapshot,
    now: Timestamp,
) -> Value {
    let cordons = &pool.fleet.cordons;
    let pauses = cordons.pauses.iter().filter(|pause| now < pause.until).map(|pause| {
        json!({
            "scope": pause.scope.to_string(), "since": pause.note.at, "until": pause.until,
            "by": pause.note.by, "reason": pause.note.reason,
        })
    });
    let drained = cordons.drained.iter().map(
        |(name, note)| json!({ "instance_type": name, "since": note.at, "by": note.by, "reason": note.reason }),
    );
    let counts = counts(pool);
    let items = types.iter().map(|it| of_type(it, plan, pool, counts.get(&it.name), now));
    json!({
        "pauses": pauses.collect::<Vec<_>>(),
        "drained": drained.collect::<Vec<_>>(),
        "items": items.collect::<Vec<_>>(),
    })
}

/// One type, and what may be created of it.
fn of_type(
    it: &InstanceType,
    plan: &Plan,
    pool: &PoolSnapshot,
    count: Option<&Count>,
    now: Timestamp,
) -> Value {
    let mut value = json!({
        "instance_type": it.name,
        "provider_type": it.provider_type,
        "price": it.price,
        "vcpus": it.vcpus,
        "ram": it.ram,
        "preemptible": it.preemptible,
        "instances": count.map_or(0, |it| it.instances),
        "running": count.map_or(0, |it| it.running),
    });
    value["creates"] = gate(it, plan, pool, now);
    value
}

/// What may be created of a type: `{"state": "open"}`, or why not.
pub(in crate::api) fn gate(it: &InstanceType, plan: &Plan, pool: &PoolSnapshot, now: Timestamp) -> Value {
    // What an operator forbids, or allows again, is shown at once, before a plan has been made with it.
    let (gate, until) = match (pool.fleet.cordons.cause(it, now), plan.supply.gates.get(&it.name)) {
        (Some((cause, until)), _) => (Some(Gate::Paused(cause)), until),
        (None, Some(Gate::Paused(cause))) if cause.is_wanted() => (None, None),
        (None, gate) => (gate.copied(), plan.supply.ends.get(&it.name).copied()),
    };
    let mut value = match gate {
        None => json!({ "state": "unknown", "because": "no plan has been made with it yet" }),
        Some(Gate::Open) => return json!({ "state": "open" }),
        Some(Gate::Paused(cause)) => json!({
            "state": if cause == PauseReason::TypeDrained { "drained" } else { "paused" },
            "cause": cause, "because": cause.in_words(),
        }),
        Some(Gate::AtQuota(cause)) => {
            json!({ "state": "at_quota", "cause": cause, "because": cause.in_words() })
        }
        Some(Gate::AtCapacity(_)) => {
            json!({ "state": "at_capacity", "because": "the cloud has no more of it at the moment" })
        }
    };
    if let Some(until) = until.filter(|until| *until > now) {
        value["until"] = json!(until);
    }
    if let Some(refusal) = pool.refusals.get(&it.name) {
        value["cloud"] = json!({ "at": refusal.at, "code": refusal.code, "message": refusal.message });
    }
    value
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
