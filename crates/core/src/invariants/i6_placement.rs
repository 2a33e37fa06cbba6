//! I6: nothing is placed on held, draining, or too small instances, and nothing that does not want to run.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use super::{Checked, Invariant, require};
use crate::fit::Free;
use crate::id::{ContainerUuid, InstanceId};
use crate::instance::{IdleBehavior, InstanceType};
use crate::plan::{Action, Plan, PoolAction, QueueAction};

/// What is locked, started or created for wants to run; a create is of an eligible type; a start finds the instance
/// ready, of an eligible type, and with the room, whatever the plan has started there before.
pub(super) fn i6_placement(facts: &Facts<'_>, plan: &Plan) -> Checked {
    let mut hosts = Hosts { facts, free: BTreeMap::new(), shut_down: BTreeSet::new() };
    plan.actions.iter().try_for_each(|action| {
        let fault = match action {
            Action::Queue(QueueAction::LockContainer(uuid)) => unwanted(facts, *uuid),
            Action::Pool(PoolAction::CreateInstance(it, uuid)) => {
                unwanted(facts, *uuid).or_else(|| ineligible(facts, *uuid, it))
            }
            Action::Pool(PoolAction::StartContainer(order, id)) => {
                unwanted(facts, order.uuid).or_else(|| hosts.start(order.uuid, id))
            }
            Action::Pool(PoolAction::ShutdownInstance(id, _)) => {
                hosts.shut_down.insert(id);
                None
            }
            Action::Queue(
                QueueAction::UnlockContainer(..)
                | QueueAction::RequeueContainer(..)
                | QueueAction::CancelContainer(..)
                | QueueAction::ForgetContainer(_)
                | QueueAction::ReadOrphanRecord(_),
            )
            | Action::Pool(
                PoolAction::CreateSpare(_)
                | PoolAction::KillContainer(..)
                | PoolAction::ForgetProcess(..)
                | PoolAction::NoteSpotNotice(..)
                | PoolAction::ForgetAttempts(_),
            ) => None,
        };
        require(fault.is_none(), Invariant::Placement, || {
            format!("{action:?}: {}", fault.unwrap_or_default())
        })
    })
}

fn unwanted(facts: &Facts<'_>, uuid: ContainerUuid) -> Option<&'static str> {
    let wanted = facts.entry(uuid).is_some_and(|entry| entry.record.priority > 0);
    (!wanted).then_some("it is on hold")
}

fn ineligible(facts: &Facts<'_>, uuid: ContainerUuid, it: &InstanceType) -> Option<&'static str> {
    let types = facts.entry(uuid).map(|entry| entry.types()).unwrap_or_default();
    let eligible = types.iter().any(|eligible| eligible.name == it.name);
    (!eligible).then_some("its type is not eligible")
}

struct Hosts<'a> {
    facts: &'a Facts<'a>,
    /// What is left on hosts that something is started on, and how many containers are there.
    free: BTreeMap<&'a InstanceId, (Free, usize)>,
    shut_down: BTreeSet<&'a InstanceId>,
}

impl<'a> Hosts<'a> {
    /// What is wrong with a start there, if anything is.
    fn start(&mut self, uuid: ContainerUuid, id: &'a InstanceId) -> Option<&'static str> {
        let facts = self.facts;
        let (Some(host), Some(entry)) = (facts.hosts.get(id), facts.entry(uuid)) else {
            return Some("no such instance or container");
        };
        let ready = host.state.is_ready() && host.behavior == IdleBehavior::Run && !host.missing;
        let ready = ready && !host.lacks_fence && !host.lacks_runner;
        if !ready || self.shut_down.contains(id) {
            return Some("it does not take containers");
        }
        if host.stale.contains(&uuid) {
            return Some("its lock is still held there");
        }
        let Some(it) = host.instance_type() else { return Some("its type is not configured") };
        if let Some(fault) = ineligible(facts, uuid, it) {
            return Some(fault);
        }
        let Some((mut free, containers)) = self.free.get(id).copied().or_else(|| facts.free_on(host, it))
        else {
            return Some("what runs there is not known");
        };
        let most = facts.input.rules.max_containers_per_instance as usize;
        if !free.fits(&entry.needs) || (most > 0 && containers >= most) {
            return Some("it does not fit");
        }
        free.take(&entry.needs);
        self.free.insert(id, (free, containers + 1));
        None
    }
}
