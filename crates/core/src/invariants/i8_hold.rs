//! I8: hold means hold; only what is surely empty makes room.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::{Checked, Invariant, require};
use crate::instance::IdleBehavior;
use crate::plan::{Action, Plan, PoolAction};
use crate::pool::Host;
use crate::worker::State;

/// What is shut down is idle or booting, its processes are known, it has none and is sent none by this plan, and no
/// operator holds it. Each is shut down once.
pub(super) fn i8_hold(facts: &Facts<'_>, plan: &Plan) -> Checked {
    let mut used = BTreeSet::new();
    for action in &plan.actions {
        match action {
            Action::Pool(PoolAction::StartContainer(_, id)) => {
                used.insert(id);
            }
            Action::Pool(PoolAction::ShutdownInstance(id, _)) => {
                let may = facts.hosts.get(id).is_some_and(|host| is_surely_empty(host)) && used.insert(id);
                require(may, Invariant::Hold, || format!("{action:?} of one that is held, busy or unknown"))?;
            }
            Action::Pool(
                PoolAction::CreateInstance(..)
                | PoolAction::CreateSpare(_)
                | PoolAction::KillContainer(..)
                | PoolAction::ForgetProcess(..)
                | PoolAction::NoteSpotNotice(..)
                | PoolAction::ForgetAttempts(_),
            )
            | Action::Queue(_) => {}
        }
    }
    Ok(())
}

fn is_surely_empty(host: &Host) -> bool {
    matches!(host.state, State::Idle | State::Booting)
        && host.processes.is_empty()
        && host.processes_known
        && host.behavior != IdleBehavior::Hold
}
