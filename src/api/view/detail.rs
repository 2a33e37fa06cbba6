//! All that explains one container: what the list says of it, and what is too much for a list.
//!
//! ```text
//!   EntryView + who is ahead + each configured type, or the rule that excludes it + its instance + its events
//! ```
//! What has left the queue is explained by its events alone.

use std::collections::BTreeMap;

use dispatch_actors::catalogue::{
    CONTAINER_DROPPED as DROPPED, CONTAINER_FINISHED as FINISHED, CONTAINER_NOT_FOUND as NOT_FOUND,
    CONTAINER_ON_HOLD as ON_HOLD,
};
use dispatch_actors::clock;
use dispatch_actors::history::Happened;
use dispatch_core::fit::exclusion;
use dispatch_core::instance::InstanceType;
use dispatch_core::plan::{Plan, WaitReason, Waiting};
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
        value["creates"] = wall_dates(creates::gate(it, plan, pool, clock::now()));
    }
    value
}

/// Supervisors over their share have a line of their own.
fn is_apart(waiting: &Waiting) -> bool {
    matches!(waiting.reason, WaitReason::OverSupervisors { .. })
}

/// Those that stand before it in its line, the nearest first.
fn ahead(waiting: &Waiting, plan: &Plan) -> Value {
    let Some(position) = waiting.position else { return Value::Null };
    let before = plan.order.iter().filter_map(|uuid| {
        let other = plan.waiting.get(uuid)?;
        let is_in_line = is_apart(other) == is_apart(waiting);
        other.position.filter(|at| is_in_line && *at < position).map(|at| (at, *uuid))
    });
    let mut before: Vec<_> = before.collect();
    before.sort_unstable();
    let nearest: Vec<_> = before.iter().rev().take(NAMED).map(|(_, uuid)| uuid).collect();
    json!({ "count": position.saturating_sub(1), "nearest": nearest })
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

/// How a container has left the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Left {
    at: Timestamp,
    state: String,
    reason: &'static str,
    words: &'static str,
}

/// How one has left the queue: by the last of its events. `None`: it is not known to have left it within the last hour, or
/// has gone to another dispatcher, which answers for it.
pub(in crate::api) fn left(events: &Value, now: Timestamp) -> Option<Left> {
    const LEFT: [&str; 4] = [FINISHED.message, ON_HOLD.message, DROPPED.message, NOT_FOUND.message];
    let message_of = |event: &Value| event["msg"].as_str().unwrap_or_default().to_owned();
    let last = events.as_array()?.iter().rfind(|event| LEFT.contains(&message_of(event).as_str()))?;
    let at: Timestamp = last["time"].as_str()?.parse().ok()?;
    if since(now, at) > REMEMBERED {
        return None;
    }
    let state = last["State"].as_str().unwrap_or_default().to_owned();
    let message = message_of(last);
    let (reason, words) = if message == FINISHED.message && state == "Complete" {
        ("complete", "it has ended")
    } else if message == FINISHED.message {
        ("cancelled", "it was cancelled")
    } else if message == ON_HOLD.message {
        ("priority_zero", "its user does not want it to run: its priority is 0, and nothing of it runs")
    } else if message == NOT_FOUND.message {
        ("deleted", "the controller does not know it any more")
    } else if last["Reason"] == "beyond horizon" {
        (
            "beyond_horizon",
            "it waits behind more containers than can be started: it is looked at when they are fewer",
        )
    } else {
        return None;
    };
    Some(Left { at, state, reason, words })
}

/// Says in the view of a container of which nothing else is known how it has left the queue.
pub(in crate::api) fn add_left(view: &mut Value, left: Left, events: &Value) {
    let Left { at, state, reason, words } = left;
    if reason == "priority_zero"
        && let Ok(state) = serde_json::from_value(json!(state))
    {
        let waiting = Waiting { position: None, reason: WaitReason::PriorityZero { state }, instance: None };
        view["scheduling_status"] = waiting.text(&BTreeMap::new()).into();
    }
    view["container"]["state"] = state.into();
    let explain = &mut view["explain"];
    explain["reason"] = reason.into();
    explain["in_words"] = words.into();
    explain["left_at"] = json!(at);
    view["events"] = events.clone();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(message: &str, state: &str, reason: &str) -> Value {
        json!([
            { "msg": "crunch-run process ended", "time": "2026-11-30T09:00:00Z" },
            { "msg": message, "time": "2026-11-30T09:00:01Z", "State": state, "Reason": reason },
        ])
    }

    #[test]
    fn what_has_left_the_queue_is_explained_for_an_hour() {
        let (soon, late) = ("2026-11-30T10:00:00Z".parse().unwrap(), "2026-11-30T10:00:02Z".parse().unwrap());
        for (message, state, why, reason) in [
            (FINISHED.message, "Complete", "", "complete"),
            (FINISHED.message, "Cancelled", "", "cancelled"),
            (ON_HOLD.message, "Queued", "", "priority_zero"),
            (NOT_FOUND.message, "Queued", "", "deleted"),
            (DROPPED.message, "Queued", "beyond horizon", "beyond_horizon"),
        ] {
            let events = events(message, state, why);
            let shown = left(&events, soon).unwrap();
            assert_eq!((shown.reason, shown.state.as_str()), (reason, state));
            assert_eq!(left(&events, late), None);
        }
        assert_eq!(left(&json!([]), soon), None);
        // Its dispatcher answers for it, and the controller asks every one of them.
        assert_eq!(left(&events(DROPPED.message, "Locked", "another owner"), soon), None);
    }
}
