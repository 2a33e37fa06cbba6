//! I13: a container changes its market only from spot to on demand, and only after a loss.

use super::facts::Facts;
use super::{Checked, Invariant, require};
use crate::id::ContainerUuid;
use crate::instance::Market;
use crate::plan::{Action, Plan, PoolAction};
use crate::queue::Entry;

/// What is created or started is of the market that the container wants. One that wants the spot market, and has lost an
/// instance to it, may be on demand (`SpotRetries`); one that wants to be on demand is never on the spot market.
pub(super) fn i13_market(facts: &Facts<'_>, plan: &Plan) -> Checked {
    plan.actions.iter().try_for_each(|action| {
        let (uuid, it) = match action {
            Action::Pool(PoolAction::CreateInstance(it, uuid)) => (uuid, Some(it)),
            Action::Pool(PoolAction::StartContainer(order, id)) => {
                (&order.uuid, facts.hosts.get(id).and_then(|host| host.instance_type()))
            }
            _ => return Ok(()),
        };
        let is_right = it.is_some_and(|it| may_be_on(facts, *uuid, it.market()));
        require(is_right, Invariant::Market, || format!("{action:?}: it is on the wrong market"))
    })
}

fn may_be_on(facts: &Facts<'_>, uuid: ContainerUuid, market: Market) -> bool {
    let may = |entry: &Entry| match (entry.record.scheduling.market(), market) {
        (Market::Spot, Market::OnDemand) => entry.market_losses > 0,
        (wanted, market) => wanted == market,
    };
    facts.entry(uuid).is_some_and(may)
}
