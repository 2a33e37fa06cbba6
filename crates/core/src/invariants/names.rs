//! Only what is in the input is named, as it stands there, and what is being changed is left alone.

use super::facts::Facts;
use super::{Checked, Invariant, require};
use crate::container::ContainerState::{self, Locked, Queued};
use crate::id::ContainerUuid;
use crate::plan::{Action, Plan, PoolAction, QueueAction};
use crate::queue::{Entry, SetbackCause};

pub(super) fn only_known_names(facts: &Facts<'_>, plan: &Plan) -> Checked {
    plan.actions.iter().try_for_each(|action| {
        require(is_known(facts, action), Invariant::Names, || format!("{action:?} of what is not so"))
    })
}

fn is_known(facts: &Facts<'_>, action: &Action) -> bool {
    match action {
        Action::Queue(action) => is_known_to_queue(facts, action),
        Action::Pool(action) => is_known_to_pool(facts, action),
    }
}

fn is_known_to_queue(facts: &Facts<'_>, action: &QueueAction) -> bool {
    match action {
        QueueAction::LockContainer(uuid) => {
            may_be_changed(facts, *uuid, Queued) && may_be_tried(facts, *uuid, SetbackCause::Lock)
        }
        QueueAction::UnlockContainer(uuid, _) | QueueAction::RequeueContainer(uuid, _) => {
            may_be_changed(facts, *uuid, Locked) && may_be_tried(facts, *uuid, SetbackCause::Unlock)
        }
        QueueAction::CancelContainer(uuid, ..) => may_be_tried(facts, *uuid, SetbackCause::Cancel),
        QueueAction::ForgetContainer(uuid) => {
            let is_done = |entry: &Entry| {
                let record = &entry.record;
                record.state.is_final() || (record.state == Queued && record.priority <= 0)
            };
            facts.entry(*uuid).is_some_and(is_done) && !facts.has_process(*uuid)
        }
        QueueAction::ReadOrphanRecord(uuid) => facts.entry(*uuid).is_none() && facts.alive.contains(uuid),
    }
}

fn is_known_to_pool(facts: &Facts<'_>, action: &PoolAction) -> bool {
    match action {
        PoolAction::StartContainer(order, id) => {
            may_be_changed(facts, order.uuid, Locked) && facts.hosts.contains_key(id)
        }
        PoolAction::CreateInstance(_, uuid) => may_be_changed(facts, *uuid, Locked),
        PoolAction::CreateSpare(it) => facts.input.rules.catalog.get(it.name.as_str()) == Some(it),
        PoolAction::ShutdownInstance(id, _) => facts.hosts.contains_key(id),
        PoolAction::KillContainer(uuid, _) => facts.alive.contains(uuid),
        PoolAction::NoteSpotNotice(uuid, _) => facts.alive.contains(uuid),
        PoolAction::ForgetAttempts(uuid) => facts.entry(*uuid).is_none(),
        PoolAction::ForgetProcess(uuid, _) => facts.input.fleet.ended.contains_key(uuid),
    }
}

fn decidable<'a>(facts: &Facts<'a>, uuid: ContainerUuid) -> Option<&'a Entry> {
    facts.entry(uuid).filter(|entry| !entry.is_undecidable())
}

/// What has failed for a container is not asked for before its back-off is over.
fn may_be_tried(facts: &Facts<'_>, uuid: ContainerUuid, cause: SetbackCause) -> bool {
    decidable(facts, uuid).is_some_and(|entry| !entry.is_set_back(cause))
}

fn may_be_changed(facts: &Facts<'_>, uuid: ContainerUuid, state: ContainerState) -> bool {
    decidable(facts, uuid).is_some_and(|entry| entry.record.state == state)
}
