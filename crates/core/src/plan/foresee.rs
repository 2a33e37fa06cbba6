//! What comes of a round if all goes well: locks are granted, creates succeed, instances boot, starts succeed, and meanwhile
//! nobody submits anything and nothing ends.
//!
//! ```text
//!   PlanInput ─► plan ─► its locks, creates, starts and shutdowns as if they were done ─► PlanInput ─► plan ─► …
//!                  └ none of these is left: this is where it leads
//! ```
//! One round shows only the next step, because few creates are in flight at a time. What an operator wants to know is
//! where the steps lead. The clock stands still: a hold that has an end lasts for all of it. The
//! ceiling rises with what runs, unless a 503 has lowered it.
//!
//! Never does: foretelling what the cloud will say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Action, Plan, PlanInput, PoolAction, QueueAction, plan};
use crate::ceiling::CeilingFacts;
use crate::container::ContainerState;
use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::pool::{Host, HostProcess};
use crate::queue::{Entry, OperationKind};
use crate::time::Timestamp;
use crate::worker::ShutdownReason;

/// More rounds than any real line needs: each one but the last does something.
const MOST_ROUNDS: usize = 100;

/// Where the rounds lead.
#[derive(Debug, Clone, PartialEq)]
pub struct Foresight {
    /// Queue and fleet as they would be then.
    pub input: PlanInput,
    /// What would be planned from them: why whoever still waits does.
    pub plan: Plan,
    /// How many instances of each type would have been created until then.
    pub created: BTreeMap<TypeName, usize>,
    /// How many containers would have been started.
    pub started: usize,
    /// How many instances would have been shut down to make room.
    pub shut_down: usize,
}

/// Follows the rounds to where they lead. Creates are as many at a time as are wanted, because it does not matter when
/// they are made. O(rounds × a round); without a shortage there are four or five rounds.
pub fn foresee(input: &PlanInput, ceiling: CeilingFacts, now: Timestamp) -> Foresight {
    let mut rules = (*input.rules).clone();
    rules.max_concurrent_creates = 0;
    let mut input = input.under(Arc::new(rules));
    settle_what_is_under_way(&mut input, now);
    let mut steps = Steps { input, now, created: BTreeMap::new(), started: 0, shut_down: 0 };
    let mut planned = plan(&steps.input, now);
    for _ in 0..MOST_ROUNDS {
        let was_any = steps.take(&planned);
        let is_raised = steps.raise(ceiling, planned.facts.living);
        if !was_any && !is_raised {
            break;
        }
        planned = plan(&steps.input, now);
    }
    let Steps { input, created, started, shut_down, .. } = steps;
    Foresight { input, plan: planned, created, started, shut_down }
}

/// Creates in flight become instances, instances that boot come into service, and locks that were asked for are granted.
fn settle_what_is_under_way(input: &mut PlanInput, now: Timestamp) {
    let fleet = Arc::make_mut(&mut input.fleet);
    for host in &mut fleet.hosts {
        if let Some(ready) = host.once_booted() {
            *host = Arc::new(ready);
        }
    }
    let creates = std::mem::take(&mut fleet.creates);
    let known = creates.iter().filter_map(|create| create.instance_type());
    for (n, it) in known.enumerate() {
        fleet.hosts.push(Arc::new(Host::foreseen(&foreseen_id("create", n), it)));
    }
    let queue = Arc::make_mut(&mut input.queue);
    let me = queue.me;
    for entry in &mut queue.entries {
        if entry.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Lock) {
            let entry = Arc::make_mut(entry);
            lock(entry, now);
            entry.record.locked_by = me;
        }
    }
}

fn foreseen_id(what: &str, n: usize) -> InstanceId {
    InstanceId::new(&format!("{what}-{n:06}")).expect("a plain word and a number")
}

fn lock(entry: &mut Entry, now: Timestamp) {
    entry.record.state = ContainerState::Locked;
    entry.locked_at = Some(now);
    entry.operation = None;
}

/// The rounds so far.
struct Steps {
    input: PlanInput,
    now: Timestamp,
    created: BTreeMap<TypeName, usize>,
    started: usize,
    shut_down: usize,
}

impl Steps {
    /// Whether anything of it was done.
    fn take(&mut self, planned: &Plan) -> bool {
        let mut is_any = false;
        for action in &planned.actions {
            is_any |= match action {
                Action::Queue(QueueAction::LockContainer(uuid)) => self.lock(*uuid),
                Action::Queue(QueueAction::UnlockContainer(uuid, _)) => self.unlock(*uuid),
                Action::Pool(PoolAction::StartContainer(order, id)) => self.start(order.uuid, id),
                Action::Pool(PoolAction::CreateInstance(it, _) | PoolAction::CreateSpare(it)) => {
                    let so_far: usize = self.created.values().sum();
                    *self.created.entry(it.name.clone()).or_default() += 1;
                    let host = Host::foreseen(&foreseen_id("new", so_far), it);
                    Arc::make_mut(&mut self.input.fleet).hosts.push(Arc::new(host));
                    true
                }
                Action::Pool(PoolAction::ShutdownInstance(id, ShutdownReason::OverQuota)) => {
                    self.shut_down += 1;
                    Arc::make_mut(&mut self.input.fleet).hosts.retain(|host| host.id != *id);
                    true
                }
                // What ends something takes its time, and is not foretold.
                Action::Queue(
                    QueueAction::RequeueContainer(..)
                    | QueueAction::CancelContainer(..)
                    | QueueAction::ForgetContainer(_)
                    | QueueAction::ReadOrphanRecord(_),
                )
                | Action::Pool(
                    PoolAction::ShutdownInstance(..)
                    | PoolAction::KillContainer(..)
                    | PoolAction::NoteSpotNotice(..)
                    | PoolAction::ForgetProcess(..)
                    | PoolAction::ForgetAttempts(_),
                ) => false,
            };
        }
        is_any
    }

    /// Whether the ceiling is higher now, because that many run.
    fn raise(&mut self, ceiling: CeilingFacts, running: usize) -> bool {
        let running = u32::try_from(running).unwrap_or(u32::MAX);
        let before = self.input.limits.ceiling;
        self.input.limits.ceiling = ceiling.later(before, running);
        self.input.limits.ceiling != before
    }

    fn entry(&mut self, uuid: ContainerUuid) -> Option<&mut Entry> {
        let queue = Arc::make_mut(&mut self.input.queue);
        let position = queue.position(uuid)?;
        Some(Arc::make_mut(&mut queue.entries[position]))
    }

    fn lock(&mut self, uuid: ContainerUuid) -> bool {
        let (me, now) = (self.input.queue.me, self.now);
        let entry = self.entry(uuid);
        entry.is_some_and(|entry| {
            lock(entry, now);
            entry.record.locked_by = me;
            true
        })
    }

    fn unlock(&mut self, uuid: ContainerUuid) -> bool {
        self.entry(uuid).is_some_and(|entry| {
            entry.record.state = ContainerState::Queued;
            (entry.record.locked_by, entry.locked_at) = (None, None);
            true
        })
    }

    fn start(&mut self, uuid: ContainerUuid, id: &InstanceId) -> bool {
        let since = Some(self.now);
        let hosts = &mut Arc::make_mut(&mut self.input.fleet).hosts;
        let Some(host) = hosts.iter_mut().find(|host| host.id == *id) else { return false };
        Arc::make_mut(host).processes.push(HostProcess { uuid, since, killing: false });
        self.started += 1;
        true
    }
}
