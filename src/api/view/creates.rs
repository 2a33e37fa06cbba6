//! Pauses of creates and types, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::id::TypeName;
use dispatch_core::instance::InstanceType;
use dispatch_core::plan::Plan;
use dispatch_core::pool::{Gate, PauseReason, PoolSnapshot, QuotaReason};
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
    let supply = &plan.supply;
    // Pauses are shown at once, before a plan has been made with them.
    let is_paused = pool.fleet.cordons.applying(it, now).next().is_some();
    let gate = match supply.gates.get(&it.name) {
        _ if is_paused => Some(&Gate::Paused(PauseReason::Operator)),
        Some(Gate::Paused(PauseReason::Operator | PauseReason::TypeDrained)) => None,
        gate => gate,
    };
    let (state, why) = match (pool.fleet.cordons.drained.get(&it.name), gate) {
        (Some(_), _) => ("drained", Some(PauseReason::TypeDrained.in_words())),
        (None, None) => ("unknown", Some("no plan has been made with it yet")),
        (None, Some(Gate::Open)) => ("open", None),
        (None, Some(Gate::Paused(cause))) => ("paused", Some(cause.in_words())),
        (None, Some(Gate::AtQuota(QuotaReason::Account))) => {
            ("at-quota", Some("the account may not have more instances"))
        }
        (None, Some(Gate::AtQuota(QuotaReason::MaxInstances))) => {
            ("at-quota", Some("MaxInstances is reached"))
        }
        (None, Some(Gate::AtCapacity(_))) => {
            ("at-capacity", Some("the cloud has no more of it at the moment"))
        }
    };
    let paused = pool.fleet.cordons.cause(it, now).and_then(|(_, until)| until);
    let until = paused.or_else(|| supply.ends.get(&it.name).copied());
    let mut value = json!({ "state": state });
    if let Some(why) = why {
        value["because"] = why.into();
    }
    if let Some(until) = until.filter(|until| state != "open" && state != "drained" && *until > now) {
        value["until"] = json!(until);
    }
    if let Some(refusal) = pool.refusals.get(&it.name).filter(|_| state != "open") {
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
