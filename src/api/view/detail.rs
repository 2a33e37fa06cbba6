//! All that explains one container: what the list says of it, and what is too much for a list.
//!
//! ```text
//!   EntryView + who is ahead + each configured type, or the rule that excludes it + its instance + its events
//! ```
//! What has left the queue is explained by its events alone.

use dispatch_actors::clock;
use dispatch_actors::history::Happened;
use dispatch_core::fit::exclusion;
use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::InstanceType;
use dispatch_core::plan::{Plan, Waiting};
use dispatch_core::policy::Policy;
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::queue::Entry;
use dispatch_core::time::{Timestamp, since};
use serde_json::{Value, json};

use super::{creates, wall_dates};

/// How many of those ahead are named.
const NAMED: usize = 5;
/// For so long an ended container is explained.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(3600);

/// Adds to a container's view what only one who asks for it alone is told. O(types × log + containers).
pub(in crate::api) fn add(
    view: &mut Value,
    entry: &Entry,
    policy: &Policy,
    plan: &Plan,
    pool: &PoolSnapshot,
) {
    let waiting = plan.waiting.get(&entry.record.uuid);
    let types = policy.catalog.types().iter().map(|it| one_type(it, entry, policy, plan, pool));
    view["explain"]["types"] = types.collect();
    let Some(waiting) = waiting else { return };
    view["explain"]["in_words"] = waiting.reason.in_words().into();
    view["explain"]["remedy"] = waiting.reason.remedy().into();
    view["explain"]["ahead"] = ahead(waiting, plan);
    view["explain"]["reserved_on"] = reserved_on(waiting, pool);
}

/// A configured type: its price, and what may be created of it, or the rule that excludes it.
fn one_type(it: &InstanceType, entry: &Entry, policy: &Policy, plan: &Plan, pool: &PoolSnapshot) -> Value {
    let excluded = exclusion(&policy.catalog, it, &entry.needs, &entry.record, &policy.sizing);
    let mut value = json!({ "Name": it.name, "Price": it.price, "excluded": excluded });
    if excluded.is_none() {
        value["creates"] = wall_dates(creates::gate(it, plan, pool));
    }
    value
}

/// Those that stand before it in its line, the nearest first.
fn ahead(waiting: &Waiting, plan: &Plan) -> Value {
    let Some(position) = waiting.position else { return Value::Null };
    let before = plan.order.iter().filter_map(|uuid| {
        let other = plan.waiting.get(uuid)?;
        let is_in_line = std::mem::discriminant(&other.reason) == std::mem::discriminant(&waiting.reason)
            || !matches!(other.reason, dispatch_core::plan::WaitReason::OverSupervisors { .. });
        other.position.filter(|at| is_in_line && *at < position).map(|at| (at, *uuid))
    });
    let mut before: Vec<_> = before.collect();
    before.sort_unstable();
    let nearest: Vec<_> = before.iter().rev().take(NAMED).map(|(_, uuid)| uuid).collect();
    json!({ "count": position - 1, "nearest": nearest })
}

/// The instance on which it has its place.
fn reserved_on(waiting: &Waiting, pool: &PoolSnapshot) -> Value {
    let Some(id) = &waiting.instance else { return Value::Null };
    let found = pool.workers.binary_search_by(|worker| worker.view.id.cmp(id)).ok();
    let Some(view) = found.map(|place| &pool.workers[place].view) else { return json!({ "instance": id }) };
    json!({
        "instance": id, "worker_state": view.state.as_str(), "idle_behavior": view.behavior,
        "appeared_at": clock::shown(view.appeared), "age_seconds": since(clock::now(), view.appeared).as_secs(),
    })
}

/// What its events tell, oldest first.
pub(in crate::api) fn events(of: &[Happened]) -> Value {
    let told = of.iter().filter_map(|event| {
        let mut told: Value = serde_json::from_str(&event.json).ok()?;
        told["seq"] = event.seq.into();
        Some(told)
    });
    told.collect()
}

/// How one has left the queue: by the last of its events. `None`: it is not known to have left it within the last hour.
pub(in crate::api) fn ended(uuid: ContainerUuid, events: &Value, now: Timestamp) -> Option<Value> {
    const LEFT: [&str; 4] = [
        "container finished -- dropping from queue",
        "container on hold -- dropping from queue",
        "dropping container from queue",
        "container not found by controller (deleted?)",
    ];
    let left = events
        .as_array()?
        .iter()
        .rfind(|event| event["msg"].as_str().is_some_and(|it| LEFT.contains(&it)))?;
    let at: Timestamp = left["time"].as_str()?.parse().ok()?;
    if since(now, at) > REMEMBERED {
        return None;
    }
    let state = left["State"].as_str().unwrap_or_default();
    let (reason, words) = match left["msg"].as_str().unwrap_or_default() {
        "container on hold -- dropping from queue" => {
            ("priority_zero", "its user does not want it to run: its priority is 0, and nothing of it runs")
        }
        "container not found by controller (deleted?)" => {
            ("deleted", "the controller does not know it any more")
        }
        "container finished -- dropping from queue" if state == "Complete" => ("complete", "it has ended"),
        "container finished -- dropping from queue" => ("cancelled", "it was cancelled"),
        _ => ("dropped", "it is not ours to look after any more"),
    };
    Some(json!({
        "container": { "uuid": uuid, "state": state },
        "scheduling_status": "",
        "explain": { "reason": reason, "in_words": words, "left_at": at, "position": null, "instances": [] },
        "events": events,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid() -> ContainerUuid {
        "zzzzz-dz642-000000000000001".parse().unwrap()
    }

    fn left(message: &str, state: &str) -> Value {
        json!([
            { "msg": "crunch-run process ended", "time": "2026-11-30T09:00:00Z" },
            { "msg": message, "time": "2026-11-30T09:00:01Z", "State": state },
        ])
    }

    #[test]
    fn what_has_left_the_queue_is_explained_for_an_hour() {
        let (soon, late) = ("2026-11-30T10:00:00Z".parse().unwrap(), "2026-11-30T10:00:02Z".parse().unwrap());
        let finished = "container finished -- dropping from queue";
        for (message, state, reason) in [
            (finished, "Complete", "complete"),
            (finished, "Cancelled", "cancelled"),
            ("container on hold -- dropping from queue", "Queued", "priority_zero"),
            ("container not found by controller (deleted?)", "Queued", "deleted"),
            ("dropping container from queue", "Locked", "dropped"),
        ] {
            let events = left(message, state);
            let shown = ended(uuid(), &events, soon).unwrap();
            assert_eq!(
                (&shown["explain"]["reason"], &shown["container"]["state"]),
                (&json!(reason), &json!(state))
            );
            assert_eq!(ended(uuid(), &events, late), None);
        }
        assert_eq!(ended(uuid(), &json!([]), soon), None);
    }
}
