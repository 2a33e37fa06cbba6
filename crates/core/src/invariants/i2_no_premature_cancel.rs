//! I2: no Running container is cancelled while its process may live, and no Complete one ever.

use super::facts::Facts;
use super::{Checked, Invariant, require};
use crate::container::{ContainerState, Standing};
use crate::plan::{Action, Plan, QueueAction};
use crate::queue::{CancelReason, Entry};

/// Nothing is done before the first poll and the first listing. A cancel names the record as it stands, its
/// container has no living process, and its reason is proven.
pub(super) fn i2_no_premature_cancel(facts: &Facts<'_>, plan: &Plan) -> Checked {
    let input = facts.input;
    let started = input.queue.first_poll_began.is_some() && input.fleet.first_listing.is_some();
    plan.actions.iter().try_for_each(|action| {
        let allowed = match action {
            Action::Queue(QueueAction::CancelContainer(uuid, reason, standing)) => {
                facts.entry(*uuid).is_some_and(|entry| is_proven(facts, entry, reason, standing))
            }
            Action::Queue(_) | Action::Pool(_) => true,
        };
        require(started && allowed, Invariant::NoPrematureCancel, || format!("{action:?}"))
    })
}

fn is_proven(facts: &Facts<'_>, entry: &Entry, reason: &CancelReason, standing: &Standing) -> bool {
    let uuid = entry.record.uuid;
    let right = match reason {
        CancelReason::ProcessExited => has_exited(facts, entry),
        CancelReason::NotOnAnyWorker => is_nowhere(facts, entry),
        CancelReason::NoSuitableType(_) => {
            entry.is_waiting() && entry.spared_until.is_none() && !facts.may_be_elsewhere(uuid)
        }
    };
    right && !facts.alive.contains(&uuid) && *standing == entry.record.standing()
}

/// Running by a picture that was asked for after its process was seen to end.
fn has_exited(facts: &Facts<'_>, entry: &Entry) -> bool {
    let ended = facts.input.fleet.ended.get(&entry.record.uuid);
    let queue = &facts.input.queue;
    let asked = queue.position(entry.record.uuid).and_then(|position| queue.asked_at(position));
    let seen_since = ended.is_some_and(|ended| asked > Some(ended.at));
    entry.record.state == ContainerState::Running && seen_since
}

/// Running, and on no worker by three listings that began after the first poll, with nothing that could hide it.
fn is_nowhere(facts: &Facts<'_>, entry: &Entry) -> bool {
    let (queue, fleet) = (&facts.input.queue, &facts.input.fleet);
    let proofs = fleet.listings.iter().filter(|began| Some(**began) > queue.first_poll_began);
    let foreign = fleet.hosts.iter().any(|host| !host.ours);
    let may_be_unseen = facts.has_unknown_hosts || (facts.adopting_starts && foreign);
    entry.record.state == ContainerState::Running
        && !fleet.ended.contains_key(&entry.record.uuid)
        && !may_be_unseen
        && proofs.count() >= 3
}
