//! I12: a reserve takes nothing from anybody, and is no larger than the site wants.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::{Checked, Invariant, require};
use crate::id::{InstanceId, TypeName};
use crate::instance::Market;
use crate::plan::{Action, Plan, PoolAction};
use crate::pool::Host;
use crate::time::Timestamp;
use crate::worker::{ShutdownReason, State};

/// Kept are idle instances on which nothing runs, is started, or has a place; with those that are created, no more than the
/// reserve of the type wants. Nothing is kept or created in a market in which instances make room for others.
pub(super) fn i12_reserve(facts: &Facts<'_>, plan: &Plan, now: Timestamp) -> Checked {
    let created = plan.actions.iter().filter_map(|action| match action {
        Action::Pool(PoolAction::CreateSpare(it)) => Some(it),
        _ => None,
    });
    let mut reserve: BTreeMap<&TypeName, usize> = BTreeMap::new();
    for it in created {
        *reserve.entry(&it.name).or_default() += 1;
    }
    for id in plan.spares.iter() {
        let host = facts.hosts.get(id).filter(|host| is_idle(host) && !plan.reserved.contains(id));
        let name = host.and_then(|host| host.type_name.as_ref());
        require(name.is_some() && !is_used(plan, id), Invariant::Reserve, || {
            format!("{id} is no spare instance")
        })?;
        *reserve.entry(name.expect("just seen")).or_default() += 1;
    }
    let spares = facts.input.rules.idle_reserve.at(now);
    let makes_room: Vec<_> = markets_that_make_room(facts, plan).collect();
    for (name, number) in reserve {
        let is_busy = |host: &&&Host| host.type_name.as_ref() == Some(name) && !host.processes.is_empty();
        let busy = facts.hosts.values().filter(is_busy).count();
        let most = spares.get(name).map_or(0, |spares| spares.beside(busy));
        require(number <= most, Invariant::Reserve, || {
            format!("{number} spare {name}, and {most} are wanted")
        })?;
        let market = facts.input.rules.catalog.get(name.as_str()).map(|it| it.market());
        let is_free = market.is_some_and(|market| !makes_room.contains(&market));
        require(is_free, Invariant::Reserve, || format!("spare {name} while others make room"))?;
    }
    Ok(())
}

fn is_idle(host: &Host) -> bool {
    host.state == State::Idle && host.processes.is_empty() && host.is_placeable()
}

fn is_used(plan: &Plan, id: &InstanceId) -> bool {
    plan.actions.iter().any(|action| match action {
        Action::Pool(PoolAction::StartContainer(_, on) | PoolAction::ShutdownInstance(on, _)) => on == id,
        _ => false,
    })
}

fn markets_that_make_room<'a>(facts: &'a Facts<'_>, plan: &'a Plan) -> impl Iterator<Item = Market> + 'a {
    plan.actions.iter().filter_map(|action| match action {
        Action::Pool(PoolAction::ShutdownInstance(id, ShutdownReason::OverQuota)) => {
            facts.hosts.get(id)?.instance_type().map(|it| it.market())
        }
        _ => None,
    })
}
