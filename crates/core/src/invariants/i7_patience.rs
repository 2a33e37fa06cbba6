//! I7, as far as one plan can break it: nobody is let past a container that has waited long enough for a quota, nor onto an
//! instance that is there for nobody.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::{Checked, Invariant, require};
use crate::id::InstanceId;
use crate::plan::{Plan, WaitReason};
use crate::time::{Timestamp, since};

/// Whoever is let past is put on an instance on which another one is, or was put before; and nobody is, if the first that
/// waits for all instances has no patience left.
pub(super) fn i7_patience(facts: &Facts<'_>, plan: &Plan, now: Timestamp) -> Checked {
    if plan.backfilled.is_empty() {
        return Ok(());
    }
    let (patience, firsts) = (facts.input.rules.backfill_patience, &facts.input.firsts);
    require(!patience.is_zero(), Invariant::Patience, || {
        "nobody may be let past, and somebody is".to_owned()
    })?;
    for uuid in plan.first_at_quota.keys() {
        let is_over = firsts.since(*uuid).is_some_and(|first| since(now, first) >= patience);
        let waits_for_all =
            plan.waiting.get(uuid).is_some_and(|waiting| waiting.reason == WaitReason::MaxInstances);
        require(!(is_over && waits_for_all), Invariant::Patience, || {
            format!("{uuid} is first for too long, and others are let past it")
        })?;
    }
    // In the order of the line, so that whoever came before is known.
    let mut in_use: BTreeSet<&InstanceId> =
        facts.hosts.values().filter(|host| !host.processes.is_empty()).map(|host| &host.id).collect();
    for uuid in &plan.order {
        let Some(instance) = plan.waiting.get(uuid).and_then(|waiting| waiting.instance.as_ref()) else {
            continue;
        };
        require(!plan.backfilled.contains(uuid) || in_use.contains(instance), Invariant::Patience, || {
            format!("{uuid} is let past others onto {instance}, which runs nothing")
        })?;
        in_use.insert(instance);
    }
    Ok(())
}
