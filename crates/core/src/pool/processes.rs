//! Processes on workers: starts and kills are sent, notices of the spot market taken, ends forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{FailedStarts, PoolEffect, PoolFact, PoolRefusal, WorkerPool};
use crate::id::{ContainerUuid, InstanceId};
use crate::instance::IdleBehavior;
use crate::worker::{AttemptOutcome, Command, KeptFor, KillReason, StartOrder};

impl WorkerPool {
    /// Sends a start: from now on the container counts as a process on this worker.
    ///
    /// # Errors
    /// If, as far as we know, the worker cannot accept it, or the container has a process already.
    pub fn start(&mut self, order: StartOrder, id: &InstanceId) -> Result<Vec<PoolEffect>, PoolRefusal> {
        let uuid = order.uuid;
        let slot = self.workers.get(id).ok_or(PoolRefusal::NoSuchInstance)?;
        if self.homes.contains_key(&uuid) || self.ended.contains_key(&uuid) {
            return Err(PoolRefusal::AlreadyRunning);
        }
        let is_in_service = slot.view.state.is_ready() && slot.view.behavior == IdleBehavior::Run;
        let is_leaving = slot.missing.is_some() || slot.spot_notice.is_some() || slot.view.unproven;
        if !is_in_service || is_leaving || !self.runner_readable {
            return Err(PoolRefusal::NotPlaceable);
        }
        let effect = self.command(id, Command::Start(order));
        let number = self.sequence;
        self.change_slot(id, |slot| {
            slot.sent.insert(uuid, number);
        });
        Ok(vec![effect])
    }

    /// The worker has refused the start that was sent with this number.
    pub fn start_refused(&mut self, uuid: ContainerUuid, id: &InstanceId, number: u64) {
        self.change_slot(id, |slot| {
            if slot.sent.get(&uuid) == Some(&number) {
                slot.sent.remove(&uuid);
            }
        });
    }

    /// Sends a kill to each worker that has a process of that container.
    ///
    /// # Errors
    /// If there is none.
    pub fn kill(&mut self, uuid: ContainerUuid, reason: &KillReason) -> Result<Vec<PoolEffect>, PoolRefusal> {
        let holders = self.homes.get(&uuid).cloned().ok_or(PoolRefusal::NoSuchProcess)?;
        Ok(holders.iter().map(|id| self.command(id, Command::Kill(uuid, reason.clone()))).collect())
    }

    /// The cloud has announced to that container's process that its instance will be taken away: it gets nothing new, and
    /// is drained.
    pub fn note_spot_notice(&mut self, container: ContainerUuid, notice: &str) -> Vec<PoolEffect> {
        let mut effects = Vec::new();
        for id in self.homes.get(&container).cloned().unwrap_or_default() {
            let is_news = self.change_slot(&id, |slot| slot.spot_notice = Some(notice.into()));
            if is_news {
                effects.push(self.command(&id, Command::DrainForNotice));
                let notice = notice.to_owned();
                effects.push(PoolEffect::Tell(PoolFact::SpotNotice { instance: id, container, notice }));
                effects.push(PoolEffect::FleetChanged);
            }
        }
        effects
    }

    /// Takes the instances that are not idle although nothing runs there: those for which a plan has containers that
    /// cannot be started yet (`reserved`), and those that it keeps as `spares`. Tells the workers for which that has
    /// changed. O(differences × log).
    pub fn keep(
        &mut self,
        reserved: Arc<BTreeSet<InstanceId>>,
        spares: Arc<BTreeSet<InstanceId>>,
    ) -> Vec<PoolEffect> {
        let before =
            (std::mem::replace(&mut self.reserved, reserved), std::mem::replace(&mut self.spares, spares));
        let changed: BTreeSet<_> = (before.0.symmetric_difference(&self.reserved))
            .chain(before.1.symmetric_difference(&self.spares))
            .filter(|id| self.workers.contains_key(*id))
            .cloned()
            .collect();
        let command = |id: &InstanceId| Command::Keep(self.kept_for(id));
        let commands: Vec<_> = changed.iter().map(|id| (id, command(id))).collect();
        commands.into_iter().map(|(id, command)| self.command(id, command)).collect()
    }

    pub(super) fn kept_for(&self, id: &InstanceId) -> Option<KeptFor> {
        match (self.reserved.contains(id), self.spares.contains(id)) {
            (true, _) => Some(KeptFor::Container),
            (false, true) => Some(KeptFor::Reserve),
            (false, false) => None,
        }
    }

    /// Forgets an ended process, and tells its worker the outcome of the attempt.
    ///
    /// # Errors
    /// If there is none.
    pub fn forget(
        &mut self,
        uuid: ContainerUuid,
        outcome: AttemptOutcome,
    ) -> Result<Vec<PoolEffect>, PoolRefusal> {
        let ended = self.ended.remove(&uuid).ok_or(PoolRefusal::NoSuchProcess)?;
        let before = self.failed_starts.remove(&uuid);
        let failed_elsewhere = before.as_ref().is_some_and(|it| it.has_failed_elsewhere(&ended.instance));
        let failed = match outcome {
            AttemptOutcome::LeftLocked => before,
            AttemptOutcome::StillLocked => Some(FailedStarts::after(before, &ended)),
        };
        self.failed_starts.extend(failed.map(|failed| (uuid, failed)));
        let there = self.workers.contains_key(&ended.instance);
        let judged = Command::StartJudged { uuid, outcome, failed_elsewhere };
        Ok(if there { vec![self.command(&ended.instance, judged)] } else { Vec::new() })
    }

    /// The container is no longer in the queue: its attempts are forgotten.
    pub fn forget_container(&mut self, uuid: ContainerUuid) {
        self.failed_starts.remove(&uuid);
    }
}
