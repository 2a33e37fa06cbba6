//! I1: at most one live process per container, at any time, across restarts.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::{Checked, Invariant, require};
use crate::id::ContainerUuid;
use crate::plan::{Action, Plan, PoolAction, QueueAction};

/// A container is decided upon once a plan; it is locked, started, unlocked or has an instance created only if it
/// has no process, not even one that nobody has shown yet; only a process that has ended is forgotten.
pub(super) fn i1_one_process(facts: &Facts<'_>, plan: &Plan) -> Checked {
    let mut decided = BTreeSet::new();
    plan.actions.iter().try_for_each(|action| {
        let first = decides(action).is_none_or(|uuid| decided.insert(uuid));
        require(first && is_safe(facts, action), Invariant::OneProcess, || {
            format!("{action:?}: decided before, or it may have a process")
        })
    })
}

/// The container that the action decides about.
fn decides(action: &Action) -> Option<ContainerUuid> {
    match action {
        Action::Queue(
            QueueAction::LockContainer(uuid)
            | QueueAction::UnlockContainer(uuid, _)
            | QueueAction::RequeueContainer(uuid, _)
            | QueueAction::CancelContainer(uuid, ..),
        )
        | Action::Pool(PoolAction::CreateInstance(_, uuid)) => Some(*uuid),
        Action::Pool(PoolAction::StartContainer(order, _)) => Some(order.uuid),
        Action::Queue(QueueAction::ForgetContainer(_) | QueueAction::ReadOrphanRecord(_))
        | Action::Pool(
            PoolAction::ShutdownInstance(..)
            | PoolAction::CreateSpare(_)
            | PoolAction::KillContainer(..)
            | PoolAction::ForgetProcess(..)
            | PoolAction::NoteSpotNotice(..)
            | PoolAction::ForgetAttempts(_),
        ) => None,
    }
}

fn is_safe(facts: &Facts<'_>, action: &Action) -> bool {
    let runs_nowhere = |uuid| !facts.has_process(uuid) && !facts.may_be_elsewhere(uuid);
    match action {
        Action::Queue(QueueAction::LockContainer(uuid)) => runs_nowhere(*uuid),
        Action::Pool(PoolAction::StartContainer(order, _)) => runs_nowhere(order.uuid),
        // An instance for one that may not be started would stand idle; in an outage it shows whose the fault is.
        Action::Pool(PoolAction::CreateInstance(_, uuid)) => runs_nowhere(*uuid) || facts.input.fleet.outage,
        Action::Queue(QueueAction::UnlockContainer(uuid, _) | QueueAction::RequeueContainer(uuid, _)) => {
            !facts.alive.contains(uuid) && !facts.may_be_elsewhere(*uuid)
        }
        Action::Pool(PoolAction::ForgetProcess(uuid, _)) => !facts.alive.contains(uuid),
        Action::Queue(
            QueueAction::CancelContainer(..)
            | QueueAction::ForgetContainer(_)
            | QueueAction::ReadOrphanRecord(_),
        )
        | Action::Pool(
            PoolAction::ShutdownInstance(..)
            | PoolAction::CreateSpare(_)
            | PoolAction::KillContainer(..)
            | PoolAction::NoteSpotNotice(..)
            | PoolAction::ForgetAttempts(_),
        ) => true,
    }
}
